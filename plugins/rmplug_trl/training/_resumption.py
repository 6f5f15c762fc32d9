"""Checkpoints of an unfinished training: sealed when they are whole, and the newest whole one."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback

from rmplug import DataError, RmplugError, notice
from rmplug.models.files import read_json

SEAL = "seal.json"
NEEDED = ("optimizer.pt", "scheduler.pt", "trainer_state.json")
"""What a training cannot go on without as if it had not been interrupted. transformers ignores a
missing optimiser state and gives another model."""
RANDOM = re.compile(r"rng_state(_\d+)?\.pth")
"""The state of the random numbers: one file, or one of each of several processes."""
NAMED = re.compile(r"checkpoint-(\d+)")
INSIDE = (".safetensors", ".json", ".md")
"""The files in folders of a checkpoint: those of further adapters. Checkpoints in parts (FSDP,
DeepSpeed) lie in folders, too, and torch and DeepSpeed read those as pickles, which run code; the
folder may be a stranger's."""


class Sealing(TrainerCallback):  # type: ignore[misc]
    """Write the digests of each checkpoint's files beside them, once all are written; no checkpoint
    is written after the last step."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step >= state.max_steps:
            # amid an epoch transformers would go on from it: it looks for the end after a step
            control.should_save = False

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        PartialState().wait_for_everyone()  # each of several processes writes a file of its own
        if state.is_world_process_zero and folder.is_dir():
            seal(folder)


def seal(folder: Path) -> None:
    """Write the digests of a folder's files; the file of digests appears at once and last."""
    digests = {name: digest(path) for name, path in files_of(folder).items()}
    unfinished = folder / f".{SEAL}.tmp"
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(digests, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(folder / SEAL)


def newest_whole(work: Path) -> Path | None:
    """Return the newest checkpoint whose files are all there and as they were written. Those after
    it are removed, and a notice names them; what is called otherwise is left alone."""
    named = {path: NAMED.fullmatch(path.name) for path in work.glob("checkpoint-*")}
    steps = {path: int(found[1]) for path, found in named.items() if found and path.is_dir()}
    folders = sorted(steps, key=steps.__getitem__)
    damaged: list[str] = []
    while folders and (fault := fault_of(folders[-1])):
        damaged.append(f"{folders[-1].name} ({fault})")
        shutil.rmtree(folders.pop())
    notice("checkpoint of an interrupted training was not usable", damaged, "dropped")
    return folders[-1] if folders else None


@contextmanager
def gone_on_from(checkpoint: Path | None, loop: Any) -> Iterator[None]:
    """Refuse a checkpoint that is whole, but holds something else than this training wrote: what
    libraries raise before the loop has done a further step becomes one sentence."""
    try:
        yield
    except RmplugError:
        raise
    except Exception as error:
        found = None if checkpoint is None else NAMED.fullmatch(checkpoint.name)
        if found is None or loop.state.global_step > int(found[1]):
            raise
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"this training cannot go on from {checkpoint}, which holds something else than it "
            f"wrote ({type(error).__name__}: {reason}); remove that folder, and the training goes "
            "on from the checkpoint before it, or begins anew"
        ) from error


def fault_of(folder: Path) -> str:
    """Return the defect of a checkpoint; empty for a whole one."""
    try:
        digests = read_json(folder / SEAL)
    except DataError:
        return "it was not finished"
    files = files_of(folder)
    missing = [name for name in (*NEEDED, *digests) if name not in files]
    if not any(map(RANDOM.fullmatch, digests)):
        missing.append("rng_state.pth")
    if missing:
        return f"{missing[0]} is missing"
    inside = [name for name in files if "/" in name]
    odd = [name for name in inside if name not in digests or not name.endswith(INSIDE)]
    if odd:
        return f"{odd[0]} is not a file that is gone on with"
    changed = [name for name, written in digests.items() if digest(files[name]) != written]
    return f"{changed[0]} is damaged" if changed else ""


def files_of(folder: Path) -> dict[str, Path]:
    """Return the files of a checkpoint, and of the folders in it, by their names; not the seal."""
    every = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
    unsealed = (SEAL, f".{SEAL}.tmp")
    return {n: path for n, path in every.items() if path.is_file() and n not in unsealed}


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
