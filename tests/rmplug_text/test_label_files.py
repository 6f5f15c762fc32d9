"""Sheets for people who label, and going on with what they wrote."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import rmplug
from rmplug import DataError, Pairs, Report, Selection, StepError
from rmplug.notices import collect_notices
from rmplug.testing import check_step, small_pairs
from rmplug_text.labelling import LabelsFile, LabelSheet

ROWS = 12
CHOSEN = [f"good {row}" for row in range(ROWS)]


def pairs():
    return Pairs(
        {
            "id": [f"p{row}" for row in range(ROWS)],
            "prompt": [f"Question {row}" for row in range(ROWS)],
            "chosen": CHOSEN,
            "rejected": [f"=bad {row}" for row in range(ROWS)],
            "model.chosen": ["x"] * ROWS,
            "model.rejected": ["y"] * ROWS,
            "margin": [1.0] * ROWS,
        },
        "pool",
    )


def sheet(folder, selection=None, **params):
    folder.mkdir(exist_ok=True)
    made = LabelSheet(**params).report(pairs(), selection, directory=folder)
    with (folder / made.entry).open(encoding="utf-8-sig", newline="") as file:
        return made, list(csv.DictReader(file))


def save(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "winner"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def texts(data, side):
    return {row["id"]: row[side][0]["content"] for row in data.table.to_pylist()}


def labelled(report, path, selection=None, **params):
    return LabelsFile(path=path, **params).sample(pairs(), report, selection)


def test_a_sheet_shows_both_responses_and_does_not_tell_which_is_chosen(tmp_path):
    made, rows = sheet(tmp_path / "sheet")
    assert [row["id"] for row in rows] == [f"p{row}" for row in range(ROWS)]
    first = [row["A"].startswith("good") for row in rows]
    assert 2 < sum(first) < ROWS - 2
    assert all(row["winner"] == "" for row in rows)
    assert all(set(row) == {"id", "prompt", "A", "B", "winner"} for row in rows)
    assert {row["A"][0] for row in rows} | {row["B"][0] for row in rows} == {"g", "'"}
    again, _ = sheet(tmp_path / "again")
    assert (tmp_path / "again" / again.entry).read_bytes() == (
        tmp_path / "sheet" / made.entry
    ).read_bytes()


def test_an_id_that_a_spreadsheet_would_run_is_a_text_and_is_found_again(tmp_path):
    ids = ["=HYPERLINK(1)", "-1", "\uff1d1", "'=1", "p5"]
    rows = {"id": ids, "prompt": ["q"] * 5, "chosen": ["a"] * 5, "rejected": ["b"] * 5}
    data = Pairs(rows, "pairs")
    directory = tmp_path / "sheet"
    directory.mkdir()
    report = LabelSheet().report(data, directory=directory)
    with (directory / report.entry).open(encoding="utf-8-sig", newline="") as file:
        written = [{**row, "winner": "A"} for row in csv.DictReader(file)]
    assert [row["id"][0] for row in written] == ["'", "'", "'", "'", "p"]
    save(tmp_path / "answers.csv", written)
    made = LabelsFile(path=[tmp_path / "answers.csv"]).sample(data, report)
    assert made.column("id").to_pylist() == ids


def test_a_sheet_has_the_selected_pairs_in_order_of_choice_without_those_answered(tmp_path):
    selection = Selection({"id": ["p7", "p2", "p9"]})
    save(tmp_path / "answers.csv", [{"id": "p2", "winner": "A"}])
    _, rows = sheet(tmp_path / "all", selection, answers=tmp_path / "later.csv")
    assert [row["id"] for row in rows] == ["p7", "p2", "p9"]
    _, rows = sheet(tmp_path / "left", selection, answers=tmp_path / "answers.csv")
    assert [row["id"] for row in rows] == ["p7", "p9"]


def test_a_sheet_can_be_json_lines(tmp_path):
    made = LabelSheet(format="jsonl").report(pairs(), directory=tmp_path)
    rows = [json.loads(line) for line in (tmp_path / made.entry).read_text().splitlines()]
    assert {rows[0]["A"], rows[0]["B"]} == {"good 0", "=bad 0"} and rows[0]["winner"] is None


def test_the_response_that_people_prefer_becomes_the_chosen_one(tmp_path):
    made, rows = sheet(tmp_path / "sheet")
    for row in rows:
        good = "A" if row["A"].startswith("good") else "B"
        bad = "B" if good == "A" else "A"
        row["winner"] = bad.lower() if row["id"] in ("p3", "p4") else f" {good} "
    save(tmp_path / "answers.csv", rows)
    data = labelled(made, tmp_path / "answers.csv")
    chosen = texts(data, "chosen")
    assert {name for name, text in chosen.items() if text.startswith("=bad")} == {"p3", "p4"}
    table = data.table
    assert table["model.chosen"].to_pylist() == [
        "y" if name in ("p3", "p4") else "x" for name in table["id"].to_pylist()
    ]
    assert "margin" not in table.column_names
    assert set(table["votes"].to_pylist()) == {1} == set(table["agreement"].to_pylist())


def test_several_verdicts_are_put_to_the_vote(tmp_path):
    made, rows = sheet(tmp_path / "sheet", Selection({"id": ["p0", "p1", "p2"]}))
    good = {row["id"]: "A" if row["A"].startswith("good") else "B" for row in rows}
    bad = {name: "B" if side == "A" else "A" for name, side in good.items()}
    answers = [
        *[("p0", side) for side in (bad["p0"], bad["p0"], good["p0"])],
        *[("p1", side) for side in (good["p1"], bad["p1"])],
        *[("p2", side) for side in ("tie", good["p2"], good["p2"])],
        ("p9", "A"),
    ]
    save(tmp_path / "answers.csv", [{"id": name, "winner": side} for name, side in answers])
    selection = Selection({"id": ["p2", "p1", "p0"]})
    with collect_notices() as notices:
        data = labelled(made, tmp_path / "answers.csv", selection)
    assert texts(data, "chosen") == {"p0": "=bad 0", "p2": "good 2"}
    assert data.table["agreement"].to_pylist() == pytest.approx([2 / 3, 2 / 3])
    assert {(n.what, tuple(n.ids)) for n in notices.values()} == {
        ("a tie", ("p1",)),
        ("an answer about a pair that was not asked about", ("p9",)),
    }
    kept = labelled(made, tmp_path / "answers.csv", selection, ties="keep")
    assert texts(kept, "chosen")["p1"] == "good 1"


def test_missing_answers_are_asked_for_in_one_sentence(tmp_path):
    made, rows = sheet(tmp_path / "sheet")
    path = tmp_path / "answers.csv"
    with pytest.raises(DataError) as error:
        labelled(made, path)
    assert str(error.value) == (
        f"12 of 12 pairs have no answer yet: write A, B or tie under winner in "
        f"{tmp_path}/sheet/to-label.csv, save it as {path}, and run again"
    )
    save(path, [{**row, "winner": "A" if row["id"] == "p5" else ""} for row in rows])
    with pytest.raises(DataError, match="11 of 12 pairs have no answer yet: .*, add them to"):
        labelled(made, path)
    with collect_notices() as notices:
        assert len(labelled(made, path, unanswered="drop")) == 1
    assert [(n.what, n.count) for n in notices.values()] == [("no answer", 11)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,winner\np1,C\n", "an unknown winner"),
        ("id,label\np1,A\n", "answers need the columns id and winner, as on the sheet"),
        ("id,winner\n,A\n", "id"),
    ],
)
def test_answers_that_cannot_be_read_are_refused(content, message, tmp_path):
    made, _ = sheet(tmp_path / "sheet")
    (tmp_path / "answers.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        labelled(made, tmp_path / "answers.csv")


def test_a_run_stops_for_the_labels_and_goes_on_with_them(tmp_path):
    (tmp_path / "pool.csv").write_text(
        "id,prompt,one,two\n" + "".join(f"q{n},Ask {n},yes {n},no {n}\n" for n in range(9))
    )
    fields = {"chosen": "one", "rejected": "two"}
    rounds = {
        "kind": "repeat",
        "inputs": {"chosen": "start"},
        "params": {
            "rounds": 2,
            "carry": {"chosen": "next"},
            "collect": ["labelled"],
            "steps": {
                "sheet": {
                    "kind": "label-sheet",
                    "inputs": {"data": "pool", "selection": "chosen"},
                    "params": {"answers": "answers/*.csv"},
                },
                "labelled": {
                    "kind": "labels-file",
                    "inputs": {"data": "pool", "sheet": "sheet", "selection": "chosen"},
                    "params": {"path": "answers/*.csv"},
                },
                "next": {
                    "kind": "uncertain",
                    "inputs": {"data": "pool", "chosen": "chosen"},
                    "params": {"by": "random", "n": 3},
                },
            },
        },
    }
    steps = {
        "pool": {"kind": "pairs-file", "params": {"path": "pool.csv", "fields": fields}},
        "start": {"kind": "uncertain", "inputs": "pool", "params": {"by": "random", "n": 3}},
        "rounds": rounds,
    }
    file = tmp_path / "spec.yaml"
    file.write_text(json.dumps({"name": "ask", "steps": steps}))
    (tmp_path / "answers").mkdir()
    for number in (1, 2):
        with pytest.raises(
            StepError, match=f"item {number}: steps.labelled .* 3 of {3 * number}"
        ) as error:
            rmplug.run(file, store=tmp_path / "store")
        place = str(error.value).partition(" under winner in ")[2].partition(", ")[0]
        with Path(place).open(encoding="utf-8-sig", newline="") as to_label:
            rows = list(csv.DictReader(to_label))
        assert len(rows) == 3
        save(tmp_path / "answers" / f"{number}.csv", [{**r, "winner": "A"} for r in rows])
    done = rmplug.run(file, store=tmp_path / "store")
    table = done["rounds.labelled"].table
    assert table["round"].to_pylist() == ["1"] * 3 + ["2"] * 6


def test_the_recipe_has_an_answer_to_every_pair_that_it_asks_about_first(tmp_path):
    examples = Path(__file__).parents[2] / "examples"
    done = rmplug.run(examples / "ask-people.yaml", store=tmp_path, only=["start"])
    with (examples / "data/answers/first.csv").open(newline="") as file:
        answered = [row["id"] for row in csv.DictReader(file)]
    assert sorted(answered) == sorted(done["start"].table["id"].to_pylist())


def test_label_files_conform(tmp_path):
    data = small_pairs()
    check_step(LabelSheet, {}, {"data": data})
    report = LabelSheet().report(data, directory=tmp_path)
    save(tmp_path / "a.csv", [{"id": name, "winner": "A"} for name in data.table["id"].to_pylist()])
    assert isinstance(report, Report)
    check_step(LabelsFile, {"path": str(tmp_path / "a.csv")}, {"data": data, "sheet": report})
