"""The rules of a gate: read by a small grammar, never evaluated, judged by intervals; and what
they say together."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Literal

from rmplug.errors import RmplugError, shown
from rmplug.stats.interval_texts import MINUS, interval_text
from rmplug.stats.numbers import Number

Verdict = Literal["passed", "failed", "cannot tell"]

_RULE = re.compile(
    rf"\s*(?P<name>.*\S)\s*(?P<sign>[<>]=?)\s*"
    rf"(?P<limit>[-+{MINUS}]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?)\s*",
    re.IGNORECASE | re.DOTALL,
)
_HALF = re.compile("[\ud800-\udfff]")
"""What Python makes of bytes on a command line that are no text."""
_HOLDS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_WORDS = {">": "above", ">=": "at or above", "<": "below", "<=": "at or below"}


@dataclass(frozen=True)
class Rule:
    """A condition under which a gate fails: ``accuracy < 0.7``."""

    text: str
    """The rule as it was written."""
    name: str
    """What is on its left: parts of the name of a number."""
    sign: str
    limit: float

    @classmethod
    def read(cls, text: str) -> Rule:
        """Read ``NAME > NUMBER``, with ``>``, ``>=``, ``<`` or ``<=``; what stands before the last
        of these signs is the name.

        Raises ``RmplugError`` for anything else."""
        found = _RULE.fullmatch(text)
        limit = float(found["limit"].replace(MINUS, "-")) if found else inf
        # a limit such as 1e999 would pass or fail all; half a character cannot be written anywhere
        if found is None or not isfinite(limit) or _HALF.search(text):
            raise RmplugError(
                f"--fail-on {shown(text)}: a rule is the name of a number, one of > >= < <=, and a "
                "plain number, such as 'accuracy < 0.7'"
            )
        return cls(" ".join(text.split()), found["name"], found["sign"], limit)

    def judge(self, number: Number) -> tuple[Verdict, str]:
        """Return the verdict on a number, and its reason.

        The rule fails where it holds in the whole 95 % interval, passes where it holds nowhere in
        it, and cannot tell in between. An end that is missing may be anywhere; without both ends
        the value decides. A number without a value fails: it was to be measured and was not."""
        side = f"{_WORDS[self.sign]} {self.limit:g}".replace("-", MINUS)
        if number.value is None:
            return "failed", "it has no value (missing, or NaN)"
        if number.low is None and number.high is None:
            alone = "judged by its value alone, as it has no interval"
            if self._holds(number.value):
                return "failed", f"it is {side}; {alone}"
            return "passed", f"it is not {side}; {alone}"
        low = -inf if number.low is None else number.low
        high = inf if number.high is None else number.high
        inside = {self._holds(low), self._holds(high)}
        if inside == {True}:
            return "failed", f"its whole interval is {side}"
        if inside == {False}:
            return "passed", f"no part of its interval is {side}"
        return "cannot tell", f"only a part of its interval is {side}"

    def _holds(self, value: float) -> bool:
        return _HOLDS[self.sign](value, self.limit)


@dataclass(frozen=True)
class Judged:
    """A rule with its verdict on a number of the run."""

    rule: Rule
    verdict: Verdict
    reason: str
    name: str = ""
    """The whole name of the number; empty where none was found."""
    number: Number = field(default_factory=lambda: Number(None))

    @property
    def interval(self) -> str:
        """The interval of the number, no end of which is rounded onto the limit."""
        low, high = self.number.low, self.number.high
        if low is None or high is None:
            return ""
        return interval_text(low, high, marks=(0.0, self.rule.limit))

    @property
    def brief(self) -> str:
        """The number with its interval."""
        return f"{self.number.text} ({self.interval})" if self.interval else self.number.text


@dataclass(frozen=True)
class Gate:
    """A run and what its rules say of it."""

    run: str
    spec: str
    seed: int
    status: str
    problem: str
    """The reason why the run itself does not pass; empty for one that has finished."""
    notes: Sequence[str]
    """What else a reader has to know, such as numbers on rows that a model was trained on."""
    rules: Sequence[Judged]
    unsure_passes: bool

    def passes(self, one: Judged) -> bool:
        """Check whether a rule lets the run pass."""
        return one.verdict == "passed" or (one.verdict == "cannot tell" and self.unsure_passes)

    @property
    def passed(self) -> bool:
        return not self.problem and all(map(self.passes, self.rules))

    @property
    def counts(self) -> str:
        """The rules in a few words: how many there are, have failed, and cannot tell."""
        verdicts = [one.verdict for one in self.rules]
        counts = [f"{len(verdicts)} rule{'s' * (len(verdicts) != 1)}"]
        if failed := verdicts.count("failed"):
            counts.append(f"{failed} failed")
        if unsure := verdicts.count("cannot tell"):
            taken = "passed" if self.unsure_passes else "failed"
            counts.append(f"{unsure} cannot tell (counts as {taken})")
        return ", ".join(counts)
