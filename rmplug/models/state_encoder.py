"""The contract between loaders, queries and trainers for a model whose pooled states are used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from rmplug.artifacts import Origin


@runtime_checkable
class StateEncoder(Protocol):
    """A model that gives one vector per conversation, of its own layer and pooling: in this
    process, or behind an address."""

    def vectors(self, responses: pa.RecordBatch, part: str = "both") -> np.ndarray:
        """Return float32 states of shape (rows, width): of prompts with responses, or of prompts
        alone, up to the end of their last turn (``turn``) or where a response would begin
        (``prompt``)."""

    def vectors_and_prompts(
        self, responses: pa.RecordBatch, part: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return states of prompts with responses, and of their prompts alone (``part``)."""

    def origin(self) -> Origin | None:
        """Return what the encoder can be made again from; None where that is not recorded."""
