"""Numbers with their intervals, as a person reads them, and found by their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from rmplug.errors import did_you_mean, some

from .interval_texts import MINUS, decimals, interval_text, number_text

BETWEEN = " / "
"""What stands between the parts of a name: step, what it is of, metric, subset."""
AT = "at "
LABELS = ("item", "round", "model", "other", "finding", "place", "row", "column")
"""The columns of metrics that say of what they are; without one of them, several numbers would have
one name."""
MOST_WHOLE = 10**9
"""The size up to which a whole number is written with all its digits."""


@dataclass(frozen=True)
class Number:
    """A number that a step has measured; ``low`` and ``high`` bound its 95 % interval, ``n`` counts
    what it was measured on. None where there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Number:
        """Make a number of a row of ``Metrics``; what is no number there counts as missing."""
        value, low, high = (_float(row.get(name)) for name in ("value", "low", "high"))
        n = row.get("n")
        return cls(value, low, high, n if isinstance(n, int) else None)

    @property
    def interval(self) -> str:
        """The 95 % interval as text, such as ``0.775–0.859``; empty where there is none."""
        return "" if self.low is None or self.high is None else interval_text(self.low, self.high)

    @property
    def text(self) -> str:
        """The value as text, with as many decimal places as its interval."""
        if self.value is None:
            return "–"
        if self.low is None or self.high is None:
            whole = self.value.is_integer() and abs(self.value) < MOST_WHOLE
            return f"{self.value:,.0f}" if whole else f"{self.value:.4g}".replace("-", MINUS)
        return number_text(self.value, max(decimals(self.low, self.high), 1))

    @property
    def brief(self) -> str:
        """The value with its interval: ``0.82 (0.77–0.86)``."""
        return f"{self.text} ({self.interval})" if self.interval else self.text

    def __str__(self) -> str:
        count = "" if self.n is None else f", n = {self.n:,}"
        return self.text + (f" (95 % CI {self.interval})" if self.interval else "") + count

    def __repr__(self) -> str:
        return f"<Number {self}>"

    def __float__(self) -> float:
        return float("nan") if self.value is None else self.value


class Numbers(Mapping[str, Number]):
    """Numbers by name: ``step / model / metric / subset``. One is found by its whole name, or by
    parts of it: ``numbers["accuracy", "ngram"]``. Of several with these parts, the one is meant
    whose metric is named, and that of all rows."""

    def __init__(self, numbers: Mapping[str, Number]) -> None:
        self._numbers = dict(numbers)

    def __getitem__(self, name: str | tuple[str, ...]) -> Number:
        if isinstance(name, str) and name in self._numbers:
            return self._numbers[name]
        parts = (name,) if isinstance(name, str) else name
        found = [full for full in self._numbers if _has(full, parts)]
        found = [full for full in found if _metric(full) in parts] or found
        found = [full for full in found if full.endswith(f"{BETWEEN}all")] or found
        if len(found) == 1:
            return self._numbers[found[0]]
        wanted = BETWEEN.join(parts)
        if found:
            raise KeyError(f"{len(found)} numbers are called {wanted!r}: {some(found, 6, '; ')}")
        raise KeyError(f"no number {wanted!r}{did_you_mean(wanted, self._numbers)}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __repr__(self) -> str:
        lines = [f"{name}: {number}" for name, number in self.items()]
        return f"<{len(self)} numbers\n{some(lines, 40, chr(10))}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{one.text}</td><td>{one.interval}</td>"
            f"<td>{'' if one.n is None else f'{one.n:,}'}</td></tr>"
            for name, one in self.items()
        )
        head = "".join(f"<th>{name}</th>" for name in ("number", "value", "95 % interval", "n"))
        return f"<table><tr>{head}</tr>{rows}</table>"


def named_numbers(step: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Number]:
    """Return rows of ``Metrics`` as numbers by name: ``step / model / metric / subset``, with more
    of ``LABELS`` after the model where there are any."""
    return {number_name(step, row): Number.of(row) for row in rows if "metric" in row}


def number_name(step: str, row: Mapping[str, Any]) -> str:
    """Return the name of a row of ``Metrics`` of a step: ``step / model / metric / subset``."""
    point = point_of(row)
    words = [step, *labels_of(row), row["metric"], *([point] if point else [])]
    return BETWEEN.join([*(str(word) for word in words), str(row.get("subset", "all"))])


def labels_of(row: Mapping[str, Any]) -> list[str]:
    """Return what a number is of, besides its metric and subset."""
    return [str(row[name]) for name in LABELS if row.get(name) is not None]


def point_of(row: Mapping[str, Any]) -> str:
    """Return the place of a number on a curve, such as ``at 0.5`` or, in a training,
    ``at step 40``; empty where it is on none."""
    for name, word in (("at", ""), ("step", "step ")):
        place = _float(row.get(name))
        if place is not None:
            return f"{AT}{word}{place:g}"
    return ""


def _has(full: str, parts: Sequence[str]) -> bool:
    words = full.split(BETWEEN)
    return all(part in words for part in parts)


def _metric(full: str) -> str:
    """Return the metric in a name: before the subset, and the place on a curve."""
    words = full.split(BETWEEN)[:-1]
    return words[-2] if len(words) > 1 and words[-1].startswith(AT) else words[-1]


def _float(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known and value == value else None
