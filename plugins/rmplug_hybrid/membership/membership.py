"""Numbers and tags about pairs as named features that a pair has or has not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from rmplug import FeatureComputer, Features, Known
from rmplug.known import joined_twice
from rmplug_hybrid.names.feature_names import LENGTHS, THIRDS


def _ascending(edges: tuple[float, ...]) -> tuple[float, ...]:
    if list(edges) != sorted(set(edges)):
        raise ValueError("edges must ascend, each above the one before")
    return edges


Edges: TypeAlias = Annotated[tuple[float, ...], Field(min_length=2), AfterValidator(_ascending)]


class Membership(FeatureComputer):
    """Turn numbers and tags about rows into named features that a row has or has not.

    Each measure (a column of numbers) is cut into bins, which become columns of booleans named
    after the measure and their limits: `rouge::min_val=0.33|max_val=0.67`. Columns that are 0 or 1
    already (booleans, and all with `::` in their names, such as tags) are passed on as they are.
    A column of the input is called by its name without its step, unless two steps have it.

    One rule holds everywhere: a bin holds its lower limit and not its upper one, and the last holds
    both. Measures on a scale of their own (`ranks`) are first replaced by their percentile rank:
    the average rank over the whole table divided by the number of rows, 0 to 1. Rows whose value
    lies outside the edges are in no bin; they are counted and named.

    `bins: closed` and `bins: open` repeat what the hybrid preference router (arXiv 2410.19133) does
    when it counts features (both limits belong to a bin, so that a value on a limit is in two) and
    when it computes gains (none does, so that it is in none).
    """

    kind = "membership"

    only: Annotated[tuple[str, ...], Field(min_length=1)] = ("*",)
    """Patterns of the columns to use, as `<step>.<column>`: `rouge.responses.rouge1`."""
    names: Mapping[str, str] = Field(default_factory=dict)
    """Names of columns in the features: `{rouge.responses.rouge1: rouge}`."""
    edges: Edges = THIRDS
    """Limits of the bins, ascending."""
    edges_of: Mapping[str, Edges] = Field(default_factory=dict)
    """Limits for single measures, by their name in the features."""
    ranks: tuple[str, ...] = LENGTHS
    """Patterns of measures, by their name in the features, that are replaced by their percentile
    rank: lengths, and whatever else is not between the edges by nature."""
    bins: Literal["half-open", "closed", "open"] = "half-open"
    """The limits that belong to a bin: see above."""
    missing: Literal["error", "no-bin"] = "error"
    """The treatment of missing numbers: refuse them, or count them and put them into no bin. A
    missing tag is always refused."""
    give: Literal["all", "original"] = "all"
    """All features, or the 90 of the hybrid preference router in its order."""

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        twice = joined_twice(inputs["features"])
        return [("features", twice)] if twice else []

    def compute(self, features: Sequence[Features]) -> Features:
        from ._columns import BinningRules
        from ._membership import compute_membership

        rules = BinningRules(
            self.only, self.names, self.edges, self.edges_of, self.ranks, self.bins
        )
        return compute_membership(
            features,
            rules,
            missing_is_error=self.missing == "error",
            original=self.give == "original",
        )
