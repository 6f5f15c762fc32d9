"""Models that a trainer may train in place, and that are saved so that they open as they were."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from rmplug import DataError, notice
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug_hf.tokens._tokenizing import Tokens

from ._adapters import has_adapter
from ._new_head import modules_of
from ._transformer import Transformer

if TYPE_CHECKING:
    from .loaders import HubModel


class Trainable(Transformer):
    """The part of a trainable model (``rmplug.models.trainable``) that does not depend on its
    head."""

    step: HubModel
    changed: tuple[str, ...] = ()
    """The parameters of the format that the spec set to other values than those of the training."""

    @property
    def loader(self) -> HubModel:
        """The step that loads the same model."""
        return self.step

    @property
    def network(self) -> Any:
        """The module of transformers, on its device; whoever asks for it may change its weights, so
        that what it gives is no longer kept as that of its files."""
        self._hand_out()
        return self.loaded.model

    def _hand_out(self) -> None:
        if self.loaded.weights is not None:
            self.loaded.weights.handed_out = True

    @property
    def tokenizer(self) -> Any:
        """The tokenizer that the token rows come from."""
        return self.loaded.tokenizer

    @property
    def padding(self) -> int:
        """The id that pads batches, on the right."""
        return self.loaded.padding or 0

    @property
    def has_new_head(self) -> bool:
        """True if the head's weights are not those of a checkpoint."""
        return bool(self.loaded.new_head)

    @cached_property
    def head_modules(self) -> tuple[str, ...]:
        """Names of the modules that hold a new head; empty without one."""
        return modules_of(self.loaded.model, self.loaded.new_head)

    def draw_head(self, seed: int) -> None:
        """Draw the weights of a new head; nothing where there is none."""

    @property
    def adapted(self) -> Any:
        """The ``PeftModel`` around the network where an adapter is beside its weights."""
        self._hand_out()
        return self.loaded.adapted

    @property
    def adapter_in_weights(self) -> str:
        """The message that refuses an adapter on a model whose weights have another one."""
        return (
            f"the model in {self.loaded.folder} has the adapter {self.step.adapter} in its "
            "weights, which an adapter on it cannot record; set merge_adapter: false in the step "
            "that loads it to train that adapter further, or leave lora out to train all weights"
        )

    def check_trainable(self) -> None:
        """Raise DataError where training would go wrong, or could not be saved."""
        if self.loaded.change is not None:
            raise DataError(
                "a model whose states are projected cannot be trained, nor saved by a trainer; "
                "train the model itself, and project it after"
            )
        merged = self.step.adapter is not None and self.loaded.adapted is None
        if merged and has_adapter(self.loaded.model):
            raise DataError(self.adapter_in_weights)
        weights = getattr(self.step, "weights", None)
        if weights is not None and has_adapter(self.loaded.model):
            raise DataError(
                f"the weights are those of {weights}, which an adapter on them cannot record; "
                "train without an adapter, or save the whole model first"
            )

    def token_rows(self, responses: pa.RecordBatch, bounds: bool = False) -> list[Tokens]:
        """Return the tokens of rows of ``Responses``, those that ``score`` reads."""
        self.check_trainable()
        return self.loaded.tokenizing.rows(responses, bounds=bounds)

    def too_long(self, responses: pa.RecordBatch) -> Array:
        """Return the mask of the rows that would be cut."""
        tokenizing = self.loaded.tokenizing
        if tokenizing.max_length is None:
            return np.zeros(responses.num_rows, bool)
        rows = tokenizing.without_limit().rows(responses)
        return np.array([len(row) > tokenizing.max_length for row in rows], bool)

    def notice_format(self, responses: pa.RecordBatch) -> None:
        """Name the rows that are scored in another format than the model was trained in."""
        if self.changed:
            what = f"scored in another format than the model was trained in: {some(self.changed)}"
            notice(what, responses.column("id").to_pylist())

    def save(self, directory: Path, network: Any) -> None:
        """Write the weights of the network, or those of the adapter around it, the tokenizer and
        ``format.json`` into a folder that the same kind of loader opens without parameters."""
        from ._saving import save_network

        save_network(self, network, directory)
