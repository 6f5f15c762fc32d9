"""Every command, spec and program on the README and the site's pages does what it says."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from page_blocks import DOCS, ROOT, Block, blocks, commands, name_of, pages

from rmplug._cli import recipes
from rmplug._cli.commands import main
from rmplug._kinds.registry import discover
from rmplug._kinds.signatures import check_class
from rmplug._spec.check import load_spec
from rmplug._spec.source import parse_source
from rmplug.families import FAMILIES, Composite, Step, family_of
from rmplug_bench.rules._definitions import read_definition

ROWS = 60
DATA = Path("data/preferences.jsonl")
ONE_PROCESS = ["--set", "engine={kind: local, params: {workers: 1}}"]
"""What is added to a run whose spec names no engine: loops give the same bytes, and each worker
would import what is imported here."""
EXECUTED = [page for page in pages() if any(b.language in ("sh", "python") for b in blocks(page))]
SPECS = [
    pytest.param(block, id=f"{name_of(page)}-{number}")
    for page in pages()
    for number, block in enumerate(b for b in blocks(page) if b.language == "yaml")
    if not block.is_file and not block.is_illustration
]


@pytest.mark.parametrize("block", SPECS)
def test_every_yaml_block_is_a_spec_or_a_benchmark_without_problems(
    block: Block, tmp_path: Path
) -> None:
    if "\nsteps:" in block.text:
        load_spec(parse_source(block.text, "page.md", ROOT / "examples"), discover())
        return
    page = tmp_path / "benchmark.yaml"
    page.write_text(block.text, encoding="utf-8")
    assert read_definition(page).sections


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lines = [line for page in pages() for block in blocks(page) for line in commands(block)]
    named = [line.split()[1] for line in lines if line.startswith("make ")]
    assert named
    assert all(f"\n{target}:" in makefile for target in named)


def test_extras_that_are_named_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = "".join(page.read_text(encoding="utf-8") for page in pages())
    named = re.findall(r"rmplug\[([a-z,]+)\]", texts)
    assert named
    assert {extra for found in named for extra in found.split(",")} <= {
        *extras["optional-dependencies"]
    }


def test_the_readme_links_to_every_page_and_to_nothing_that_is_not_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / "README.md").read_text("utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []
    leading = {page for page in pages() if page.parent not in (ROOT, DOCS, DOCS / "reference")}
    leading = {page for page in leading if page.stem != "index"}
    assert leading - {ROOT / link for link in links} == set()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store for all pages: what one page has run, another need not."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def schema() -> bytes:
    """The schema that ``init`` writes beside each recipe, made once."""
    return (ROOT / "schemas" / "run.schema.json").read_bytes()


@pytest.mark.parametrize("page", EXECUTED, ids=name_of)
def test_what_a_page_shows_runs_in_the_order_written(
    page: Path,
    store: Path,
    schema: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RMPLUG_STORE", str(store))
    monkeypatch.setattr(recipes, "write_schema", lambda folder: write(folder, schema))
    reader = Reader(monkeypatch, capsys, tmp_path / "site-packages")
    for block in blocks(page):
        reader.follow(block)


def write(folder: Path, schema: bytes) -> Path:
    target = folder / recipes.SCHEMA
    target.write_bytes(schema)
    return target


class Reader:
    """A person who does what a page says, block by block."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], site: Path
    ) -> None:
        self.monkeypatch, self.capsys, self.site = monkeypatch, capsys, site
        self.names: dict[str, Any] = {"__name__": "page"}

    def follow(self, block: Block) -> None:
        if block.is_file:
            self.save(Path(block.note), block.text)
        elif block.language == "python":
            self.run_program(block)
        elif block.language == "sh" and not block.is_illustration:
            for line in commands(block):
                self.run_command(line)

    def save(self, file: Path, text: str) -> None:
        """Write a file; of one that is there, a line of the same key is replaced, else it grows."""
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        key = text.partition(" = ")[0]
        if file.suffix == ".toml" and f"\n{key} = " in before:
            text = re.sub(rf"^{key} = .*\n", text, before, flags=re.MULTILINE)
        elif before:
            text = f"{before}\n\n{text}"
        file.write_text(text, encoding="utf-8")

    def run_program(self, block: Block) -> None:
        program = compile(block.text, "page.md", "exec")
        if not block.is_illustration:
            self.monkeypatch.syspath_prepend(str(Path.cwd()))
            keep_few_rows()
            exec(program, self.names)

    def run_command(self, line: str) -> None:
        words = shlex.split(line, comments=True)
        if words[0] == "cd":
            self.monkeypatch.chdir(words[1])
        elif words[0] == "mkdir":
            Path(words[1]).mkdir()
        elif words[0] == "rmplug":
            if words[1] == "run":
                keep_few_rows()
                if "\nengine:" not in Path(words[2]).read_text(encoding="utf-8"):
                    words += ONE_PROCESS
            code, told = main(words[1:]), self.capsys.readouterr()
            assert code == 0, f"{line}\n{told.out}{told.err}"
        elif words[0] == "pytest":
            done = self.in_process("-m", *words, "-p", "no:cacheprovider")
            assert "passed" in done and "skipped" not in done
        elif words[:3] == ["pip", "install", "--editable"]:
            self.install()
        else:
            assert words[0] in ("make", "pip", "git"), line

    def install(self) -> None:
        """Build the wheel of the current folder and unpack it: what an installer does, offline."""
        self.in_process("-m", "hatchling", "build", "-t", "wheel", "-d", "dist")
        [wheel] = Path("dist").glob("*.whl")
        zipfile.ZipFile(wheel).extractall(self.site)
        self.monkeypatch.syspath_prepend(str(self.site))

    def in_process(self, *words: str) -> str:
        paths = os.pathsep.join([str(self.site), *filter(None, sys.path)])
        done = subprocess.run(
            [sys.executable, *words],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": paths},
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
        return done.stdout


def keep_few_rows() -> None:
    """Keep no more rows in a recipe's file than show that a spec runs."""
    if DATA.exists():
        rows = DATA.read_text(encoding="utf-8").splitlines(keepends=True)
        DATA.write_text("".join(rows[:ROWS]), encoding="utf-8")


def test_what_is_generated_is_fresh() -> None:
    files = [ROOT / "rmplug" / "README.md"]
    files += [page for page in DOCS.rglob("*.md") if "[[[cog" in page.read_text("utf-8")]
    done = subprocess.run(
        [sys.executable, "-m", "cogapp", "-P", "--check", *map(str, files)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"a page is stale; run: make generated\n{done.stdout}"


def test_the_small_kinds_of_the_page_on_families_are_kinds_of_every_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = DOCS / "plugin" / "families.md"
    program = "\n\n".join(b.text for b in blocks(page) if b.note == "small_kinds.py")
    (tmp_path / "kinds_of_the_page.py").write_text(program, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = vars(importlib.import_module("kinds_of_the_page")).values()
    kinds = [k for k in found if isinstance(k, type) and k.__module__ == "kinds_of_the_page"]
    steps = [kind for kind in kinds if issubclass(kind, Step)]
    for kind in steps:
        check_class(kind, family_of(kind))
    assert {*map(family_of, steps)} == {*FAMILIES} - {Composite}
