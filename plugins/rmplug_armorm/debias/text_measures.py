"""What rewards can be freed of where texts are scored: attributes, and the length of a response."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rmplug import Known

CHARACTERS = ".characters"
"""How the names of measures end that can be taken of a text that is scored."""


def untaken(heads: Known, debias: Sequence[Known]) -> Iterator[tuple[str, str]]:
    """Each measure of a debiasing that a gate over these heads is known not to have."""
    for known in debias:
        attributes = heads.outputs or known.outputs
        step = known.made_by
        if attributes is None or getattr(step, "kind", "") != "debias":
            continue
        for name in step.against:
            if name not in attributes and not name.endswith(CHARACTERS):
                yield (
                    "debias",
                    f"{known.step} debiases against {name}, which cannot be taken of a text that "
                    "is scored; debias against attributes or the length of the response "
                    "(…characters)",
                )
