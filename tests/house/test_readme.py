"""Every command and every YAML block of the README does what it says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rmplug._cli.commands import main
from rmplug._kinds.registry import discover
from rmplug._spec.check import load_spec
from rmplug._spec.source import parse_source
from rmplug_bench.rules._definitions import read_definition

ROOT = Path(__file__).resolve().parents[2]
ROWS = 90
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("block", blocks("yaml"))
def test_every_yaml_block_is_a_spec_or_a_benchmark_without_problems(
    block: str, tmp_path: Path
) -> None:
    if "\nsteps:" in block:
        load_spec(parse_source(block, "README.md", ROOT / "examples"), discover())
        return
    page = tmp_path / "benchmark.yaml"
    page.write_text(block, encoding="utf-8")
    assert read_definition(page).sections


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = [line.split()[1] for line in commands() if line.startswith("make ")]
    assert named
    assert all(f"\n{target}:" in makefile for target in named)


def test_extras_that_are_named_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"rmplug\[([a-z,]+)\]", README)
    assert named
    assert {extra for found in named for extra in found.split(",")} <= {
        *extras["optional-dependencies"]
    }


@contextmanager
def few_rows(data: Path, wanted: bool) -> Iterator[None]:
    """Keep no more rows in a file than show that a spec runs, within the context."""
    whole = data.read_text(encoding="utf-8") if wanted else ""
    if wanted:
        data.write_text("".join(whole.splitlines(keepends=True)[:ROWS]), encoding="utf-8")
    yield
    if wanted:
        data.write_text(whole, encoding="utf-8")


def test_every_rmplug_command_runs_in_the_order_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for line in commands():
        words = shlex.split(line, comments=True)
        if words[0] == "cd":
            monkeypatch.chdir(words[1])
        elif words[0] == "rmplug":
            with few_rows(Path("data/preferences.jsonl"), words[1] == "run"):
                code, told = main(words[1:]), capsys.readouterr()
            assert code == 0, f"{line}\n{told.out}{told.err}"
        else:
            assert words[0] in ("make", "pip", "git"), line


def test_what_is_generated_is_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cogapp", "-P", "--check", "README.md", "rmplug/README.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"README.md is stale; run: make generated\n{done.stdout}"
