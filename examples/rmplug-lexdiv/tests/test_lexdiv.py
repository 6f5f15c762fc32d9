from pathlib import Path

import pyarrow as pa
from rmplug_lexdiv import LexicalDiversity

from rmplug import Features
from rmplug.testing import check_step, run_step, small_pairs


def test_it_keeps_what_rmplug_promises_of_a_step() -> None:
    check_step(LexicalDiversity, {"window": 3})


def test_only_words_inside_the_window_count(tmp_path: Path) -> None:
    found = run_step(LexicalDiversity(window=3), {"data": small_pairs(1)}, tmp_path)
    assert isinstance(found, Features)
    assert found["rejected"].to_pylist() == [1.0]


def test_repeated_words_count_once() -> None:
    assert LexicalDiversity().diversity(pa.array(["Yes yes no no"])) == [0.5]
