"""A performance model on disk: ``fit.json``, its coefficients in ``forms.npy`` or its trees in
LightGBM's text format; nothing executable."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pyarrow as pa

from rmplug import DataError, Predictor
from rmplug.errors import some
from rmplug.models.files import read_json
from rmplug.models.tree_texts import read_trees

from ._candidate_table import COUNT, SIZES, read_column
from ._forms import Frame, PolynomialForm, ResultForm, TreesForm

FIT_FILE, FORMS_FILE = "fit.json", "forms.npy"


@dataclass(frozen=True)
class FormEnsemble(Predictor):
    """A fitted form, with refits without each fold of candidates and on random halves of them."""

    model: str
    names: tuple[str, ...]
    whole: ResultForm
    folds: tuple[ResultForm, ...]
    fold_of: np.ndarray
    """The fold of each candidate."""
    errors: np.ndarray
    """Absolute error of each candidate, predicted without its fold."""
    halves: tuple[ResultForm, ...]
    """In twos: what one has learned from, the other has not."""
    counts: np.ndarray
    """The sets around which a pair's gain is measured: counts (sets, features) …"""
    sizes: np.ndarray
    """… and sizes (sets)."""
    result: str
    """The predicted result, in words."""

    @property
    def forms(self) -> tuple[ResultForm, ...]:
        return (self.whole, *self.folds, *self.halves)

    @property
    def is_linear(self) -> bool:
        return isinstance(self.whole, PolynomialForm) and self.whole.pairwise is None

    def predict(self, features: pa.Table) -> Mapping[str, np.ndarray]:
        """Predict each candidate: ``prediction``, and ``low`` and ``high``, a 95 % interval for the
        result of its proxy (CV+: Barber et al., 2021, Annals of Statistics 49)."""
        columns = [[COUNT + name, name] for name in self.names]
        names = [_find_column(features.column_names, wanted) for wanted in [*columns, list(SIZES)]]
        matrix = np.column_stack([read_column(features, name) for name in names])
        counts, sizes = matrix[:, :-1], matrix[:, -1]
        low, high = self.interval(counts, sizes)
        return {"prediction": self.whole.values(counts, sizes), "low": low, "high": high}

    def interval(self, counts: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        by_fold = np.array([form.values(counts, sizes) for form in self.folds])
        around = by_fold[self.fold_of]
        n = len(self.errors)
        # The ranks of the finite-sample rule; with too few candidates, the extremes.
        rank = min(int(np.ceil(0.95 * (n + 1))), n) - 1
        high = np.sort(around + self.errors[:, None], axis=0)[rank]
        low = np.sort(around - self.errors[:, None], axis=0)[n - 1 - rank]
        return low, high


def _find_column(names: Sequence[str], wanted: Sequence[str]) -> str:
    """Find a column by its name, or by its name after that of a step."""
    for name in wanted:
        matches = [n for n in names if n == name or n.endswith(f".{name}")]
        if len(matches) == 1:
            return matches[0]
    raise DataError(
        f"the performance model needs one column {' or '.join(map(repr, wanted))}; give the "
        f"candidates that it should predict (given: {some(names, 8)})"
    )


def save_ensemble(ensemble: FormEnsemble, directory: Path) -> None:
    record: dict[str, Any] = {
        "model": ensemble.model,
        "result": ensemble.result,
        "names": list(ensemble.names),
        "folds": len(ensemble.folds),
        "fold_of": ensemble.fold_of.tolist(),
        "errors": ensemble.errors.tolist(),
        "around": {"counts": ensemble.counts.tolist(), "sizes": ensemble.sizes.tolist()},
        "trees": isinstance(ensemble.whole, TreesForm),
        "pairwise": isinstance(ensemble.whole, PolynomialForm) and not ensemble.is_linear,
    }
    for number, form in enumerate(ensemble.forms):
        if isinstance(form, TreesForm):
            record["with_size"] = form.with_size
            text = form.booster.model_to_string()
            (directory / f"trees-{number}.txt").write_text(text, encoding="utf-8")
    rows = np.array([_flatten_form(form) for form in ensemble.forms])
    np.save(directory / FORMS_FILE, rows, allow_pickle=False)
    (directory / FIT_FILE).write_text(json.dumps(record), encoding="utf-8")


def open_ensemble(directory: Path) -> FormEnsemble:
    """The model that ``save_ensemble`` wrote. Raises DataError for files that hold none."""
    record = read_json(directory / FIT_FILE)
    try:
        ensemble = _read_ensemble(record, directory)
    except (
        KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, OSError,
        lightgbm.basic.LightGBMError,
    ) as error:  # fmt: skip
        raise DataError(
            f"{directory} does not hold a performance model ({type(error).__name__}: "
            f"{str(error).partition(chr(10))[0]:.200}); fit again"
        ) from error
    return ensemble


def _read_ensemble(record: Mapping[str, Any], directory: Path) -> FormEnsemble:
    names = tuple(str(name) for name in record["names"])
    rows = _read_rows(directory / FORMS_FILE, len(names), record)
    forms = [_read_form(row, record, directory, number) for number, row in enumerate(rows)]
    folds, fold_of = int(record["folds"]), np.array(record["fold_of"], dtype=np.int64)
    errors = np.array(record["errors"], dtype=float)
    sizes = np.array(record["around"]["sizes"], dtype=float)
    counts = np.array(record["around"]["counts"], dtype=float).reshape(len(sizes), len(names))
    if not 1 <= folds < len(forms) or fold_of.ndim != 1 or errors.shape != fold_of.shape:
        raise ValueError(f"{len(forms)} forms are not a whole one and {folds} folds")
    if not len(fold_of) or fold_of.min() < 0 or fold_of.max() >= folds:
        raise ValueError("a candidate is of a fold that is not there")
    return FormEnsemble(
        str(record["model"]), names, forms[0], tuple(forms[1 : 1 + folds]), fold_of, errors,
        tuple(forms[1 + folds :]), counts, sizes, str(record["result"]),
    )  # fmt: skip


def _read_rows(path: Path, features: int, record: Mapping[str, Any]) -> np.ndarray:
    """The numbers of each form; the shape is checked before any memory is asked for."""
    own = features * (features + 1) // 2 if record["pairwise"] and not record["trees"] else 0
    width = SIZE_TERMS + 3 * features + own
    with path.open("rb") as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{path.name} is of another version of the format")
        shape, _, kind = np.lib.format.read_array_header_1_0(file)
        whole = file.tell() + 8 * prod(shape) == path.stat().st_size
    if kind != np.float64 or len(shape) != 2 or shape[1] != width or not whole:
        raise ValueError(f"{path.name} does not hold {width} numbers for each form")
    rows: np.ndarray = np.load(path, allow_pickle=False)
    return rows


SIZE_TERMS = 6


def _flatten_form(form: ResultForm) -> np.ndarray:
    """Put all numbers of a form in one row: of the size, share, scale, then its own."""
    frame = form.frame
    size = np.zeros(SIZE_TERMS)
    size[: len(frame.size)] = frame.size
    own = [form.step] if isinstance(form, TreesForm) else []
    if isinstance(form, PolynomialForm):
        own = [form.linear]
        if form.pairwise is not None:
            own.append(form.pairwise[np.triu_indices(len(form.linear))])
    return np.concatenate([size, frame.share, frame.scale, *own])


def _read_form(
    row: np.ndarray, record: Mapping[str, Any], directory: Path, number: int
) -> ResultForm:
    features = len(record["names"])
    size, rest = row[:SIZE_TERMS], row[SIZE_TERMS:]
    share, scale, own = (rest[k * features : (k + 1) * features] for k in range(3))
    frame = Frame(share, scale, size)
    if record["trees"]:
        booster = lightgbm.Booster(model_str=read_trees(directory / f"trees-{number}.txt"))
        with_size = bool(record["with_size"])
        if booster.num_feature() != features + with_size or booster.num_model_per_iteration() != 1:
            raise ValueError(f"trees-{number}.txt is not of {features} features")
        return TreesForm(frame, own, booster, with_size)
    if not record["pairwise"]:
        return PolynomialForm(frame, own)
    pairwise = np.zeros((features, features))
    pairwise[np.triu_indices(features)] = rest[3 * features :]
    diagonal = np.diag(np.diag(pairwise))
    return PolynomialForm(frame, own, pairwise + pairwise.T - diagonal)
