"""The training of a policy on pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import RandomSampler, Sampler, SequentialSampler
from trl import DPOConfig, DPOTrainer

from rmplug import DataError, Pairs, Progress, RewardModel, notice
from rmplug.arrays import Array
from rmplug.data.rows import one_batch
from rmplug.data.sides import side_of
from rmplug.models.trainable import TokenRow, TrainablePolicy
from rmplug.models.training_examples import MOST_EXAMPLES, TrainingExample, write_examples
from rmplug_trl.reward_models._examples import BATCH, padded, short_enough
from rmplug_trl.reward_models._numbers import final_numbers
from rmplug_trl.reward_models._sampling import LengthGrouped
from rmplug_trl.reward_models._validation import HeldOut, Validating, Watch
from rmplug_trl.reward_models.losses import BradleyTerry
from rmplug_trl.training._arguments import arguments_of
from rmplug_trl.training._network import precision_kept
from rmplug_trl.training._quiet import Silent, libraries_quiet
from rmplug_trl.training._resumption import Sealing, gone_on_from, newest_whole
from rmplug_trl.training._shown import text_of
from rmplug_trl.training._telling import SHOWN as TOLD
from rmplug_trl.training._telling import Telling

from ._policy import (
    curves,
    drop_copied_adapter,
    facts,
    policy_of,
    prepared,
    run,
    save,
)

if TYPE_CHECKING:
    from .preference import Dpo

SIDES = ("chosen", "rejected")
SHOWN = {
    "loss": "loss",
    "rewards/margins": "margin",
    "rewards/accuracies": "accuracy",
    "rewards/chosen": "chosen_reward",
    "rewards/rejected": "rejected_reward",
}
"""Numbers in TRL's log, and their names here."""


@dataclass(frozen=True)
class Comparisons:
    """Tokens of pairs: ``rows`` of each side, their log-probabilities under the ``reference``, of
    shape (pairs, 2), ids, and the first pairs as the policy reads them."""

    rows: Mapping[str, Sequence[TokenRow]]
    reference: Array
    ids: Sequence[str]
    shown: Sequence[TrainingExample]

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def lengths(self) -> list[int]:
        """The tokens of the longer side of each pair."""
        sides = zip(*(self.rows[side] for side in SIDES), strict=True)
        return [max(len(row.ids) for row in pair) for pair in sides]


def comparisons_of(policy: TrainablePolicy, data: Pairs, too_long: str) -> Comparisons:
    """Return the pairs that are learnt from; those that cannot be used are counted."""
    table = data.table
    table = table.filter(pa.array(short_enough(policy, table, SIDES, too_long)))
    batches = table.combine_chunks().to_batches(max_chunksize=BATCH)
    ids = [name for batch in batches for name in batch.column("id").to_pylist()]
    rows = {
        side: [r for b in batches for r in policy.token_rows(side_of(b, side), bounds=True)]
        for side in SIDES
    }
    same = [np.array_equal(c.ids, r.ids) for c, r in zip(*rows.values(), strict=True)]
    notice("chosen and rejected have the same tokens", _at(ids, same), "dropped")
    kept = np.flatnonzero(~np.array(same, bool))
    if not len(kept):
        raise DataError("no pair is left to learn from; see the notices for why")
    sums = [
        np.concatenate([policy.log_prob_sums(side_of(batch, side)) for batch in batches])[kept]
        for side in SIDES
    ]
    chosen = {side: [each[index] for index in kept] for side, each in rows.items()}
    shown = [
        TrainingExample(
            texts=tuple(text_of(policy, table, index, s, rows[s][index]) for s in SIDES)
        )
        for index in kept[:MOST_EXAMPLES].tolist()
    ]
    return Comparisons(chosen, np.stack(sums, axis=1), [ids[index] for index in kept], shown)


def _at(ids: Sequence[str], mask: Sequence[bool]) -> list[str]:
    return [name for name, wanted in zip(ids, mask, strict=True) if wanted]


@dataclass(frozen=True)
class Collating:
    """A maker of batches: padded on the right, all chosen responses first."""

    comparisons: Comparisons
    padding: int

    def __call__(self, picked: Sequence[Mapping[str, int]]) -> dict[str, torch.Tensor]:
        """Return ``input_ids``, ``attention_mask`` and ``completion_mask`` of shape (2 * pairs,
        longest), and the reference's log-probabilities of each side, of shape (pairs,)."""
        here = [entry["index"] for entry in picked]
        rows = [self.comparisons.rows[side][index] for side in SIDES for index in here]
        batch = padded(rows, self.padding)
        places = torch.arange(batch["input_ids"].shape[1])
        starts, ends = (torch.tensor([getattr(r, n) for r in rows]) for n in ("start", "end"))
        counted = (places >= starts[:, None]) & (places < ends[:, None])
        reference = torch.from_numpy(self.comparisons.reference[here].astype(np.float32))
        return {
            **batch,
            "completion_mask": counted.long(),
            "ref_chosen_logps": reference[:, 0],
            "ref_rejected_logps": reference[:, 1],
        }


class DpoTraining(Silent, DPOTrainer):  # type: ignore[misc]
    """TRL's trainer for DPO with our tokens, batches and order, and the reference's
    log-probabilities in the rows."""

    def __init__(self, *, comparisons: Comparisons, order: str, **given: Any) -> None:
        self.comparisons, self.order = comparisons, order
        rows = datasets.Dataset.from_dict({"index": list(range(len(comparisons)))})
        with precision_kept(given["model"]):
            super().__init__(train_dataset=rows, **given)

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        """Return the rows as they are: they were turned into tokens by the policy."""
        return dataset

    def _precompute_ref_logps(self, dataset: Any, *_: Any, **__: Any) -> Any:
        """Return the rows as they are: the collator knows the log-probabilities."""
        return dataset

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        if self.order == "sequential":
            return SequentialSampler(self.comparisons)
        if self.order == "random":
            return RandomSampler(self.comparisons)
        batch = self.args.train_batch_size * self.accelerator.num_processes
        return LengthGrouped(self.comparisons.lengths, batch, self.args.data_seed)


@dataclass(frozen=True)
class HeldOutPairs(HeldOut):
    """Held-out pairs, measured by the implicit reward; ``reference`` has the log-probabilities of
    each side before the training."""

    reference: Mapping[str, Array]
    beta: float

    def rewards(self) -> dict[str, Array]:
        """Return implicit rewards of each side, of shape (rows, 1)."""
        sums = log_probs(self.model, self.data)  # type: ignore[arg-type]
        return {s: self.beta * (sums[s] - self.reference[s]).reshape(-1, 1) for s in SIDES}


def log_probs(policy: TrainablePolicy, data: Pairs) -> dict[str, Array]:
    """Return the log-probabilities of each side, of shape (rows,)."""
    batch = one_batch(data.table)
    return {side: policy.log_prob_sums(side_of(batch, side)) for side in SIDES}


@dataclass
class PreferenceTraining:
    """One training: its settings, the policy, the data, and where it keeps its work."""

    step: Dpo
    policy: TrainablePolicy
    data: Pairs
    validation: Pairs | None
    seed: int
    work: Path
    progress: Progress

    def run(self, directory: Path) -> list[dict[str, Any]]:
        """Train, write the policy into ``directory``, and return numbers about it."""
        with libraries_quiet():
            loop, checkpoint = self.loop, newest_whole(self.work)
            if self.step.keep_examples:
                write_examples(directory, self.comparisons.shown)
            if checkpoint is not None and self.held_out is not None:
                with gone_on_from(checkpoint, loop):
                    self.watch.load(checkpoint)
            run(loop, self.work)
            numbers = self._numbers()
            save(self.step, self.policy, loop.model, self.data, directory)
        return numbers

    @cached_property
    def comparisons(self) -> Comparisons:
        """The tokens that are learnt from."""
        return comparisons_of(self.policy, self.data, self.step.too_long)

    @cached_property
    def held_out(self) -> HeldOutPairs | None:
        """The rows that are measured on the way."""
        if self.validation is None:
            return None
        before = log_probs(self.policy, self.validation)
        return HeldOutPairs(self.policy, self.validation, BradleyTerry(), before, self.step.beta)

    @cached_property
    def watch(self) -> Watch:
        """The record of measurements."""
        return Watch("log-loss", 0.0, None, keep_best=False)

    @cached_property
    def loop(self) -> DpoTraining:
        """The training loop, ready to run."""
        step, comparisons = self.step, self.comparisons
        watching = self._watching()  # the reference is asked before the network is changed
        network = prepared(self.policy, step, self.seed)
        loop = DpoTraining(
            comparisons=comparisons,
            order=step.train_sampling_strategy,
            model=network,
            args=self._arguments(next(network.parameters()).device),
            data_collator=Collating(comparisons, self.policy.padding),
            processing_class=self.policy.tokenizer,
            callbacks=[*watching, Sealing(), Telling(self.progress, {**TOLD, **SHOWN})],
        )
        drop_copied_adapter(loop.model)
        return loop

    def _watching(self) -> list[Validating]:
        if self.held_out is None:
            return []
        batch = self.step.per_device_train_batch_size * self.step.gradient_accumulation_steps
        every = self.step.eval_steps or max(1, -(-len(self.comparisons) // batch))
        return [Validating(self.held_out, self.watch, every, self.progress)]

    def _arguments(self, device: torch.device) -> Any:
        step = self.step
        own: Mapping[str, Any] = {
            "beta": step.beta,
            "loss_type": list(step.loss_type),
            "loss_weights": None if step.loss_weights is None else list(step.loss_weights),
            "label_smoothing": step.label_smoothing,
            "precompute_ref_log_probs": True,
            "remove_unused_columns": False,
            "disable_dropout": False,
            "max_length": None,
        }
        return arguments_of(DPOConfig, step, self.seed, self.work, device, **own)

    def _numbers(self) -> list[dict[str, Any]]:
        loop, pairs = self.loop, len(self.comparisons)
        return [
            *final_numbers(self.held_out, self.seed),
            *facts(loop.model, loop.state.global_step, pairs, pairs=pairs),
            *curves(loop.state.log_history, SHOWN, self.watch.history),
        ]


def train(
    step: Dpo,
    policy: RewardModel,
    data: Pairs,
    validation: Pairs | None,
    seed: int,
    directory: Path,
    work: Path,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Train the policy, write it into ``directory``, and return numbers about it."""
    training = PreferenceTraining(step, policy_of(policy), data, validation, seed, work, progress)
    return training.run(directory)
