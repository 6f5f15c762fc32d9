"""Responses from files: ratings wide and long, lists of candidates, ranks, whole conversations."""

from __future__ import annotations

import gzip
import json
import math
import os
from pathlib import Path

import pyarrow as pa
import pytest

from rmplug import DataError
from rmplug.notices import collect_notices
from rmplug.testing import check_step
from rmplug_text.loaders import ResponsesFile

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[2] / "../shared/data")
)


def write(folder, rows, name="x.jsonl"):
    path = folder / name
    path.write_text(
        rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
    )
    return path


def load(path, **params):
    return ResponsesFile(path=path, **params).load().table


def refusal(path, **params):
    with pytest.raises(DataError) as error:
        load(path, **params)
    return str(error.value)


def said(table):
    return [turns[-1]["content"] for turns in table["response"].to_pylist()]


def test_ratings_in_a_mapping_become_columns_and_may_be_missing(tmp_path):
    rows = [
        {"prompt": "p", "response": "a", "ratings": {"clear": 4, "kind": None}, "label": 1},
        {"prompt": "p", "response": "b", "ratings": {"clear": 2.5}, "label": 0},
        {"prompt": "q", "response": "c", "ratings": None, "label": None},
    ]
    table = load(write(tmp_path, rows))
    assert table["ratings.clear"].to_pylist() == [4.0, 2.5, None]
    assert table["ratings.kind"].to_pylist() == [None, None, None]
    assert table["ratings.kind"].type == pa.float64()
    assert table["label"].to_pylist() == [1, 0, None]
    assert table["id"].to_pylist() == ["x.jsonl:1", "x.jsonl:2", "x.jsonl:3"]
    groups = table["group"].to_pylist()
    assert groups[0] == groups[1] != groups[2]


@pytest.mark.parametrize(
    "ratings",
    [["a", "meta.b"], {"a": "a", "meta.b": "meta.b"}],
)
def test_ratings_in_columns_of_their_own_are_named(tmp_path, ratings):
    rows = [{"prompt": "p", "response": "r", "a": 1, "meta": {"b": "2.5", "c": 3}}]
    (found,) = load(write(tmp_path, rows), ratings=ratings).to_pylist()
    assert found["ratings.a"] == 1.0
    assert found["ratings.meta.b"] == 2.5
    assert found["meta.c"] == 3
    assert "a" not in found and "meta.b" not in found


def test_ratings_in_a_mapping_of_another_name(tmp_path):
    rows = [{"prompt": "p", "response": "r", "scores": {"x": {"deep": 1}}}]
    table = load(write(tmp_path, rows), ratings="scores")
    assert table.column_names[4:] == ["ratings.x.deep"]


def test_ratings_in_csv_columns(tmp_path):
    text = "prompt,response,ratings.clear,other\np,a,3,\np,b,,x\n"
    table = load(write(tmp_path, text, "x.csv"))
    assert table["ratings.clear"].to_pylist() == [3.0, None]
    assert table["other"].to_pylist() == ["", "x"]


@pytest.mark.parametrize(
    ("ratings", "reason"),
    [
        ({"clear": "good"}, 'ratings.clear is not a number (but "good")'),
        ({"clear": True}, "ratings.clear is not a number (but true)"),
        ([1, 2], "ratings is not a mapping of attributes to numbers"),
    ],
)
def test_a_rating_that_is_no_number_is_refused(tmp_path, ratings, reason):
    rows = [{"prompt": "p", "response": "r", "ratings": ratings}]
    assert refusal(write(tmp_path, rows)) == (
        f"1 row cannot be used: line 1 of x.jsonl: {reason}; set bad_rows: drop to leave such "
        f"rows out"
    )


LONG = [
    {"rid": "r1", "prompt": "p", "response": "a", "what": "clear", "stars": 4},
    {"rid": "r2", "prompt": "p", "response": "b", "what": "clear", "stars": None},
    {"rid": "r1", "prompt": "p", "response": "a", "what": "kind", "stars": "2"},
    {"rid": "r1", "prompt": "p", "response": "a", "what": "kind", "stars": 3},
]


@pytest.mark.parametrize("named", [True, False])
def test_long_ratings_are_gathered_by_response_and_repeats_averaged(tmp_path, named):
    fields = {"id": "rid"} if named else {}
    long = {"attribute": "what", "rating": "stars"}
    with collect_notices() as notices:
        table = load(write(tmp_path, LONG), fields=fields, long=long)
    first, second = ("r1", "r2") if named else ("x.jsonl:1", "x.jsonl:2")
    assert table["id"].to_pylist() == [first, second]
    assert said(table) == ["a", "b"]
    assert table["ratings.clear"].to_pylist() == [4.0, None]
    assert table["ratings.kind"].to_pylist() == [2.5, None]
    ((key, entry),) = notices.items()
    assert key == ("several ratings of one attribute, averaged", "changed")
    assert entry.ids == [first]


def test_long_ratings_of_one_id_must_have_one_text(tmp_path):
    rows = [*LONG, {**LONG[0], "response": "other"}]
    told = refusal(
        write(tmp_path, rows), fields={"id": "rid"}, long={"attribute": "what", "rating": "stars"}
    )
    assert "line 5 of x.jsonl: other texts than an earlier row of the same id (r1)" in told


def test_a_list_of_mappings_is_expanded_with_rank_and_further_fields(tmp_path):
    rows = [
        {
            "id": "q",
            "prompt": "p",
            "group": "g",
            "answers": [{"t": "good", "r": 0, "by": "x"}, {"t": "bad", "r": 1, "by": "y"}],
        }
    ]
    candidates = {"responses": "answers", "text": "t", "rank": "r"}
    table = load(write(tmp_path, rows), candidates=candidates)
    assert table.drop(["prompt", "response"]).to_pylist() == [
        {"id": "q/0", "group": "g", "rank": 0.0, "response.by": "x"},
        {"id": "q/1", "group": "g", "rank": 1.0, "response.by": "y"},
    ]
    assert said(table) == ["good", "bad"]


def test_lists_beside_the_responses_give_scores_labels_and_models(tmp_path):
    rows = [{"prompt": "p", "responses": ["a", "b"], "s": [1, None], "l": [1, 0], "m": ["x", "y"]}]
    candidates = {"score": "s", "label": "l", "model": "m"}
    table = load(write(tmp_path, rows), candidates=candidates)
    assert table["score"].to_pylist() == [1.0, None]
    assert table["label"].to_pylist() == [1, 0]
    assert table["model"].to_pylist() == ["x", "y"]


def test_best_and_others_are_ranked(tmp_path):
    rows = [{"prompt": "p", "responses": ["a", "b", "c"], "best": 1}]
    table = load(write(tmp_path, rows), candidates={"best": "best"})
    assert table["rank"].to_pylist() == [1.0, 0.0, 1.0]
    rows = [{"prompt": "p", "chosen": "a", "rejected": ["b", "c"]}]
    table = load(write(tmp_path, rows), candidates={"responses": ["chosen", "rejected"]})
    assert table["rank"].to_pylist() == [0, 1, 1]
    assert said(table) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("row", "candidates", "reason"),
    [
        ({"s": [1]}, {"score": "s"}, "s does not fit the responses (1 for 2 responses)"),
        ({"s": 1}, {"score": "s"}, "s is not a list with a value for each response"),
        ({"best": 2}, {"best": "best"}, "best is not the place of a response (2.0 of 2, from 0)"),
        ({"responses": ["a", 3]}, {}, "response is not text (but 3)"),
    ],
)
def test_candidates_that_do_not_fit_are_refused(tmp_path, row, candidates, reason):
    rows = [{"prompt": "p", "responses": ["a", "b"], **row}]
    assert f"line 1 of x.jsonl: {reason};" in refusal(write(tmp_path, rows), candidates=candidates)


def test_of_a_whole_conversation_the_response_is_the_last_turn(tmp_path):
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    rows = [
        {"response": turns, "prompt": "Hi"},
        {"response": "\n\nHuman: Hi\n\nAssistant: Hello", "prompt": "Hi"},
    ]
    for found in load(write(tmp_path, rows)).to_pylist():
        assert (found["prompt"], found["response"]) == (turns[:1], turns[1:])
    rows = [{"response": turns[:1]}]
    assert "the conversation does not end with the assistant's turn" in refusal(
        write(tmp_path, rows)
    )


def test_subset_and_model_are_text_whatever_they_were(tmp_path):
    rows = [{"prompt": "p", "response": "r", "subset": 3, "model": None}]
    (found,) = load(write(tmp_path, rows)).to_pylist()
    assert (found["subset"], found["model"]) == ("3", None)


def test_the_step_conforms(tmp_path):
    rows = [{"prompt": f"p{n}", "response": "r", "ratings": {"clear": n}} for n in range(9)]
    check_step(ResponsesFile, {"path": str(write(tmp_path, rows))})


def published(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    return path, [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


@pytest.mark.parametrize(
    ("name", "rows"), [("summeval", 696), ("nlg_ratings", 2445), ("qa_feedback", 303)]
)
def test_published_ratings_are_read_value_by_value(name, rows):
    path, raw = published(f"{name}/ratings.jsonl.gz")
    table = load(path)
    assert table.num_rows == rows
    columns = [column for column in table.column_names if column.startswith("ratings.")]
    assert columns
    for found, row in zip(table.select(columns).to_pylist(), raw, strict=True):
        given = {f"ratings.{name}": value for name, value in row["ratings"].items()}
        assert {key: value for key, value in found.items() if value is not None} == given


def test_system_means_of_summeval_are_the_known_ones():
    path, _ = published("summeval/ratings.jsonl.gz")
    table = load(path).select(["meta.system", "ratings.coherence"]).to_pylist()
    means = [row["ratings.coherence"] for row in table if row["meta.system"] == "M22"]
    assert math.isclose(sum(means) / len(means), 4.109, abs_tol=5e-4)


def test_published_rankings_are_expanded():
    path, raw = published("oasst_sample/ranked.jsonl.gz")
    table = load(path, candidates={"text": "text", "rank": "rank"})
    assert table["rank"].to_pylist() == [item["rank"] for row in raw for item in row["responses"]]
    path, raw = published("qa_feedback/ranked.jsonl.gz")
    assert load(path, candidates={}).num_rows == 4 * len(raw)
    path, raw = published("rmb/bon.jsonl.gz")
    table = load(path, candidates={"responses": ["chosen", "rejected"]})
    assert table.num_rows == sum(1 + len(row["rejected"]) for row in raw)
    assert table["rank"].to_pylist().count(0) == len(raw) == 2266
