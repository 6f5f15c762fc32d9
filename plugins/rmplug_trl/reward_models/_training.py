"""The training loop: TRL's reward trainer with our tokens, batches, order and losses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import Sampler, SequentialSampler
from transformers.trainer_callback import PrinterCallback, TrainerCallback
from trl import RewardTrainer

from rmplug import DataError
from rmplug.errors import some
from rmplug_trl.training._network import precision_kept
from rmplug_trl.training._quiet import Silent

from ._examples import Examples
from ._losses import LossFunction
from ._sampling import LengthGrouped

ARGUMENTS = ("input_ids", "attention_mask", "token_type_ids")
CHUNKS = 4
"""Forward passes of a batch on a CPU, each over rows of like length: padding costs time there, a
small batch does not."""
LOSS_STATE = "loss.safetensors"


class RewardTraining(Silent, RewardTrainer):  # type: ignore[misc]
    """TRL's trainer of reward models; batches, order, loss and what is kept are ours.

    TRL's own numbers (means of batches) are left out: decisions are made on all rows.
    """

    def __init__(self, *, examples: Examples, loss: LossFunction, order: str, **given: Any) -> None:
        self.examples, self.loss, self.order = examples, loss, order
        self.sampler: LengthGrouped | None = None
        columns = {"index": range(len(examples)), "length": examples.lengths}
        rows = datasets.Dataset.from_dict({name: list(values) for name, values in columns.items()})
        with one_output(given["model"].config), precision_kept(given["model"]):
            super().__init__(train_dataset=rows, **given)
        self.remove_callback(PrinterCallback)  # observers tell, standard output is the person's
        self.add_callback(Ordering(self))
        self.loss.to(self.args.device)
        # several passes before one backward pass confuse the reduction of gradients over processes
        alone = self.accelerator.num_processes == 1 and self.args.device.type == "cpu"
        self.chunks = CHUNKS if alone else 1

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        """Return the rows as they are: they were turned into tokens by the model that is asked."""
        return dataset

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        if self.order == "sequential":
            return SequentialSampler(self.examples)
        batch = self.args.train_batch_size * self.accelerator.num_processes
        grouped = self.order == "group_by_length"
        lengths = self.examples.lengths if grouped else [1] * len(self.examples)
        self.sampler = LengthGrouped(lengths, batch, self.args.data_seed)
        return self.sampler

    def create_optimizer(self, *given: Any, **named: Any) -> Any:
        """Create the optimiser; what the loss learns is not decayed."""
        fresh = self.optimizer is None
        optimizer = super().create_optimizer(*given, **named)
        own = list(self.loss.parameters())
        if own and fresh:
            optimizer.add_param_group({"params": own, "weight_decay": 0.0})
            # the library sets the gradients of the network to zero, and of nothing else
            optimizer.register_step_post_hook(lambda *_: self.loss.zero_grad())
            for parameter in own:
                parameter.register_hook(lambda g: self.accelerator.reduce(g, reduction="mean"))
        return optimizer

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Mapping[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the loss of a batch. Raises DataError, with the rows, when it is not finite."""
        tokens = {name: inputs[name] for name in ARGUMENTS if name in inputs}
        columns = {name: v for name, v in inputs.items() if name not in (*ARGUMENTS, "example")}
        rewards = self._rewards(model, tokens).float()
        loss = self.loss(rewards, columns)
        if not torch.isfinite(loss):
            self._refuse(inputs["example"])
        self._metrics["train"]["mean_reward"].append(float(rewards.detach().mean()))
        return (loss, {"rewards": rewards}) if return_outputs else loss

    def _rewards(self, model: nn.Module, tokens: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return rewards of shape (rows, outputs)."""
        if self.chunks == 1:
            whole: torch.Tensor = model(**tokens).logits
            return whole
        lengths = tokens["attention_mask"].sum(dim=1)
        order = lengths.argsort(descending=True, stable=True)
        parts = []
        for rows in order.chunk(self.chunks):
            longest = int(lengths[rows[0]])
            parts.append(model(**{n: t[rows, :longest] for n, t in tokens.items()}).logits)
        return torch.cat(parts)[order.argsort()]

    def _refuse(self, examples: torch.Tensor) -> None:
        ids = [self.examples.ids[int(index)] for index in examples]
        raise DataError(
            f"the loss is not finite at step {self.state.global_step + 1}, on the rows "
            f"{some(ids, 8)}; lower learning_rate, or set mixed_precision: no"
        )

    def _save_checkpoint(self, *given: Any, **named: Any) -> None:
        """Save what is needed to go on, and what the loss has learnt."""
        super()._save_checkpoint(*given, **named)
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        if list(self.loss.parameters()) and self.args.should_save:
            save_file(self.loss.state_dict(), folder / LOSS_STATE)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, *given: Any, **named: Any) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, *given, **named)
        if list(self.loss.parameters()):
            self.loss.load_state_dict(load_file(Path(resume_from_checkpoint) / LOSS_STATE))


class Ordering(TrainerCallback):  # type: ignore[misc]
    """Tell the sampler the epoch. Of several processes, one that goes on amid an epoch wraps its
    sampler in a third layer, through which accelerate does not tell it: the order would be that of
    the first epoch."""

    def __init__(self, loop: RewardTraining) -> None:
        self.loop = loop

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.loop.sampler is not None:
            self.loop.sampler.set_epoch(int(state.epoch or 0))


@contextmanager
def one_output(config: Any) -> Iterator[None]:
    """Let TRL, which takes models of one output only, take one of several within the context; our
    losses know how many there are."""
    names = dict(config.id2label)
    config.num_labels = 1
    try:
        yield
    finally:
        config.id2label = names
        config.label2id = {label: index for index, label in names.items()}
