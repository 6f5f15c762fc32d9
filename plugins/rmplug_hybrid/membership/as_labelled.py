"""Features of pairs whose labels have changed since."""

from __future__ import annotations

from rmplug import FeatureComputer, Features, Pairs


class AsLabelled(FeatureComputer):
    """Give features of pairs as they are for other labels of the same pairs, without asking again.

    ``features`` were computed on the pairs ``of``; ``data`` are some of the same pairs, some with
    chosen and rejected exchanged (by `swap`, `relabel` or another source of labels). Where they
    are exchanged, columns ``chosen`` and ``rejected`` (``chosen.x`` and ``rejected.x``) are
    exchanged too, and ``margin`` and ``difference.x`` change sign; others stay. With the states of
    `hidden-state`, hundreds of `linear-head` proxies cost one pass over the texts.

    Gives the rows of ``data``, in their order. A pair that ``of`` has not, or has with other
    responses, is an error that names it.
    """

    kind = "as-labelled"

    def compute(self, features: Features, of: Pairs, data: Pairs) -> Features:
        from ._as_labelled import turn_features

        return turn_features(features, of, data)
