"""The accuracy of a gate on held-out pairs, beside weights that do not depend on the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rmplug.arrays import Array
from rmplug.stats.metric_rows import Statistic, mean_of, measured, number, share_of, wins

from ._constant import fit_scale, fit_weights
from ._examples import GateExamples
from ._gate import AttributeGate, LinearGate

GATE, EQUAL, CONSTANT, LONGEST = "gate", "equal-weights", "constant-weights", "longest-response"


def numbers_of(
    gate: AttributeGate, learnt: GateExamples, held: GateExamples, l2: float, seed: int
) -> list[dict[str, Any]]:
    """Measure accuracy, log-loss and entropy on ``held``; baselines are fitted to ``learnt``."""
    leads = {
        GATE: gate.margins(held.chosen, held.rejected, held.prompts),
        **baselines(learnt, held, l2),
        LONGEST: held.longer,
    }
    shares = gate.shares(held.prompts) if isinstance(gate, LinearGate) else None
    parts = {"all": np.arange(len(held)), **held.rows_by_subset()}
    numbers = []
    for subset, at in parts.items():
        here = {name: lead[at] for name, lead in leads.items()}
        numbers += _of_part(here, held.at(at), None if shares is None else shares[at], subset, seed)
    return numbers


def baselines(learnt: GateExamples, held: GateExamples, l2: float) -> dict[str, Array]:
    """Compute margins by scaled equal weights, and by the best constant weights."""
    margins, weights = learnt.margins, learnt.weights
    factor = fit_scale(learnt.lead.mean(axis=1), margins, weights)
    best = fit_weights(learnt.lead, margins, weights, l2)
    return {EQUAL: abs(factor) * held.lead.mean(axis=1), CONSTANT: held.lead @ best}


def _of_part(
    leads: Mapping[str, Array], held: GateExamples, shares: Array | None, subset: str, seed: int
) -> list[dict[str, Any]]:
    numbers = []
    own = wins(leads[GATE])
    for name, lead in leads.items():
        columns, statistics = {"right": wins(lead)}, {"accuracy": share_of("right")}
        if name != LONGEST:
            columns["loss"] = np.logaddexp(0, -lead)
            statistics["log-loss"] = mean_of("loss")
        if name == GATE and shares is not None:
            columns["entropy"] = entropy_of(shares)
            statistics["entropy"] = mean_of("entropy")
            statistics["entropy-share"] = _share_of(shares.shape[1])
        kind = "model" if name == GATE else "baseline"
        rows = measured(columns, statistics, held.groups, seed, subset)
        numbers += [{**row, "model": name, "kind": kind} for row in rows]
        if name != GATE:
            difference = {"apart": own - wins(lead)}
            rows = measured(difference, {"difference": mean_of("apart")}, held.groups, seed, subset)
            ids = {"model": GATE, "other": name, "kind": "model"}
            numbers += [{**row, **ids, "sentence": _sentence(row, name)} for row in rows]
    return numbers


def _sentence(row: Mapping[str, Any], other: str) -> str | None:
    """Write whether the gate is better than a baseline; for all rows only, None for a subset."""
    if row["subset"] != "all" or row["low"] is None:
        return None
    low, high = 100 * row["low"], 100 * row["high"]
    verdict = "better than" if low > 0 else "worse than" if high < 0 else "not told apart from"
    return (
        f"On {row['n']} held-out pairs the gate is {verdict} {other.replace('-', ' ')}: difference "
        f"{100 * row['value']:+.1f} points (95 % interval {low:+.1f} to {high:+.1f})."
    )


def entropy_of(shares: Array) -> Array:
    """Compute the entropy of each row in nats."""
    return np.asarray(-(shares * np.log(np.maximum(shares, 1e-300))).sum(axis=1))


def _share_of(attributes: int) -> Statistic:
    return lambda sums: np.asarray(sums["entropy"] / sums["n"] / max(np.log(attributes), 1e-300))


def training_number(name: str, value: float, n: int) -> dict[str, Any]:
    """Make a row for a plain number about the training."""
    return {**number(name, value, n), "model": GATE, "kind": "model"}
