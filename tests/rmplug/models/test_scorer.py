"""A reward model called from Python and from a shell."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rmplug
from rmplug._cli.commands import main
from rmplug.errors import DataError, RmplugError
from rmplug.models.scorer import Scorer
from rmplug.testing import LengthModel

SYNTHETIC = {"kind": "synthetic", "params": {"size": 20000}}
SPEC = {
    "name": "tiny",
    "seed": 1,
    "steps": {
        "pairs": {"kind": "synthetic", "params": {"size": 200}},
        "head": {"kind": "ngram-head", "inputs": "pairs", "params": {"folds": 2, "l2": [0.1]}},
        "reward": {"kind": "reward", "inputs": {"model": "head", "data": "pairs"}},
    },
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> rmplug.Run:
    return rmplug.run(SPEC, store=tmp_path_factory.mktemp("store"))


@pytest.fixture
def scorer() -> Scorer:
    return Scorer(LengthModel())


def test_a_stored_checkpoint_scores_as_the_run_did(finished: rmplug.Run) -> None:
    pairs, reward = finished["pairs"], finished["reward"]
    assert isinstance(pairs, rmplug.Pairs)
    assert isinstance(reward, rmplug.Features)
    row = pairs.table.slice(3, 1).to_pylist()[0]
    scorer = rmplug.load(finished.path("head"))
    found = scorer.score(row["prompt"], row["chosen"][0]["content"])
    assert found == pytest.approx(reward["chosen"][3].as_py(), abs=1e-9)


def test_ranking_is_best_first_and_equal_rewards_share_a_rank(scorer: Scorer) -> None:
    ranked = scorer.rank("Why?", ["aa", "aaaa", "bb"])
    assert [(entry.response, entry.rank) for entry in ranked] == [("aaaa", 1), ("aa", 2), ("bb", 2)]


def test_a_comparison_gives_margin_and_probability(scorer: Scorer) -> None:
    found = scorer.compare([{"role": "user", "content": "Why?"}], "a" * 200, "a" * 100)
    assert found.margin == pytest.approx(1.0)
    assert found.probability == pytest.approx(0.7310586)


def test_many_are_scored_at_once(scorer: Scorer) -> None:
    assert scorer.score_batch(["p", "q"], ["a", "bb"]) == [0.01, 0.02]
    with pytest.raises(DataError, match="2 prompts for 1 responses"):
        scorer.score_batch(["p", "q"], ["a"])


def test_what_nothing_recognises_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RmplugError, match="no checkpoint of a run and no model that an installed"):
        rmplug.load(tmp_path)


def test_a_folder_that_is_not_there_is_said_not_to_be_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my-model").mkdir()
    folder = tmp_path / "my-modell"
    for command in (["score", "--prompt", "p", "--response", "r"], ["serve"]):
        assert main([command[0], str(folder), *command[1:]]) == 2
        told = capsys.readouterr().err
        assert f"there is no folder {folder}; did you mean 'my-model'?" in told


def test_a_parameter_of_the_model_is_not_an_option_of_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["score", "folder", "--template", "{prompt} {response}"])
    assert "write --param 'template=...'" in capsys.readouterr().err


def test_a_folder_that_the_named_kind_does_not_recognise_is_given_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path)
    words = ["--prompt", "p", "--response", "r"]
    assert main(["score", folder, "--kind", "causal-lm", *words]) == 2
    assert folder in capsys.readouterr().err
    assert main(["score", str(tmp_path / "none"), "--kind", "recorded", *words]) == 2
    assert "none" in capsys.readouterr().err
    path = tmp_path / "scores.jsonl"
    path.write_text('{"prompt": "p", "response": "r", "score": 1.5}')
    assert main(["score", str(path), "--kind", "recorded", *words]) == 0
    assert json.loads(capsys.readouterr().out)["reward"] == 1.5
    with pytest.raises(RmplugError, match="custom does not recognise .*, and has no path"):
        rmplug.load(folder, kind="custom")


def test_rows_go_in_and_come_out_as_json_lines(
    finished: rmplug.Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = str(finished.path("head"))
    rows = [{"prompt": "p", "responses": ["one", "two three"], "note": 7}]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(map(json.dumps, rows))))
    assert main(["rank", folder]) == 0
    out = json.loads(capsys.readouterr().out)
    assert out["note"] == 7
    assert {entry["response"] for entry in out["ranking"]} == {"one", "two three"}
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "p", "a": "x", "b": "x"}\nnot json\n')
    assert main(["compare-texts", folder, str(path)]) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["probability"] == 0.5
    assert f"line 2 of {path}: no JSON" in captured.err


def test_arguments_are_enough_for_one_response(
    finished: rmplug.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(finished.path("head"))
    assert main(["score", folder, "--prompt", "p", "--response", "r"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out)["reward"], float)
    assert main(["score", folder, "--prompt", "p"]) == 2
    assert "--response: missing" in capsys.readouterr().err


def test_a_copied_checkpoint_is_loaded_from_where_it_is(
    finished: rmplug.Run, tmp_path: Path
) -> None:
    copy = shutil.copytree(finished.path("head"), tmp_path / "mine")
    assert rmplug.load(copy).score("p", "r") == rmplug.load(finished.path("head")).score("p", "r")


@pytest.mark.parametrize(
    ("command", "row", "complaint"),
    [
        ("score", {"prompt": "x", "response": 3}, "a response is a text, not 3"),
        ("score", {"prompt": "\ud800", "response": "a"}, "a prompt has half of a surrogate pair"),
        ("rank", {"prompt": "x", "responses": "ab"}, "'responses' is a list of texts, not 'ab'"),
        ("compare-texts", {"prompt": "x", "a": 1, "b": "c"}, "a response is a text, not 1"),
        ("score", {"prompt": [{"role": "user"}], "response": "a"}, "a list of {role, content}"),
    ],
)
def test_rows_that_cannot_be_scored_are_one_line(
    command: str,
    row: dict[str, object],
    complaint: str,
    finished: rmplug.Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    assert main([command, str(finished.path("head")), str(path)]) == 2
    assert complaint in capsys.readouterr().err


def test_a_script_without_a_main_guard_is_told_so(tmp_path: Path) -> None:
    steps = {"pairs": SYNTHETIC, "words": {"kind": "lexical", "inputs": "pairs"}}
    # of work that is short, no worker process is started, and nothing has to be told
    spec = {"engine": {"kind": "local", "params": {"least_seconds": 0}}, "steps": steps}
    code = f"import rmplug\nrmplug.run({spec!r}, store={str(tmp_path / 'store')!r})\n"
    (tmp_path / "script.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert "if __name__ == '__main__':" in done.stderr


@pytest.mark.parametrize("config", [None, "[]", '{"kind": 7}', "[" * 100_000, "\0"])
@pytest.mark.parametrize(
    "words", [["rank", "--responses", "a", "b"], ["compare-texts", "--a", "a", "--b", "b"]]
)
def test_a_folder_that_is_no_model_is_one_line(
    words: list[str], config: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    assert main([words[0], str(tmp_path), "--prompt", "p", *words[1:]]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and told.startswith("rmplug: ") and "bug" not in told
