"""The summary of a gate as Markdown, in which no name of data or steps acts as markup."""

from __future__ import annotations

import re

from rmplug.errors import printable

from .gate_rules import Gate, Judged

HEADS = ("verdict", "fails if", "number", "value (95 % CI)", "n", "reason")
MOST_CHARACTERS = 600
"""Characters of a text that are shown: a name may be as long as a stranger likes."""


def summary_of(gate: Gate) -> str:
    """Write a gate as a section of Markdown: the outcome, and a table of the rules."""
    lines = [HEADS, ("---",) * len(HEADS), *(_line(gate, one) for one in gate.rules)]
    parts = [
        f"## rmplug gate {'passed' if gate.passed else 'failed'}",
        f"Run {_code(gate.run)} of {_code(gate.spec)}, seed {gate.seed}: {gate.counts}.",
        _code(gate.problem),
        "\n".join(f"| {' | '.join(line)} |" for line in lines),
        *map(_code, gate.notes),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _line(gate: Gate, one: Judged) -> tuple[str, ...]:
    verdict: str = one.verdict if one.verdict != "failed" else "**failed**"
    if one.verdict == "cannot tell":
        verdict += ", passes" if gate.passes(one) else ", **fails**"
    number = one.number
    return (
        verdict,
        _code(one.rule.text),
        _code(one.name),
        one.brief if one.name else "",
        "" if number.n is None else f"{number.n:,}",
        _code(one.reason),
    )


def _code(text: str) -> str:
    """Write a text as code, in which nothing is markup, on one line; a bar would end the cell."""
    line = printable(" ".join(text.split()))
    if not line:
        return ""
    cut = line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 1]}…"
    fence = "`" * (1 + max(map(len, re.findall("`+", cut)), default=0))
    padded = f" {cut} " if "`" in cut else cut
    return f"{fence}{padded}{fence}".replace("|", r"\|")
