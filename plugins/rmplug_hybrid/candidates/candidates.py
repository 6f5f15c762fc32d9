"""Sets of pairs with human labels to try."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rmplug import Features, Pairs, Sampler

from .budgets import Budget


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
    """Number of candidates."""
    design: Literal["space-filling", "stratified", "uniform", "fill"] = "space-filling"
    """The way pairs are drawn."""
    budgets: tuple[Budget, ...] = ()
    """Labels of the candidates, in turn: shares of all pairs (up to 1; rounded down), or whole
    numbers above 1. Unless given, they are spread evenly."""
    between: tuple[Budget, Budget] = (0.0, 1.0)
    """The range of the budgets: the fewest and the most labels, as shares or whole numbers."""
    strength: Annotated[float, Field(gt=0, le=10)] = 2.0
    """Inequality of the pairs in ``space-filling``: the standard deviation, over pairs, of the log
    of their weights."""
    rows: Annotated[int, Field(ge=1)] | None = None
    """Train on at most this many pairs, drawn at random after ties are dropped."""
    compat: Literal["original"] | None = None
    """``original``: counts and budgets as published."""

    def sample(
        self,
        membership: Features,
        human: Pairs | None = None,
        ai: Pairs | None = None,
        scores: Features | None = None,
        *,
        seed: int,
    ) -> Features:
        from ._candidates import make_candidates
        from ._designs import SetDesign

        design = SetDesign(
            self.n,
            self.design,
            self.budgets,
            self.between,
            self.strength,
            self.compat == "original",
        )
        return make_candidates(design, self.rows, membership, human, ai, scores, seed)
