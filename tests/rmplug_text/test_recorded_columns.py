"""Recorded scores read by columns are those read row by row."""

from __future__ import annotations

import io
import json
import pickle
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rmplug import DataError, Responses, RmplugError
from rmplug.data.row_files import NotPlain, RowFiles, plain_columns
from rmplug_text import _recorded, _score_table
from rmplug_text.recorded import Recorded

ROWS = [
    {"id": f"q{n}/chosen", "prompt": f"p{n}", "response": f"r{n}", "score": n / 3, "model": "m"}
    for n in range(4)
]
ASKED = Responses({
    "id": [row["id"] for row in ROWS] + ["other"],
    "prompt": [row["prompt"] for row in ROWS] + ["p"],
    "response": [row["response"] for row in ROWS] + ["r"],
})  # fmt: skip
VALUES = (None, "", " m", 1, True, 10**25, float("nan"), [0.5], [], {"a": 1}, "0.5", "\ud800",
          "\n\nHuman: a\n\nAssistant: b", "[1]", "2020-01-01T00:00:00")  # fmt: skip
NAMES = ("id", "prompt", "response", "score", "model", "side", "judgments", "scores_chosen", "x")
STEPS = (
    {}, {"by": "id"}, {"by": "text"}, {"duplicates": "mean"}, {"model": "m"}, {"form": "messages"},
    {"form": "text"}, {"form": "transcript"}, {"bad_rows": "drop"}, {"layout": "scores"},
    {"where": {"x": "1"}}, {"fields": {"id": "x"}}, {"fields": {"score": "x.y"}},
    {"fields": {"chosen": "score"}}, {"fields": {"side": "side"}},
)  # fmt: skip


TYPES = {"a": pa.float64(), "b": pa.string()}


def lines(rows, chance):
    text = [json.dumps(row) for row in rows]
    for _ in range(chance.choice((0, 0, 1))):
        row = chance.randrange(len(text))
        text[row] = chance.choice(("", "  ", text[row] * 2, text[row] + ",", "[]", text[row][:-1]))
    return "\n".join(text).encode()


def parquet(rows, chance):
    stream = io.BytesIO()
    try:
        pq.write_table(pa.Table.from_pylist(rows), stream)
    except (pa.ArrowException, UnicodeEncodeError, OverflowError):
        return lines(rows, chance)
    return stream.getvalue()


def answer(step, path):
    """What a model says of some responses, or the sentence that refuses the file."""
    try:
        model = Recorded(path=path, missing="nan", **step).load()
        scores = model.score(ASKED.table.to_batches()[0])
    except RmplugError as error:
        return str(error)
    return [model.models, model.any_prompt, *map(str, scores)]


def test_columns_and_rows_give_the_same_scores_and_sentences(tmp_path, monkeypatch):
    chance, path, taken = random.Random(5), tmp_path / "scores.jsonl", []
    take = _recorded.take_columns
    monkeypatch.setattr(_score_table, "HELD", 3)
    monkeypatch.setattr(plain_columns, "BLOCK", 150)

    def take_and_tell(*given):
        taken.append(take(*given))
        return taken[-1]

    for number in range(1500):
        rows = json.loads(json.dumps(ROWS))
        for _ in range(chance.choice((0, 1, 1, 2))):
            name, value = chance.choice(NAMES), chance.choice(VALUES)
            for row in rows if chance.random() < 0.4 else [chance.choice(rows)]:
                row.pop(name, None) if chance.random() < 0.1 else row.update({name: value})
        path.write_bytes((lines if number % 3 else parquet)(rows, chance))
        step = chance.choice(STEPS)
        monkeypatch.setattr(_recorded, "take_columns", take_and_tell)
        by_columns = answer(step, path)
        monkeypatch.setattr(_recorded, "take_columns", lambda *_: False)
        assert by_columns == answer(step, path), (step, path.read_bytes())
    assert sum(taken) > 150


@pytest.mark.parametrize(
    "text",
    [
        b"null",
        b'{"a": 1} null {"a": 2}',
        b'{"a": 1}\nnull\n',
        b'{"a": 1}{"a": 2}\n',
        b'{"a":\n1}\n',
        b'{"a": 1}\n' * 200_000 + b"null\n",
        b'{"a": 1}\n' * 200_000 + b'{"a": 1} null\n',
        b'{"a": 1}\r{"b": "c"}\n',
        b'{"a": "x"}',
        b"",
        b"3",
    ],
)
def test_a_file_that_is_not_plain_is_left_to_the_rows(tmp_path, text):
    path = tmp_path / "x.jsonl"
    path.write_bytes(text or b"\n")
    batches = RowFiles([path]).plain_columns(TYPES)
    with pytest.raises(NotPlain):
        assert not sum(len(batch) for batch in batches)
        raise NotPlain("no rows")


def test_columns_that_no_row_has_are_left_out(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n\n{"a": 2.5, "c": [{}]}\n')
    [batch] = RowFiles([path]).plain_columns(TYPES)
    assert batch.to_pydict() == {"a": [1.0, 2.5]}


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n\n"])
@pytest.mark.parametrize("first", [{}, {"d": {"e": {}}}], ids=["late", "early"])
def test_every_line_is_read_once_wherever_another_column_begins(tmp_path, monkeypatch, end, first):
    monkeypatch.setattr(plain_columns, "BLOCK", 10_000)
    rows = [first | {"a": row, "b": "} not null"} for row in range(2000)]
    rows[-1]["c"] = [{"a": "x"}]
    path = tmp_path / "x.jsonl"
    path.write_bytes(end.join(map(json.dumps, rows)).encode())
    batches = list(RowFiles([path]).plain_columns(TYPES))
    table = pa.Table.from_batches(batches)
    assert len(batches) > 5
    assert table["a"].to_pylist() == list(range(2000))
    assert set(table["b"].to_pylist()) == {"} not null"}


@pytest.mark.parametrize("other", [{}, {"c": 1}])
@pytest.mark.parametrize("late", ["x", None])
def test_a_column_that_the_first_row_lacks_is_left_to_the_rows(tmp_path, monkeypatch, other, late):
    monkeypatch.setattr(plain_columns, "BLOCK", 10_000)
    rows = [{"a": row} | other for row in range(2000)] + [{"a": 1, "b": late}]
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(NotPlain):
        list(RowFiles([path]).plain_columns(TYPES))


@pytest.mark.parametrize("size", [9_999, 10_000, 10_001])
def test_a_line_longer_than_a_block_is_left_to_the_rows(tmp_path, monkeypatch, size):
    monkeypatch.setattr(plain_columns, "BLOCK", 10_000)
    path = tmp_path / "x.jsonl"
    long = json.dumps({"a": 2, "b": "x" * (size - 18)}) + "\n"
    assert len(long) == size
    path.write_text('{"a": 1, "b": null}\n' + long + '{"a": 3}')
    batches = RowFiles([path]).plain_columns(TYPES)
    if size > 10_000:
        with pytest.raises(NotPlain):
            list(batches)
    else:
        assert pa.Table.from_batches(batches)["a"].to_pylist() == [1, 2, 3]


@pytest.mark.parametrize("scores", [(1, 2, 1), (1, 1, 2), (2, 1, 1)])
def test_the_mean_of_different_scores_does_not_depend_on_their_order(tmp_path, scores):
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(json.dumps({"id": "q", "score": score}) for score in scores))
    [batch] = Responses({"id": ["q"], "prompt": ["p"], "response": ["r"]}).table.to_batches()
    assert Recorded(path=path, duplicates="mean").load().score(batch)[0] == pytest.approx(4 / 3)
    assert Recorded(path=path, duplicates="first").load().score(batch)[0] == scores[0]


def test_scores_of_many_files_are_put_together_and_different_ones_told(tmp_path):
    for name, start in (("a", 0), ("b", 2)):
        rows = [{"id": f"q{n}", "score": n + (name == "b")} for n in range(start, start + 3)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    asked = Responses({"id": ["q0", "q4", "q2"], "prompt": ["p"] * 3, "response": ["r"] * 3})
    [batch] = asked.table.to_batches()
    mean = Recorded(path=tmp_path / "*.jsonl", duplicates="mean").load()
    assert np.array_equal(mean.score(batch), [0, 5, 2.5])
    with pytest.raises(DataError, match="1 responses have different recorded scores"):
        Recorded(path=tmp_path / "*.jsonl").load().score(batch)


def test_texts_are_told_apart_and_read_again_by_the_process_that_gets_the_model(tmp_path):
    rows = [("a", "b", 1.0), ("b", "a", 2.0), ("", "ab", 3.0), ("ab", "", 4.0), ("a", "bé", 5.0)]
    names = ("prompt", "response", "score")
    path = tmp_path / "scores.jsonl"
    path.write_text("\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in rows))
    asked = Responses({
        "id": ["0", "1", "2", "3", "4"],
        "prompt": [row[0] for row in rows],
        "response": [row[1] for row in rows],
    })  # fmt: skip
    model = Recorded(path=path).load()
    assert model.score(asked.table.to_batches()[0]).tolist() == [1, 2, 3, 4, 5]
    sent = pickle.dumps(model)
    path.write_text(path.read_text().replace("3.0", "7.0"))
    assert pickle.loads(sent).score(asked.table.to_batches()[0]).tolist() == [1, 2, 7, 4, 5]
