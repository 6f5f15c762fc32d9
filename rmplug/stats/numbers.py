"""Numbers with their intervals, as a person reads them, and found by their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from rmplug.errors import closest, some

from .interval_texts import MINUS, decimals, interval_text, number_text

BETWEEN = " / "
"""What stands between the parts of a name: step, what it is of, metric, subset."""
SEPARATOR = re.compile(r"\s*[./]\s*")
"""What stands between the parts of a name as a person may write it: ``test.ngram.accuracy``."""
AT = "at "
OF_THEME = "theme-"
"""What the name of a metric begins with that says the same of a whole theme as the metric without
it says of one change: ``theme-effect`` is found as ``effect``, too."""
LABELS = (
    "item",
    "round",
    "model",
    "other",
    "finding",
    "theme",
    "perturbation",
    "place",
    "row",
    "column",
)
"""The columns of metrics that say of what they are; without one of them, several numbers would have
one name."""
MOST_WHOLE = 10**9
"""The size up to which a whole number is written with all its digits."""


@dataclass(frozen=True)
class Number:
    """A number that a step has measured; ``low`` and ``high`` bound its 95 % interval, ``n`` counts
    what it was measured on. None where there is none. ``baseline`` says whether it is of a baseline
    that stands beside models."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    baseline: bool = False

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Number:
        """Make a number of a row of ``Metrics``; what is no number there counts as missing."""
        value, low, high = (_float(row.get(name)) for name in ("value", "low", "high"))
        n = row.get("n")
        return cls(
            value, low, high, n if isinstance(n, int) else None, row.get("kind") == "baseline"
        )

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
    parts of it in any order: ``numbers["accuracy", "ngram"]`` or ``numbers["accuracy.ngram"]``. Of
    several with these parts, the one is meant whose metric is named, that of all rows, that of a
    whole theme, and that of the only model beside its baselines."""

    def __init__(self, numbers: Mapping[str, Number]) -> None:
        self._numbers = dict(numbers)

    def __getitem__(self, name: str | tuple[str, ...]) -> Number:
        return self._numbers[self.full_name(name)]

    def full_name(self, name: str | tuple[str, ...]) -> str:
        """Return the whole name of the number that is meant by some parts of it.

        Raises ``KeyError`` with a sentence where several numbers have these parts, or none."""
        if isinstance(name, str) and name in self._numbers:
            return name
        parts = (name,) if isinstance(name, str) else name
        found = self._having(parts)
        found = [full for full in found if not self._numbers[full].baseline] or found
        if len(found) == 1:
            return found[0]
        wanted = BETWEEN.join(parts)
        if found:
            raise KeyError(
                f"{len(found)} numbers are called {wanted!r}: {some(found, 6, '; ')}; write more "
                f"of the name, such as {self._longer(found[0], parts)!r}"
            )
        raise KeyError(f"no number {wanted!r}{self._hint(parts)}")

    def baselines_beside(self, name: str) -> list[str]:
        """Return the whole names of the numbers of baselines that have these parts, too, where that
        of a model is meant."""
        meant = self.full_name(name)
        beside = [] if name in self._numbers else self._having((name,))
        return [full for full in beside if full != meant and not self._numbers[meant].baseline]

    def _longer(self, full: str, parts: Sequence[str]) -> str:
        """Return parts of a name by which it alone is found: these and one more of its words where
        that is enough."""
        longer = (".".join((word, *parts)) for word in full.split(BETWEEN))
        return next((name for name in longer if self._having((name,)) == [full]), full)

    def _having(self, parts: Sequence[str]) -> list[str]:
        """Return the names with these parts, of several those that are meant first of all."""
        named = {full: _words(full, parts) for full in self._numbers}
        found = [full for full, words in named.items() if words is not None]
        # a part that is one word of a name is not also the words between its dots
        found = [full for full in found if set(parts) <= _known(full)] or found
        found = [full for full in found if _metrics(full) & (named[full] or set())] or found
        found = [full for full in found if full.endswith(f"{BETWEEN}all")] or found
        return [full for full in found if _metric(full).startswith(OF_THEME)] or found

    def _hint(self, parts: Sequence[str]) -> str:
        """Say which part no number has and what was meant, or what numbers have one of the
        parts."""
        known = {word: None for full in self._numbers for word in _known(full)}
        pieces = [piece for part in parts for piece in SEPARATOR.split(part.strip())]
        for piece in pieces:
            inside = (word for word in known if piece in SEPARATOR.split(word))
            if piece not in known and (meant := next(inside, "") or closest(piece, known)):
                which = f": {piece!r} is no part of any" if len(pieces) > 1 else ""
                return f"{which}; did you mean {meant!r}?"
        near = [full for full in self._numbers if _known(full) & set(pieces)]
        return f"; there are {some(near or self._numbers, 6, '; ')}" if self._numbers else ""

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
    return [str(row[name]) for name in LABELS if row.get(name) not in (None, "")]


def point_of(row: Mapping[str, Any]) -> str:
    """Return the place of a number on a curve, such as ``at 0.5``, in a training ``at step 40``,
    and of a change that is made twice ``at dose 2``; empty where it is on none, as without a change
    (dose 0)."""
    for name, word in (("at", ""), ("step", "step "), ("dose", "dose ")):
        place = _float(row.get(name))
        if place is not None and (place or name != "dose"):
            return f"{AT}{word}{place:g}"
    return ""


def _words(full: str, parts: Sequence[str]) -> set[str] | None:
    """Return the words of a name that parts of it, as a person writes them, consist of; None where
    one holds anything else."""
    known = _known(full)
    found: set[str] = set()
    for part in parts:
        words = _split(part.strip(), known)
        if words is None:
            return None
        found |= words
    return found


def _split(text: str, known: set[str]) -> set[str] | None:
    """Return the words between the dots and slashes of a text, where all are known: a word may hold
    dots and slashes itself, as ``folds.minilm`` and ``at 0.5`` do."""
    if text in known:
        return {text}
    for between in SEPARATOR.finditer(text):
        if text[: between.start()] in known:
            rest = _split(text[between.end() :], known)
            if rest is not None:
                return {text[: between.start()], *rest}
    return None


def _known(full: str) -> set[str]:
    """Return the words by which a number is found: those of its name, and its metric's."""
    return {*full.split(BETWEEN), *_metrics(full)}


def _metrics(full: str) -> set[str]:
    """Return the metric in a name, that of a theme also without its beginning."""
    return {_metric(full), _metric(full).removeprefix(OF_THEME)}


def _metric(full: str) -> str:
    """Return the metric in a name: before the subset, and the place on a curve."""
    words = full.split(BETWEEN)[:-1]
    return words[-2] if len(words) > 1 and words[-1].startswith(AT) else words[-1]


def _float(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known and value == value else None
