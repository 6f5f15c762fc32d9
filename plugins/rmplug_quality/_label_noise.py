"""Margins of pairs out of fold, from n-grams and features that compare the two responses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.sparse import csr_array, hstack, vstack
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression

from rmplug import DataError, Features, Pairs, join, notice
from rmplug.stats.folds import deal_folds

from ._metric_rows import numbers_of
from ._texts import plain_text
from ._wrong_labels import Floats, Ints, estimate_share
from .signed_columns import NOTHING_TO_LEARN, signed_columns

if TYPE_CHECKING:
    from .label_noise import LabelNoise

DIMENSIONS = 1 << 18
INNER_FOLDS = 4
SOLVER = "liblinear"
CANNOT_BE_TOLD = (
    "wrong is missing: the pairs of other prompts say too little to tell how many labels are wrong"
)


def estimate(data: Pairs, features: Sequence[Features], step: LabelNoise, seed: int) -> Features:
    """Compute the columns of ``LabelNoise`` for each pair."""
    groups = numbers_of(data.column("group"))
    blocks = list(_blocks(data, features, step.ngrams))
    if not blocks:
        raise DataError(NOTHING_TO_LEARN)
    margins = np.zeros(len(data))
    folds = min(step.folds, int(groups.max(initial=-1)) + 1)
    if folds < 2:
        notice("one prompt alone: nothing to judge its labels by", data["id"].to_pylist())
    else:
        matrix = csr_array(hstack(blocks, format="csr"))
        fold = deal_folds(groups, folds, seed)
        for number in range(folds):
            held = np.flatnonzero(fold == number)
            others = np.flatnonzero(fold != number)
            model = _fit(matrix, groups, others, step.strengths, seed)
            margins[held] = matrix[held] @ model
    found = estimate_share(margins, groups)
    support = np.where(margins == 0, 0.0, found.slope * margins)
    wrong = found.probabilities(margins)
    if not found.is_told:
        # every row would have nearly the same probability, which a filter could not tell apart
        wrong = np.full(len(data), np.nan)
        notice(CANNOT_BE_TOLD, data["id"].to_pylist())
    columns = {"support": support, "disagrees": support < 0, "wrong": wrong}
    return Features({"id": data.column("id"), "group": data.column("group"), **columns}, data.name)


def _blocks(data: Pairs, features: Sequence[Features], ngrams: bool) -> Iterator[csr_array]:
    """Yield matrices of differences, chosen minus rejected, each with rows of length 1 on
    average, so that none drowns another."""
    if ngrams:
        yield _scaled(_ngram_differences(data))
    if features:
        yield from map(_scaled, _feature_differences(data, features))


def _scaled(block: csr_array) -> csr_array:
    square = float((block.data**2).sum()) / max(1, block.shape[0])
    return csr_array(block / np.sqrt(square)) if square > 0 else block


def _ngram_differences(data: Pairs) -> csr_array:
    counter = HashingVectorizer(
        ngram_range=(1, 2), n_features=DIMENSIONS, alternate_sign=False, norm=None,
        token_pattern=r"\w+|[^\w\s]",
    )  # fmt: skip
    parts = [csr_array((0, DIMENSIONS))]
    for batch in data.batches():
        sides = [
            counter.transform(plain_text(batch, name).to_pylist())
            for name in ("chosen", "rejected")
        ]
        for side in sides:
            side.data = np.log1p(side.data)
        parts.append(csr_array(sides[0] - sides[1]))
    whole = csr_array(vstack(parts, format="csr"))
    whole.eliminate_zeros()
    # an n-gram of one pair alone says nothing of any other
    return csr_array(whole[:, np.flatnonzero(np.bincount(whole.indices, minlength=DIMENSIONS) > 1)])


def _feature_differences(data: Pairs, features: Sequence[Features]) -> Iterator[csr_array]:
    """Yield one matrix of all numbers, each divided by its root mean square, and one of each
    vector; a missing number says nothing."""
    table = join(features).table
    if not table["id"].equals(data.column("id")):
        raise DataError("the features are not of these pairs; compute them from the same data")
    numbers = []
    for one in features:
        own = {name: f"{one.name}.{name}" for name in one.values}
        for name, other in signed_columns(list(own)):
            value = _values(table[own[name]])
            if other:
                value = value - _values(table[own[other]])
            value = np.nan_to_num(value, nan=0.0, posinf=0.0, neginf=0.0)
            if value.ndim == 2:
                yield csr_array(value)
                continue
            size = float(np.sqrt((value**2).mean())) if len(value) else 0.0
            numbers.append(value / size if size > 0 else value)
    if numbers:
        yield csr_array(np.stack(numbers, axis=1))


def _values(column: pa.ChunkedArray) -> Floats:
    if pa.types.is_fixed_size_list(column.type):
        width = column.type.list_size
        flat = [np.asarray(chunk.flatten()) for chunk in column.chunks]
        return np.concatenate([np.empty(0), *flat]).astype(np.float64).reshape(-1, width)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.float32())
    return np.asarray(column.to_numpy(), dtype=np.float64)


def _fit(
    matrix: csr_array, groups: Ints, rows: Ints, strengths: Sequence[float], seed: int
) -> Floats:
    """Return the weights learned from some rows, with the strength that holds best within them."""
    best = strengths[0]
    inner = np.unique(groups[rows], return_inverse=True)[1]
    parts = min(INNER_FOLDS, int(inner.max(initial=-1)) + 1)
    if len(strengths) > 1 and parts > 1:
        held = deal_folds(inner, parts, seed) == 0
        losses = [
            _log_loss(matrix[rows[held]] @ _weights(matrix[rows[~held]], strength, seed))
            for strength in strengths
        ]
        best = strengths[int(np.argmin(losses))]
    return _weights(matrix[rows], best, seed)


def _log_loss(margins: Floats) -> float:
    return float(np.logaddexp(0, -margins).mean())


def _weights(matrix: csr_array, strength: float, seed: int) -> Floats:
    """Return the weights of a logistic regression without intercept. The library wants two classes:
    half of the rows are turned, which changes nothing, as their loss is the same."""
    turned = np.random.default_rng(seed).random(matrix.shape[0]) < 0.5
    if len(np.unique(turned)) < 2:
        return np.zeros(matrix.shape[1])
    signs: npt.NDArray[np.float64] = np.where(turned, -1.0, 1.0)
    model = LogisticRegression(
        C=1 / strength,
        fit_intercept=False,
        solver=SOLVER,
        dual=matrix.shape[0] < matrix.shape[1],
        tol=1e-3,
        max_iter=2000,
        random_state=seed % (1 << 31),
    )
    model.fit(csr_array(matrix.multiply(signs[:, None])), signs)
    return np.asarray(model.coef_[0], dtype=np.float64)
