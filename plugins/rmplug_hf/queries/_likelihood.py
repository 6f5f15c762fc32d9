"""Log-probabilities of responses under a language model and its reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch

from rmplug import DataError, RewardModel, notice
from rmplug.arrays import Array
from rmplug.artifacts import Formats
from rmplug.data.sides import stacked
from rmplug.models.self_checks import check_again, finite_spread, places_to_check
from rmplug_hf.loading._as_trained import as_trained
from rmplug_hf.loading._exactness import exact
from rmplug_hf.loading._loading import Loaded, load
from rmplug_hf.loading._trainable import Trainable
from rmplug_hf.loading._transformer import run_rows
from rmplug_hf.loading._trials import is_causal
from rmplug_hf.tokens._batch import Batch
from rmplug_hf.tokens._tokenizing import Tokens

from ._generation import Writer

if TYPE_CHECKING:
    from .likelihood import CausalLM

AUTO = "AutoModelForCausalLM"


@dataclass(frozen=True)
class LogProbs:
    """The number of counted tokens per response and the sums of their log-probabilities; arrays of
    shape (rows,)."""

    tokens: Array
    policy: Array
    reference: Array | None

    def columns(self) -> dict[str, Array]:
        """Return the sums by name, with means per token."""
        count = np.maximum(self.tokens, 1)
        columns = {"policy.sum": self.policy, "policy.mean": self.policy / count}
        if self.reference is not None:
            columns["reference.sum"] = self.reference
            columns["reference.mean"] = self.reference / count
        return {"tokens": self.tokens, **columns}


def load_causal(step: CausalLM) -> LanguageModel:
    """Load the policy of a step, with its reference if it has one."""
    trained = as_trained(step)
    step = trained.step
    policy = load_language_model(step)
    trained.check(policy)
    if step.reference is None and step.reference_name is None:
        return LanguageModel(policy, None, step, trained.changed)
    overrides = {
        "path": step.reference,
        "name": step.reference_name,
        "revision": step.reference_revision,
        "adapter": None,
    }
    reference = load_language_model(step.model_copy(update=overrides))
    check_same_tokens(policy, reference)
    return LanguageModel(policy, reference, step, trained.changed)


def load_language_model(step: Any) -> Loaded:
    """Load a model that predicts the next token from those before it."""
    loaded = load(step, AUTO)
    if not is_causal(loaded):
        raise DataError(
            f"{loaded.tokenizer.name_or_path} is no causal language model: its "
            f"{type(loaded.model).__name__} sees the tokens after the one that it predicts"
        )
    return loaded


def check_same_tokens(policy: Loaded, reference: Loaded) -> None:
    """Check that shared tokens have the same id in both; each may have a few of its own."""
    own, other = policy.tokenizer.get_vocab(), reference.tokenizer.get_vocab()
    odd = sorted(token for token, index in own.items() if other.get(token, index) != index)
    if odd or len(own.keys() & other.keys()) < 0.9 * len(own):
        shown = f" ({odd[0]!r} is {own[odd[0]]} and {other[odd[0]]})" if odd else ""
        raise DataError(
            f"the policy {policy.tokenizer.name_or_path} and the reference "
            f"{reference.tokenizer.name_or_path} have different tokenizers{shown}; the reference "
            "must be the model that the policy was trained from"
        )


class LanguageModel(Trainable, Writer):
    """A language model; its scores are log-probabilities of responses, minus the reference's."""

    def __init__(
        self,
        loaded: Loaded,
        reference: Loaded | None,
        step: CausalLM,
        changed: tuple[str, ...] = (),
    ) -> None:
        super().__init__(loaded)
        self.reference = reference
        self.step, self.changed = step, changed
        self.beta, self.over, self.ending = step.beta, step.over, step.ending

    def score(self, responses: pa.RecordBatch) -> Array:
        """Return rewards of shape (rows,)."""
        sums = self.log_probs(responses)
        ratio = sums.policy if sums.reference is None else sums.policy - sums.reference
        return self.beta * (ratio / np.maximum(sums.tokens, 1) if self.over == "mean" else ratio)

    def exactly(self) -> AbstractContextManager[Formats] | None:
        """Return a context in which policy and reference run each row alone, in float32."""
        return _exact(self.loaded, self.reference)

    def token_rows(self, responses: pa.RecordBatch, bounds: bool = False) -> list[Tokens]:
        """Return the tokens of rows of ``Responses``; with ``bounds`` where the tokens that count
        as the response's start and end, as in ``score``."""
        self.check_trainable()
        return self.response_rows(responses) if bounds else super().token_rows(responses)

    def response_rows(self, responses: pa.RecordBatch) -> list[Tokens]:
        """Return the tokens that are asked about, with the bounds of those that count as the
        response's."""
        rows = self.loaded.tokenizing.rows(responses, bounds=True) if responses.num_rows else []
        return [self._counted(row) for row in rows]

    def log_probs(self, responses: pa.RecordBatch) -> LogProbs:
        """Compute the summed log-probabilities of the responses' tokens."""
        ids = responses.column("id").to_pylist()
        self.notice_format(responses)
        rows = self.response_rows(responses)
        tokens = np.array([row.end - row.start for row in rows], dtype=np.float64)
        empty = [name for name, count in zip(ids, tokens, strict=True) if not count]
        notice("response without a token that counts", empty)
        reference = None
        if self.reference is not None:
            _check_known(rows, ids, self.reference)
            reference = log_prob_sums(self.reference, rows)
        return LogProbs(tokens, log_prob_sums(self.loaded, rows), reference)

    def log_prob_sums(self, responses: pa.RecordBatch) -> Array:
        """Return the policy's sums alone, of shape (rows,)."""
        return log_prob_sums(self.loaded, self.response_rows(responses))

    def _counted(self, row: Tokens) -> Tokens:
        """Return the row with the bounds of counted tokens; the first token has no probability."""
        start = max(row.start, 1)
        end = len(row) if self.ending else row.end
        return Tokens(row.ids, start, max(start, end), row.segments)


@contextmanager
def _exact(policy: Loaded, reference: Loaded | None) -> Iterator[Formats]:
    with exact(policy) as formats, exact(reference) if reference else nullcontext():
        yield formats


def _check_known(rows: Sequence[Tokens], ids: Sequence[str], reference: Loaded) -> None:
    size = reference.vocabulary
    odd = [name for name, row in zip(ids, rows, strict=True) if row.ids.max() >= size]
    if odd:
        raise DataError(
            f"the conversation of {odd[0]} has tokens that the reference "
            f"{reference.tokenizer.name_or_path} does not embed ({size} tokens); take the model "
            "that the policy was trained from"
        )


def log_prob_sums(loaded: Loaded, rows: Sequence[Tokens]) -> Array:
    """Compute the log-probability (natural) of each row's tokens from ``start`` to ``end``, after
    those before; float64 of shape (rows,)."""
    if not rows:
        return np.zeros(0)
    forward, asked = partial(_sums, loaded.model), {"log-probs": "sum"}
    return run_rows(loaded, rows, forward, asked, _telling)


def _telling(row: Tokens) -> Array:
    """Return the tokens whose output tells those that count: each tells the next."""
    return np.arange(row.start - 1, max(row.start, row.end - 1))


def _sums(model: Any, batch: Batch) -> torch.Tensor:
    logits = model(**batch.arguments()).logits
    bounds = list(zip(batch.starts.tolist(), batch.ends.tolist(), strict=True))
    log_probs = [
        _log_probs(logits[row, start - 1 : end - 1], batch.ids[row, start:end])
        for row, (start, end) in enumerate(bounds)
    ]
    # summed in float64, which some devices do not have
    flat = torch.cat(log_probs).cpu().double()
    return torch.stack([part.sum() for part in flat.split([len(row) for row in log_probs])])


def _log_probs(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Return log-probabilities of ids, of shape (tokens,), from logits (tokens, vocabulary)."""
    logits = logits.float()
    picked: torch.Tensor = logits.gather(-1, ids.unsqueeze(-1)).squeeze(-1)
    return picked - logits.logsumexp(-1)


@dataclass(frozen=True)
class LogProbQuery:
    """The row-wise log-probabilities of each side of a batch."""

    sides: tuple[str, ...]
    checked: frozenset[str] = frozenset()
    """The ids of rows whose responses are run again, each alone."""

    def __call__(self, model: RewardModel, batch: pa.RecordBatch) -> dict[str, Array]:
        if not isinstance(model, LanguageModel):
            raise DataError(
                f"{model.name or type(model).__name__} gives no probabilities of tokens; give a "
                "model of the kind causal-lm"
            )
        sums = model.log_probs(stacked(batch, self.sides))
        count, columns = len(self.sides), sums.columns()
        if len(places := places_to_check(batch, self.checked)):
            self._check_again(model, batch, sums, places)
        split = {name: np.split(values, count) for name, values in columns.items()}
        return {
            name if side == "response" else f"{side}.{name}": split[name][place]
            for place, side in enumerate(self.sides)
            for name in columns
        }

    def _check_again(
        self, model: LanguageModel, batch: pa.RecordBatch, sums: LogProbs, places: Array
    ) -> None:
        """Compare the policy's sums of some rows with those of each of them alone."""
        part = stacked(batch.take(pa.array(places)), self.sides)
        rows = np.concatenate([places + n * batch.num_rows for n in range(len(self.sides))])
        check_again(
            model,
            "log-probabilities",
            sums.policy[rows],
            lambda: model.log_prob_sums(part),
            part.column("id").to_pylist(),
            spread=finite_spread(sums.policy),
        )
