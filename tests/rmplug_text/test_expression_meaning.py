"""What random expressions mean, against plain Python over the rows one by one."""

from __future__ import annotations

import functools
import itertools
import math
import operator

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from rmplug_text._expression import mask

NUMBERS = [None, float("nan"), -3.0, 0.0, 0.5, 2.0]
TEXTS = [None, "", "a", "A b", "é\n'\""]
TRUTHS = [None, True, False]
ROWS = list(itertools.product(NUMBERS, [None, -1.0, 2.0], TEXTS, TRUTHS))
EVERY = pa.table(
    dict(zip(("n", "of m", "t", "made.good"), map(list, zip(*ROWS, strict=True)), strict=True))
)
COLUMNS = {
    "number": [("n", 0), ('col("of m")', 1)],
    "text": [("t", 2)],
    "truth": [("made.good", 3), ("col('made.good')", 3)],
}
SIGNS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def lift(function):
    """A function of values that is null where one of them is."""
    return lambda *values: None if None in values else function(*values)


def divide(a, b):
    if b == 0:
        return (
            math.nan
            if a == 0 or math.isnan(a)
            else math.copysign(math.inf, a) * math.copysign(1, b)
        )
    return a / b


def remainder(a, b):
    whole = divide(a, b)
    return a - (math.floor(whole) if math.isfinite(whole) else whole) * b


def both(a, b):
    return False if a is False or b is False else None if a is None or b is None else True


def either(a, b):
    return negate(both(negate(a), negate(b)))


negate = lift(operator.not_)
ARITHMETIC = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": divide,
    "%": remainder,
}


@st.composite
def expressions(draw, kind="truth", depth=3):
    """The text of an expression of this kind, and what it is for one row."""
    forms = LEAVES[kind] if depth == 0 else [*LEAVES[kind], *FORMS[kind]]
    return draw(st.sampled_from(forms))(draw, depth - 1)


def column(kind):
    def form(draw, depth):
        name, index = draw(st.sampled_from(COLUMNS[kind]))
        return name, lambda row: row[index]

    return form


def literal(written):
    def form(draw, depth):
        text, value = draw(st.sampled_from(written))
        return text, lambda row: value

    return form


def calling(text, function, *kinds):
    def form(draw, depth):
        parts = [draw(expressions(kind, depth)) for kind in kinds]
        written = text.format(*(f"({part})" for part, _ in parts))
        return written, lambda row: lift(function)(*(value(row) for _, value in parts))

    return form


def joining(function, text, kind):
    def form(draw, depth):
        (first, one), (second, other) = (draw(expressions(kind, depth)) for _ in range(2))
        return f"({first}) {text} ({second})", lambda row: function(one(row), other(row))

    return form


def chained(draw, depth):
    kind = draw(st.sampled_from(["number", "text", "truth"]))
    parts = [draw(expressions(kind, depth)) for _ in range(draw(st.integers(2, 3)))]
    signs = draw(st.lists(st.sampled_from([*SIGNS]), min_size=2, max_size=2))[: len(parts) - 1]
    text = f"({parts[0][0]})" + "".join(
        f" {sign} ({part})" for sign, (part, _) in zip(signs, parts[1:], strict=True)
    )

    def value(row):
        values = [part(row) for _, part in parts]
        each = zip(signs, values[:-1], values[1:], strict=True)
        return functools.reduce(both, (lift(SIGNS[sign])(a, b) for sign, a, b in each))

    return text, value


def listed(draw, depth):
    text, value = draw(expressions("text", depth))
    items = draw(st.lists(st.sampled_from(["", "a", "é\n'\""]), min_size=1))
    negated = draw(st.booleans())
    written = f"({text}) {'not in' if negated else 'in'} [{', '.join(map(repr, items))}]"
    return written, lambda row: lift(lambda text: (text in items) is not negated)(value(row))


def missing(draw, depth):
    text, value = draw(expressions(draw(st.sampled_from(["number", "text", "truth"])), depth))
    negated = draw(st.booleans())
    written = f"({text}) is {'not ' if negated else ''}null"
    return written, lambda row: (value(row) is None or value(row) != value(row)) is not negated


LEAVES = {
    "number": [column("number"), literal([("1", 1.0), (".5", 0.5), ("2e0", 2.0), ("-3", -3.0)])],
    "text": [column("text"), literal([("'a'", "a"), ('"A"', "A"), ("'\\n'", "\n")])],
    "truth": [column("truth"), literal([("true", True), ("false", False)])],
}
FORMS = {
    "number": [
        *(joining(lift(function), sign, "number") for sign, function in ARITHMETIC.items()),
        calling("-{}", operator.neg, "number"),
        calling("len({})", len, "text"),
        calling("words({})", lambda text: len(text.split()), "text"),
    ],
    "text": [calling("lower({})", str.lower, "text")],
    "truth": [
        joining(both, "and", "truth"),
        joining(either, "or", "truth"),
        calling("not {}", operator.not_, "truth"),
        calling("contains({}, 'a')", lambda text: "a" in text, "text"),
        calling("startswith({}, 'A')", lambda text: text.startswith("A"), "text"),
        *(chained, listed, missing),
    ],
}


@settings(max_examples=300, deadline=None)
@given(expressions())
def test_an_expression_means_what_plain_python_makes_of_every_row(expression):
    where, value = expression
    assert mask(where, EVERY).to_pylist() == [value(row) is True for row in ROWS]
