"""Set-up of all tests."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

# libraries make many objects and little garbage: what Python collects by itself, after each 700 new
# objects, takes a tenth of the time to import them, and a twentieth of that of the tests
gc.set_threshold(100_000, 50, 100)

_frozen_after: set[str] = set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Leave what is in memory after the first test of each file, its libraries most of all, out of
    garbage collection.

    Trainers of transformers collect garbage after every training: with the libraries of all test
    modules in memory that takes .6 s, more than a third of a small training.
    """
    yield
    if item.path.name not in _frozen_after:
        _frozen_after.add(item.path.name)
        gc.freeze()
