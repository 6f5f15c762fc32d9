"""The training of a policy on the rewards of models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import datasets
import numpy as np
from torch.utils.data import Sampler
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from rmplug import DataError, Pairs, Progress, Responses, RewardModel, notice
from rmplug.models.reward_function import RewardFunction, as_function
from rmplug.models.trainable import TrainablePolicy
from rmplug.models.training_examples import MOST_EXAMPLES, TrainingExample, write_examples
from rmplug_trl.reward_models._verify import probes_of
from rmplug_trl.training._arguments import arguments_of
from rmplug_trl.training._network import precision_kept
from rmplug_trl.training._quiet import Silent, libraries_quiet
from rmplug_trl.training._resumption import Sealing
from rmplug_trl.training._shown import text_of_ids
from rmplug_trl.training._telling import SHOWN as TOLD
from rmplug_trl.training._telling import Telling

from ._policy import (
    curves,
    drop_copied_adapter,
    facts,
    prepared,
    run,
    save,
)

if TYPE_CHECKING:
    from .reinforcement import Reinforcement

Talk = list[dict[str, str]]

SHOWN = {
    "reward": "mean_reward",
    "loss": "loss",
    "kl": "kl",
    "entropy": "entropy",
    "completions/mean_length": "mean_length",
    "completions/clipped_ratio": "clipped_share",
}
"""Numbers in TRL's log, and their names here."""
SHARED = (
    "num_generations", "max_completion_length", "temperature", "top_p", "top_k", "beta",
    "repetition_penalty", "epsilon", "mask_truncated_completions",
)  # fmt: skip
"""Parameters that TRL has under the same names."""


class Prompts(Sampler):  # type: ignore[misc]
    """The order of prompts: each step has some of them, each as often as responses are sampled, and
    comes as often as it is asked for. It depends on seed and epoch alone, so that an interrupted
    training goes on in the same order; TRL's own begins again."""

    def __init__(self, count: int, together: int, each: int, times: int, seed: int | None) -> None:
        self.count, self.together, self.each, self.times = count, together, each, times
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; called by the library before each."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count // self.together * self.together * self.each * self.times

    def __iter__(self) -> Iterator[int]:
        order = np.arange(self.count)
        if self.seed is not None:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(order)
        whole = order[: self.count // self.together * self.together]
        for step in whole.reshape(-1, self.together):
            yield from np.tile(np.repeat(step, self.each), self.times).tolist()


class Sampling(Silent):
    """The part of TRL's trainers that is ours: how prompts are read, and their order."""

    args: Any
    model: Any
    ref_model: Any
    accelerator: Any
    train_dataset: Any
    num_generations: int
    policy: TrainablePolicy
    shuffled: bool

    def _tokenize_prompts(self, prompts: Sequence[Talk]) -> tuple[list[list[int]], None, dict]:  # type: ignore[type-arg]
        """Return the tokens of prompts by the policy's own format; no images, no more fields."""
        return self.policy.prompt_ids(prompts), None, {}

    def _get_train_sampler(self, dataset: Any = None) -> Prompts:
        count = len(dataset if dataset is not None else self.train_dataset)
        together = self.args.generation_batch_size // self.num_generations
        times, seed = self.args.steps_per_generation, self.args.seed
        seed = seed if self.shuffled else None
        return Prompts(count, together, self.num_generations, times, seed)


class GrpoTraining(Sampling, GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer for GRPO with our prompts."""


class RlooTraining(Sampling, RLOOTrainer):  # type: ignore[misc]
    """TRL's trainer for RLOO with our prompts."""


TRAINERS = {"grpo": (GRPOConfig, GrpoTraining), "rloo": (RLOOConfig, RlooTraining)}


@dataclass
class ReinforcementTraining:
    """One training: its settings, models and prompts, and where it keeps its work."""

    step: Reinforcement
    policy: TrainablePolicy
    rewards: Sequence[RewardModel]
    data: Pairs | Responses
    seed: int
    work: Path
    progress: Progress
    shown: ClassVar[Mapping[str, str]] = SHOWN

    def run(self, directory: Path) -> list[dict[str, Any]]:
        """Train, write the policy into ``directory``, and return numbers about it."""
        with libraries_quiet():
            loop = self.loop
            if self.step.keep_examples:
                write_examples(directory, self.shown_prompts())
            run(loop, self.work)
            save(self.step, self.policy, loop.model, self.data, directory)
        steps, prompts = loop.state.global_step, len(self.prompts)
        told = facts(loop.model, steps, prompts, prompts=prompts)
        return [*told, *curves(loop.state.log_history, self.shown)]

    @property
    def prompts(self) -> list[Talk]:
        """The distinct prompts that leave room for a response."""
        return list(self.named_prompts.values())

    @cached_property
    def named_prompts(self) -> dict[str, Talk]:
        """Those prompts by the id of the first row that has each."""
        talks, names = distinct_prompts(self.data)
        room = self.policy.max_length
        if room is None:
            return dict(zip(names, talks, strict=True))
        most = room - self.step.max_completion_length
        fits = [0 < len(ids) <= most for ids in self.policy.prompt_ids(talks)]
        left = [name for name, fit in zip(names, fits, strict=True) if not fit]
        notice("prompt leaves no room for max_completion_length tokens", left, "dropped")
        kept = zip(names, talks, fits, strict=True)
        return {name: talk for name, talk, fit in kept if fit}

    def shown_prompts(self) -> list[TrainingExample]:
        """Return the first prompts as the policy reads them."""
        names = list(self.named_prompts)[:MOST_EXAMPLES]
        read = self.policy.prompt_ids(self.prompts[:MOST_EXAMPLES])
        return [
            TrainingExample(texts=(text_of_ids(self.policy, name, "prompt", ids),))
            for name, ids in zip(names, read, strict=True)
        ]

    @cached_property
    def functions(self) -> list[RewardFunction]:
        """The reward models as functions, each by its name."""
        names = [model.name or f"reward{place}" for place, model in enumerate(self.rewards)]
        return [
            as_function(model, self.step.output, name)
            for model, name in zip(self.rewards, names, strict=True)
        ]

    @cached_property
    def loop(self) -> Any:
        """The training loop, ready to run."""
        self.check_data()
        loop = self.loop_of(prepared(self.policy, self.step, self.seed))
        loop.policy = self.policy
        loop.shuffled = self.step.train_sampling_strategy == "random"
        return loop

    def check_data(self) -> None:
        """Refuse too few prompts, and a policy that cannot be trained and saved."""
        needed = self.step.prompts_per_step
        if len(self.prompts) < needed:
            raise DataError(
                f"there are {len(self.prompts)} distinct prompts that leave room for a response, "
                f"but a step needs {needed}; lower per_device_train_batch_size or "
                "max_completion_length, or give more prompts"
            )
        self.policy.token_rows(probes_of(self.data))

    def loop_of(self, network: Any) -> Any:
        """Return TRL's loop for the network."""
        config, trainer = TRAINERS[self.step.kind]
        whole = self.step.lora is None and self.step.beta
        before = weights_of(network) if whole else None
        given = self.given(network, config, SHARED, disable_dropout=False)
        with precision_kept(network):
            loop = trainer(**given)
        if self.policy.adapted is None:
            drop_copied_adapter(loop.model)
        if before is not None:
            # TRL reads the reference from the policy's folder, where adapters are not merged in
            loop.accelerator.unwrap_model(loop.ref_model).load_state_dict(before)
        return loop

    def given(
        self, network: Any, config: type[Any], shared: Sequence[str], **more: Any
    ) -> dict[str, Any]:
        """Return what any of TRL's trainers gets: the network, its arguments as ``config``, with
        the step's parameters of the names ``shared`` and ``more`` beside all others, and data."""
        step, device = self.step, next(network.parameters()).device
        weights = None if step.reward_weights is None else list(step.reward_weights)
        fixed = {"remove_unused_columns": False, "reward_weights": weights}
        own = {name: getattr(step, name) for name in shared} | dict(step.own)
        return {
            "model": network,
            "reward_funcs": list(self.functions),
            "args": arguments_of(
                config, step, self.seed, self.work, device, **{**fixed, **own, **more}
            ),
            "train_dataset": datasets.Dataset.from_list([{"prompt": t} for t in self.prompts]),
            "processing_class": self.policy.tokenizer,
            "callbacks": [Sealing(), Telling(self.progress, {**TOLD, **self.shown})],
        }


def weights_of(network: Any) -> dict[str, Any]:
    """Return a copy of a network's weights."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def distinct_prompts(data: Pairs | Responses) -> tuple[list[Talk], list[str]]:
    """Return each distinct prompt once, in order, with the id of the first row that has it."""
    found: dict[str, tuple[Talk, str]] = {}
    for batch in data.batches():
        for talk, name in zip(
            batch.column("prompt").to_pylist(), batch.column("id").to_pylist(), strict=True
        ):
            found.setdefault(json.dumps(talk), (talk, name))
    return [talk for talk, _ in found.values()], [name for _, name in found.values()]
