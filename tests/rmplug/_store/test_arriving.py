"""Values that are kept as they arrive: those that came before work failed are there afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rmplug._store import arriving
from rmplug._store.arriving import Arriving
from rmplug._store.kept import Keep, KeptView
from rmplug._store.kept_merging import MOST_FILES
from rmplug.arrays import Array
from rmplug.errors import StoreError
from rmplug.models.kept import kept_answers
from rmplug.records import Usage


class Broken(Exception):
    """What a server that fails raises."""


def ask(root: Path, source: str, texts: list[str], answers: int = 10**6) -> tuple[Array, list[int]]:
    """Ask for the lengths of texts, of which ``answers`` come one by one before it fails; return
    them with the indices that were asked for."""
    asked: list[int] = []

    def come(indices: Array, keep: Keep) -> Array:
        for index in indices.tolist():
            if len(asked) == answers:
                raise Broken
            asked.append(index)
            keep(np.array([index]), np.array([float(len(texts[index]))]))
        return np.array([float(len(texts[index])) for index in indices])

    with KeptView(root, source, frozenset()).in_use(Usage()):
        try:
            given = kept_answers(lambda: {"m": 1}, [text.encode() for text in texts], come)
        except Broken:
            given = np.zeros(0)
    return given, asked


def test_answers_before_a_failure_are_known_to_every_step_that_asks_later(tmp_path: Path) -> None:
    texts = ["a", "bb", "a", "ccc", "dddd"]
    assert ask(tmp_path, "one-1", texts, 2)[1] == [0, 1]
    assert ask(tmp_path, "two-2", texts, 1)[1] == [3]
    given, asked = ask(tmp_path, "three-3", texts)
    assert given.tolist() == [1, 2, 1, 3, 4] and asked == [4]
    assert ask(tmp_path, "four-4", texts)[1] == []


def test_answers_that_come_slowly_become_few_files(tmp_path: Path) -> None:
    for number in range(100):
        ask(tmp_path, "one-1", ["x" * number])
    [folder] = tmp_path.iterdir()
    assert len(list(folder.glob("*.parquet"))) <= MOST_FILES
    given, asked = ask(tmp_path, "two-2", ["x" * number for number in range(101)])
    assert asked == [100] and given.tolist() == list(range(101))


def test_answers_of_two_shapes_are_not_kept(tmp_path: Path) -> None:
    def come(indices: Array, keep: Keep) -> Array:
        keep(indices[:1], np.zeros((1, 2)))
        keep(indices[1:], np.zeros((1, 3)))
        raise Broken

    with pytest.raises(Broken), KeptView(tmp_path, "one-1", frozenset()).in_use(Usage()):
        kept_answers(lambda: {"m": 1}, [b"a", b"b"], come)
    assert not list(tmp_path.rglob("*.parquet"))


def test_outside_a_run_answers_are_kept_nowhere() -> None:
    def come(indices: Array, keep: Keep) -> Array:
        keep(indices, indices * 2.0)
        return np.asarray(indices * 2.0)

    assert kept_answers(lambda: {"m": 1}, [b"a", b"b", b"a"], come).tolist() == [0, 2, 4]


def test_values_are_written_while_others_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arriving, "EVERY", 0.001)
    written: list[float] = []
    key = np.zeros((1, 2), np.uint64)
    with Arriving(lambda keys, values: written.extend(values.tolist())) as given:
        for number in range(5):
            given.add(key, np.array([float(number)]))
            while len(written) <= number:
                assert given._thread.is_alive()
    assert written == [0, 1, 2, 3, 4]


def test_what_the_store_refuses_ends_the_work_before_more_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arriving, "EVERY", 0.001)
    view = KeptView(tmp_path / "file", "one-1", frozenset())
    view.root.write_text("no folder")

    def come(indices: Array, keep: Keep) -> Array:
        while True:
            keep(indices, np.zeros((1, 1)))

    refused = pytest.raises(StoreError, match="cannot write .*: Not a directory")
    with refused, view.in_use(Usage()):
        kept_answers(lambda: {"m": 1}, [b"a"], come)
