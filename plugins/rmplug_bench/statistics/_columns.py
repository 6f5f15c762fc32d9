"""Sums over pairs for the statistics of a model or of a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rmplug.stats.bootstrap import Sums
from rmplug.stats.calibration import right
from rmplug_bench._arrays import Floats, Ints

from ._length_control import accuracy_at_no_gap, controlled_columns, fitted
from ._scored import Scored

Mask = npt.NDArray[np.bool_]
BLOCK_PAIRS = 1 << 16
"""Pairs whose columns are held at a time."""


@dataclass(frozen=True)
class SharedColumns:
    """Columns shared by all models: the lengths of both responses in characters, the scaled gaps of
    ``_length_control.gaps``, and each baseline's preference for the chosen response (0 to 1)."""

    chosen_length: Floats
    rejected_length: Floats
    gaps: Floats
    baselines: Mapping[str, Floats]

    @property
    def length_gap(self) -> Floats:
        return self.chosen_length - self.rejected_length


def baseline_sums(preferred: Floats, name: str, units: Ints) -> dict[str, Floats]:
    """Compute sums by unit of a baseline with these preferences."""
    columns = {"n": np.ones(len(preferred)), "right": preferred}
    if name != "random":
        columns["ties"] = is_true(preferred == 0.5)
    return {name: _by_unit(units, column) for name, column in columns.items()}


def model_sums(one: Scored, beside: SharedColumns, rows: Ints, units: Ints) -> dict[str, Floats]:
    """Compute sums by unit of a model on some pairs, some thousand pairs at a time."""
    margin = one.margin[rows]
    finite = np.isfinite(margin)
    preferred = right(np.where(finite, margin, 0.0)) * finite
    theta = fitted(preferred, beside.gaps[rows], is_true(finite))
    centre = _mean(beside.length_gap[rows], finite), _mean(margin, finite)
    number = int(units.max(initial=-1)) + 1
    sums: dict[str, Floats] = {}
    for start in range(0, max(len(rows), 1), BLOCK_PAIRS):
        part = slice(start, start + BLOCK_PAIRS)
        for name, column in _columns(one, beside, rows[part], theta, centre).items():
            total = _by_unit(units[part], column, number)
            sums[name] = sums[name] + total if name in sums else total
    return sums


def _columns(
    one: Scored, beside: SharedColumns, rows: Ints, theta: Floats, centre: tuple[float, float]
) -> dict[str, Floats]:
    """Return columns with a number for each pair; one without a margin adds nothing to any sum."""
    margins = one.margin[rows]
    finite = np.isfinite(margins)
    margin = np.where(finite, margins, 0.0)
    gap = beside.chosen_length[rows] - beside.rejected_length[rows]
    preferred = right(margin)
    decided = finite & (margin != 0) & (gap != 0)
    columns = {
        "n": is_true(finite),
        "right": preferred,
        "ties": is_true(margin == 0),
        "loss": np.logaddexp(0.0, -margin),
        "margin": margin,
        "apart": is_true(decided),
        "longer": is_true(decided & ((margin > 0) == (gap > 0))),
        "long-n": is_true(gap > 0),
        "long-right": preferred * (gap > 0),
        "short-n": is_true(gap < 0),
        "short-right": preferred * (gap < 0),
        **_moments(gap - centre[0], margin - centre[1]),
        **{f"right-{n}": p[rows] for n, p in beside.baselines.items() if n != "random"},
    }
    kept = {name: np.where(finite, column, 0.0) for name, column in columns.items()}
    return kept | controlled_columns(kept["right"], beside.gaps[rows], kept["n"], theta)


def is_true(mask: Mask) -> Floats:
    return mask.astype(np.float64)


def _by_unit(units: Ints, column: Floats, number: int = 0) -> Floats:
    """Sum a column by unit, for at least ``number`` units."""
    return np.asarray(np.bincount(units, column, minlength=number), dtype=np.float64)


def _mean(values: Floats, finite: Mask) -> float:
    return float(values[finite].mean()) if finite.any() else 0.0


def _moments(x: Floats, y: Floats) -> dict[str, Floats]:
    """Return the moments of centred numbers, so that sums of squares lose no digits."""
    return {"x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}


def statistics(sums: Sums) -> dict[str, Floats]:
    """Compute every statistic that is a function of sums, for one set of sums or many resamples."""
    n = sums["n"]
    with np.errstate(divide="ignore", invalid="ignore"):
        figures = {"accuracy": sums["right"] / n}
        if "ties" in sums:
            figures["ties"] = sums["ties"] / n
        if "loss" not in sums:
            return figures
        variance = sums["yy"] / n - (sums["y"] / n) ** 2
        covariance = sums["xy"] / n - sums["x"] * sums["y"] / n**2
        spread = sums["xx"] / n - (sums["x"] / n) ** 2
        product = np.sqrt(np.maximum(variance, 0) * np.maximum(spread, 0))
        figures |= {
            "log-loss": sums["loss"] / n,
            "margin-mean": sums["margin"] / n,
            "margin-sd": np.sqrt(np.maximum(variance, 0)),
            "prefers-longer": sums["longer"] / sums["apart"],
            "accuracy-longer-chosen": sums["long-right"] / sums["long-n"],
            "accuracy-shorter-chosen": sums["short-right"] / sums["short-n"],
            "length-controlled-accuracy": accuracy_at_no_gap(sums),
            "margin-length-pearson": np.where(product > 1e-12, covariance / product, np.nan),
        }
        for name in sums:
            if name.startswith("right-"):
                over = (sums["right"] - sums[name]) / n
                figures[f"accuracy-over-{name.removeprefix('right-')}"] = over
    return figures


COUNTED = {
    "prefers-longer": "apart",
    "accuracy-longer-chosen": "long-n",
    "accuracy-shorter-chosen": "short-n",
}
"""The column that counts the pairs behind a statistic, where not all count."""
SHARES = ("accuracy", "ties", "length-controlled-accuracy", *COUNTED)
