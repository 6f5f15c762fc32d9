"""A sequence classifier as a reward model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch

from rmplug import DataError
from rmplug.arrays import Array
from rmplug_hf.tokens._batching import Batch

from ._adapters import adapter_weights, labels_of
from ._loading import Loaded, load
from ._transformer import Transformer

if TYPE_CHECKING:
    from .loaders import SequenceClassifier


def load_classifier(step: SequenceClassifier) -> Classifier:
    """Load the reward model of a step, with its outputs named."""
    configured: dict[str, Any] = {}
    if step.adapter is not None:
        labels = labels_of(adapter_weights(step.adapter))
        configured = {} if labels is None else {"num_labels": labels}
    loaded = load(step, **configured)
    names = output_names(loaded.config, step.outputs)
    return Classifier(loaded, names, step.only)


def output_names(config: Any, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Return the outputs' names: those of the step, else the labels; a single one is ``reward``."""
    labels = [str(config.id2label[index]) for index in range(config.num_labels)]
    if wanted is not None and len(wanted) != len(labels):
        raise DataError(
            f"outputs names {len(wanted)} ({', '.join(wanted)}), but the model has {len(labels)}: "
            f"{', '.join(labels)}"
        )
    names = tuple(wanted or (("reward",) if len(labels) == 1 else labels))
    if len(set(names)) < len(names):
        raise DataError(f"two outputs have the same name: {', '.join(names)}; name them: outputs")
    return names


class Classifier(Transformer):
    """A sequence classifier; its scores are the outputs of its head, of shape (rows, outputs)."""

    def __init__(self, loaded: Loaded, names: Sequence[str], only: str | None = None) -> None:
        super().__init__(loaded)
        if only is not None and only not in names:
            raise DataError(f"the model has no output {only!r}; it has {', '.join(names)}")
        self.columns = [names.index(only)] if only is not None else list(range(len(names)))
        self.outputs = ("reward",) if only is not None else tuple(names)

    def score(self, responses: pa.RecordBatch) -> Array:
        """Return scores of shape (rows, outputs)."""
        if not responses.num_rows:
            return np.zeros((0, len(self.outputs)))
        rows = self.loaded.tokenizing.rows(responses)
        return self.run(rows, self._logits).astype(np.float64)[:, self.columns]

    def _logits(self, batch: Batch) -> torch.Tensor:
        with padding_is(self.loaded.config, batch.pad):
            logits: torch.Tensor = self.loaded.model(**batch.arguments()).logits
        return logits


@contextmanager
def padding_is(config: Any, pad: int) -> Iterator[None]:
    """Set the model's pad token to that of the batch within the context."""
    text = config.get_text_config()
    before, text.pad_token_id = text.pad_token_id, pad
    try:
        yield
    finally:
        text.pad_token_id = before
