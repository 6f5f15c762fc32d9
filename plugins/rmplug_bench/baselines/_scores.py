"""Baselines: scores of responses by simple rules."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Pairs, Responses
from rmplug_bench._arrays import codes
from rmplug_bench.baselines._text_measures import TextCounts, text_blocks

from ._learnt import first_characters, n_grams
from .names import BASELINES, LEARNT

Floats = npt.NDArray[np.float64]


def baseline_scores(name: str, counts: TextCounts, seed: int) -> Floats:
    """Compute the scores of a baseline on the data that are counted, float64, higher is better.

    Shape (rows, 2), chosen and rejected, for ``Pairs``; (rows,) for ``Responses``. All NaN where
    the data lack what the baseline needs.

    - ``longer``, ``shorter``: characters (Unicode code points).
    - ``most-markdown``, ``least-markdown``: headings, list items, code, bold, tables and links.
    - ``first-position``, ``last-position``: the order in which the responses were published, from
      the column ``place`` (for pairs: the position of the chosen response, 0 or 1), or for pairs
      from the column ``position`` (A or B, the position of the chosen response).
    - ``first-character``, learnt: how often responses of other groups that begin with the same
      character are right, shrunk towards the share of right responses.
    - ``n-gram``, learnt: the sum of log-odds of being right, in other groups, of responses with
      each word and each two neighbouring words.
    - ``random``: 0 everywhere, so that each comparison is a tie and has its expected value.

    The chosen response of a pair is right; a response is right where ``label`` is above 0. A row
    without a label teaches nothing. ``seed`` is for baselines that draw; none of these does.
    """
    if name not in BASELINES:
        raise DataError(f"there is no baseline {name!r}; there are {', '.join(BASELINES)}")
    data = counts.data
    sides = ("chosen", "rejected") if isinstance(data, Pairs) else ("response",)
    scores = _learnt(name, data, sides) if name in LEARNT else _fixed(name, counts, sides)
    return scores if len(sides) == 2 else scores[:, 0]


def _fixed(name: str, counts: TextCounts, sides: tuple[str, ...]) -> Floats:
    """Compute a baseline that learns nothing, of shape (rows, sides)."""
    if name == "random":
        return np.zeros((len(counts.data), len(sides)))
    if name.endswith("-position"):
        positions = _positions(counts.data, len(sides))
        return -positions if name == "first-position" else positions
    count = counts.markdown_marks if name.endswith("-markdown") else counts.characters
    scores = np.stack([count(side) for side in sides], axis=1)
    return -scores if name in ("shorter", "least-markdown") else scores


def _positions(data: Pairs | Responses, sides: int) -> Floats:
    if "place" in data.columns:
        column = pc.cast(data["place"], pa.float64())
    elif sides == 2 and "position" in data.columns:
        column = pc.cast(pc.index_in(data["position"], pa.array(["A", "B"])), pa.float64())
    else:
        return np.full((len(data), sides), np.nan)
    position = np.asarray(column.to_numpy(), dtype=np.float64)
    return np.stack([position, 1 - position][:sides], axis=1)


def _learnt(name: str, data: Pairs | Responses, sides: tuple[str, ...]) -> Floats:
    """Compute a baseline that learns from other groups, of shape (rows, sides)."""
    right = _right(data, len(sides))
    if not np.isfinite(right).any():
        return np.full(right.shape, np.nan)
    blocks = (block for side in sides for block in text_blocks(data, side))
    groups = np.tile(codes(data["group"]), len(sides))
    learn = first_characters if name == "first-character" else n_grams
    scores = learn(blocks, right.ravel(order="F"), groups)
    return scores.reshape(right.shape, order="F")


def _right(data: Pairs | Responses, sides: int) -> Floats:
    """Return 1 for a right response, 0 for a wrong one, NaN without a label."""
    if sides == 2:
        return np.tile([1.0, 0.0], (len(data), 1))
    if "label" not in data.columns:
        return np.full((len(data), 1), np.nan)
    label = np.asarray(pc.cast(data["label"], pa.float64()).to_numpy(), dtype=np.float64)
    return np.where(np.isnan(label), np.nan, label > 0)[:, None]
