"""Sets of pairs with human labels to try, their training sets, and results made elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, field_validator

from rmplug import (
    DatasetLoader,
    FeatureComputer,
    Features,
    InputPath,
    Known,
    Pairs,
    Report,
    Reporter,
    Sampler,
    Selection,
)

Budget: TypeAlias = Annotated[float, Field(ge=0)]


def _check_budgets(budgets: tuple[float, ...]) -> tuple[float, ...]:
    for budget in budgets:
        if budget > 1 and budget != int(budget):
            raise ValueError(
                f"a budget is a share up to 1 or a whole number of labels, not {budget:g}"
            )
    return budgets


class Candidates(Sampler):
    """Make sets of pairs that have human labels, to learn from what their reward models reach.

    ``membership`` has the 0/1 features of the pairs. ``human`` and ``ai`` are two sources of labels
    with the same ids; an id that only one of them has is a tie in the other. A budget counts labels
    that are bought, ties too.

    Gives one row per candidate: ``id`` and ``item`` (its name, so that a `for-each` can take them),
    ``design``, ``seed``, ``budget`` (labels bought), ``size`` (those that are no ties and are
    trained on), ``agree`` (those of them that prefer what the AI prefers), ``ties`` (bought, and
    dropped), ``rows`` (pairs trained on), and ``count.<feature>``, how many of ``size`` have the
    feature; ``tilt``, a vector, where the design has one. No ids are kept: `swap` draws the set
    again from its row. The same seed gives the same candidates.

    Designs. ``uniform``: every pair is as likely as any other. ``space-filling``: pairs are drawn
    without replacement with weights exp(sum of the tilts of their features); tilts are normal
    scores of a Latin hypercube, uncorrelated with the budget and each other, and turned so that
    rare features and those that go together with others are moved as far as all the rest: what one
    label is worth can then be learned from the fewest candidates. ``stratified``: each candidate
    has one feature in focus, whose share of the labels varies from few to most. ``fill``: whole
    features in random order until the budget is used up, as published (Hybrid Preferences, arXiv
    2410.19133); its sets are unions of a few features, and smaller than the budget where all
    features together have fewer pairs.

    ``compat: original`` counts as published: lengths are ranked anew in every set and both limits
    belong to a bin (make ``membership`` with ``bins: closed`` for the other features), from the raw
    lengths in the input ``scores``; budgets, where none are given, are drawn at random.
    """

    kind = "candidates"
    requires = ("scipy",)
    extra = "tabular"

    n: Annotated[int, Field(ge=1, le=1_000_000)] = 200
    """How many candidates."""
    design: Literal["space-filling", "stratified", "uniform", "fill"] = "space-filling"
    """How pairs are drawn."""
    budgets: tuple[Budget, ...] = ()
    """Labels of the candidates, in turn: shares of all pairs (up to 1; rounded down), or whole
    numbers above 1. Unless given, they are spread evenly."""
    between: tuple[Budget, Budget] = (0.0, 1.0)
    """Where they are spread: the fewest and the most labels, as shares or whole numbers."""
    strength: Annotated[float, Field(gt=0, le=10)] = 2.0
    """How unequal ``space-filling`` makes pairs: the standard deviation, over pairs, of the log of
    their weights."""
    rows: Annotated[int, Field(ge=1)] | None = None
    """Train on at most this many pairs, drawn at random after ties are dropped."""
    compat: Literal["original"] | None = None
    """``original``: counts and budgets as published."""

    @field_validator("budgets", "between")
    @classmethod
    def _shares_or_numbers(cls, budgets: tuple[float, ...]) -> tuple[float, ...]:
        return _check_budgets(budgets)

    def sample(
        self,
        membership: Features,
        human: Pairs | None = None,
        ai: Pairs | None = None,
        scores: Features | None = None,
        *,
        seed: int,
    ) -> Features:
        from ._candidates import candidates

        return candidates(self, membership, human, ai, scores, seed)


class Swap(Sampler):
    """Give a training set in which the chosen pairs have the human's label and others the AI's.

    ``human`` and ``ai`` are two sources of labels with the same ids; a pair whose label in force is
    a tie (an id that the source lacks) is dropped and counted. ``chosen`` is one row of
    `candidates`, which is drawn again and must come out as it was counted (with ``membership``,
    that they were made of), or one route: a selection of ids. Inside a `for-each` over either it is
    ``item``. Rows keep their order and all columns; ``is_swapped`` tells the human's.
    """

    kind = "swap"
    requires = ("scipy",)
    extra = "tabular"

    rows: Annotated[int, Field(ge=1)] | None = None
    """Give at most this many pairs, drawn at random after ties are dropped; a candidate made with
    ``rows`` has its own."""

    def sample(
        self,
        human: Pairs,
        ai: Pairs,
        chosen: Selection | Features,
        membership: Features | None = None,
        *,
        seed: int,
    ) -> Pairs:
        from ._swap import swapped

        return swapped(human, ai, chosen, membership, self.rows, seed)


class Relabel(Sampler):
    """Label pairs by a reward: the response with the higher one becomes the chosen one.

    Gives the same pairs in their order, ``lead`` (by how much the reward prefers chosen: 0 or more,
    in its units) and ``relabelled`` (whether chosen and rejected changed places). A ``margin`` of
    the data, the lead that people saw, is left out: it is not of this label. Columns about one of
    the two (``chosen_model`` with ``rejected_model``, ``ratings.chosen.x`` with
    ``ratings.rejected.x``) change places too. A model's preferences become one of two sources of
    labels in this way.
    """

    kind = "relabel"

    by: str = "margin"
    """The column of ``reward`` that is above 0 where the first response is better."""
    gap: Annotated[float, Field(ge=0)] = 0.0
    """Margins up to this one are ties."""
    ties: Literal["drop", "keep", "error"] = "drop"
    """What to do with ties, and with pairs that have no margin: leave them out and count them, keep
    them as they are and count them, or stop."""

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        for one in inputs["reward"]:
            lacking = one.lacks(self.by)
            yield from [("by", lacking)] if lacking else []

    def sample(self, data: Pairs, reward: Features) -> Pairs:
        from ._labels import relabelled

        return relabelled(data, reward, self.by, self.gap, self.ties)


class ResultsFile(FeatureComputer):
    """Read what reward models of candidates reached elsewhere, with the counts of their features.

    A CSV file with a row for each candidate: a column that names it, columns of results, and
    columns of counts named by features, such as the table of results that the hybrid preference
    router collects (``uuid``, ``budget``, ``Overall``, 90 features). Gives its columns of numbers;
    other columns are left out and counted. A `performance-model` takes it as its candidates, with
    ``column`` the result.
    """

    kind = "results-file"

    path: InputPath
    """The file: CSV with a header, UTF-8, gzip or not, or anything that `pairs-file` reads."""
    key: str = "uuid"
    """The column that names the candidate."""
    columns_to_read: Annotated[tuple[str, ...], Field(min_length=1)] = ("*",)
    """Patterns of the columns of numbers to read."""
    missing: Literal["drop", "keep", "error"] = "drop"
    """What to do with rows that lack a number: leave them out and count them, keep and count them,
    or stop."""
    bad_rows: Literal["error", "drop"] = "error"
    """What to do with rows that cannot be read or have no name: stop and name them, or leave them
    out and count them."""

    def compute(self) -> Features:
        from ._results_file import read_results

        return read_results(self.path, self.key, self.columns_to_read, self.missing, self.bad_rows)


class HybridFile(DatasetLoader):
    """Load pairs with two labels, as the hybrid preference router publishes them, by one label.

    JSON Lines with a prompt, responses A and B, and a column for each source of labels, whose
    values are ``a-is-better``, ``a-is-clearly-better``, ``a-is-slightly-better``, the same for
    ``b``, or ``tie``, in any case. Load the file once for each source. Ties are dropped and
    counted. ``model_a`` and ``model_b`` become ``chosen_model`` and
    ``rejected_model``; further columns, such as scores and tags, are kept: lists of
    texts as lists, other lists and mappings as JSON text.
    """

    kind = "hybrid-file"

    path: InputPath
    """The file: JSON Lines, gzip or not, or anything that `pairs-file` reads."""
    label: str | None = "pref_human"
    """The column of labels. With null no label is read: all pairs, ties too, with the first
    response as the chosen one, to compute features of."""
    id_column: str = "id"
    """The column that names the pair."""
    prompt_column: str = "text"
    """The column of prompts."""
    a_column: str = "completion_a"
    """The column of the first response."""
    b_column: str = "completion_b"
    """The column of the second response."""
    bad_rows: Literal["error", "drop"] = "error"
    """What to do with rows that cannot be read or have another label: stop and name them, or leave
    them out and count them."""

    def load(self) -> Pairs:
        from ._records import read_pairs

        fields = {
            "id": self.id_column,
            "prompt": self.prompt_column,
            "a": self.a_column,
            "b": self.b_column,
        }
        return read_pairs(self.path, self.label, fields, self.bad_rows)


class TrainingFile(Reporter):
    """Write pairs as JSON Lines, ready for a trainer elsewhere.

    Gives one file, ``training.jsonl``, in the order of the pairs.
    """

    kind = "training-file"

    layout: Literal["pairs", "original"] = "pairs"
    """``pairs``: all columns, ``prompt``, ``chosen`` and ``rejected`` as lists of role and content.
    ``original``: the record of the hybrid preference router, in which ``chosen`` and ``rejected``
    are whole conversations: id, source, highest_level_degree, prompt, chosen, chosen_model,
    rejected, rejected_model, features_used (null), is_swapped; what is not known is an empty
    text."""

    def report(self, data: Pairs, *, directory: Path) -> Report:
        from ._records import write_records

        write_records(data, self.layout, directory / "training.jsonl")
        return Report(directory, "training.jsonl")
