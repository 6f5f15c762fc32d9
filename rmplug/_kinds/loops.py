"""Steps made of steps: ``for-each`` item, and ``repeat`` for rounds that build on each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from rmplug.families import Composite

ITEM = "item"


class ForEach(Composite):
    """Run steps once for each item and put their results into one table.

    Items are plain values (``values: [1, 2, 3]``), several steps (``inputs: {items: [a, b]}``), or
    the parts of one table that have the same ``item`` (``inputs: {items: candidates}``). Inside,
    ``item`` is an input like any other: a plain value sets a parameter
    (``inputs: {data: pairs, seed: item}``). Items run in parallel, and are cached and resumed on
    their own. Collected tables gain a column ``item`` (``outer_item`` beside one that is there);
    ids are kept where no two items share one, else they become ``<item>/<id>``. ``loop.evaluate``
    names one of the collected results.
    """

    kind = "for-each"
    takes: ClassVar[Mapping[str, str]] = {"items": "several steps, or a table with a column 'item'"}
    results = "a table for each collected step"

    steps: dict[str, Any] | str
    """The steps to run for each item, or the path of a file that has them under ``steps``."""
    collect: tuple[str, ...] = Field(min_length=1)
    """Steps inside whose tables are put together over all items; of a loop inside that has several
    results, ``<loop>.<result>``."""
    values: tuple[Any, ...] | None = Field(default=None, min_length=1)
    """The items, if they are plain values; a mapping's entries are ``item.name``."""
    on_error: Literal["stop", "collect-error"] = "stop"
    """``stop`` at the first item that fails, or go on and list those that failed in ``errors``;
    with two workers or more on this machine, also those whose processes die."""


class Repeat(Composite):
    """Run steps in rounds; each round takes results of the one before.

    ``inputs`` name what the first round takes; ``carry: {labelled: select}`` says that from then on
    ``labelled`` is what the step ``select`` gave in the round before. Collected tables gain a
    column ``round`` (from 1); ``loop.labelled`` is what the last round gave.
    """

    kind = "repeat"
    takes: ClassVar[Mapping[str, str]] = {
        "<name>": "what the first round takes as each name of carry"
    }
    results = "a table for each collected step, and what the last round carries on"

    rounds: int = Field(ge=1, le=10_000)
    """The number of rounds."""
    steps: dict[str, Any] | str
    """The steps of a round, or the path of a file that has them under ``steps``."""
    carry: dict[str, str] = Field(min_length=1)
    """For each name that a round takes, the step of the round before that gives it."""
    collect: tuple[str, ...] = ()
    """Steps inside whose tables are put together over all rounds; of a loop inside that has several
    results, ``<loop>.<result>``."""
