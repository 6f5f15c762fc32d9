"""What expressions over columns mean, and what is said about those that mean nothing."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rmplug import DataError
from rmplug.data.messages import as_messages
from rmplug_text._expression import COMPARISONS, mask
from rmplug_text._expression_syntax import CONSTANTS, FUNCTIONS, parse
from rmplug_text._expression_text import TOO_DEEP, WORDS

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
        ('col("rm-1.margin") > 0', "ad"),
        ("col('meta.k') > 1", "bd"),
        ("col('n') == 2", "b"),
        ("1 < n < 3", "b"),
        ("0 < n <= 2 != x", "ab"),
        ("not 1 < n < 3", "ad"),
        ("1 < null < 3 or good", "ad"),
        ("  n\n  >= 2\tand\u00a0good", "d"),
        ("subset == 'co\\x64e'", "b"),
        ("n < 99999999999999999999999999", "abd"),
        ("n < " + "9" * 400, "abd"),
        ("x < 1e999", "acd"),
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
        ("1 < n in [2]", "1: in and is stand alone; join two comparisons with and"),
        ("n is null is null", "1: in and is stand alone; join two comparisons with and"),
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
        (r"id == '\ud800'", "7: the text holds half of a surrogate pair, which is no character"),
        ("  é > 'ä' zz", "11: and, or, or the end is expected, not 'zz'"),
        ("n > 1 AND good", "7: and, or, or the end is expected, not 'AND'; write and"),
        ("n in [1, 2", "11: ']' is expected, not the end"),
        ("(n]", "3: ')' is expected, not ']'"),
        ("n in [1 2]", "7: two values stand side by side; write and, or, a sign or a comma"),
        ("n in []", "6: '[]' has no meaning here; a list stands after in, and is not empty"),
        ("n in (1, 2)", "6: '[' is expected, not '(1, 2)'"),
        ("n in [null]", "7: a list holds numbers, texts, true or false"),
        (
            "`rm-1.margin` > 0",
            '1: names are not written between backquotes any more; write col("rm-1.margin")',
        ),
        ("`subset` == 'a'", "1: names are not written between backquotes any more; write subset"),
        (
            "rm-1.margin > 0",
            "5: this is no number; a column with such a name is written as in col(",
        ),
        (
            "class == 1",
            "1: 'class' is no plain name to Python; write col(\"class\") for the column",
        ),
        ("meta.0 == 1", "1: 'meta.0' is no plain name to Python; write col(\"meta.0\") for the"),
        ("ﬁ == 1", "1: 'ﬁ' is no plain name to Python; write col(\"ﬁ\") for the column"),
        ("n == None", "6: 'None' is no plain name to Python; write null"),
        ("True", "1: 'True' is no plain name to Python; write true"),
        (
            "rm > 1",
            "1: no column 'rm'; there are id, n, x, subset, good, chosen, meta, ratings.help, "
            'col("rm-1.margin"), empty, list',
        ),
        ("col(n) > 1", '1: col takes the name of a column in quotes, such as col("a b")'),
        ("n.__class__.__mro__ == 1", "1: no column 'n.__class__.__mro__'; there are id"),
        ("col('nn') > 1", "1: no column 'nn'"),
        (
            "meta['k'] > 1",
            "1: \"meta['k']\" has no meaning here; write a field of a column as meta",
        ),
        ("subset == 'a' 'b'", "11: \"'a' 'b'\" has no meaning here; write one number such as 0.5"),
        (
            r"subset == 'a\d'",
            "11: a backslash in this text means nothing; write \\\\ for a backslash",
        ),
        ("subset == 'a\nb'", r"11: the text holds a line break; write it as \n"),
        ("n > 1 # good", "7: '#' has no meaning here"),
        ("n > 1 & good", "7: '&' has no meaning here; write and"),
        ("n <> 1", "3: '<>' has no meaning here; write !="),
        ("+n > 1", "1: '+n' has no meaning here"),
        ("n ** 2 > 1", "3: '**' has no meaning here"),
    ],
)
def test_what_is_wrong_is_said_with_its_position(where, message):
    with pytest.raises(DataError) as error:
        mask(where, TABLE)
    assert str(error.value).startswith(f"where, at position {message}")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("__import__('os').system('true')", "17: '.' has no meaning here; write a column as meta"),
        ("__import__('os')", "1: no function '__import__'; there are len, words"),
        ("eval('1')", "1: no function 'eval'; there are len, words"),
        ("id.upper() == 'A'", "1: no function 'id.upper'; there are len, words"),
        ("lambda: n", "1: 'lambda' is no plain name to Python"),
        ("(n := 3)", "4: ':' has no meaning here"),
        ("[n for n in x]", "4: 'for' is no plain name to Python"),
        ("good if n else good", "6: 'if' is no plain name to Python"),
        ("(yield)", "2: 'yield' is no plain name to Python"),
        ("{1: 2}", "1: '{' has no meaning here"),
        ("f'{n}' == 'a'", "1: \"f'{n}'\" has no meaning here; write one number"),
        ("b'a' == 'a'", "1: \"b'a'\" has no meaning here; write one number"),
        ("1j > n", "1: '1j' has no meaning here; write one number"),
        ("0x10 > n", "1: '0x10' has no meaning here; write one number"),
        ("... == n", "1: '.' has no meaning here"),
        ("len(*n) > 1", "5: '*n' has no meaning here"),
        ("len(**n) > 1", "5: '**' has no meaning here"),
        ("len(c=n) > 1", "6: '=' has no meaning here"),
        ("n, good", "1: 'n, good' has no meaning here"),
        ("n << 2 > 1", "3: '<<' has no meaning here"),
        ("n == 1\x00", "7: '\\x00' has no meaning here"),
        ("(" * 100_000, "26: nested more than 25 deep"),
        ("[" * 100_000, "26: nested more than 25 deep"),
        ("len(" * 25_000, "104: nested more than 25 deep"),
        ("-" * 50_000, "26: nested more than 25 deep"),
        ("not " * 25_000, "101: nested more than 25 deep"),
        ("not " * 50_000, "100000: more than 100000 characters; write it shorter, or as several"),
        ("not (" * 13 + "good" + ")" * 13, "65: nested more than 25 deep"),
        ("n" + "+n" * 40_000 + " > 1", "1: too long or nested too deep; write it simpler"),
        ("n" + ".a" * 40_000 + " > 1", "1: nested more than 25 deep; write it simpler"),
        ("n" + "[0]" * 30_000, "77: nested more than 25 deep; write it simpler"),
        ("9" * 99_000 + " > n", "99005: a number is too large; write one such as 1e300"),
        ("'" * 99_999, "99997: the " + "'" * 3 + " is not closed"),
    ],
)
def test_what_python_would_run_or_choke_on_is_refused_in_one_sentence(where, message):
    with pytest.raises(DataError) as error:
        parse(where)
    assert str(error.value).startswith(f"where, at position {message}")


def test_a_sum_of_any_length_is_computed_or_refused():
    for length in (100, *range(420, 500, 4), 5000):
        try:
            kept = mask("n" + " + n" * length + " > 1000", TABLE).to_pylist()
        except DataError as error:
            assert str(error) == f"where, at position 1: {TOO_DEEP}"
            assert length > 200
        else:
            assert kept == [(n or 0) * (length + 1) > 1000 for n in TABLE["n"].to_pylist()]


def test_no_rows_give_an_empty_mask():
    for where in ("n > 1", "true", "meta.k == 1", "words(chosen) > 1"):
        assert len(mask(where, TABLE.slice(0, 0))) == 0


def test_a_thousand_alternatives_are_fine():
    where = " or ".join(f"n == {number}" for number in range(1000))
    assert mask(where, TABLE).to_pylist() == [True, True, False, True]


atoms = st.sampled_from(
    [
        *(*TABLE.column_names, *COMPARISONS, *FUNCTIONS, *WORDS, *CONSTANTS, *"()[],+-*/%`'\".="),
        *("1", "2.5", "1e999", "'a'", "meta.k", "col('rm-1.margin')", "len(chosen)", "[1, 2]", "é"),
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
