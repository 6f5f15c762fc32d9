"""Data sets through `datasets`: folders, files, a hub; what rows become; what goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from small_hub import COMMIT, SmallHub

import rmplug
import rmplug_hf
from rmplug import DataError, Pairs, Responses, text_of
from rmplug.notices import collect_notices
from rmplug.testing import check_step, registry_of
from rmplug_hf import HubDataset

ROWS = [
    {"prompt": f"Question {n}?", "chosen": f"Good {n}.", "rejected": "Bad.", "points": n / 2}
    for n in range(5)
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def write(tmp_path):
    """Writes rows as JSON Lines and gives the file."""

    def written(rows, name="rows.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return written


def load(path, **params):
    return HubDataset.model_validate({"path": path, **params}).load()


def texts(data, name):
    return text_of(data[name]).to_pylist()


@pytest.mark.parametrize("streaming", [False, True])
def test_rows_of_a_file_are_pairs_with_further_columns(streaming, write):
    pairs = load(write(ROWS), streaming=streaming)
    assert isinstance(pairs, Pairs)
    assert pairs.columns == ["id", "group", "prompt", "chosen", "rejected", "points"]
    assert pairs["id"].to_pylist() == [f"train:{n}" for n in range(1, 6)]
    assert texts(pairs, "chosen") == [row["chosen"] for row in ROWS]
    assert pairs["prompt"][3].as_py() == [{"role": "user", "content": "Question 3?"}]
    assert pairs["points"].to_pylist() == [0, 0.5, 1, 1.5, 2]


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet", "arrow"])
def test_every_type_of_file_gives_the_same(ending, tmp_path, write):
    path = tmp_path / f"data.{ending}"
    table = pa.Table.from_pylist(ROWS)
    if ending in ("jsonl", "json"):
        path = write(ROWS, path.name)
    elif ending == "csv":
        table.to_pandas().to_csv(path, index=False)
    elif ending == "parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as out:
            out.write_table(table)
    assert load(path).table.equals(load(write(ROWS, "same.jsonl")).table)


def test_a_folder_of_files_has_splits(write, tmp_path):
    write(ROWS[:3], "folder/train.jsonl")
    write(ROWS[3:], "folder/test.jsonl")
    folder = tmp_path / "folder"
    assert len(load(folder)) == 3
    both = load(folder, split=["test", "train"])
    assert both["id"].to_pylist() == ["test:1", "test:2", "train:1", "train:2", "train:3"]
    assert both["split"].to_pylist() == ["test"] * 2 + ["train"] * 3
    with pytest.raises(DataError, match=r"folder \(validation\) cannot be read: Unknown split"):
        _ = load(folder, split="validation").table


@pytest.mark.parametrize("streaming", [False, True])
def test_a_saved_data_set_is_read_from_its_folder(streaming, tmp_path):
    data = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict({"train": data, "rest": data.select([0])}).save_to_disk(tmp_path / "d")
    assert texts(load(tmp_path / "d", split="rest", streaming=streaming), "chosen") == ["Good 0."]
    data.save_to_disk(tmp_path / "one")
    assert len(load(tmp_path / "one", streaming=streaming)) == 5
    with pytest.raises(DataError, match=r"there is no split 'test'; it has train, rest"):
        _ = load(tmp_path / "d", split="test").table


def test_streaming_holds_a_batch_at_a_time(write):
    rows = ({**ROWS[0], "chosen": f"Good {n}."} for n in range(2500))
    step = HubDataset.model_validate({"path": write(rows), "streaming": True})
    sizes = [table.num_rows for table in step.load().rows.tables()]
    assert sum(sizes) == 2500 and max(sizes) <= 1000


def test_messages_and_whole_conversations_are_taken_apart(write):
    turns = [
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Why?"},
    ]
    good, bad = ({"role": "assistant", "content": text} for text in ("So.", "No."))
    whole = {"chosen": [*turns, good], "rejected": [*turns, bad]}
    pairs = load(write([whole]))
    assert pairs["prompt"][0].as_py() == turns
    assert (pairs["chosen"][0].as_py(), pairs["rejected"][0].as_py()) == ([good], [bad])
    parts = load(write([{"prompt": turns, "chosen": [good], "rejected": [bad]}], "b.jsonl"))
    assert parts.table.drop_columns(["id"]).equals(pairs.table.drop_columns(["id"]))
    shared = [
        {"from": "human", "value": "Hi."},
        {"from": "gpt", "value": "Hello."},
    ]
    named = load(write([{"p": shared, "chosen": "a", "rejected": "b"}], "c.jsonl"),
                 fields={"prompt": "p"})  # fmt: skip
    assert named["prompt"][0].as_py() == turns[:2]


def test_transcripts_are_conversations(write):
    start = "\n\nHuman: Hi.\n\nAssistant: Hello.\n\nHuman: Why?\n\nAssistant:"
    pairs = load(write([{"chosen": f"{start} So.", "rejected": f"{start} No."}]))
    assert [turn["role"] for turn in pairs["prompt"][0].as_py()] == ["user", "assistant", "user"]
    assert texts(pairs, "chosen") == ["So."]


def test_fields_reach_into_nested_columns(write):
    row = {
        "key": 7,
        "meta": {"question": "Why?", "source": "web", "strength": "0.5"},
        "answers": [{"text": "So."}, {"text": "No."}],
        "tags": ["a", "b"],
    }
    fields = {
        "id": "key",
        "prompt": "meta.question",
        "chosen": "answers.0.text",
        "rejected": "answers.1.text",
        "margin": "meta.strength",
        "subset": "meta.source",
    }
    pairs = load(write([row]), fields=fields)
    assert pairs["id"].to_pylist() == ["7"]
    assert (texts(pairs, "prompt"), texts(pairs, "rejected")) == (["Why?"], ["No."])
    assert (pairs["margin"].to_pylist(), pairs["subset"].to_pylist()) == ([0.5], ["web"])
    assert pairs["tags"].to_pylist() == ['["a", "b"]']
    assert not [name for name in pairs.columns if name.startswith("meta")]


def test_further_columns_are_flat_and_never_hide_the_core(write):
    row = {**ROWS[0], "meta": {"a": {"b": 1}}, "id": "x", "text": "own"}
    pairs = load(write([row]), fields={"chosen": "text"})
    assert pairs["meta.a.b"].to_pylist() == [1]
    assert texts(pairs, "chosen") == ["own"]
    assert pairs["data.chosen"].to_pylist() == ["Good 0."]


def test_responses_have_labels_and_ratings(write):
    rows = [
        {"prompt": "Why?", "response": "So.", "label": 1, "help": 4, "style": None, "model": "m"},
        {"prompt": "Why?", "response": "No.", "label": 0, "help": 1, "style": 2.5, "model": "n"},
    ]
    ratings = {"helpfulness": "help", "style": "style"}
    found = load(write(rows), rows="responses", ratings=ratings)
    assert isinstance(found, Responses)
    assert found["ratings.helpfulness"].to_pylist() == [4, 1]
    assert found["ratings.style"].to_pylist() == [None, 2.5]
    assert (found["label"].to_pylist(), found["model"].to_pylist()) == ([1, 0], ["m", "n"])
    assert found["group"][0] == found["group"][1]
    assert "help" not in found.columns


def test_groups_that_are_missing_are_those_of_the_prompt(write):
    rows = [{**ROWS[0], "group": "own"}, {**ROWS[1], "group": None}, {**ROWS[1], "group": None}]
    own, one, other = load(write(rows))["group"].to_pylist()
    assert own == "own" and one == other == load(write([ROWS[1]], "b.jsonl"))["group"][0].as_py()


def test_bad_rows_are_named_or_left_out_and_counted(write):
    rows = [ROWS[0], {**ROWS[1], "chosen": None}, ROWS[2]]
    with pytest.raises(DataError) as error:
        _ = load(write(rows)).table
    assert str(error.value) == (
        "1 of the first 3 rows of rows.jsonl cannot be used: train:2: chosen is not text (but "
        "null); set bad_rows: drop to leave such rows out"
    )
    with collect_notices() as notices:
        pairs = load(write(rows), bad_rows="drop")
        assert pairs["id"].to_pylist() == ["train:1", "train:3"]
    assert pairs["points"].to_pylist() == [0, 1]
    assert [(n.what, n.action, n.ids) for n in notices.values()] == [
        ("unusable row: chosen is not text", "dropped", ["train:2"])
    ]
    with pytest.raises(DataError, match="none of the 1 rows can be used: train:1: chosen is not"):
        _ = load(write([rows[1]], "b.jsonl"), bad_rows="drop").table


def test_a_limit_counts_usable_rows_over_all_splits(write, tmp_path):
    write([{**ROWS[0], "prompt": 3}, *ROWS[:2]][1:], "f/train.jsonl")
    write(ROWS, "f/test.jsonl")
    ids = load(tmp_path / "f", split=["train", "test"], limit=3)["id"].to_pylist()
    assert ids == ["train:1", "train:2", "test:1"]
    assert len(load(tmp_path / "f", limit=1, streaming=True)) == 1


def test_a_missing_column_says_what_there_is(write):
    renamed = [{"prompt": "a", "choosen": "b", "rejected": "c"}]
    with pytest.raises(DataError) as error:
        _ = load(write(renamed)).table
    assert str(error.value) == (
        "rows.jsonl has no column 'chosen'; did you mean 'choosen'?; found: prompt, choosen, "
        "rejected; say where it stands with fields: {chosen: NAME}"
    )


def test_files_that_cannot_be_read_are_one_sentence(tmp_path, write):
    (tmp_path / "broken.jsonl").write_text('{"prompt": "a", \n{')
    with pytest.raises(DataError, match=r"broken\.jsonl \(train\) cannot be read: JSON parse"):
        _ = load(tmp_path / "broken.jsonl").table
    with pytest.raises(DataError, match="path has files of the types csv, json"):
        _ = load([write(ROWS), tmp_path / "other.csv"]).table
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="cannot be read: The directory at .* doesn't contain any"):
        _ = load(tmp_path / "empty").table


def test_a_stream_whose_types_change_is_refused(write):
    rows = [{**row, "mixed": "text"} for row in ROWS]
    step = load(write([*rows, *({**ROWS[0], "mixed": "x", "n": n} for n in range(2000))]))
    assert step["n"].to_pylist()[4:6] == [None, 0]
    first = write([{**ROWS[0], "n": 1}], "t/a.jsonl")
    write([{**ROWS[0], "n": "one"}], "t/b.jsonl")
    with pytest.raises(DataError, match="cannot be read: Failed to parse string: 'one'"):
        _ = load([first, first.with_name("b.jsonl")], streaming=True).table


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({}, "give either name .on the hub. or path"),
        ({"name": "a/b", "path": "c"}, "give either name .on the hub. or path"),
        ({"path": "c", "revision": "main"}, "revision belongs to name"),
        ({"name": "./folder/x"}, "is no name on the hub; for a folder write path"),
        ({"path": "c", "ratings": {"a": "b"}}, "ratings are of responses"),
        ({"path": "c", "split": []}, "split needs at least one name"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(params, sentence):
    with pytest.raises(ValidationError, match=sentence):
        HubDataset.model_validate(params)


def test_it_conforms(write):
    check_step(HubDataset, {"path": str(write(ROWS))})


def test_a_spec_loads_it_and_a_changed_file_is_read_again(write, tmp_path):
    path = write(ROWS)
    steps = {"pairs": {"kind": "hub-dataset", "params": {"path": str(path)}}}
    registry = registry_of(rmplug_hf)

    def go():
        done = rmplug.run({"steps": steps}, store=tmp_path / "store", registry=registry)
        return done.record.steps["pairs"].status, len(done["pairs"])

    assert go() == ("done", 5)
    assert go() == ("reused", 5)
    write(ROWS[:4])
    assert go() == ("done", 4)


def asked_elsewhere(code, home, **environment):
    """The lines that code prints in a process with a cache of its own."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HF_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**plain, **paths, "HF_HUB_DISABLE_TELEMETRY": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert not done.returncode, done.stderr
    return done.stdout.splitlines()


ASK = """
from rmplug import DataError
from rmplug_hf import HubDataset
for more in {cases}:
    try:
        step = HubDataset(name="org/prefs", **more)
        print(step.identity()["commit"], len(step.load()))
    except DataError as error:
        print(error)
"""


def test_a_name_on_the_hub_is_loaded_by_its_commit_and_offline_from_the_cache(tmp_path):
    rows = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    files = {"README.md": b"---\n{}\n---\n", "train.jsonl": rows}
    both = ASK.format(cases=[{}, {"streaming": True}])
    with SmallHub("org/prefs", files) as hub:
        online = asked_elsewhere(both, tmp_path, HF_ENDPOINT=hub.address)
    assert online == [f"{COMMIT} 5"] * 2
    other = "0" * 40
    cases = ASK.format(cases=[{}, {"revision": COMMIT}, {"revision": other}, {"revision": "v2"}])
    first, second, third, fourth = asked_elsewhere(cases, tmp_path, HF_HUB_OFFLINE="1")
    assert first == second == f"{COMMIT} 5"
    assert third == (
        f"the cache holds the commit {COMMIT} of org/prefs, not {other}; go online, or write the "
        "revision that is there"
    )
    assert fourth == (
        "the hub data set org/prefs (v2) is not in the local cache and cannot be fetched "
        "(HF_HUB_OFFLINE is set); check the name, go online, or give a path; "
        f"the cache has the commits {COMMIT}: write one as revision"
    )


def test_a_name_that_is_not_in_the_cache_is_one_sentence_offline(tmp_path):
    [line] = asked_elsewhere(ASK.format(cases=[{}]), tmp_path, HF_HUB_OFFLINE="1")
    assert line == (
        "the hub data set org/prefs (main) is not in the local cache and cannot be fetched "
        "(HF_HUB_OFFLINE is set); check the name, go online, or give a path"
    )
