"""What expressions over columns mean, and what is said about those that mean nothing."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rmplug import DataError
from rmplug.data.messages import as_messages
from rmplug_text._expression import COMPARISONS, FUNCTIONS, WORDS, mask

TABLE = pa.table(
    {
        "id": ["a", "b", "c", "d"],
        "n": pa.array([1, 2, None, 4], pa.int64()),
        "x": [0.5, float("nan"), 2.0, -3.0],
        "subset": ["math", "code", None, "it's"],
        "good": [True, False, None, True],
        "chosen": as_messages(pa.chunked_array([["one two", "", " x ", "ÄÖ"]]), "assistant"),
        "meta": [{"model": "m1", "k": 1}, {"model": None, "k": 2}, None, {"model": "m2", "k": 4}],
        "ratings.help": [1, 2, 3, 4],
        "rm-1.margin": [1.0, -1.0, 0.0, 2.0],
        "empty": pa.nulls(4),
        "list": [[1], [2], [3], [4]],
    }
)


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("n == 2", "b"),
        ("n != 2", "ad"),
        ("n >= 2 and x < 0", "d"),
        ("n < 2 or subset == 'code'", "ab"),
        ("not n == 2", "ad"),
        ("not (n == 2 or good)", ""),
        ("good", "ad"),
        ("not good", "b"),
        ("good == false", "b"),
        ("n is null", "c"),
        ("n is not null", "abd"),
        ("x is null", "b"),
        ("empty is null", "abcd"),
        ("empty == 1 or good", "ad"),
        ("meta is_missing or good", None),
        ("subset in ['math', \"it's\"]", "ad"),
        ("subset not in ['math']", "bd"),
        ("n in [1, 4.0, -2]", "ad"),
        ("n + 1 == 3", "b"),
        ("2 - 1 - 1 == n - n", "abd"),
        ("n * 2 + 1 > 2 * (n + 0)", "abd"),
        ("-n < -1", "bd"),
        ("n / 2 == 0.5", "a"),
        ("n % 2 == 0", "bd"),
        ("-n % 3 == 2", "ad"),
        ("1 / 0 > n", "abd"),
        ("len(chosen) == 2", "d"),
        ("words(chosen) == 1", "cd"),
        ("words(subset) == 1", "abd"),
        ("lower(chosen) == 'äö'", "d"),
        ("contains(chosen, 'e t')", "a"),
        ("contains(chosen, '.')", ""),
        ("startswith(subset, 'c')", "b"),
        ("contains(lower(id), lower('A'))", "a"),
        ("chosen == ''", "b"),
        ("meta.model == 'm1'", "a"),
        ("meta.k > 1", "bd"),
        ("ratings.help >= 3", "cd"),
        ("`rm-1.margin` > 0", "ad"),
        (r"subset == 'it\'s'", "d"),
        ("true", "abcd"),
        ("1 > 2", ""),
        ("null", ""),
        ("null is null", "abcd"),
        ("not null == 1", ""),
        ("n==1or n==2", "ab"),
    ],
)
def test_an_expression_keeps_the_rows_it_is_true_for(where, kept):
    if kept is None:
        with pytest.raises(DataError, match="and, or, or the end is expected, not 'is_missing'"):
            mask(where, TABLE)
    else:
        assert "".join(TABLE["id"].filter(mask(where, TABLE)).to_pylist()) == kept


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("", "1: the expression is empty; write one such as len(chosen) > 200"),
        ("n >", "4: a column, a number, a text or '(' is expected, not the end"),
        ("n = 2", "3: '=' has no meaning here; write == for equality"),
        ("n > 1 $", "7: '$' has no meaning here"),
        ("subset == 'math", "11: the ' is not closed"),
        ("(n > 1", "7: ')' is expected, not the end"),
        ("n > 1)", "6: and, or, or the end is expected, not ')'"),
        ("1 < n < 3", "7: one comparison at a time (join two with and) is expected, not '<'"),
        ("subset in 'math'", "11: '[' is expected, not \"'math'\""),
        ("subset in [n]", "12: a list holds numbers, texts, true or false"),
        ("n in [-'a']", "7: '-' needs a number"),
        ("n is 3", "6: 'null' is expected, not '3'"),
        ("and", "1: a value is expected before 'and'"),
        (
            "length(chosen) > 1",
            "1: no function 'length'; did you mean 'len'?; there are len, words",
        ),
        ("word(chosen) > 1", "1: no function 'word'; did you mean 'words'?; there are len"),
        ("len(chosen, n) > 1", "1: len takes 1 value(s), not 2"),
        ("contains(id, subset)", "1: the second value of contains must be a text in quotes"),
        ("subst == 'a'", "1: no column 'subst'; did you mean 'subset'?; there are id, n, x"),
        ("meta.modl == 'a'", "1: no column 'meta.modl'"),
        ("list == 1", "1: column 'list' is list<item: int64>; numbers, texts"),
        ("n == 'a'", "3: a number cannot be compared with a text"),
        ("subset in ['a', 1]", "17: a text cannot be compared with a number"),
        ("n and good", "3: 'and' needs a truth, not a number"),
        ("subset + 1 > 0", "8: '+' needs a number, not a text"),
        ("len(n) > 0", "1: 'len' needs a text, not a number"),
        ("n + 1", "3: the whole is a number; compare it with something, such as > 0"),
        ("not " * 30 + "good", "101: nested more than 25 deep; write it simpler"),
        ("n == 1\ud800", "7: '\\ud800' has no meaning here"),
        ("id == '\ud800'", "7: the text holds half of a surrogate pair, which is no character"),
    ],
)
def test_what_is_wrong_is_said_with_its_position(where, message):
    with pytest.raises(DataError) as error:
        mask(where, TABLE)
    assert str(error.value).startswith(f"where, at position {message}")


def test_no_rows_give_an_empty_mask():
    for where in ("n > 1", "true", "meta.k == 1", "words(chosen) > 1"):
        assert len(mask(where, TABLE.slice(0, 0))) == 0


def test_a_thousand_alternatives_are_fine():
    where = " or ".join(f"n == {number}" for number in range(1000))
    assert mask(where, TABLE).to_pylist() == [True, True, False, True]


atoms = st.sampled_from(
    [
        *(*TABLE.column_names, *COMPARISONS, *FUNCTIONS, *WORDS, *"()[],+-*/%`'\".="),
        *("1", "2.5", "1e999", "'a'", "meta.k", "`rm-1.margin`", "len(chosen)", "[1, 2]", "é"),
    ]
)


@settings(max_examples=1500, deadline=None)
@given(st.lists(atoms, max_size=12).map(" ".join) | st.text(max_size=20))
@example("(" * 10_000)
@example("-" * 10_000)
@example("len(" * 10_000)
@example("1" * 10_000 + " > n")
@example("\x00")
def test_any_text_is_an_error_with_a_position_or_a_mask(where):
    try:
        found = mask(where, TABLE)
    except DataError as error:
        assert str(error).startswith("where, at position ")
    else:
        assert found.type == pa.bool_()
        assert len(found) == 4
        assert found.null_count == 0
