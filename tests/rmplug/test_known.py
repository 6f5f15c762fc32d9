"""Facts about results before anything runs, and what is said of what they lack."""

from __future__ import annotations

import pytest

from rmplug import Known
from rmplug.known import ColumnType

WORDS = Known(columns={"length": "number", "states": "vector", "later": None}, step="words")


@pytest.mark.parametrize(
    ("column", "types", "said"),
    [
        ("length", ("number",), None),
        ("length", ("vector", "number"), None),
        ("length", ("vector",), "words.length holds numbers; name a vector"),
        ("states", ("number", "text"), "words.states holds vectors; name a number or a text"),
        ("later", ("vector",), None),
        (
            "lenght",
            ("number",),
            "words gives no column 'lenght'; did you mean 'length'? (it gives length, states, "
            "later)",
        ),
    ],
)
def test_a_column_of_the_wrong_type_is_named_with_what_it_holds(
    column: str, types: tuple[ColumnType, ...], said: str | None
) -> None:
    assert WORDS.lacks_type(column, *types) == said


def test_columns_that_only_running_tells_are_doubted_and_not_refused() -> None:
    unknown = Known(step="loop")
    assert unknown.lacks_type("length", "number") is None
    assert unknown.doubts == ["column 'length' of loop"]
