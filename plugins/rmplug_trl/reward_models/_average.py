"""Averaging of weights, checked by scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from rmplug import Checkpoint, DataError, Pairs, Responses
from rmplug.models.trainable import TrainableModel
from rmplug.stats.metric_rows import number
from rmplug_trl.training._quiet import libraries_quiet

from ._verify import check_saved, probes_of, scores_of


def average(
    models: Sequence[Checkpoint],
    shares: Sequence[float] | None,
    data: Pairs | Responses,
    kind: type[Any],
    directory: Path,
) -> list[dict[str, Any]]:
    """Write the average of the models into a folder; return how far scores are apart."""
    given = np.array(shares or [1.0] * len(models))
    probes = probes_of(data)
    with libraries_quiet():
        first = opened(models[0])
        total = [scaled(value, given[0] / given.sum()) for value in first.network.parameters()]
        scores = [scores_of(first, probes)]
        for checkpoint, share in zip(models[1:], given[1:] / given.sum(), strict=True):
            other = opened(checkpoint)
            check_alike(first, other, checkpoint.name)
            check_reading(first, other, probes, checkpoint.name)
            scores.append(scores_of(other, probes))
            for mean, value in zip(total, other.network.parameters(), strict=True):
                mean += scaled(value, share)
        with torch.no_grad():
            for value, mean in zip(first.network.parameters(), total, strict=True):
                value.copy_(mean.to(value.dtype))
        made = scores_of(first, probes)
        first.save(directory, first.network)
        check_saved(kind, made, probes, directory, first.loader.settings_to_reopen(), fresh=False)
    middle = np.average(scores, axis=0, weights=given)
    rows = probes.num_rows
    return [
        number("spread", float(np.ptp(scores, axis=0).max()), rows),
        number("apart", float(np.abs(made - middle).max()), rows),
    ]


def opened(checkpoint: Checkpoint) -> TrainableModel:
    """Return the model of a checkpoint, an adapter merged into it."""
    open_again: Any = checkpoint.made_by.open
    model = open_again(checkpoint.directory, **{**checkpoint.settings(), "merge_adapter": True})
    if not isinstance(model, TrainableModel):
        raise DataError(f"{checkpoint.name} has no weights to average; name what reward-model made")
    return model


def scaled(value: torch.Tensor, share: float) -> torch.Tensor:
    """Return a share of a parameter, in float32 on the CPU."""
    return value.detach().to("cpu", torch.float32) * float(share)


def check_alike(first: TrainableModel, other: TrainableModel, name: str) -> None:
    """Refuse a model whose parameters are not those of the first in name and shape."""
    shapes = [
        {n: tuple(value.shape) for n, value in model.network.named_parameters()}
        for model in (first, other)
    ]
    if first.outputs != other.outputs:
        raise DataError(
            f"{name} has the outputs {', '.join(other.outputs)}, the first model "
            f"{', '.join(first.outputs)}; only the same scores in the same order can be averaged"
        )
    if shapes[0] != shapes[1]:
        differing = sorted(set(shapes[0].items()) ^ set(shapes[1].items()))
        raise DataError(
            f"{name} is of another architecture than the first model ({differing[0][0]} differs); "
            "weights of one architecture can be averaged, of others combine scores: ensemble"
        )


def check_reading(
    first: TrainableModel, other: TrainableModel, probes: pa.RecordBatch, name: str
) -> None:
    """Refuse a model that reads conversations otherwise than the first, whose format is kept."""
    rows = (model.token_rows(probes) for model in (first, other))
    if not all(np.array_equal(one.ids, same.ids) for one, same in zip(*rows, strict=True)):
        raise DataError(
            f"{name} reads conversations otherwise than the first model (another template, "
            "tokenizer or max_length); models can be averaged that were trained in one format"
        )
