"""Rewards of held-out rows while a model is trained: measured on all of them, and acted on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from accelerate.utils import broadcast_object_list
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from rmplug import DataError, Pairs, Responses, notice
from rmplug.arrays import Array
from rmplug.data.choices import choice_of_each
from rmplug.data.rows import one_batch
from rmplug.data.sides import side_of
from rmplug.models.trainable import TrainableModel
from rmplug.stats.metric_rows import wins

from .losses import RewardLoss

BEST, HISTORY = "best.safetensors", "validation.json"


@dataclass(frozen=True)
class HeldOut:
    """Held-out rows. Pairs, and the ordered pairs of lists, have leads: the reward of the better
    response less that of the other."""

    model: TrainableModel
    data: Pairs | Responses
    loss: RewardLoss

    def rewards(self) -> dict[str, Array]:
        """Return rewards of each side, of shape (rows, outputs), without dropout."""
        sides = ("chosen", "rejected") if isinstance(self.data, Pairs) else ("response",)
        batch = one_batch(self.data.table)
        network = self.model.network
        was, _ = network.training, network.eval()
        try:
            scores = {side: self.model.score(side_of(batch, side)) for side in sides}
        finally:
            network.train(was)
        return {side: np.asarray(s).reshape(len(s), -1) for side, s in scores.items()}

    def measure(self) -> dict[str, float]:
        """Return ``log-loss`` and ``accuracy`` (ties one half) of leads, or ``mse`` of ratings."""
        rewards = self.rewards()
        if not all(np.isfinite(side).all() for side in rewards.values()):
            raise DataError("the model gives rewards that are not finite; lower learning_rate")
        if self.loss.of == "responses":
            return {"mse": float(np.nanmean((rewards["response"] - self.ratings) ** 2))}
        lead = self.leads(rewards)
        return {
            "log-loss": float(np.logaddexp(0, -lead).mean()),
            "accuracy": float(wins(lead).mean()),
        }

    @cached_property
    def ratings(self) -> Array:
        """The ratings of responses, of shape (rows, outputs), NaN where missing."""
        return self.loss.targets(self.data.table).columns["rating"]

    @cached_property
    def order(self) -> tuple[Array, Array]:
        """The rows of the better and of the worse response of each pair: in the table of responses,
        or in that of chosen, followed by that of rejected responses."""
        if isinstance(self.data, Pairs):
            better, worse = labelled_pairs(self.data, self.loss)
        else:
            rank = self.loss.targets(self.data.table).columns["rank"]
            better, worse = ordered_pairs(self.data.table, rank)
        if not len(better):
            raise DataError(
                "no validation row says which response is better; give other rows as validation"
            )
        return better, worse

    def leads(self, rewards: Mapping[str, Array]) -> Array:
        """Return the lead of each pair."""
        better, worse = self.order
        reward = np.concatenate([side[:, 0] for side in rewards.values()])
        return np.asarray(reward[better] - reward[worse])


def labelled_pairs(data: Pairs, loss: RewardLoss) -> tuple[Array, Array]:
    """Return the places of better and of worse responses among all chosen, then all rejected ones;
    pairs whose label says that neither is better are left out and counted."""
    chosen, rejected = np.arange(2 * len(data)).reshape(2, -1)
    said = loss.winners(data.table)
    if said is None:
        return chosen, rejected
    sure = np.isfinite(said) & (said != 0)
    ids = data.table["id"].filter(pa.array(~sure)).to_pylist()
    notice("no response of the validation pair is better", ids, "dropped")
    return np.where(said > 0, chosen, rejected)[sure], np.where(said > 0, rejected, chosen)[sure]


def ordered_pairs(table: pa.Table, rank: Array) -> tuple[Array, Array]:
    """Return the rows of all ordered pairs of responses to the same prompt: better, worse."""
    choice = choice_of_each(table)
    order = np.lexsort((rank, choice))
    above, below = [], []
    for rows in np.split(order, np.flatnonzero(np.diff(choice[order])) + 1):
        better = rank[rows][:, None] < rank[rows][None, :]
        one, other = np.nonzero(better)
        above.append(rows[one])
        below.append(rows[other])
    return np.concatenate(above), np.concatenate(below)


@dataclass
class Watch:
    """The measurements on held-out rows, and the best weights so far."""

    metric: str
    threshold: float
    patience: int | None
    keep_best: bool
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, torch.Tensor] | None = None

    def note(self, step: int, measured: Mapping[str, float], weights: Any) -> None:
        """Note what was measured after a step; ``weights()`` gives those that are trained."""
        before = self.best_entry()
        self.history.append({"step": step, **measured})
        if self.keep_best and (before is None or self.best_entry() is not before):
            self.best = {name: value.detach().cpu().clone() for name, value in weights()}

    def best_entry(self) -> dict[str, float] | None:
        """Return the best entry; a later one is better only by more than the threshold."""
        best: dict[str, float] | None = None
        for entry in self.history:
            if best is None or self._gain(best, entry) > self.threshold:
                best = entry
        return best

    def _gain(self, before: Mapping[str, float], after: Mapping[str, float]) -> float:
        change = after[self.metric] - before[self.metric]
        return change if self.metric == "accuracy" else -change

    @property
    def is_exhausted(self) -> bool:
        """True if nothing was better for as many measurements as patience allows."""
        best = self.best_entry()
        if self.patience is None or best is None:
            return False
        since = len(self.history) - 1 - self.history.index(best)
        return since >= self.patience

    def save(self, folder: Path) -> None:
        """Write all of it into a checkpoint."""
        (folder / HISTORY).write_text(json.dumps(self.history), encoding="utf-8")
        if self.best is not None:
            save_file(self.best, folder / BEST)

    def load(self, folder: Path) -> None:
        """Read it back, as it was when the checkpoint was written."""
        self.history = json.loads((folder / HISTORY).read_text(encoding="utf-8"))
        self.best = load_file(folder / BEST) if (folder / BEST).is_file() else None


class Validating(TrainerCallback):  # type: ignore[misc]
    """Measure held-out rows every so many steps and after the last one; stop when patience ends."""

    def __init__(
        self, held_out: HeldOut, watch: Watch, every: int, tell: Callable[..., None]
    ) -> None:
        self.held_out, self.watch, self.every, self.tell = held_out, watch, every, tell

    def on_step_end(self, args: Any, state: Any, control: Any, **named: Any) -> None:
        step = state.global_step
        if step % self.every and step < state.max_steps:
            return
        # on devices that round differently processes would not agree on when to stop
        [measured] = broadcast_object_list([self.held_out.measure()])
        network = named["model"]
        self.watch.note(step, measured, lambda: trained(network))
        self.tell(step, state.max_steps, **{f"validation {n}": v for n, v in measured.items()})
        if self.watch.is_exhausted:
            # without a checkpoint of this step, from which a killed training would go on
            control.should_training_stop, control.should_save = True, False

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            self.watch.save(Path(args.output_dir) / f"checkpoint-{state.global_step}")


def trained(network: Any) -> list[tuple[str, torch.Tensor]]:
    """Return the parameters of a network that are trained, by name."""
    return [(name, value) for name, value in network.named_parameters() if value.requires_grad]
