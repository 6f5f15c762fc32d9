"""The contract between loaders and trainers for a model whose weights can be trained.

A trainer gets the network and the very code that turns rows into tokens when the model is asked, so
that training and scoring cannot read a conversation differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from .text_generator import Prompt

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from rmplug.families import ModelLoader


class TokenRow(Protocol):
    """The tokens of one conversation: ``ids`` of shape (length,); where the response starts and
    ends; ``segments`` of shape (length,) where they are not all zero, or None."""

    @property
    def ids(self) -> np.ndarray: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def segments(self) -> np.ndarray | None: ...


@runtime_checkable
class TrainableModel(Protocol):
    """A loaded model that can be trained: a sequence classifier, or a causal language model.

    The network is trained in place: the model scores with it as it is at any moment.
    """

    @property
    def loader(self) -> ModelLoader:
        """The step that loads the same model in another process."""

    @property
    def network(self) -> Any:
        """The module of transformers, on its device; adapters may be put on it in place."""

    @property
    def tokenizer(self) -> Any:
        """The tokenizer that the token rows come from."""

    @property
    def padding(self) -> int:
        """The id that pads batches, on the right; the network's configuration says the same."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the scores."""

    @property
    def has_new_head(self) -> bool:
        """True if the head's weights are not those of a checkpoint but await training."""

    @property
    def head_modules(self) -> tuple[str, ...]:
        """Names of the modules that hold a new head, which an adapter has to save
        (``modules_to_save``); empty without a new head."""

    @property
    def adapted(self) -> Any:
        """The ``PeftModel`` around the network where it was loaded with an adapter beside its
        weights, which can be trained further; else None."""

    def draw_head(self, seed: int) -> None:
        """Draw the weights of a new head; the same for the same seed, whatever ran before. To be
        called before an adapter is put on the network."""

    def check_trainable(self) -> None:
        """Raise DataError where the network as it is now, with an adapter on it or without, cannot
        be trained or saved."""

    def token_rows(self, responses: pa.RecordBatch, bounds: bool = False) -> Sequence[TokenRow]:
        """Return the tokens of rows of ``Responses``, cut as the model's parameters say and no
        longer than it takes. ``start`` and ``end`` are right only with ``bounds``: of a language
        model those of the tokens that count as the response's in ``score``. Raises DataError for a
        model that cannot be trained as it was loaded."""

    def too_long(self, responses: pa.RecordBatch) -> np.ndarray:
        """Return the mask of the rows that are longer than the model takes: they would be cut."""

    def score(self, responses: pa.RecordBatch) -> np.ndarray:
        """Return float64 scores of shape (rows,) or (rows, outputs), without dropout."""

    def save(self, directory: Path, network: Any) -> None:
        """Write ``network`` (the module, or the ``PeftModel`` around it: then its adapter alone)
        into a folder that the same kind of loader opens without further parameters: safetensors,
        tokenizer, and ``format.json``: how conversations become tokens, the names of the outputs,
        the ids of probe texts, and of an adapter the model below it with the digests of its
        files."""


@runtime_checkable
class TrainablePolicy(TrainableModel, Protocol):
    """A causal language model that can be trained as a policy: one that writes responses."""

    @property
    def max_length(self) -> int | None:
        """Most tokens of a conversation; None without a limit."""

    def prompt_ids(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Return the tokens after which a response to each prompt begins, uncut."""

    def response_rows(self, responses: pa.RecordBatch) -> Sequence[TokenRow]:
        """Return the rows of ``token_rows`` with bounds, of a model that is asked, not trained."""

    def log_prob_sums(self, responses: pa.RecordBatch) -> np.ndarray:
        """Return the log-probability (natural) of the response's tokens, those within the bounds of
        ``response_rows``, of each row; float64 of shape (rows,)."""
