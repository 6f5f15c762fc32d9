"""The fit of a calibration, with its numbers before and after on held-out pairs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from rmplug import DataError, Features, notice
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug.records import SeenRows
from rmplug.stats.calibration import calibration_error
from rmplug.stats.estimates import Estimate, mean
from rmplug.stats.folds import deal_folds
from rmplug.stats.intervals import held_out_freedom
from rmplug.stats.metric_rows import estimated, number, wins

from ._calibration_file import write_calibration
from ._calibration_forms import FITS, CalibrationForm, Slope, logistic, target_of

if TYPE_CHECKING:
    from .calibrating import Calibration

Numbers = list[dict[str, Any]]
FEWEST = 10


def refuse_seen(name: str, seen: Mapping[str, SeenRows]) -> None:
    """Refuse a reward of which a model has seen rows in its training; raises DataError."""
    for reward, rows in seen.items():
        if rows.seen:
            raise DataError(
                f"{rows.seen:,} of {rows.rows:,} margins of {reward or name} are in-sample: the "
                "model was trained on the pair or its prompt, so they are too large; calibrate on "
                "pairs that it has not seen (split), or set in_sample: keep"
            )


def calibrate(step: Calibration, reward: Features, seed: int, directory: Path) -> Numbers:
    """Fit on all margins, write the fit to ``directory``, and return the held-out numbers."""
    column = _column_of(reward, step.by)
    margin, groups = _read(reward, column)
    folds = min(step.folds, int(groups.max(initial=-1)) + 1)
    if len(margin) < FEWEST or folds < 2:
        raise DataError(
            f"calibration needs {FEWEST} pairs of 2 groups (prompts) at least, {reward.name} has "
            f"{len(margin)} of {folds}; give more pairs"
        )
    fit = FITS[step.form]
    fold = deal_folds(groups, folds, seed)
    after = np.empty(len(margin))
    # One thread: sums of floats depend on how they are shared out between threads.
    with threadpool_limits(1):
        for k in range(folds):
            after[fold == k] = fit(margin[fold != k]).margins(margin[fold == k])
        form = fit(margin)
    write_calibration(directory, form, column)
    target = target_of(margin) if step.form == "platt" else 1.0
    return [
        *_held_out(margin, after, groups, folds, seed),
        *_of_form(form, margin, target, groups, reward.name),
        number("folds", folds, len(margin)),
        number("groups", int(groups.max()) + 1, len(margin)),
    ]


def _column_of(reward: Features, by: str) -> str:
    names = reward.values
    if by not in names and len(names) != 1:
        raise DataError(f"{reward.name} has no column {by!r}; it has {some(names, 12)}")
    return by if by in names else names[0]


def _read(reward: Features, column: str) -> tuple[Array, Array]:
    """Return finite margins and the number of each one's group; others are counted."""
    table = reward.table
    margin = np.asarray(table[column].to_numpy(), dtype=np.float64)
    finite = np.isfinite(margin)
    notice("no finite margin", table["id"].filter(pa.array(~finite)).to_pylist(), "dropped")
    names = table["group" if "group" in table.column_names else "id"].to_numpy()
    return margin[finite], np.unique(names[finite].astype(str), return_inverse=True)[1]


def _held_out(before: Array, after: Array, groups: Array, folds: int, seed: int) -> Numbers:
    """Return the numbers of margins before the calibration and after it, and their changes."""
    freedom = held_out_freedom(int(groups.max()) + 1, folds)
    rows: Numbers = []
    for when, margin in (("before", before), ("after", after)):
        estimates = {
            f"log-loss-{when}": mean(_log_losses(margin), "positive"),
            f"brier-{when}": mean(_squares(margin), "positive"),
            f"accuracy-{when}": mean(wins(margin), "share"),
        }
        rows += estimated(estimates, groups, freedom if when == "after" else None)
        error = calibration_error(margin, groups, seed)
        rows.append(number(f"ece-{when}", error.debiased, len(margin), *error.bounds))
    changes = {
        "log-loss-change": mean(_log_losses(after) - _log_losses(before)),
        "brier-change": mean(_squares(after) - _squares(before)),
    }
    return rows + estimated(changes, groups, freedom)


def _log_losses(margin: Array) -> Array:
    return np.asarray(np.logaddexp(0.0, -margin))


def _squares(margin: Array) -> Array:
    return np.asarray(logistic(-margin) ** 2)


def _of_form(
    form: CalibrationForm, margin: Array, target: float, groups: Array, name: str
) -> Numbers:
    """Return the slope and the temperature with the intervals of a maximum likelihood estimate
    whose rows are grouped (the sandwich estimator)."""
    if not isinstance(form, Slope):
        return []
    if form.slope <= 0:
        notice("the slope is not above 0: the reward prefers rejected", [name], of="rewards")
    chance = logistic(form.slope * margin)
    bend = float(np.mean(margin**2 * chance * (1 - chance)))
    if not bend > 0:
        return [number("slope", form.slope, len(margin))]
    influence = -margin * (chance - target) / bend
    estimates = {"slope": Estimate(form.slope, influence, "plain")}
    if form.slope > 0:
        turned = -influence / form.slope**2
        estimates["temperature"] = Estimate(1 / form.slope, turned, "positive")
    return estimated(estimates, groups)
