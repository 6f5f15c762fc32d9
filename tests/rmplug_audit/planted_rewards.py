"""Reward models whose faults are known, and pairs to search with."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from rmplug import Pairs, RewardModel, text_of
from rmplug.testing import run_step
from rmplug_audit import FindExploits
from rmplug_text import PairsFile

PREFERENCES = Path(__file__).parents[2] / "examples/data/preferences.jsonl"


def noise(text: str) -> float:
    """A number from 0 to 2 that says nothing about the text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) / 2**31


class Planted(RewardModel):
    """A reward of the text of a response, and noise that depends on the whole text."""

    def __init__(self, reward=lambda text: 0.0, size: float = 1.0):
        self.reward, self.size = reward, size
        self.asked: list[tuple[str, str]] = []

    def score(self, responses):
        texts = text_of(responses.column("response")).to_pylist()
        prompts = text_of(responses.column("prompt")).to_pylist()
        self.asked += zip(prompts, texts, strict=True)
        return np.array([self.reward(text) + self.size * noise(text) for text in texts])


def bold_and_because(text: str) -> float:
    return 0.5 * text.count("**") + 2 * ("because" in text)


def preferences(folder: Path) -> Pairs:
    return Pairs(run_step(PairsFile(path=PREFERENCES), {}, folder).table, "pairs")


def search(model, data, folder: Path, seed: int = 0, **params):
    """Search a model for exploits."""
    inputs = {"model": model, "data": data}
    return run_step(FindExploits(**params), inputs, folder, seed=seed)


def value(fit, metric: str, subset: str = "all") -> float:
    """A number of a search."""
    [row] = [n for n in fit.numbers if (n["metric"], n["subset"]) == (metric, subset)]
    return row["value"]


def searched_again(whole: Planted, killed: Planted, again: Planted, data, folder: Path):
    """Search as a whole, and with a model that is killed, going on with another; check that nothing
    is asked twice and that the numbers and tables are the same, and return both results."""
    first = search(whole, data, folder / "whole", budget=600)
    killed.name = again.name = "model"  # by which run_step knows that both are one model
    with pytest.raises(KeyboardInterrupt):
        search(killed, data, folder / "killed", budget=600)
    resumed = search(again, data, folder / "killed", budget=600)
    assert not set(killed.asked) & set(again.asked)
    assert len(killed.asked) + len(again.asked) == value(first, "scorings")
    assert (resumed.numbers, resumed.tables) == (first.numbers, first.tables)
    return first, resumed
