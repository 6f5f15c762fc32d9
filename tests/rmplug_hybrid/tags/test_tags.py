"""Tags from columns and files as 0/1 features."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from rmplug import DataError, Pairs
from rmplug.notices import collect_notices
from rmplug.testing import check_step, small_pairs
from rmplug_hybrid.names.feature_names import list_features
from rmplug_hybrid.tags.tags import Tags

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[3] / "../shared/data")
)
CASES = SHARED.parent / "golden/hybrid"
TOPIC = {"topic": {"values": ["Law", "Space sciences"], "others": ["Cooking"]}}
LAW, SPACE = (
    f"analyzer_closed_set::feature_name=topic|constraints={value}"
    for value in ("Law", "Space sciences")
)


def pairs(**columns):
    rows = len(next(iter(columns.values())))
    texts = {name: ["x"] * rows for name in ("prompt", "chosen", "rejected")}
    return Pairs({"id": [f"p{row}" for row in range(rows)], **texts, **columns}, "pairs")


def made(data, **params):
    table = Tags(**{"dimensions": TOPIC, **params}).compute(data).table
    return {name: table["id"].filter(table[name]).to_pylist() for name in table.column_names[2:]}


def test_lists_and_texts_become_one_column_per_value():
    lists = pairs(topic=[["Law"], ["Law", "Space sciences"], []])
    assert made(lists) == {LAW: ["p0", "p1"], SPACE: ["p1"]}
    assert made(pairs(topic=["Law", "Space sciences"])) == {LAW: ["p0"], SPACE: ["p1"]}


def test_case_and_spaces_are_set_aside_unless_values_must_be_exact():
    data = pairs(topic=["LAW", "  space\tSciences "])
    assert made(data) == {LAW: ["p0"], SPACE: ["p1"]}
    assert made(data, match="exact") == {LAW: [], SPACE: []}


def test_unknown_values_are_counted_by_name_and_known_ones_without_a_column_are_not():
    with collect_notices() as found:
        made(pairs(topic=[["Lore"], ["Law", "Lore"], ["Cooking"]]))
    assert [(told.what, told.ids) for told in found.values()] == [
        ("topic 'Lore' is in no vocabulary", ["p0", "p1"])
    ]
    with pytest.raises(DataError, match=r"1 values of topic are in no vocabulary: 'Lore' of p0; "):
        made(pairs(topic=["Lore"]), unknown="error")


def test_a_null_tag_is_refused_by_id_or_counted():
    data = pairs(topic=["Law", None, "Law"])
    with pytest.raises(DataError, match=r"1 of 3 rows have no topic \(p1\); tag them, drop them"):
        made(data)
    with collect_notices() as found:
        assert made(data, missing="none")[LAW] == ["p0", "p2"]
    assert [(told.what, told.ids) for told in found.values()] == [
        ("no topic: given no tag of it", ["p1"])
    ]


def test_all_ids_without_a_tag_are_told_at_once():
    with pytest.raises(DataError, match=r"20000 of 20000 rows have no topic \(p0, p1, p2, p3, p4 "):
        made(pairs(topic=pa.nulls(20_000)))


def test_an_open_set_tells_whether_there_is_any_value():
    forms = {"form": {"form": "open-set"}}
    [found] = made(pairs(form=[["a"], [], [" "], ["", "b"]]), dimensions=forms).values()
    assert found == ["p0", "p3"]


@pytest.mark.parametrize("shape", ["structure", "json"])
def test_one_column_can_hold_all_dimensions(shape):
    entries = [{"topic": ["law"]}, {"topic": ["Space sciences"]}]
    data = pairs(tags=entries if shape == "structure" else list(map(json.dumps, entries)))
    assert made(data, column="tags") == {LAW: ["p0"], SPACE: ["p1"]}


def test_a_file_is_joined_by_id_whatever_its_order(tmp_path):
    file = tmp_path / "tags.jsonl"
    rows = [{"key": "p1", "tags": {"topic": "law"}}, {"key": "p0", "tags": {"topic": ["LAW"]}}]
    file.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    given = {"path": file, "id_field": "key", "column": "tags"}
    assert made(pairs(a=[0, 0]), **given)[LAW] == ["p0", "p1"]
    with pytest.raises(DataError, match=r"1 of 3 rows have no topic \(p2\)"):
        made(pairs(a=[0, 0, 0]), **given)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nonsense", "line 1 of .*tags.jsonl is no JSON object with the field 'id'"),
        ("[1]", "line 1 of .*tags.jsonl is no JSON object with the field 'id'"),
        ('{"key": 1}', "line 1 of .*tags.jsonl is no JSON object with the field 'id'"),
        (
            '{"id": "p0"}\n{"id": "p0"}',
            "line 2 of .*tags.jsonl has the id p0 a second time; keep one of them",
        ),
        ('{"id": "p0", "topic": 3}', "topic of p0 is 3; it must be a text or a list of texts"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_by_its_line(tmp_path, text, sentence):
    file = tmp_path / "tags.jsonl"
    file.write_text(text)
    with pytest.raises(DataError, match=sentence):
        made(pairs(a=[0]), path=file)


def test_a_column_that_is_not_there_is_told_with_what_there_is():
    with pytest.raises(
        DataError, match=r"pairs has no column 'topic'; did you mean 'topics'\?; it "
    ):
        made(pairs(topics=["Law"]))
    with pytest.raises(DataError, match="tags has no entry 'topic'; it has subject"):
        made(pairs(tags=[{"subject": "Law"}]), column="tags")
    with pytest.raises(DataError, match="the tags in topic are int64; they must be texts, or lis"):
        made(pairs(topic=[1]))
    with pytest.raises(DataError, match="tags of p0 is not valid JSON"):
        made(pairs(tags=["{"]), column="tags")


def test_a_dimension_can_have_a_column_of_another_name():
    assert made(pairs(about=["law"]), columns_of={"topic": "about"})[LAW] == ["p0"]
    with pytest.raises(ValidationError, match="columns_of names 'x', which is no dimension here"):
        Tags(dimensions=TOPIC, columns_of={"x": "about"})


def test_only_dimensions_that_there_are_can_be_asked_for():
    assert len(Tags(only=("safety_concern",)).foresee({}).columns) == 4
    with pytest.raises(ValidationError, match="only names 'safety'; the dimensions are subject"):
        Tags(only=("safety",))


def test_the_built_in_dimensions_are_the_tags_of_the_ninety_features():
    assert Tags().foresee({}).columns == list_features()[27:]


def test_reference_rows_have_the_tags_that_they_had_at_routing_time():
    folder = CASES / "02_hand12"
    if not folder.is_dir():
        pytest.skip(f"no reference cases at {folder}")
    from pyarrow import csv

    rows = [json.loads(line) for line in (folder / "features.jsonl").read_text().splitlines()]
    data = pairs(**{name: [row[name] for row in rows] for name in list(rows[0])[13:]})
    table = Tags(match="exact", missing="none").compute(data).table
    wanted = csv.read_csv(folder / "routing_time_binary.csv")
    for name in Tags().foresee({}).columns:
        assert np.array_equal(table[name], wanted[name]), name


def test_lists_in_slices_of_a_table_stay_with_their_rows():
    rng = np.random.default_rng(1)
    wanted = rng.random((20_000, 2)) < 0.4
    names = np.array(["Law", "Space sciences"])
    data = pairs(topic=[names[row].tolist() for row in wanted])
    table = Tags(dimensions=TOPIC).compute(data).table
    assert np.array_equal(np.column_stack([table[LAW], table[SPACE]]), wanted)


def test_tags_keep_every_promise_of_a_step():
    table = small_pairs().table.append_column("topic", pa.array([["law"], []] * 3 + [["x"]]))
    check_step(Tags, {"dimensions": TOPIC}, {"data": Pairs(table, "pairs")})
