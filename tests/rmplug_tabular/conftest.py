"""A reward that depends on known features: 3 * length - flattery + the last of three embeddings."""

from __future__ import annotations

import numpy as np
import pytest
from tabular_data import ROWS, keys

from rmplug import Features


@pytest.fixture
def words() -> Features:
    rng = np.random.default_rng(0)
    names = ("length", "flattery", "noise")
    return Features({**keys(), **{name: rng.normal(size=ROWS) for name in names}}, "words")


@pytest.fixture
def state() -> Features:
    return Features({**keys(), "v": np.random.default_rng(1).normal(size=(ROWS, 3))}, "state")


@pytest.fixture
def margin(words, state) -> Features:
    length, flattery = (words[name].to_numpy() for name in ("length", "flattery"))
    last = np.array(state["v"].to_pylist())[:, 2]
    noise = np.random.default_rng(2).normal(size=ROWS) / 2
    return Features({**keys(), "margin": 3 * length - flattery + last + noise}, "reward")
