"""Measures against which rewards of texts can be debiased: attributes, and response length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rmplug import Known

CHARACTERS = ".characters"
"""The ending of the names of measures that can be taken of a text that is scored."""


def untaken(heads: Known, debias: Sequence[Known]) -> Iterator[tuple[str, str]]:
    """List the measures of a debiasing that a gate over these heads cannot have."""
    for fit in debias:
        attributes = heads.outputs or fit.outputs
        step = fit.made_by
        if attributes is None or getattr(step, "kind", "") != "debias":
            continue
        for name in step.against:
            if name not in attributes and not name.endswith(CHARACTERS):
                yield (
                    "debias",
                    f"{fit.step} debiases against {name}, which cannot be taken of a text that "
                    "is scored; debias against attributes or the length of the response "
                    "(…characters)",
                )
