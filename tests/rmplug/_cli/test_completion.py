"""Words that a shell completes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from run_specs import go, spec_of

from rmplug._cli.commands import main, parser
from rmplug._cli.completion import WORDS, candidates


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    go(spec_of({"pairs": {"kind": "made-pairs"}}), tmp_path / ".rmplug")
    (tmp_path / "spec.yaml").write_text("steps: {pairs: {}, words: {}, why: {}}")
    (tmp_path / "broken.yaml").write_text("steps: [")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ch", ["check"]),
        ("compare", ["compare", "compare-texts"]),
        ("run --kee", ["--keep-going"]),
        ("describe pairs-", ["pairs-file"]),
        ("init quick", ["quickstart"]),
        ("show te", ["tested"]),
        ("compare last te", ["tested"]),
        ("show --store .rmplug te", ["tested"]),
        ("show --store elsewhere te", []),
        ("run spec.yaml --only w", ["words", "why"]),
        ("run spec.yaml --only pairs wo", ["words"]),
        ("run spec.yaml --from p", ["pairs"]),
        ("run broken.yaml --from p", []),
        ("run spec.yaml --store x", []),
        ("check --disable ten", []),
        ("check --disable tab", ["tabular"]),
        ("schema rec", ["record"]),
        ("nonsense x", []),
        ("gc te", []),
        ("gate te", ["tested"]),
        ("gate tested --when-unsure p", ["pass"]),
        ("gate elsewhere --fail-on me", []),
    ],
)
def test_a_word_is_completed_by_what_may_stand_there(
    folder: Path, line: str, found: list[str]
) -> None:
    assert candidates(parser(), line.split(" ")) == found


def test_no_name_is_offered_that_a_shell_would_read_as_a_command(folder: Path) -> None:
    steps = (
        "{pairs: {}, 'p$(touch x)': {}, 'p;ls': {}, 'p`ls`': {}, \"p\\nls\": {}, \"p\\e[2J\": {}}"
    )
    (folder / "strange.yaml").write_text(f"steps: {steps}")
    (folder / ".rmplug/runs/20260101-000000-000-$(touch x)-0000").mkdir()
    (folder / ".rmplug/runs/20260101-000000-000-$(touch x)-0000/record.json").write_text("{}")
    assert candidates(parser(), ["run", "strange.yaml", "--only", "p"]) == ["pairs"]
    assert not any("touch" in one for one in candidates(parser(), ["show", ""]))


def test_the_spec_may_be_in_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert candidates(parser(), ["run", "~/spec.yaml", "--only", "w"]) == ["words", "why"]


def test_a_run_can_also_be_completed_by_its_id(folder: Path) -> None:
    [run] = (folder / ".rmplug/runs").iterdir()
    assert candidates(parser(), ["show", "2"]) == [run.name]
    assert candidates(parser(), ["show", ""]) == ["last", "tested", run.name]


def test_the_shell_gives_words_and_gets_lines(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(WORDS, "show\nte")
    assert main(["completion"]) == 0
    assert capsys.readouterr().out == "tested\n"


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_with_the_script(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion"]) == 0
    command = folder / "rmplug"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m rmplug "$@"\n')
    command.chmod(0o755)
    ask = 'COMP_WORDS=(rmplug show ""); COMP_CWORD=2; _rmplug; echo "${COMPREPLY[@]:0:2}"'
    done = subprocess.run(
        ["bash", "-c", f"{capsys.readouterr().out}\n{ask}"],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("last tested\n", "")
