"""A reward model whose code is the user's own: allowed by name, told by line, fingerprinted."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

import rmplug
import rmplug_text
from rmplug import DataError, Origin, RmplugError, StepError, reopen
from rmplug._kinds.describe import describe, params
from rmplug._kinds.registry import discover
from rmplug._kinds.schema import params_schema
from rmplug.data.rows import one_batch
from rmplug.testing import check_step, registry_of, small_responses
from rmplug_text.custom import Custom

PLAIN = """
import helper

class Lengths:
    def __init__(self, scale=1.0):
        self.scale = scale

    def score(self, prompts, responses):
        assert prompts[0][0]["role"] == "user"
        return [self.scale * helper.size(text) for text in responses]
"""
DERIVED = """
import rmplug

class RewardModel(rmplug.RewardModel):
    outputs = ("rows", "one")

    def score(self, responses):
        return [[responses.num_rows, 1]] * responses.num_rows
"""


def written(folder: Path, text: str, helper: str = "def size(text):\n    return len(text)\n"):
    folder.mkdir(exist_ok=True)
    (folder / "helper.py").write_text(helper)
    (folder / "my_model.py").write_text(text)
    return folder / "my_model.py"


def allowed(file: Path, **params):
    return Custom.model_validate({"file": file, "allow_code": True, **params})


def scores(step, rows=4):
    return np.asarray(step.load().score(one_batch(small_responses(rows).table)))


def test_it_conforms(tmp_path):
    file = written(tmp_path, PLAIN)
    check_step(Custom, {"file": str(file), "class": "Lengths", "allow_code": True})


def test_a_plain_class_scores_texts_and_takes_arguments(tmp_path):
    step = allowed(written(tmp_path, PLAIN), **{"class": "Lengths"}, args={"scale": 2})
    expected = [
        2 * len(row[0]["content"]) for row in small_responses(4).table["response"].to_pylist()
    ]
    assert scores(pickle.loads(pickle.dumps(step)))[:, 0].tolist() == expected
    assert step.foresee({}).outputs == ("reward",)


def test_a_class_of_rmplug_scores_record_batches(tmp_path):
    step = allowed(written(tmp_path, DERIVED))
    assert scores(step, 3).tolist() == [[3, 1]] * 3
    assert step.foresee({}).outputs == ("rows", "one") == step.load().outputs


def test_nothing_runs_unless_the_spec_allows_it(tmp_path):
    leaves = f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n"
    file = written(tmp_path, leaves + PLAIN)
    with pytest.raises(
        ValidationError, match="runs the code of my_model.py; read it, and set allow"
    ):
        Custom(file=file)
    with pytest.raises(
        RmplugError,
        match=r"^custom: this kind runs the code of .*; read it, and set allow_code: true",
    ):
        rmplug.load(file, **{"class": "Lengths"})
    step = allowed(file, **{"class": "Lengths"})
    assert list(step.mistakes({})) == [] and step.identity()["imports"]
    assert not (tmp_path / "ran").exists()
    assert rmplug.load(file, allow_code=True, **{"class": "Lengths"}).score("?", "four") == 4


def test_no_checkpoint_reaches_it(tmp_path):
    file = written(tmp_path, PLAIN)
    record = Origin("custom", {"file": str(file), "allow_code": True}, {})
    with pytest.raises(
        DataError, match="names a model of the kind custom, which a checkpoint canno"
    ):
        reopen(record, tmp_path)


def test_two_folders_may_each_have_a_helper_of_one_name(tmp_path):
    first = allowed(written(tmp_path / "a", PLAIN), **{"class": "Lengths"}).load()
    other = "def size(text):\n    return -1\n"
    second = allowed(written(tmp_path / "b", PLAIN, other), **{"class": "Lengths"}).load()
    batch = one_batch(small_responses(2).table)
    assert second.score(batch)[:, 0].tolist() == [-1, -1] and first.score(batch)[0, 0] > 0


def test_the_fingerprint_has_the_files_that_are_imported_at_any_depth(tmp_path):
    file = written(tmp_path, PLAIN, "from inner.part import size\n")
    (tmp_path / "inner").mkdir()
    for name in ("__init__.py", "part.py"):
        (tmp_path / "inner" / name).write_text("def size(text):\n    return 1\n")
    (tmp_path / "unused.py").write_text("")
    before = allowed(file).identity()["imports"]
    assert list(before) == ["helper.py", "inner/__init__.py", "inner/part.py"]
    (tmp_path / "inner/part.py").write_text("def size(text):\n    return 2\n")
    assert allowed(file).identity()["imports"] != before


@pytest.mark.parametrize(
    ("text", "name", "at", "sentence"),
    [
        (PLAIN, "Lenghts", "class", "my_model.py has no class 'Lenghts'; did you mean 'Lengths'"),
        ("class A:\n    x = 1\n", "A", "class", "A in my_model.py has no method score; write def"),
        ("x = (\n", "A", "file", "my_model.py:1 is no Python: '(' was never closed; correct that"),
    ],
)
def test_what_needs_no_running_is_told_by_check_and_by_run(tmp_path, text, name, at, sentence):
    step = allowed(written(tmp_path, text), **{"class": name})
    ((where, said),) = step.mistakes({})
    assert where == at and said.startswith(sentence)
    with pytest.raises(DataError) as error:
        step.load()
    assert str(error.value).startswith(sentence)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            "return [1 / 0]",
            "score of M failed: ZeroDivisionError: division by zero (my_model.py:3)",
        ),
        (
            "return [1.0, 2.0, 3.0]",
            "gave numbers of shape (3,) for 2 rows; with the outputs reward",
        ),
        ("return ['a', 'b']", "gave what is no numbers (could not convert string to float: 'a')"),
    ],
)
def test_what_goes_wrong_inside_is_one_sentence_with_its_line(tmp_path, body, sentence):
    text = f"class M:\n    def score(self, prompts, responses):\n        {body}\n"
    with pytest.raises(DataError) as error:
        scores(allowed(written(tmp_path, text), **{"class": "M"}), 2)
    assert sentence in str(error.value)


def test_arguments_that_the_class_does_not_take_are_told(tmp_path):
    with pytest.raises(
        DataError, match=r"Lengths cannot be made with args size: TypeError: .*'size'"
    ):
        allowed(written(tmp_path, PLAIN), **{"class": "Lengths"}, args={"size": 1}).load()


def test_it_works_in_worker_processes_and_a_changed_helper_is_noticed(tmp_path):
    file = written(tmp_path, PLAIN)
    steps = {
        "pairs": {"kind": "synthetic", "params": {"size": 20}},
        "model": {
            "kind": "custom",
            "params": {"file": str(file), "class": "Lengths", "allow_code": True},
        },
        "reward": {"kind": "reward", "inputs": {"model": "model", "data": "pairs"}},
    }
    two = {"kind": "local", "params": {"workers": 2, "shard_rows": 7}}
    spec = {"name": "own", "engine": two, "steps": steps}
    registry = registry_of(rmplug_text)
    store = tmp_path / "store"
    done = rmplug.run(spec, store=store, registry=registry)
    assert done["reward"].table["chosen"].to_numpy().min() >= 1
    (tmp_path / "helper.py").write_text("def size(text):\n    raise KeyError('lost')\n")
    spec["engine"] = {"kind": "local", "params": {"workers": 1}}
    with pytest.raises(
        StepError, match=r"score of Lengths failed: KeyError: 'lost' \(helper.py:2\)"
    ):
        rmplug.run(spec, store=store, registry=registry)


def test_a_parameter_that_is_a_keyword_of_python_is_documented_as_it_is_written():
    assert "class" in params_schema(Custom)["properties"]
    listed = {one["name"]: one for one in params(Custom)}
    assert listed["class"]["description"] == "Name of the class in the file."
    assert "class_" not in listed


def test_the_example_of_a_step_passes_the_check(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my_model.py").write_text(DERIVED)
    told = describe(discover().find("custom"))["example"]
    assert "allow_code: true" in told
    assert rmplug.check(yaml.safe_load(told)) == []
