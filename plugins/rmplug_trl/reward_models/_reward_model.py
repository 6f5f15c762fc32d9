"""The training of a reward model from start to end."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

from rmplug import DataError, Pairs, Progress, Responses, RewardModel
from rmplug.models.trainable import TrainableModel
from rmplug.models.training_examples import write_examples
from rmplug.stats.metric_rows import number
from rmplug_trl.training._arguments import arguments_of
from rmplug_trl.training._launch import (
    OUTCOME,
    TOLD,
    WEIGHTS,
    Job,
    check_processes,
    made,
    run_processes,
)
from rmplug_trl.training._network import (
    Widened,
    adapted,
    check_mergeable,
    count_parameters,
    is_quantized,
    largest_dropout,
    set_dropout,
    whole,
)
from rmplug_trl.training._quiet import libraries_quiet
from rmplug_trl.training._resumption import Sealing, gone_on_from, newest_whole
from rmplug_trl.training._telling import Telling
from rmplug_trl.training.settings import QUANTIZED_MERGED

from ._examples import Collating, Examples, examples_of
from ._numbers import curves, final_numbers, padding_share
from ._targets import Targets
from ._training import RewardTraining
from ._validation import HeldOut, Validating, Watch, trained
from ._verify import check_saved, probes_of, scores_of

if TYPE_CHECKING:
    from rmplug_trl.training.settings import Launcher

    from .reward_model import RewardModelTrainer


@dataclass(frozen=True)
class Outcome:
    """The facts of a finished training beside its weights: steps, rows that were learnt from,
    the log, what was measured on held-out rows, and further numbers."""

    steps: int
    rows: int
    log: Sequence[Mapping[str, Any]]
    history: Sequence[Mapping[str, float]]
    facts: Mapping[str, float]


@dataclass
class RewardModelTraining:
    """One training: its settings, the model, the data, and where it keeps its work."""

    step: RewardModelTrainer
    model: TrainableModel
    data: Pairs | Responses
    validation: Pairs | Responses | None
    seed: int
    work: Path
    progress: Progress
    widened: Widened | None = None

    def run(self, directory: Path) -> list[dict[str, Any]]:
        """Train, write the model into ``directory``, and return numbers about it."""
        with libraries_quiet():
            network = self.network
            if self.step.keep_examples:
                write_examples(directory, self.examples.shown)
            outcome = self.fit() if self.step.launcher is None else self._launch(self.step.launcher)
            if self.widened is not None:
                self.widened.undo()
            network.eval()
            numbers = self._numbers(outcome)
            self._save(directory)
        return numbers

    def fit(self) -> Outcome:
        """Train in this process, one of several perhaps; the network then has the weights that are
        kept."""
        network, loop, checkpoint = self.network, self.loop, newest_whole(self.work)
        with gone_on_from(checkpoint, loop):
            if checkpoint is not None:
                self.watch.load(checkpoint)
            loop.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        # the wrapper of mixed precision would score otherwise than the saved model does
        loop.accelerator.unwrap_model(loop.model_wrapped, keep_fp32_wrapper=False)
        if self.step.load_best_model_at_end and self.watch.best is not None:
            take_over(network, self.watch.best)
        return Outcome(
            loop.state.global_step,
            len(self.examples),
            loop.state.log_history,
            self.watch.history,
            {**loop.loss.numbers(), "padding": self._padding()},
        )

    def _launch(self, launcher: Launcher) -> Outcome:
        """Train in several processes, and take over what they made. Rows that cannot be used and
        damaged checkpoints are told here: notices of other processes are lost."""
        rows = len(self.examples)
        newest_whole(self.work)
        held_out = {} if self.validation is None else {"validation": self.validation}
        job = Job.write(
            f"{__name__}:work",
            self.step,
            self.model,
            {"data": self.data, **held_out},
            self.seed,
            self.work,
        )
        run_processes(job, launcher, self.progress, self.network.device.type == "cpu")
        take_over(self.network, load_file(self.work / WEIGHTS))
        outcome = Outcome(**json.loads((self.work / OUTCOME).read_text(encoding="utf-8")))
        assert outcome.rows == rows
        return outcome

    @cached_property
    def examples(self) -> Examples:
        """The tokens and targets that are learnt from."""
        return examples_of(self.model, self.data, self.step.loss, self.step.too_long)

    @cached_property
    def network(self) -> Any:
        """The network with its head drawn, its dropout set, and low-rank matrices on it."""
        transformers.set_seed(self.seed)
        if self.model.has_new_head:
            self.model.draw_head(self.seed)
        set_dropout(self.model.network, self.step.dropout)
        if self.step.lora is None:
            return whole(self.model)
        if self.step.save == "merged":
            check_mergeable(self.model.network)
        network = adapted(self.model, self.step.lora, "SEQ_CLS", self.seed)
        self.widened = Widened(network)
        return network

    @cached_property
    def held_out(self) -> HeldOut | None:
        """The rows that are measured on the way."""
        if self.validation is None:
            return None
        return HeldOut(self.model, self.validation, self.step.loss)

    @cached_property
    def watch(self) -> Watch:
        """The record of measurements."""
        step = self.step
        metric = step.metric_for_best_model or (
            "mse" if step.loss.of == "responses" else "log-loss"
        )
        patience, keep = step.early_stopping_patience, step.load_best_model_at_end
        return Watch(metric, step.early_stopping_threshold, patience, keep)

    @cached_property
    def loop(self) -> RewardTraining:
        """The training loop, ready to run."""
        from trl import RewardConfig

        step, examples = self.step, self.examples
        device = next(self.network.parameters()).device
        own = {"remove_unused_columns": False, "disable_dropout": False, "max_length": None}
        arguments = arguments_of(RewardConfig, step, self.seed, self.work, device, **own)
        every = step.eval_steps or self._steps_per_epoch(len(examples))
        watching = (
            [Validating(self.held_out, self.watch, every, self.progress)] if self.held_out else []
        )
        return RewardTraining(
            examples=examples,
            loss=step.loss.function(Targets(examples.columns)),
            order=step.train_sampling_strategy,
            model=self.network,
            args=arguments,
            data_collator=Collating(examples, self.model.padding),
            processing_class=self.model.tokenizer,
            callbacks=[*watching, Sealing(), Telling(self.progress)],
        )

    def _steps_per_epoch(self, rows: int) -> int:
        processes = int(os.environ.get("WORLD_SIZE", "1"))  # as launchers tell it
        batch = self.step.per_device_train_batch_size * self.step.gradient_accumulation_steps
        return max(1, -(-rows // (batch * processes)))

    def _numbers(self, outcome: Outcome) -> list[dict[str, Any]]:
        trained, every = count_parameters(self.network)
        facts: Mapping[str, float] = {
            "steps": outcome.steps,
            "dropout": largest_dropout(self.network),
            "parameters": every,
            "parameters-trained": trained,
            **outcome.facts,
        }
        ratings = self.examples.columns.get("rating")
        means = None if ratings is None else np.nanmean(ratings, axis=0)
        return [
            *final_numbers(self.held_out, self.seed, means),
            *(number(name, float(value), outcome.rows) for name, value in facts.items()),
            *curves(
                outcome.log, outcome.history, self.step.loss.metric(self.data.table.column_names)
            ),
        ]

    def _padding(self) -> float:
        """Return the share of padding in the batches of the first epoch."""
        order = iter(self.loop._get_train_sampler())
        size = self.step.per_device_train_batch_size
        batches = list(iter(lambda: list(islice(order, size)), []))
        return padding_share(self.examples, batches, self.loop.chunks)

    def _save(self, directory: Path) -> None:
        """Write the model, and prove that it scores as the trained one."""
        probes, merged = probes_of(self.data), self.step.save == "merged"
        before = scores_of(self.model, probes)
        kept = self.network.merge_and_unload(safe_merge=True) if merged else self.network
        self.model.save(directory, kept)
        settings = self.model.loader.settings_to_reopen()
        check_saved(type(self.step), before, probes, directory, settings, fresh=merged)


def train(
    step: RewardModelTrainer,
    model: RewardModel,
    data: Pairs | Responses,
    validation: Pairs | Responses | None,
    seed: int,
    directory: Path,
    work: Path,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Train the model, write it into ``directory``, and return numbers about it."""
    base = trainable(model)
    check_outputs(step, base)
    if step.save == "merged" and is_quantized(base.network):
        raise DataError(QUANTIZED_MERGED)
    training = RewardModelTraining(step, base, data, validation, seed, work, progress)
    return training.run(directory)


def work(job: Job) -> None:
    """Train in one of the processes of a launcher; the first writes down what they made."""
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    asked, step = made(job.step), made(job.step, launcher=None)
    check_processes(asked.launcher, int(os.environ.get("WORLD_SIZE", "1")))
    model = trainable(made(job.loader).load())
    told = (job.work / TOLD).open("a", encoding="utf-8", buffering=1)

    def tell(done: int, total: int | None = None, **numbers: float) -> None:
        if int(os.environ.get("RANK", "0")) == 0:
            told.write(json.dumps({"done": done, "total": total, **numbers}) + "\n")

    data, validation = job.table("data"), job.table("validation")
    training = RewardModelTraining(step, model, data, validation, job.seed, job.work, tell)
    with libraries_quiet():
        outcome = training.fit()
        weights = whole_weights(training.loop)
    if training.loop.is_world_process_zero():
        save_file(weights, job.work / WEIGHTS)
        (job.work / OUTCOME).write_text(json.dumps(vars(outcome)), encoding="utf-8")


def whole_weights(loop: RewardTraining) -> dict[str, Any]:
    """Return the weights that were trained, put together where each process holds a part."""
    names = {name for name, _ in trained(loop.accelerator.unwrap_model(loop.model))}
    state = loop.accelerator.get_state_dict(loop.model_wrapped)
    return {n: value.detach().cpu().contiguous() for n, value in state.items() if n in names}


def take_over(network: Any, weights: Mapping[str, Any]) -> None:
    """Put weights into a network: all that are trained, and no others. Raises DataError where names
    differ, as they may where each process holds a part."""
    odd = {name for name, _ in trained(network)} ^ set(weights)
    if odd:
        raise DataError(
            f"the weights that were trained are not those of the network ({min(odd)}); train "
            "without this launcher"
        )
    network.load_state_dict(weights, strict=False)


def trainable(model: RewardModel) -> TrainableModel:
    """Return the model if it can be trained."""
    if not isinstance(model, TrainableModel):
        raise DataError(
            f"{model.name or type(model).__name__} cannot be trained; name a sequence-classifier "
            "(head: new on a model without a head), or what reward-model has trained"
        )
    return model


def check_outputs(step: RewardModelTrainer, model: TrainableModel) -> None:
    """Check that the loss fits the number of the model's outputs."""
    if step.loss.outputs not in (None, len(model.outputs)):
        raise DataError(
            f"the model has {len(model.outputs)} outputs ({', '.join(model.outputs)}), the loss "
            f"{step.loss.kind} needs {step.loss.outputs}; set outputs in the step that loads it"
        )
