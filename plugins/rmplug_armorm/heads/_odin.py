"""A head for quality and a head for length, trained together on the states of a frozen encoder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from safetensors.numpy import save_file

from rmplug import DataError, Features, Origin, Pairs, RewardModel
from rmplug.arrays import Array
from rmplug.models.files import read_json, read_tensors
from rmplug.models.head_encoders import encoder_of, open_encoder, write_probe
from rmplug.models.state_encoder import StateEncoder
from rmplug.stats.metric_rows import Scaled, Statistic, measured, share_of, wins
from rmplug.stats.strength_search import StrengthSearch

from ._pair_differences import (
    Loss,
    group_codes,
    length_differences,
    minimise_loss,
    preference_loss,
    root_mean_squares,
    search,
    search_numbers,
    state_differences,
)
from ._splits import grouped_split

CONFIG, HEADS, FORMAT, KIND = "config.json", "heads.safetensors", 1, "odin-head"
SMALL = 1e-12


@dataclass(frozen=True)
class OdinSettings:
    """The parameters of ``odin-head``."""

    measure: str
    length_strength: float
    quality_strength: float
    orthogonality: float
    l2: tuple[float, ...]
    folds: int


class OdinReward(RewardModel):
    """The rewards of both heads: ``reward`` (quality) and ``length``."""

    outputs = ("reward", "length")

    def __init__(self, encoder: StateEncoder, weight: Array) -> None:
        self.encoder, self.weight = encoder, weight
        self.elsewhere = getattr(encoder, "elsewhere", False)

    def score(self, responses: pa.RecordBatch) -> Array:
        """Compute float64 rewards of shape (rows, 2)."""
        if not responses.num_rows:
            return np.zeros((0, 2))
        return np.asarray(self.encoder.vectors(responses), np.float64) @ self.weight.T


def train(
    settings: OdinSettings,
    model: RewardModel,
    data: Pairs,
    states: Features | None,
    seed: int,
    directory: Path,
) -> list[dict[str, Any]]:
    """Train on all pairs, write the heads to ``directory``, and return the held-out numbers."""
    encoder = encoder_of(model)
    groups = group_codes(data, "odin-head")
    differences = encoded(encoder, data) if states is None else state_differences(states, data)
    longer = length_differences(data, settings.measure)
    width = getattr(encoder, "width", differences.shape[1])
    if differences.shape[1] != width:
        raise DataError(
            f"{states.name if states else 'states'} are of {differences.shape[1]} numbers, the "
            f"encoder gives {width}; ask hidden-state with this encoder"
        )
    sizes = root_mean_squares(differences)
    scaled = differences / sizes

    def learn(rows: Array, l2: float) -> Array:
        return two_heads(settings, scaled[rows], longer[rows], l2)

    split = grouped_split(groups, np.ones((len(groups), 1), bool), settings.folds, seed)
    result = search(learn, lambda w, rows: scaled[rows] @ w.T, _sum, split.part, settings.l2)
    weight = learn(np.arange(len(scaled)), result.strength) / sizes
    save(directory, encoder, weight)
    return numbers_of(result, longer, groups, seed)


def _sum(values: Array) -> Array:
    return np.asarray(values.sum(axis=-1))


def encoded(model: StateEncoder, data: Pairs) -> Array:
    """Compute differences of the states of all pairs, a batch at a time."""
    parts = []
    for batch in data.batches(256):
        sides = [
            model.vectors(
                pa.RecordBatch.from_arrays(
                    [batch.column(name) for name in ("id", "group", "prompt", side)],
                    ["id", "group", "prompt", "response"],
                )
            )
            for side in ("chosen", "rejected")
        ]
        parts.append(np.subtract(*sides, dtype=np.float64))
    return np.concatenate(parts)


def two_heads(settings: OdinSettings, differences: Array, longer: Array, l2: float) -> Array:
    """Fit weights of the quality head and the length head, shape (2, width)."""
    minimum = minimise_loss(loss_of(settings, differences, longer, l2), _start(differences, longer))
    return minimum.reshape(2, differences.shape[1])


def loss_of(settings: OdinSettings, differences: Array, longer: Array, l2: float) -> Loss:
    """Make the loss of both heads with its gradient, a function of their concatenated weights."""
    width = differences.shape[1]

    def loss(both: Array) -> tuple[float, Array]:
        weight = both.reshape(2, width)
        margins = differences @ weight.T
        value, slope = preference_loss(margins.sum(axis=1))
        follows, follows_slope = cosine(margins[:, 1], longer)
        keeps, keeps_slope = cosine(margins[:, 0], longer)
        alike, quality_slope, length_slope = cosines(weight[0], weight[1])
        value += settings.length_strength * (1 - follows) + settings.quality_strength * keeps**2
        value += settings.orthogonality * alike**2 + l2 / 2 * float(both @ both)
        by_margin = np.stack(
            [
                slope + 2 * settings.quality_strength * keeps * keeps_slope,
                slope - settings.length_strength * follows_slope,
            ]
        )
        orthogonality_slope = (
            2 * settings.orthogonality * alike * np.stack([quality_slope, length_slope])
        )
        return value, (by_margin @ differences + orthogonality_slope).ravel() + l2 * both

    return loss


def _start(differences: Array, longer: Array) -> Array:
    """Return small weights along the mean difference, and along what grows with length."""
    directions = [differences.mean(axis=0), longer @ differences]
    sizes = [max(float(np.linalg.norm(one)), SMALL) for one in directions]
    return np.concatenate([0.01 * one / size for one, size in zip(directions, sizes, strict=True)])


def cosine(values: Array, fixed: Array) -> tuple[float, Array]:
    """Compute the cosine of two vectors and its gradient for the first; 0 if one of them is
    zero."""
    cos, slope, _ = cosines(values, fixed)
    return cos, slope


def cosines(left: Array, right_one: Array) -> tuple[float, Array, Array]:
    """Compute the cosine of two vectors and its gradients for both; 0 if one of them is zero."""
    sizes = float(np.linalg.norm(left)), float(np.linalg.norm(right_one))
    if min(sizes) < SMALL:
        return 0.0, np.zeros_like(left), np.zeros_like(right_one)
    a, b = left / sizes[0], right_one / sizes[1]
    cos = float(a @ b)
    return cos, (b - cos * a) / sizes[0], (a - cos * b) / sizes[1]


def numbers_of(
    result: StrengthSearch, longer: Array, groups: Array, seed: int
) -> list[dict[str, Any]]:
    """Measure accuracy and correlation with length of the heads, held out."""
    heads = result.held_out()
    margins = {"": heads[:, 0], "-with-length": heads.sum(axis=1), "-of-length": heads[:, 1]}
    columns: dict[str, Array] = {"tt": longer**2, "right by length": wins(longer)}
    statistics: dict[str, Statistic] = {}
    for name, values in margins.items():
        columns |= {f"mm{name}": values**2, f"mt{name}": values * longer}
        statistics[f"length-correlation{name}"] = correlation(name)
    for name in ("", "-with-length"):
        ahead = wins(margins[name])
        columns[f"right{name}"] = ahead
        statistics[f"accuracy{name}"] = share_of(f"right{name}")
        for part, rows in (("longer", longer > 0), ("shorter", longer < 0)):
            columns |= {f"{part}": rows * 1.0, f"right{name} {part}": rows * ahead}
            statistics[f"accuracy{name}-{part}-chosen"] = ratio(f"right{name} {part}", part)
    statistics["accuracy-of-longer"] = share_of("right by length")
    return measured(columns, statistics, groups, seed) + search_numbers(result, groups)


def correlation(name: str) -> Statistic:
    """Make the statistic of the correlation of margins with length differences, about 0, from
    sums."""

    def of(sums: Mapping[str, Array]) -> Array:
        spread = np.sqrt(sums[f"mm{name}"] * sums["tt"])
        empty = np.full(np.shape(spread), np.nan)
        return np.asarray(np.divide(sums[f"mt{name}"], spread, out=empty, where=spread > 0))

    return Scaled(of, "correlation")


def ratio(part: str, whole: str) -> Statistic:
    """Make the statistic of one sum over another; NaN where the divisor is 0."""

    def of(sums: Mapping[str, Array]) -> Array:
        count = np.asarray(sums[whole])
        empty = np.full(np.shape(count), np.nan)
        return np.asarray(np.divide(sums[part], count, out=empty, where=count > 0))

    return Scaled(of, "share")


def save(directory: Path, encoder: StateEncoder, weight: Array) -> None:
    origin = encoder.origin()
    assert origin is not None
    config = {"format": FORMAT, "kind": KIND, "encoder": asdict(origin)}
    text = json.dumps(config, indent=1, sort_keys=True, ensure_ascii=False)
    (directory / CONFIG).write_text(text + "\n", encoding="utf-8")
    save_file({"weight": np.ascontiguousarray(weight)}, directory / HEADS)
    write_probe(directory, encoder)


def open_odin(directory: Path, changed: Mapping[str, Any]) -> RewardModel:
    """Open the model of a folder; ``changed`` has the user's settings of its encoder, or is one to
    use in its place (``backbone``)."""
    config = read_json(directory / CONFIG)
    weight = read_tensors(directory / HEADS).get("weight")
    encoder = config.get("encoder")
    if not isinstance(encoder, dict) or weight is None:
        raise DataError(
            f"{directory} does not hold heads that odin-head has trained; give the folder that it "
            "wrote"
        )
    if config.get("format") != FORMAT or weight.ndim != 2 or len(weight) != 2:
        raise DataError(f"{directory} is of another version of odin-head; train the heads again")
    origin = Origin(*(encoder.get(name, "") for name in ("kind", "params", "digests")))
    opened = open_encoder(origin, directory, changed)
    width = getattr(opened, "width", weight.shape[1])
    if weight.shape[1] != width:
        raise DataError(
            f"the heads in {directory} read states of {weight.shape[1]} numbers, their encoder "
            f"gives {width}; train the heads again"
        )
    return OdinReward(opened, weight)
