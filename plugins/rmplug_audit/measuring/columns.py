"""The columns of metrics about counterfactual tables."""

from __future__ import annotations

from collections.abc import Iterator

from rmplug import Known
from rmplug_audit.counterfactual_columns import COLUMNS

USUAL = ("metric", "subset", "value", "low", "high", "n", "model")
CHANGE = ("perturbation", "theme", "dose", "intention")
TESTED = ("p", "q", "power", "detectable", "verdict")
EFFECTS = (*USUAL, *CHANGE, *TESTED, "length_alone", "member")
EFFECT_METRICS = (
    *("unit", "missing", "effect", "effect_good", "effect_bad", "beyond_length", "dose_slope"),
    *("theme_effect", "raised", "flipped", "flipped_good", "accuracy", "accuracy_changed"),
    *("accuracy_good_changed", "accuracy_both_changed", "accuracy_worst", "accuracy_worst_subset"),
)

RETEST = (*USUAL, "other", *CHANGE, *TESTED, "targeted")
RETEST_METRICS = (
    *("effect_before", "effect_after", "effect_change", "remaining", "effects_up"),
    *("accuracy_before", "accuracy_after", "accuracy_change"),
)


def no_copies(data: Known) -> Iterator[tuple[str, str]]:
    """Yield ``data`` and a message where a column of counterfactual tables is known to be
    missing."""
    lacking = next(filter(None, map(data.lacks, COLUMNS)), None)
    if lacking:
        yield "data", f"{lacking}; give what the kinds 'perturb' or 'variants' give"
