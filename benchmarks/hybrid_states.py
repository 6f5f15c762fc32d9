"""Real pairs as states of MiniLM, and linear heads on them, many at once, for hybrid_real.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hybrid_pairs import as_pairs, read
from safetensors.numpy import load_file

from rmplug import Features, Pairs
from rmplug_hf import Encoder, HiddenState, LinearHead
from rmplug_hf.heads._linear_head import scales_of
from rmplug_hf.heads._newton import Loss, Rows, minimise
from rmplug_hybrid import AsLabelled

JUDGE, FINAL = 400, 600
"""Helpful pairs that teach the judge, and pairs that routes are measured on, at most."""
BLOCK = 50
"""Heads that are fitted at once."""


@dataclass(frozen=True)
class Part:
    """Pairs as the human labels them, and the states of their responses."""

    rows: list[dict[str, Any]]
    states: Features
    by_subset: bool = False
    """Whether a head may have other weights for harmless pairs: their states stand twice."""

    @cached_property
    def apart(self) -> np.ndarray:
        """Differences of states (rows, d)."""
        sides = [np.stack(self.states[side].to_numpy()) for side in ("chosen", "rejected")]
        found: np.ndarray = (sides[0] - sides[1]).astype(np.float64)
        if not self.by_subset:
            return found
        return np.hstack([found * ~self.harmless[:, None], found * self.harmless[:, None]])

    @property
    def data(self) -> Pairs:
        return as_pairs(self.rows)

    @property
    def harmless(self) -> np.ndarray:
        return np.array([is_harmless(row) for row in self.rows])

    @property
    def longer(self) -> np.ndarray:
        """Whether the human prefers the longer response."""
        return np.array([len(row["chosen"]) > len(row["rejected"]) for row in self.rows])

    def labelled(self, agrees: np.ndarray) -> Pairs:
        """The pairs as someone labels them who agrees with the human where this says so."""
        turned = [
            row if same else {**row, "chosen": row["rejected"], "rejected": row["chosen"]}
            for row, same in zip(self.rows, agrees.tolist(), strict=True)
        ]
        return as_pairs(turned)


def is_harmless(row: dict[str, Any]) -> bool:
    return bool(row["subset"].casefold().startswith("harmless"))


def parts(file: Path, sizes: dict[str, int], encoder: Encoder, by_subset: bool) -> dict[str, Part]:
    """Parts of these sizes that share no prompt, and helpful pairs of what is left for the judge;
    every text is encoded once."""
    rows = [row for row in read(file) if len(row["chosen"]) != len(row["rejected"])]
    cut = [_whole_group(rows, int(place)) for place in np.cumsum(list(sizes.values()))]
    found = {
        name: rows[start:stop] for name, start, stop in zip(sizes, [0, *cut], cut, strict=False)
    }
    found["judge"] = [row for row in rows[cut[-1] :] if not is_harmless(row)][:JUDGE]
    every = [row for part in found.values() for row in part]
    asked = HiddenState().query(encoder.load(), as_pairs(every)).table
    starts = np.cumsum([0, *(len(part) for part in found.values())])
    return {
        name: Part(part, Features(asked.slice(start, len(part)), "states"), by_subset)
        for (name, part), start in zip(found.items(), starts, strict=False)
    }


def _whole_group(rows: Sequence[dict[str, Any]], place: int) -> int:
    """The next place where a prompt begins."""
    while place < len(rows) and rows[place]["group"] == rows[place - 1]["group"]:
        place += 1
    return min(place, len(rows))


class Heads:
    """Bradley-Terry heads on the same pairs with other labels, many at once."""

    def __init__(self, apart: np.ndarray, l2: float) -> None:
        self.scales = scales_of(apart, True)
        scaled = apart / self.scales
        self.rows = Rows(np.concatenate([scaled, -scaled]))
        self.l2 = l2

    def weights(self, right: np.ndarray) -> np.ndarray:
        """Of labels that agree with the human's where this says so (sets, rows): (d, sets)."""
        blocks = np.array_split(right, -(-len(right) // BLOCK))
        return np.hstack([self._block(part) for part in blocks])

    def _block(self, right: np.ndarray) -> np.ndarray:
        shares = np.concatenate([right, ~right], axis=1).T / right.shape[1]
        start = np.zeros((len(self.scales), len(right)))
        zeros = np.zeros(len(self.rows.exact))
        found = minimise(self.rows, Loss("logistic"), zeros, shares, self.l2, start, 1e-6)
        return np.asarray(found / self.scales[:, None])


def outcomes(weights: np.ndarray, part: Part) -> dict[str, np.ndarray]:
    """What each head gets of each pair, (sets, rows), the more the better: whether it is right, and
    the log-likelihood of what the human prefers, in nats."""
    lead = (part.apart @ weights).T
    right = (lead > 0) + 0.5 * (lead == 0)
    likely = -np.logaddexp(0, -lead)
    return {
        "accuracy": right,
        "log-likelihood": likely,
        "accuracy in harmless": right[:, part.harmless],
    }


def trained(part: Part, agrees: np.ndarray, encoder: Encoder) -> tuple[np.ndarray, float]:
    """What `linear-head` itself gives: weights, and the strength it chooses."""
    data = part.labelled(agrees)
    states = AsLabelled().compute(part.states, part.data, data)
    with TemporaryDirectory() as folder:
        made = LinearHead().train(encoder.load(), data, states, seed=0, directory=Path(folder))
        weight = load_file(Path(folder) / "head.safetensors")["weight"]
    return weight, next(n["value"] for n in made.numbers if n["metric"] == "l2")
