"""A reward model trained in a few words, from Python and from a shell."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
import yaml
from fresh_processes import start_fresh

import rmplug
from rmplug._cli.commands import main
from rmplug._kinds.registry import discover
from rmplug.errors import RmplugError, SpecError
from rmplug.models.train_spec import Training
from rmplug.testing.tiny_models import tiny_model

POLITE = ("Certainly, with pleasure", "Of course, gladly")
RUDE = ("Go away", "Who cares")
FEW = {"max_steps": 6, "learning_rate": 3e-3, "logging_steps": 3}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model("qwen2", tmp_path_factory.mktemp("models"), head="lm")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of pairs with columns of its own, in the folder that the test runs in."""
    monkeypatch.chdir(tmp_path)
    rows = [
        {"question": f"Question {n}?", "good": POLITE[n % 2], "bad": RUDE[n // 2 % 2]}
        for n in range(60)
    ]
    path = tmp_path / "asked.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


COLUMNS = {"prompt": "question", "chosen": "good", "rejected": "bad"}
FLAGS = ("--prompt", "question", "--chosen", "good", "--rejected", "bad")


def spec_of(model: str = "minilm", data: str = "asked.jsonl", **more: object) -> dict[str, object]:
    wanted = Training(model, data, **more)  # type: ignore[arg-type]
    return wanted.spec(discover(), Path.cwd())


def test_three_lines_train_a_model_that_scores_and_is_saved(base: Path, data: Path) -> None:
    model = rmplug.train(base, data, columns=COLUMNS, lora={"r": 4}, **FEW)
    folder = model.save("saved")
    score = model.score("Question 99?", POLITE[0])
    assert score == rmplug.load(folder).score("Question 99?", POLITE[0])
    accuracy = model.run["accuracy"].to_pandas()
    assert {"reward", "ngram"} <= set(accuracy["model"])
    whole = accuracy[(accuracy["metric"] == "accuracy") & (accuracy["model"] == "reward")]
    assert whole["n"].tolist() == [12]
    assert [page.name for page in model.reports] == ["index.html"]
    with pytest.raises(RmplugError, match="is there already; name a folder that is not"):
        model.save("saved")


def test_the_parts_share_no_prompt(base: Path, data: Path) -> None:
    run = rmplug.run({**spec_of(str(base), columns=COLUMNS)}, only=["train", "validation", "test"])
    parts = [set(run[n].table["group"].to_pylist()) for n in ("train", "validation", "test")]  # type: ignore[attr-defined]
    assert [len(part) for part in parts] == [43, 5, 12]
    assert len(set.union(*parts)) == 60


def test_parameters_go_to_the_step_that_has_them() -> None:
    params = {"max_length": 64, "dtype": "float32", "num_train_epochs": 2, "lora": {"r": 8}}
    steps = spec_of(params=params)["steps"]
    assert isinstance(steps, dict)
    assert steps["model"]["params"] == {
        "name": "minilm", "head": "new", "template": "pair", "max_length": 64, "dtype": "float32",
    }  # fmt: skip
    assert steps["trained"]["params"] == {"num_train_epochs": 2, "lora": {"r": 8}}


def test_without_validation_rows_there_is_no_such_step() -> None:
    steps = spec_of(validation=0)["steps"]
    assert isinstance(steps, dict)
    assert "validation" not in steps and "validation" not in steps["trained"]["inputs"]


def test_a_name_on_the_hub_is_read_from_there() -> None:
    steps = spec_of(data="owner/preferences", columns={"chosen": "better"})["steps"]
    assert isinstance(steps, dict)
    fields = {"fields": {"chosen": "better"}}
    assert steps["pairs"] == {
        "kind": "hub-dataset",
        "params": {"name": "owner/preferences"} | fields,
    }


def test_a_share_that_is_none_is_refused() -> None:
    with pytest.raises(RmplugError, match="test is a share between 0 and 1, not 1"):
        spec_of(test=1)


def test_a_renamed_parameter_is_told_by_its_name_of_today(data: Path) -> None:
    with pytest.raises(SpecError, match=r"steps\.trained\.params\.warmup_ratio: .* warmup_steps"):
        rmplug.train("minilm", data, columns=COLUMNS, warmup_ratio=0.1)


def test_a_column_that_is_not_there_is_told_with_those_that_are(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--model", "minilm", "--data", str(data), "--chosen", "better"]) == 2
    told = capsys.readouterr()
    assert "has no 'better'; found: question, good, bad" in told.err
    assert told.out == ""


def test_the_command_writes_a_spec_that_runs_from_where_it_stands(
    base: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("specs").mkdir()
    words = ["train", "--model", str(base), "--data", "asked.jsonl", "--lora", *FLAGS]
    words += ["--param", "lora.r=4", "--param", "learning_rate=1e-3", "--seed", "3"]
    assert main([*words, "--spec", "specs/mine.yaml"]) == 0
    spec = yaml.safe_load(Path("specs/mine.yaml").read_text())
    assert spec["steps"]["pairs"]["params"]["path"] == "../asked.jsonl"
    assert spec["steps"]["trained"]["params"] == {"lora": {"r": 4}, "learning_rate": 0.001}
    assert spec["seed"] == 3
    assert main(["check", "specs/mine.yaml"]) == 0
    assert main([*words, "--spec", "specs/mine.yaml"]) == 2
    assert "specs/mine.yaml is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--param", "max_steps"], "write it as NAME=VALUE, such as lora.r=8"),
        (["--param", "lora=true", "--param", "lora.r=8"], "lora has the value True already"),
        (["--param", "lr=1"], "steps.trained.params.lr: unknown field; write learning_rate"),
        (["--out", "."], "is there already; name a folder that is not"),
        (["--out", ""], ". is there already; name a folder that is not"),
        (["--spec", ""], ". is there already"),
        (
            ["--spec", "new.yaml", "--param", "lr=1"],
            "params.lr: unknown field; write learning_rate",
        ),
        (["--spec", "new.yaml", "--data", "none.jsonl"], "none.jsonl"),
        (["--spec", "new.yaml", "--chosen", "better"], "has no 'better'; found: question, good"),
        (["--spec", "none/new.yaml"], "there is no folder none; make it first"),
        (["--data", ""], "data is empty; name a file, or a data set on the hub"),
    ],
)
def test_a_mistake_in_the_words_is_one_sentence(
    data: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(["train", "--model", "minilm", "--data", str(data), *FLAGS, *words]) == 2
    assert sentence in capsys.readouterr().err
    assert not Path("new.yaml").exists()


def test_a_training_that_was_killed_goes_on_when_it_is_started_again(
    base: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--model", str(base), "--data", str(data), *FLAGS, "--out", "model"]
    for entry in ("max_steps=60", "save_steps=2", "learning_rate=1e-3"):
        words += ["--param", entry]
    process = start_fresh(main, words)
    while process.is_alive() and not list(Path(".rmplug").rglob("checkpoint-4")):
        time.sleep(0.02)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not Path("model").exists()
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "kind: reward-model" in printed
    assert printed.splitlines()[-1] == "model: model"
    assert (Path("model") / "model.safetensors").is_file()
