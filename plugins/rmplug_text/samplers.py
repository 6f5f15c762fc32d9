"""Samplers that choose, split and convert rows without a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal, TypeAlias, TypeVar

from pydantic import Field, field_validator, model_validator

from rmplug import DataError, Features, Known, Pairs, Responses, Sampler, Selection

D = TypeVar("D", Pairs, Responses)
Whole = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
NOTHING_TO_KEEP_BY = "filter has nothing to keep by: give where, or the input selection"


Inputs: TypeAlias = Mapping[str, Sequence[Known]]


class RowSampler(Sampler):
    """A sampler that gives rows of its data as they are."""

    def foresee(self, inputs: Inputs) -> Known:
        return inputs["data"][0]


class Random(RowSampler):
    """Take some rows at random.

    Gives rows of the same type, each at most once, in their order, with all columns.
    """

    kind = "random"

    n: Whole | None = None
    """The number of rows, at most; all of them when there are fewer."""
    fraction: Share | None = None
    """The share of the rows, 0 to 1, rounded to a whole number of rows."""

    @model_validator(mode="after")
    def _one_size(self) -> Random:
        return exactly_one(self, "n", "fraction")

    def sample(self, data: D, *, seed: int) -> D:
        from ._sampling import random_rows

        return data.take(random_rows(len(data), self.n, self.fraction, seed))


class Stratified(RowSampler):
    """Take some rows at random, in fixed proportion over the values of a column.

    Gives rows of the same type in their order, with all columns. Missing values are a stratum of
    their own. With `n` or `fraction` the strata keep their proportions and the total is exact: what
    rounding leaves goes to the largest remainders.
    """

    kind = "stratified"

    by: str = "subset"
    """The column whose values are the strata."""
    n: Whole | None = None
    """The number of rows in all, at most."""
    fraction: Share | None = None
    """The share of all rows, 0 to 1."""
    each: Whole | None = None
    """The number of rows of every stratum, at most."""

    @model_validator(mode="after")
    def _one_size(self) -> Stratified:
        return exactly_one(self, "n", "fraction", "each")

    def mistakes(self, inputs: Inputs) -> Iterable[tuple[str, str]]:
        return _unknown_by(self.by, inputs)

    def sample(self, data: D, *, seed: int) -> D:
        from ._sampling import column_of, stratified_rows

        column = column_of(data, self.by)
        return data.take(stratified_rows(column, self.n, self.fraction, self.each, seed))


class Balanced(RowSampler):
    """Take equally many rows of every value of a column, or of longer and shorter chosen responses.

    Gives rows of the same type in their order, with all columns: as many of each value as the
    rarest one has, chosen at random. With `length`, the pairs whose chosen response is the longer
    one and those where it is the shorter one become equally many, within each value of `by` if
    set; pairs of equal length are all kept.
    """

    kind = "balanced"

    by: str | None = None
    """The column whose values become equally frequent, such as `subset`; one of the input
    `features` is `<step>.<column>`, such as `bins` of the prompt's length or of a margin."""
    length: Literal["words", "characters"] | None = None
    """Balance which response is longer, counted in words or characters (pairs only)."""
    each: Whole | None = None
    """The number of rows of every value, at most (without `length`)."""

    @model_validator(mode="after")
    def _something(self) -> Balanced:
        if self.by is None and self.length is None:
            raise ValueError(
                "give by (a column, such as subset), length (words or characters), or both"
            )
        if self.length is not None and self.each is not None:
            raise ValueError("each goes with by alone; leave out each or length")
        return self

    def mistakes(self, inputs: Inputs) -> Iterable[tuple[str, str]]:
        from ._filter_columns import lacking_column

        tables = [inputs["data"][0], *inputs.get("features", ())]
        lacking = lacking_column(self.by, *tables) if self.by else None
        return [("by", lacking)] if lacking else []

    def sample(self, data: D, features: Sequence[Features] | None = None, *, seed: int) -> D:
        from ._sampling import balanced_rows, column_of, length_balanced_rows

        values = column_of(data, self.by, features or ()) if self.by else None
        if self.length is None:
            assert values is not None
            return data.take(balanced_rows(values, self.each, seed))
        if not isinstance(data, Pairs):
            raise DataError("balanced by length needs pairs; convert responses with to-pairs first")
        return data.take(length_balanced_rows(data, self.length, values, seed))


class Filter(RowSampler):
    """Keep the rows for which an expression over their columns is true, or that were selected.

    Gives rows of the same type in their order, with all columns; `where` counts what it drops. An
    expression compares (`== != < <= > >=`, `in [...]`, `not in [...]`, `is null`, `is not null`),
    joins (`and`, `or`, `not`, parentheses) and computes (`+ - * / %`) columns, numbers, texts in
    quotes, `true`, `false`, and functions: `len(c)` and `words(c)` (characters and words of a text
    or of messages), `lower(c)`, `contains(c, "x")`, `startswith(c, "x")`. Columns are written
    plainly (`meta.source`), or as `col("rm-1.margin")` where they hold other signs. Comparisons
    can be chained (`0 < n <= 3`). A missing value (null, or NaN) makes a comparison unknown, and a
    row for which the whole is unknown is dropped.
    """

    kind = "filter"

    where: str | None = None
    """The expression, such as `subset in ["math", "code"] and len(chosen) > 200`. Columns of the
    input `features` are `<step>.<column>`, such as `reward.margin`."""

    @field_validator("where")
    @classmethod
    def _readable(cls, where: str | None) -> str | None:
        from ._expression_syntax import parse

        try:
            if where is not None:
                parse(where)
        except DataError as error:
            raise ValueError(str(error)) from None
        return where

    def mistakes(self, inputs: Inputs) -> Iterable[tuple[str, str]]:
        from ._filter_columns import unknown_columns

        if self.where is None:
            return [] if "selection" in inputs else [("where", NOTHING_TO_KEEP_BY)]
        tables = [inputs["data"][0], *inputs.get("features", ())]
        return [("where", message) for message in unknown_columns(self.where, *tables)]

    def sample(
        self,
        data: D,
        features: Sequence[Features] | None = None,
        selection: Selection | None = None,
    ) -> D:
        from ._sampling import filtered_rows

        if self.where is None and selection is None:
            raise DataError(NOTHING_TO_KEEP_BY)
        return data.take(filtered_rows(data, self.where, features or (), selection))


class Split(RowSampler):
    """Take the training or the test part, or one of several folds, with prompts kept together.

    Gives rows of the same type in their order, with all columns. All rows of a `group` are on the
    same side. Groups are put in an order by a hash of their name and `seed`, so that the order of
    the rows does not matter; two steps with the same parameters but for `part` give the two parts.
    Shares are of groups, and exact up to rounding.
    """

    kind = "split"

    part: Literal["train", "test"] = "train"
    """The part to return."""
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """The share of the groups in the test part (without `folds`)."""
    folds: Annotated[int, Field(ge=2)] | None = None
    """Cut the groups in this many parts of equal size, of which `fold` is the test part."""
    fold: Annotated[int, Field(ge=0)] = 0
    """The fold that is the test part, from 0."""
    by: str | None = None
    """A column whose values should be equally frequent on both sides, such as `subset`; a group
    with several values counts for the first of them in alphabetical order."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Another number, another split; the same in the steps that give the other parts."""

    @model_validator(mode="after")
    def _fold_exists(self) -> Split:
        if self.fold >= (self.folds or 1):
            raise ValueError(
                f"fold {self.fold} needs folds of at least {self.fold + 1}; folds count from 0"
            )
        return self

    def mistakes(self, inputs: Inputs) -> Iterable[tuple[str, str]]:
        return _unknown_by(self.by, inputs)

    def sample(self, data: D) -> D:
        import numpy as np

        from ._sampling import split_rows

        fold = None if self.folds is None else (self.fold, self.folds)
        held_out = split_rows(data, self.test, fold, self.by, self.seed)
        return data.take(np.flatnonzero(held_out == (self.part == "test")))


class ToPairs(Sampler):
    """Make preference pairs from rated, labelled, ranked or scored responses to the same prompt.

    Gives pairs with the id `<chosen id>><rejected id>`, `group`, `prompt`, `chosen`, `rejected`,
    `margin` (difference of what they are compared by, above 0) and `subset`; ratings become
    `ratings.chosen.x` and `ratings.rejected.x`, every further column `c` becomes `c.chosen` and
    `c.rejected`. Ties, gaps too small, responses without a score and lone responses are dropped and
    counted.
    """

    kind = "to-pairs"

    by: str | None = None
    """The values to compare by: `ratings` (the mean of all ratings that are there),
    `ratings.<name>`, `label`, `rank` or any other column of numbers. Leave it out to use the input
    `scores`."""
    best: Literal["highest", "lowest"] | None = None
    """The better end: by default `highest`, but `lowest` for `rank`."""
    pairs: Literal["best-worst", "all"] = "best-worst"
    """The best with the worst response of each prompt, or every two that differ."""
    gap: Annotated[float, Field(ge=0)] = 0.0
    """The smallest difference that makes a pair."""

    def sample(self, data: Responses, scores: Features | None = None) -> Pairs:
        from ._sampling import paired, pairs_of, scores_by

        values = scores_by(data, self.by, scores)
        lowest = self.best == "lowest" or (self.best is None and self.by == "rank")
        values = -values if lowest else values
        better, worse = paired(data, values, self.pairs == "all", self.gap)
        return Pairs(pairs_of(data, better, worse, values[better] - values[worse]), data.name)


class ToResponses(Sampler):
    """Turn each pair into two rows, one per response.

    Gives responses with the ids `<id>/chosen` and `<id>/rejected`, `group`, `prompt`, `response`
    and `label` (1 for chosen, 0 for rejected). Columns `ratings.chosen.x` and `ratings.rejected.x`
    become `ratings.x`, columns `c.chosen` and `c.rejected` become `c`, further columns are kept for
    both.
    """

    kind = "to-responses"

    def sample(self, data: Pairs) -> Responses:
        from rmplug.data.sides import responses_of

        return Responses(responses_of(data.table), data.name)


def _unknown_by(by: str | None, inputs: Inputs) -> list[tuple[str, str]]:
    """Return the mistake in the parameter ``by`` if the data certainly lack this column."""
    lacking = inputs["data"][0].lacks(by) if by else None
    return [("by", lacking)] if lacking else []


S = TypeVar("S", bound=Sampler)


def exactly_one(step: S, *names: str) -> S:
    present = [name for name in names if getattr(step, name) is not None]
    if len(present) != 1:
        raise ValueError(
            f"give exactly one of {', '.join(names)}; given: {', '.join(present) or 'none'}"
        )
    return step
