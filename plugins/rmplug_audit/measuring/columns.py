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
    *("unit", "missing", "effect", "effect-good", "effect-bad", "beyond-length", "dose-slope"),
    *("theme-effect", "theme-fall", "raised", "flipped", "flipped-good"),
    *("accuracy", "accuracy-changed"),
    *("accuracy-good-changed", "accuracy-both-changed", "accuracy-worst", "accuracy-worst-subset"),
)

RETEST = (*USUAL, "other", *CHANGE, *TESTED, "targeted")
RETEST_METRICS = (
    *("effect-before", "effect-after", "effect-change", "remaining", "effects-up"),
    "effects-slightly-up",
    *("accuracy-before", "accuracy-after", "accuracy-change"),
)


def no_copies(data: Known) -> Iterator[tuple[str, str]]:
    """Yield ``data`` and a message where a column of counterfactual tables is known to be
    missing."""
    lacking = next(filter(None, map(data.lacks, COLUMNS)), None)
    if lacking:
        yield "data", f"{lacking}; give what the kinds 'perturb' or 'variants' give"
