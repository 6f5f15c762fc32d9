"""Experiment files of the original analysis become specs, and every line is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from old_experiment import OLD

from rmplug import SpecError
from rmplug._cli.commands import main
from rmplug._cli.old_experiments.reading import Told, read_old
from rmplug._cli.old_experiments.writing import convert
from rmplug._spec.source import parse_source

HUB = OLD.replace("PATH", "EleutherAI/gpt-j-6b").replace("DATA", "nq_open")
HUB = HUB.replace("CKPT", "https://huggingface.co/Dahoas/gptj-rm-static/resolve/main/hf_ckpt.pt")


def converted(tmp_path: Path, text: str = HUB) -> tuple[dict[str, Any], list[Told]]:
    (tmp_path / "old.yaml").write_text(text, encoding="utf-8")
    spec, told = convert(tmp_path / "old.yaml", tmp_path / "new", "run.schema.json")
    data = parse_source(spec).data
    assert isinstance(data, dict)
    return data, told


def line_of(words: str, text: str = HUB, nth: int = 0) -> int:
    found = [n for n, line in enumerate(text.splitlines(), 1) if line.strip() == words]
    return found[nth]


def said(told: list[Told], outcome: str) -> dict[int, str]:
    return {one.line: one.how for one in told if one.outcome == outcome}


def test_the_original_example_becomes_these_steps(tmp_path: Path) -> None:
    spec, _ = converted(tmp_path)
    steps = spec["steps"]
    assert spec["name"] == "my_analysis"
    assert {name: step["kind"] for name, step in steps.items()} == {
        "my_reward_model": "value-head", "my_data": "hub-dataset", "my_query": "reward",
        "hidden_states": "hidden-state", "tokens": "token-rewards", "embeddings": "hidden-state",
        "words": "lexical", "my_sentence_embedding": "sentence-embedding",
        "gbr-chosen_end_scores": "sklearn", "report": "html",
    }  # fmt: skip
    assert steps["my_reward_model"]["params"] == {
        "name": "EleutherAI/gpt-j-6b", "weights": "hf_ckpt.pt", "max_length": 64,
        "truncate": "error", "template": "{prompt}\n\n{response}",
    }  # fmt: skip
    assert steps["my_data"]["params"] == {
        "name": "nq_open", "split": ["train"], "rows": "responses",
        "fields": {"prompt": "question", "response": "answer.0"}, "limit": 24,
    }  # fmt: skip
    assert steps["hidden_states"]["params"] == {"layers": "all"}
    assert steps["words"]["params"]["measures"] == ["characters", "words", "average_word_length"]
    assert steps["gbr-chosen_end_scores"] == {
        "kind": "sklearn",
        "inputs": {"features": ["my_sentence_embedding"], "target": "my_query.reward"},
        "params": {
            "name": "GradientBoostingRegressor",
            "args": {"n_estimators": 10, "min_samples_leaf": 5, "random_state": 0},
        },
    }
    columns = [f"words.prompt.{one}" for one in ("characters", "words", "average_word_length")]
    assert steps["report"]["params"] == {"plots": {"my_query.reward": columns}}


def test_slips_of_indentation_are_told_by_line_and_read_as_meant(tmp_path: Path) -> None:
    meant = said(converted(tmp_path)[1], "read as meant")
    sample = line_of("sample: default")
    assert sorted(meant) == sorted(
        [sample, line_of("- row:"), line_of("- embedding:"), line_of("- gbr:"), line_of("- loss:"),
         line_of("- chosen_end_scores:")]
    )  # fmt: skip
    assert meant[sample] == (
        "not YAML: 'default' is followed by deeper lines; read as the mapping below it"
    )
    assert (
        meant[line_of("- gbr:")]
        == "its fields stand beside 'gbr', not below it; read as its fields"
    )


def test_what_is_not_carried_over_is_told_by_line_with_the_reason(tmp_path: Path) -> None:
    left = said(converted(tmp_path)[1], "left out")
    for words, reason in (
        ("chunk_size: 1", "conversations go together by their tokens"),
        ("padding: max_length", "scores do not depend on padding here"),
        ("input_ids: None", "made from the texts"),
        ("labels: None", "None is the default"),
        ("output_hidden_states: True", "states are asked for by hidden-state"),
        ("- loss", "it needs pairs, and the data has one response to a prompt"),
        ("- rejected_end_scores", "it needs pairs"),
        ("verbose: 1", "an estimator prints nothing here"),
    ):
        assert left.pop(line_of(words)).startswith(reason)
    assert left.pop(line_of("- loss:")).startswith("it needs pairs")
    assert left.pop(line_of("- loss:", nth=1)).startswith("it needs pairs")
    assert left.pop(line_of("- rejected_end_scores:")).startswith("it needs pairs")
    assert set(left) == {line_of("inference: False"), line_of("return_dict: True")}


def test_every_line_with_a_value_is_told(tmp_path: Path) -> None:
    text = HUB.replace("norm: default", "norm: default\n  colour: blue") + "extra: 3\n"
    _, told = converted(tmp_path, text)
    lines = {one.line for one in told}
    holders = ("model:", "data:", "query:", "analyze:", "args:", "plot:", "predict:", "x: embed",
               "schema:", "train:", "message:", "tokenizer:", "forward:", "store:", "compute:",
               "estimators:", "estimator: gbr", "requires:", "- my_", "- question_length",
               "- num_words", "- avg_word_length", "- chosen_end_scores:")  # fmt: skip
    untold = [
        line
        for number, line in enumerate(text.splitlines(), 1)
        if number not in lines and not line.strip().startswith(holders)
    ]
    assert untold == []
    unknown = {one.what for one in told if one.how.startswith("not a key of the original")}
    assert unknown == {"model.colour", "extra"}


def test_pairs_keep_loss_and_both_scores(tmp_path: Path) -> None:
    text = HUB.replace("answer: answer", "chosen: good\n        rejected: bad")
    text = text.replace("method: first", "method: random").replace("DATA", "nq_open")
    text = text.replace("RewardModel", "my_package.Model").replace("norm: default", "norm: z")
    spec, told = converted(tmp_path, text)
    steps = spec["steps"]
    assert steps["my_data-all"]["params"]["fields"] == {
        "prompt": "question", "chosen": "good", "rejected": "bad"
    }  # fmt: skip
    assert steps["my_data"] == {"kind": "random", "inputs": "my_data-all", "params": {"n": 24}}
    assert steps["gbr-loss"]["inputs"]["target"] == "my_query.loss"
    assert list(steps["report"]["params"]["plots"]) == [
        "my_query.loss", "my_query.chosen", "my_query.rejected"
    ]  # fmt: skip
    left = said(told, "left out")
    assert (
        "kind custom with file, class and allow_code: true"
        in left[line_of("entrypoint: my_package.Model", text)]
    )
    assert "score-scales and normalized" in left[line_of("norm: z", text)]


def test_a_file_with_some_sections_alone_is_converted_as_far_as_it_goes(tmp_path: Path) -> None:
    text = HUB[HUB.index("data:") : HUB.index("query:")] + HUB[HUB.index("analyze:") :]
    spec, told = converted(tmp_path, text)
    assert list(spec["steps"]) == ["my_data", "words", "my_sentence_embedding", "report"]
    assert "nothing is asked" in said(told, "left out").values()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model:\n  path: a\n path: b\n", "old.yaml:3:2: "),
        ("steps: {}\n", "old.yaml: no experiment of the original: it has none of model, data"),
        ("query: {store: [loss]}\n", "old.yaml: nothing of it can be carried over"),
        ("model: {path: a, path: b}\n", "old.yaml:1:18: "),
        ("!!python/object/apply:os.system ['touch x']\n", "old.yaml:1:1: "),
    ],
)
def test_what_is_no_such_experiment_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    text: str, said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("old.yaml").write_text(text)
    assert main(["init", "--from", "old.yaml", "new"]) == 2
    assert capsys.readouterr().err.startswith(said)
    assert not Path("new").exists() and not Path("x").exists()


def test_a_long_file_is_read_in_time_that_grows_with_its_length(tmp_path: Path) -> None:
    old = tmp_path / "old.yaml"
    old.write_text("model:\n" + "".join(f"  key{i}: text\n" for i in range(30_000)), "utf-8")
    assert len(read_old(old).section("model")) == 30_000
    old.write_text("data:\n  path: a" + " " * 100_000 + "\n", "utf-8")
    assert read_old(old).section("data") == {"path": "a"}


def test_the_command_writes_the_spec_with_its_schema_and_tells_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qa.jsonl").write_text('{"question": "a", "answer": "b"}\n', "utf-8")
    text = HUB.replace("nq_open", "qa.jsonl").replace("EleutherAI/gpt-j-6b", "./my-model")
    (tmp_path / "old.yaml").write_text(text, "utf-8")
    assert main(["init", "--from", "old.yaml", "new"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "wrote new/old.yaml\nwrote new/run.schema.json\n\nread as it is meant: 6\n"
    )
    assert "\n  old.yaml:5: model.tokenizer: the default here too; nothing to write\n" in out
    assert "\nbefore it runs\n  new/old.yaml:" in out and "no such file" in out
    spec = Path("new/old.yaml").read_text("utf-8")
    assert "path: ../qa.jsonl, fields: {prompt: question, response: answer}" in spec
    assert main(["init", "--from", "old.yaml", "new"]) == 0
    Path("new/old.yaml").write_text("mine: 1\n")
    assert main(["init", "--from", "old.yaml", "new"]) == 2
    assert "new/old.yaml: there already, and different; --force" in capsys.readouterr().err
    assert main(["init", "--from", "old.yaml", "new", "--force", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["lines"][0]["what"] == "model.id" and told["problems"]
    assert main(["init", "--from", "old.yaml", "."]) == 2
    assert "is the old file itself; name another folder" in capsys.readouterr().err
    assert main(["init", "--from", "none.yaml", "new"]) == 2
    assert capsys.readouterr().err.startswith("none.yaml: no such file")
    with pytest.raises(SpecError):
        read_old(tmp_path)


LOCAL = OLD.replace("CKPT", "default").replace("DATA", "rows.jsonl")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (LOCAL.replace("PATH", "~/models/rm"), {"path": "~/models/rm"}),
        (LOCAL.replace("PATH", "None"), {}),
        (LOCAL.replace("PATH", "a" * 300), {"name": "a" * 300}),
        (LOCAL.replace("PATH", "org/rm").replace("- question_length", "- {}"), {"name": "org/rm"}),
        (HUB.replace("https://huggingface.co/D", "'http://[D").replace(".pt", ".pt'"),
         {"name": "EleutherAI/gpt-j-6b"}),
    ],
)  # fmt: skip
def test_odd_places_and_entries_are_carried_as_they_are(
    tmp_path: Path, text: str, path: dict[str, str]
) -> None:
    spec, told = converted(tmp_path, text)
    params = spec["steps"]["my_reward_model"]["params"]
    assert {key: params[key] for key in ("path", "name") if key in params} == path
    assert len(told) > 40


def test_names_that_yaml_reads_otherwise_and_names_without_letters_are_usable(
    tmp_path: Path,
) -> None:
    text = LOCAL.replace("PATH", "org/rm").replace("my_data", "True").replace("my_analysis", "评分")
    spec, _ = converted(tmp_path, text)
    assert spec["name"] == "experiment" and spec["steps"]["True"]["kind"] == "responses-file"


def test_the_name_of_the_old_file_adds_no_line_to_the_spec(tmp_path: Path) -> None:
    old = tmp_path / "old\nengine: {kind: x}\n.yaml"
    old.write_text(LOCAL.replace("PATH", "org/rm"), encoding="utf-8")
    text, _ = convert(old, tmp_path / "new", "run.schema.json")
    assert set(parse_source(text).data) == {"name", "seed", "steps"}
