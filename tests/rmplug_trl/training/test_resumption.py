"""Checkpoints of an unfinished training: the newest whole one, whatever else is beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmplug.notices import collect_notices
from rmplug_trl.training._resumption import NEEDED, newest_whole, seal

ONE, TWO = ("rng_state.pth",), ("rng_state_0.pth", "rng_state_1.pth")


def checkpoint(work: Path, step: int, random: tuple[str, ...], *further: str) -> Path:
    folder = work / f"checkpoint-{step}"
    folder.mkdir()
    for name in (*NEEDED, *random, *further):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(name.encode() * step)
    seal(folder)
    return folder


@pytest.mark.parametrize("random", [ONE, TWO])
def test_checkpoints_of_one_process_and_of_several_are_whole(
    tmp_path: Path, random: tuple[str, ...]
) -> None:
    checkpoint(tmp_path, 9, random)
    newest = checkpoint(tmp_path, 10, random)
    with collect_notices() as notices:
        assert newest_whole(tmp_path) == newest
    assert not notices


@pytest.mark.parametrize("lost", [*NEEDED, TWO[1]])
def test_a_checkpoint_that_lacks_a_file_gives_way_to_the_one_before(
    tmp_path: Path, lost: str
) -> None:
    before, newest = (checkpoint(tmp_path, step, TWO) for step in (9, 10))
    (newest / lost).unlink()
    with collect_notices() as notices:
        assert newest_whole(tmp_path) == before
    [told] = notices.values()
    assert told.ids == [f"checkpoint-10 ({lost} is missing)"]
    assert not newest.exists()


def test_a_checkpoint_without_the_state_of_random_numbers_is_not_used(tmp_path: Path) -> None:
    checkpoint(tmp_path, 3, ())
    assert newest_whole(tmp_path) is None


def test_what_is_called_otherwise_is_left_alone(tmp_path: Path) -> None:
    newest = checkpoint(tmp_path, 3, ONE)
    others = [tmp_path / f"checkpoint-{name}" for name in ("best", "12.tmp", "")]
    for other in others:
        other.mkdir()
    (tmp_path / "checkpoint-20").write_text("a file")
    assert newest_whole(tmp_path) == newest
    assert all(other.is_dir() for other in others)


@pytest.mark.parametrize(
    "name", ["pytorch_model_fsdp_0/.metadata", "global_step1/mp_rank_00_model_states.pt"]
)
def test_parts_that_are_read_as_pickles_are_not_gone_on_with(tmp_path: Path, name: str) -> None:
    before = checkpoint(tmp_path, 3, ONE)
    checkpoint(tmp_path, 6, ONE, name)
    with collect_notices() as notices:
        assert newest_whole(tmp_path) == before
    [told] = notices.values()
    assert told.ids == [f"checkpoint-6 ({name} is not a file that is gone on with)"]


def test_a_further_adapter_is_gone_on_with_as_it_was(tmp_path: Path) -> None:
    whole = checkpoint(tmp_path, 3, ONE, "ref/adapter_config.json")
    assert newest_whole(tmp_path) == whole
    (whole / "ref/adapter_config.json").write_text("{}")
    assert newest_whole(tmp_path) is None


@pytest.mark.parametrize("content", ["[" * 100_000, "[]", "7"])
def test_a_seal_that_is_none_makes_no_checkpoint(tmp_path: Path, content: str) -> None:
    (checkpoint(tmp_path, 3, ONE) / "seal.json").write_text(content)
    assert newest_whole(tmp_path) is None
