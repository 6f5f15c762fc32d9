"""Comparisons of A and B: what becomes of ties and of rows without a verdict, and what is kept."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rmplug import DataError
from rmplug.notices import collect_notices
from rmplug.testing import check_step
from rmplug_text.loaders import ABFile

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[2] / "../shared/data")
)


def write(folder, *labels, name="x.jsonl", **more):
    rows = [
        {"id": f"c{n}", "prompt": "p", "response_a": f"a{n}", "response_b": f"b{n}", "label": label}
        for n, label in enumerate(labels)
    ]
    path = folder / name
    path.write_text("".join(json.dumps(row | more) + "\n" for row in rows))
    return path


def load(path, **params):
    rows = ABFile(path=path, **params).load().table.to_pylist()
    for row in rows:
        row |= {side: row[side][0]["content"] for side in ("chosen", "rejected")}
    return rows


def sides(rows):
    return [(row["id"], row["chosen"], row["rejected"], row["position"]) for row in rows]


def test_the_label_says_which_response_is_chosen(tmp_path):
    rows = load(write(tmp_path, "A", "B"))
    assert sides(rows) == [("c0", "a0", "b0", "A"), ("c1", "b1", "a1", "B")]
    assert [row["label"] for row in rows] == ["A", "B"]
    assert "weight" not in rows[0]


def test_ties_are_dropped_and_counted_by_default_and_so_are_rows_without_verdict(tmp_path):
    with collect_notices() as notices:
        rows = load(write(tmp_path, "A", "tie", None, "B", "tie"))
    assert [row["id"] for row in rows] == ["c0", "c3"]
    assert {key: entry.ids for key, entry in notices.items()} == {
        ("tie", "dropped"): ["c1", "c4"],
        ("no label", "dropped"): ["c2"],
    }


def test_a_tie_gives_both_orders_of_full_weight(tmp_path):
    rows = load(write(tmp_path, "A", "tie"), ties="both")
    assert sides(rows) == [
        ("c0", "a0", "b0", "A"),
        ("c1/a", "a1", "b1", "A"),
        ("c1/b", "b1", "a1", "B"),
    ]
    assert [row["label"] for row in rows] == ["A", "tie", "tie"]
    assert "weight" not in rows[0]


def test_half_ties_weigh_together_as_much_as_one_row(tmp_path):
    rows = load(write(tmp_path, "B", "tie"), ties="half")
    assert [row["weight"] for row in rows] == [1.0, 0.5, 0.5]
    rows = load(write(tmp_path, "B", "tie", weight=3), ties="half")
    assert [row["weight"] for row in rows] == [3.0, 1.5, 1.5]


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv"])
def test_labels_may_be_written_in_any_way(tmp_path, name):
    labels = {"A": ["left", 1], "B": [2, "right"], "tie": 0, "none": ["?", None]}
    path = tmp_path / name
    values = ["left", "1", "right", "2", "0", "?", ""]
    if name == "x.csv":
        path.write_text(
            "prompt,response_a,response_b,label\n" + "".join(f"p,a,b{v},{v}\n" for v in values)
        )
    else:
        path = write(tmp_path, "left", 1, "right", 2.0, 0, "?", "")
    with collect_notices() as notices:
        rows = load(path, labels=labels)
    assert [row["position"] for row in rows] == ["A", "A", "B", "B"]
    assert {what: entry.count for (what, _), entry in notices.items()} == {"tie": 1, "no label": 2}


def test_an_unknown_label_says_how_to_tell_what_it_means(tmp_path):
    with pytest.raises(DataError) as error:
        load(write(tmp_path, "A", "C"))
    assert str(error.value) == (
        'line 2 of x.jsonl: an unknown label ("C"; say what it means with labels)'.join(
            ["1 row cannot be used: ", "; set bad_rows: drop to leave such rows out"]
        )
    )


def test_a_label_in_another_column_is_kept_as_it_was(tmp_path):
    path = write(tmp_path, None, meta={"verdict": "much-better", "model_a": "x"})
    (row,) = load(path, fields={"label": "meta.verdict"}, labels={"A": "much-better"})
    assert row["meta.verdict"] == "much-better"
    assert row["meta.model_a"] == "x"
    assert row["label"] == "A"
    assert row["file.label"] is None


def test_the_step_conforms(tmp_path):
    check_step(ABFile, {"path": str(write(tmp_path, "A", "B", "tie", None, "A"))})


def published(name):
    path = SHARED / name / "ab.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    return path


@pytest.mark.parametrize(
    ("name", "a", "b", "ties", "unlabelled"),
    [
        ("autoj", 303, 306, 238, 0),
        ("convarg", 3699, 3622, 1245, 1472),
        ("pandalm", 241, 290, 40, 0),
        ("tulu_human_eval", 262, 221, 250, 0),
    ],
)
def test_published_comparisons_have_the_known_verdicts(name, a, b, ties, unlabelled):
    with collect_notices() as notices:
        rows = load(published(name))
    positions = [row["position"] for row in rows]
    assert (positions.count("A"), positions.count("B")) == (a, b)
    counted = {what: entry.count for (what, _), entry in notices.items()}
    assert counted == {"tie": ties} | ({"no label": unlabelled} if unlabelled else {})


def test_published_ties_give_two_rows_each():
    assert len(load(published("pandalm"), ties="both")) == 571 + 40


def test_graded_verdicts_are_mapped_by_several_values():
    labels = {
        "A": ["a-is-better", "a-is-slightly-better"],
        "B": ["b-is-better", "b-is-slightly-better"],
    }
    path = published("tulu_human_eval")
    assert len(load(path, fields={"label": "meta.preference"}, labels=labels)) == 262 + 221
