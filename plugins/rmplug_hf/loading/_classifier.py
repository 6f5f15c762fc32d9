"""A sequence classifier as a reward model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch

from rmplug import DataError
from rmplug.arrays import Array
from rmplug.models.raw_inputs import RawInput
from rmplug_hf.tokens._batch import Batch
from rmplug_hf.tokens._reads import Place, reads_at
from rmplug_hf.tokens._tokenizing import Tokens

from ._adapters import adapter_weights, labels_of
from ._as_trained import as_trained
from ._loading import Loaded, load
from ._network import Given
from ._new_head import draw_parameters, name_outputs
from ._padding import padding_is
from ._trainable import Trainable
from ._transformer import raw_tokens
from ._weight_files import read_weights

if TYPE_CHECKING:
    from .loaders import SequenceClassifier


def load_classifier(step: SequenceClassifier) -> Classifier:
    """Load the reward model of a step, with its outputs named."""
    trained = as_trained(step)
    step = trained.step
    configured: dict[str, Any] = {}
    if step.adapter is not None:
        labels = labels_of(adapter_weights(step.adapter))
        configured = {} if labels is None else {"num_labels": labels}
    if step.head == "new":
        configured = name_outputs(step.outputs or ("reward",))
    given = None
    if step.weights is not None:
        given = Given(step.weights, read_weights(step.weights, step.allow_pickle_weights))
    loaded = load(step, new_head=step.head == "new", weights=given, **configured)
    trained.check(loaded)
    names = output_names(loaded.config, step.outputs)
    return Classifier(loaded, names, step, trained.changed)


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


class Classifier(Trainable):
    """A sequence classifier; its scores are the outputs of its head, of shape (rows, outputs)."""

    step: SequenceClassifier

    def __init__(
        self,
        loaded: Loaded,
        names: Sequence[str],
        step: SequenceClassifier,
        changed: tuple[str, ...] = (),
    ) -> None:
        super().__init__(loaded)
        self.step, self.changed, only = step, changed, step.only
        self.awaits_training = self.has_new_head
        if only is not None and only not in names:
            raise DataError(f"the model has no output {only!r}; it has {', '.join(names)}")
        self.columns = [names.index(only)] if only is not None else list(range(len(names)))
        self.outputs = ("reward",) if only is not None else tuple(names)

    def score(self, responses: pa.RecordBatch) -> Array:
        """Return scores of shape (rows, outputs); a head that nobody has drawn for training has
        none."""
        self._check_head()
        if not responses.num_rows:
            return np.zeros((0, len(self.outputs)))
        self.notice_format(responses)
        return self._scores(self.loaded.tokenizing.rows(responses))

    def score_raw(self, inputs: Sequence[RawInput], add_special_tokens: bool = True) -> Array:
        """Return scores (inputs, outputs) of texts or token ids as they are."""
        self._check_head()
        return self._scores(raw_tokens(self.loaded, inputs, add_special_tokens))

    def _check_head(self) -> None:
        if self.awaits_training:
            raise DataError(
                f"{self.name or self.loaded.folder} cannot score: its head is random numbers; "
                "train it with reward-model"
            )

    def _scores(self, rows: Sequence[Tokens]) -> Array:
        logits = self.run(rows, self._logits, {"logits": "all"}, self._reads)
        return logits.astype(np.float64)[:, self.columns]

    def draw_head(self, seed: int) -> None:
        """Draw the weights of a new head by the model's own rules; the same for the same seed."""
        draw_parameters(self.loaded.model, self.loaded.new_head, seed)
        self.awaits_training = False

    def check_trainable(self) -> None:
        """Refuse, too, a choice among outputs, and a trained head that no pad token belongs to."""
        super().check_trainable()
        if self.step.only is not None:
            raise DataError(f"only: {self.step.only} is for scoring; leave it out of training")
        eos = self.tokenizer.eos_token_id
        if self.loaded.pad is None and self.loaded.padding in (None, eos):
            raise DataError(
                f"config.json in {self.loaded.folder} names no pad token that its head can be "
                "trained with; name one that no conversation ends in: pad_token"
            )

    def _reads(self, row: Tokens) -> Array:
        """Return the index of the token that the head reads, as a trial shows; all where it reads
        others."""
        last = self.loaded.last_layer
        place: Place | None = "last but padding" if last is None else last.place
        return reads_at(place, self.loaded.pad)(row)

    def _logits(self, batch: Batch) -> torch.Tensor:
        with padding_is(self.loaded.config, batch.pad):
            logits: torch.Tensor = self.loaded.model(**batch.arguments()).logits
        return logits
