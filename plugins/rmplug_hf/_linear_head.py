"""A linear head on pooled states: trained with its strength chosen by cross-validation, saved."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from rmplug import DataError, Features, Pairs, Responses, RewardModel, notice, text_of
from rmplug.folds import deal_folds
from rmplug.statistics import mean_of, measured, number, r2_columns, r2_of

from ._encoder import EncoderModel, digests_of, loaded_of, pooled_states
from ._loading import Loaded
from ._newton import Axes, Loss, minimise, principal_axes
from ._states import States, side_of
from .encoders import Encoder
from .heads import LinearHead

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
CONFIG, HEAD, FORMAT = "config.json", "head.safetensors", 1
CHECKED, PATIENCE, ROUGHLY = 4, 2, 1e-5


@dataclass(frozen=True)
class Examples:
    """What a head is trained on: float64 rows (n, d) and their target, weight, group and id.

    Rows are differences of states and the target a margin, or rows are states (centred) and the
    target a rating (centred); ``centre`` and ``mean`` are what was taken away.
    """

    rows: Array
    target: Array
    weights: Array
    groups: Array
    loss: Loss
    centre: Array
    mean: float
    table: pa.Table


def train(
    step: LinearHead,
    model: RewardModel,
    data: Pairs | Responses,
    states: Features | None,
    seed: int,
    directory: Path,
) -> list[dict[str, Any]]:
    """Trains on all rows, writes the head to ``directory``, gives the held-out numbers."""
    if not isinstance(model, EncoderModel):
        raise DataError(
            f"linear-head is trained on an encoder, not on {type(model).__name__}; load the model "
            "with kind: encoder (a head that it has is left out)"
        )
    examples = examples_of(step, model, data, states)
    scales = scales_of(examples.rows, step.standardise)
    axes = principal_axes(examples.rows / scales)
    count = int(examples.groups.max()) + 1
    fold = deal_folds(examples.groups, min(step.folds, count), seed)
    search = search_strength(axes, examples, tuple(sorted(set(step.l2), reverse=True)), fold)
    weight = axes.basis @ search.weights / scales
    bias = examples.mean - float(examples.centre @ weight)
    save(directory, model, weight, bias, search.l2)
    return numbers_of(examples, search, fold, seed)


def examples_of(
    step: LinearHead, model: EncoderModel, data: Pairs | Responses, states: Features | None
) -> Examples:
    """The rows to learn from, with their states."""
    if isinstance(data, Pairs):
        if step.target is not None:
            raise DataError(
                f"target {step.target} belongs to responses; pairs are learnt by Bradley-Terry: "
                "leave target out"
            )
        return _preferences(model, data.table, states)
    return _ratings(model, *_rated(data.table, step.target), states)


def _preferences(model: EncoderModel, table: pa.Table, states: Features | None) -> Examples:
    groups = _groups(table)
    chosen, rejected = _states(model, table, states, ("chosen", "rejected"))
    weights, margins = _weights_and_margins(table)
    rows = chosen - rejected
    same = np.asarray(~rows.any(axis=1))
    notice("chosen and rejected have the same states", _ids(table, same), "kept")
    if same.all():
        raise DataError("chosen and rejected have the same states in all pairs: nothing to learn")
    return Examples(
        rows, margins, weights, groups, Loss("logistic"), np.zeros(rows.shape[1]), 0.0, table
    )


def _rated(table: pa.Table, target: str | None) -> tuple[pa.Table, Array]:
    """The rows with a rating, and the ratings."""
    numeric = [
        f.name for f in table.schema if pa.types.is_floating(f.type) or pa.types.is_integer(f.type)
    ]
    if target not in numeric:
        said = "needs a target" if target is None else f"finds no numeric column {target!r}"
        raise DataError(
            f"linear-head {said} to learn from responses; write target: and one of "
            f"{', '.join(numeric) or 'the numeric columns (there are none)'}"
        )
    values = np.asarray(pc.fill_null(table[target].cast(pa.float64()), np.nan).to_numpy())
    known = np.isfinite(values)
    notice(f"{target} is missing", _ids(table, ~known), "dropped")
    return table.filter(pa.array(known)), values[known]


def _ratings(
    model: EncoderModel, table: pa.Table, ratings: Array, states: Features | None
) -> Examples:
    groups = _groups(table)
    [rows] = _states(model, table, states, ("response",))
    weights, _ = _weights_and_margins(table)
    centre = weights @ rows / weights.sum()
    mean = float(weights @ ratings / weights.sum())
    return Examples(
        rows - centre, ratings - mean, weights, groups, Loss("squared"), centre, mean, table
    )


def _groups(table: pa.Table) -> Array:
    coded = table["group"].combine_chunks().dictionary_encode()
    groups = np.asarray(coded.indices, dtype=np.int64)
    if len(groups) == 0 or groups.max() < 1:
        raise DataError(
            f"linear-head needs rows of at least 2 groups (prompts), there are {len(groups)} rows "
            f"of {len(set(groups.tolist()))}; give more data"
        )
    return groups


def _states(
    model: EncoderModel, table: pa.Table, states: Features | None, sides: Sequence[str]
) -> list[Array]:
    """Float64 states of each side, from ``states`` where given, else encoded now."""
    if states is None:
        batch = _one_batch(table)
        return [_encoded(model, batch, side).astype(np.float64) for side in sides]
    missing = [side for side in sides if side not in states.columns]
    if missing:
        raise DataError(
            f"{states.name} has no column {missing[0]}; give the hidden-state step of the same "
            "data (part: response or both)"
        )
    places = pc.index_in(table["id"], value_set=states["id"].combine_chunks())
    if places.null_count:
        lost = _ids(table, np.asarray(places.is_null()))
        raise DataError(f"{states.name} has no row for {len(lost)} ids ({', '.join(lost[:5])})")
    found = [_matrix(states[side].take(places)) for side in sides]
    _prove(model, table, found, sides, states.name)
    return [values.astype(np.float64) for values in found]


def _prove(
    model: EncoderModel, table: pa.Table, found: Sequence[Array], sides: Sequence[str], name: str
) -> None:
    """Encodes a few rows again: states of another model, layer or pooling are refused."""
    few = np.unique(np.linspace(0, table.num_rows - 1, CHECKED).astype(np.int64))
    batch = _one_batch(table.take(pa.array(few)))
    for side, values in zip(sides, found, strict=True):
        anew, given = _encoded(model, batch, side), values[few]
        apart = "of another width"
        if anew.shape == given.shape:
            far = np.linalg.norm(anew - given, axis=1) / np.maximum(
                np.linalg.norm(anew, axis=1), 1e-12
            )
            tolerance = 1e-3 if model.step.dtype in ("auto", "float32") else 5e-2
            if (far <= tolerance).all():
                continue
            apart = f"{far.max():.0%} away"
        raise DataError(
            f"the states {name} are not those of this encoder and data: {side} of "
            f"{batch.column('id')[0].as_py()} and others are {apart}; ask the same encoder with "
            "hidden-state, without layer and pooling (the encoder has its own)"
        )


def _encoded(model: EncoderModel, batch: pa.RecordBatch, side: str) -> Array:
    return pooled_states(model, side_of(batch, side), States())


def _matrix(column: pa.ChunkedArray) -> Array:
    flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return np.concatenate(flat).reshape(len(column), -1)


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    [batch] = table.combine_chunks().to_batches(max_chunksize=table.num_rows)
    return batch


def scales_of(rows: Array, standardise: bool) -> Array:
    """What to divide the dimensions by, so that a row has a mean squared length of 1."""
    squares = np.mean(rows**2, axis=0)
    if not standardise:
        return np.full(len(squares), np.sqrt(max(squares.sum(), 1e-300)))
    return np.asarray(np.sqrt(np.where(squares > 0, squares * np.count_nonzero(squares), 1)))


@dataclass(frozen=True)
class Search:
    """The strengths tried, strongest first, what they predict of rows held out (strengths, n), and
    the final weights at the best."""

    grid: tuple[float, ...]
    held_out: Array
    mean_losses: Array
    """Shape (strengths tried, folds)."""
    fold_weights: Array
    weights: Array

    def best(self, without: int | None = None) -> int:
        """The place of the strength with the least loss over folds (but one)."""
        weights = self.fold_weights.copy()
        if without is not None:
            weights[without] = 0
        return int(np.argmin(self.mean_losses @ weights))

    @property
    def l2(self) -> float:
        return self.grid[self.best()]

    @property
    def at_edge(self) -> bool:
        return len(self.grid) > 1 and self.l2 in (self.grid[0], self.grid[-1])


def search_strength(axes: Axes, examples: Examples, grid: tuple[float, ...], fold: Array) -> Search:
    """Held-out predictions from the strongest down, until two in a row are no better: each pass
    fits all folds, and all rows, at once."""
    folds = int(fold.max()) + 1
    kept = np.column_stack([*(fold != k for k in range(folds)), np.ones(len(fold), bool)])
    shares = examples.weights[:, None] * kept
    shares = shares / np.maximum(shares.sum(axis=0), 1e-300)
    weights = np.zeros((axes.rows.shape[1], folds + 1))
    fold_weights = np.bincount(fold, weights=examples.weights)
    path, held_out, losses = [], [], []
    for l2 in grid:
        weights = minimise(axes, examples.loss, examples.target, shares, l2, weights, ROUGHLY)
        predicted = (axes.rows @ weights)[np.arange(len(fold)), fold]
        cost = examples.weights * examples.loss.each(predicted, examples.target)
        path.append(weights[:, -1])
        held_out.append(predicted)
        losses.append(np.bincount(fold, weights=cost) / np.maximum(fold_weights, 1e-300))
        totals = np.array(losses) @ fold_weights
        if len(totals) - 1 - int(np.argmin(totals)) >= PATIENCE:
            break
    best = int(np.argmin(totals))
    start, every = path[best][:, None], shares[:, -1:]
    final = minimise(axes, examples.loss, examples.target, every, grid[best], start)
    return Search(grid, np.array(held_out), np.array(losses), fold_weights, final[:, 0])


def numbers_of(examples: Examples, search: Search, fold: Array, seed: int) -> list[dict[str, Any]]:
    """Held out: each fold with the strength that is best on the other folds."""
    rows = len(fold)
    strength = np.array([search.best(without=k) for k in range(int(fold.max()) + 1)])
    predicted = search.held_out[strength[fold], np.arange(rows)]
    measure = _of_ratings if examples.loss.kind == "squared" else _of_preferences
    return [
        *measure(examples, predicted, fold, seed),
        number("l2", search.l2, rows),
        number("l2-at-edge", float(search.at_edge), rows),
        number("folds", len(strength), rows),
        number("groups", int(examples.groups.max()) + 1, rows),
        *(
            [number("identical", int((~examples.rows.any(axis=1)).sum()), rows)]
            if examples.loss.kind == "logistic"
            else []
        ),
    ]


def _of_preferences(
    examples: Examples, lead: Array, fold: Array, seed: int
) -> list[dict[str, Any]]:
    table = examples.table
    columns = {
        "right": wins(lead),
        "loss": np.logaddexp(0, -lead),
        "longer": wins(_longer(table)),
    }
    statistics = {
        "accuracy": mean_of("right"),
        "log-loss": mean_of("loss"),
        "accuracy-of-longer": mean_of("longer"),
    }
    found = measured(columns, statistics, examples.groups, seed)
    if "subset" in table.column_names:
        subsets = np.asarray(pc.fill_null(table["subset"].cast(pa.string()), "").to_pylist())
        for name in sorted(set(subsets.tolist()) - {""}):
            here = subsets == name
            part = {column: values[here] for column, values in columns.items()}
            found += measured(part, statistics, examples.groups[here], seed, name)
    return found


def _of_ratings(
    examples: Examples, predicted: Array, fold: Array, seed: int
) -> list[dict[str, Any]]:
    target = examples.target
    means = np.array([target[fold != k].mean() for k in range(int(fold.max()) + 1)])
    columns = {
        **r2_columns(target, predicted),
        "error": np.abs(target - predicted),
        "of-mean": np.abs(target - means[fold]),
    }
    statistics = {"r2": r2_of(), "mae": mean_of("error"), "mae-of-mean": mean_of("of-mean")}
    return measured(columns, statistics, examples.groups, seed)


def wins(lead: Array) -> Array:
    """1 where the first leads, one half at a tie."""
    return np.asarray((lead > 0) + 0.5 * (lead == 0))


def _longer(table: pa.Table) -> Array:
    chosen, rejected = (
        np.asarray(pc.fill_null(pc.utf8_length(text_of(table[side])), 0)).astype(float)
        for side in ("chosen", "rejected")
    )
    return np.asarray(chosen - rejected)


def _weights_and_margins(table: pa.Table) -> tuple[Array, Array]:
    weights, margins = _column(table, "weight", 1.0), _column(table, "margin", 0.0)
    bad = ~np.isfinite(weights) | (weights < 0) | ~np.isfinite(margins)
    if bad.any():
        raise DataError(
            f"{np.count_nonzero(bad)} rows have a weight below 0 or a weight or margin that is not "
            f"finite (ids {', '.join(_ids(table, bad)[:5])}); mend them or drop the column"
        )
    if weights.sum() == 0:
        raise DataError("the weights of all rows are 0; give some rows weight")
    return np.asarray(weights / weights.mean()), margins


def _column(table: pa.Table, name: str, default: float) -> Array:
    """A numeric column; ``default`` for the whole when there is none, and for nulls."""
    if name not in table.column_names:
        return np.full(table.num_rows, default)
    return np.asarray(pc.fill_null(table[name].cast(pa.float64()), default).to_numpy())


def _ids(table: pa.Table, rows: Array) -> list[str]:
    found: list[str] = table["id"].filter(pa.array(rows)).to_pylist()
    return found


class LinearReward(EncoderModel):
    """An encoder with a head on its states: one reward per response."""

    def __init__(self, loaded: Loaded, step: Encoder, weight: Array, bias: float) -> None:
        super().__init__(loaded, step)
        self.weight, self.bias = weight, bias

    def origin(self) -> None:
        """None: its encoder's origin lacks the head."""

    def score(self, responses: pa.RecordBatch) -> Array:
        """Float64 rewards of shape (rows,)."""
        if not responses.num_rows:
            return np.zeros(0)
        return np.asarray(self.vectors(responses).astype(np.float64) @ self.weight + self.bias)


def save(directory: Path, model: EncoderModel, weight: Array, bias: float, l2: float) -> None:
    """Writes the head and what it needs of its encoder."""
    step = model.step
    config = {
        "format": FORMAT,
        "kind": LinearHead.kind,
        "encoder": step.model_dump(mode="json", exclude={"device", "batch_tokens"}),
        "max_length": model.loaded.tokenizing.max_length,
        "dtype": str(model.loaded.model.dtype).removeprefix("torch."),
        "width": len(weight),
        "l2": l2,
        "sha256": digests_of(step),
    }
    text = json.dumps(config, indent=1, sort_keys=True, ensure_ascii=False)
    (directory / CONFIG).write_text(text + "\n", encoding="utf-8")
    save_file({"weight": weight, "bias": np.array([bias])}, directory / HEAD)


def open_head(directory: Path, changed: Mapping[str, Any] | None = None) -> LinearReward:
    """The reward model of a folder; ``changed`` says where or how its encoder runs now."""
    config = _read_config(directory / CONFIG)
    settings = {**config["encoder"], **(changed or {})}
    if "path" in settings and (changed or {}).get("path") is not None:
        settings.update(name=None, revision=None)
    try:
        step = Encoder.model_validate(settings)
    except ValidationError as error:
        raise DataError(
            f"{directory / CONFIG} describes no encoder: {error.errors()[0]['msg']}"
        ) from error
    if step.path is not None and not step.path.is_dir():
        raise DataError(
            f"the head in {directory} belongs to the encoder {step.path}, which is not there; say "
            "where it is: encoder: <folder>"
        )
    _check_digests(directory, step, config["sha256"])
    weight, bias = _read_head(directory / HEAD, int(config["width"]))
    return LinearReward(loaded_of(step), step, weight, bias)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found, needed = config["format"], [config["encoder"], config["sha256"], config["width"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} does not describe a head that linear-head has trained "
            f"({type(error).__name__}: {error}); give the folder that it wrote"
        ) from error
    if found != FORMAT or not needed:
        raise DataError(
            f"{path} has format {found}, this version reads {FORMAT}; train the head again"
        )
    return config


def _check_digests(directory: Path, step: Encoder, expected: Mapping[str, str]) -> None:
    found = digests_of(step)
    other = sorted(n for n in {**expected, **found} if expected.get(n) != found.get(n))
    if other:
        place = step.path or step.name
        raise DataError(
            f"the head in {directory} was trained with another encoder than {place} is now: "
            f"{', '.join(other[:5])} differ; use the files that it was trained with, or train again"
        )


def _read_head(path: Path, width: int) -> tuple[Array, float]:
    try:
        tensors = load_file(path)
        weight, bias = tensors["weight"], float(tensors["bias"][0])
    except (OSError, SafetensorError, KeyError) as error:
        raise DataError(
            f"{path} is cut short or damaged ({error}); train the head again"
        ) from error
    if weight.shape != (width,) or not np.isfinite(weight).all():
        raise DataError(f"{path} does not hold {width} finite weights; train the head again")
    return weight, bias
