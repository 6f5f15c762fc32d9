"""The command ``init --from``: an experiment file of the original analysis becomes a spec."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rmplug.errors import RmplugError, SpecError, printable

from .registry import registry_of
from .tables import shown_path

if TYPE_CHECKING:
    from .old_experiments.reading import Told

TITLES = {
    "read as meant": "read as it is meant",
    "carried over": "carried over",
    "left out": "not carried over",
}


def convert_old(old: Path, options: argparse.Namespace) -> int:
    """Write the spec beside its schema, and print what became of each line of the old file."""
    from rmplug._store.user_paths import user_path

    from .old_experiments.writing import convert
    from .recipes import SCHEMA, write_schema

    if options.recipe and options.folder != ".":
        raise RmplugError("with --from, init takes no recipe: rmplug init --from OLD.yaml FOLDER")
    folder = user_path(options.recipe or options.folder)
    target = folder / f"{old.stem}.yaml"
    text, told = convert(old, folder, SCHEMA)
    if target.exists() and target.resolve() == old.resolve():
        raise RmplugError(f"{shown_path(target)} is the old file itself; name another folder")
    if target.exists() and not options.force and target.read_bytes() != text.encode():
        raise RmplugError(
            f"{shown_path(target)}: there already, and different; --force writes over it"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        written = [target, write_schema(folder)]
    except OSError as error:
        raise RmplugError(f"cannot write into the folder {folder}: {error.strerror}") from error
    problems = _problems(target, options)
    if options.json:
        listed = {"wrote": [str(path) for path in written], "lines": [asdict(one) for one in told]}
        print(json.dumps({**listed, "problems": problems}, indent=1, ensure_ascii=False))
        return 0
    for path in written:
        print(f"wrote {shown_path(path)}")
    _tell(old, told)
    if problems:
        print("\nbefore it runs")
        print("\n".join(f"  {printable(problem)}" for problem in problems))
    return 0


def _tell(old: Path, told: Sequence[Told]) -> None:
    """Print what became of the lines, those that need attention last."""
    for outcome, title in TITLES.items():
        lines = [one for one in told if one.outcome == outcome]
        print(f"\n{title}: {len(lines) or 'nothing'}")
        for one in lines:
            print(printable(f"  {shown_path(old)}:{one.line}: {one.what}: {one.how}"))


def _problems(spec: Path, options: argparse.Namespace) -> list[str]:
    """List what a check finds in the new spec, such as files that are not here."""
    from rmplug._spec.check import open_spec

    try:
        open_spec(spec, (), registry_of(options))
    except SpecError as error:
        return [f"{shown_path(spec)}:{one.line}: {one.message}" for one in error.problems]
    return []
