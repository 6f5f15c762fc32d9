"""Policies as they are trained: prepared, run, saved, and told about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import transformers
from transformers import PrinterCallback

from rmplug import DataError, Pairs, Responses, RewardModel
from rmplug.models.trainable import TrainablePolicy
from rmplug.stats.metric_rows import number
from rmplug_trl.reward_models._verify import check_equal, probes_of
from rmplug_trl.training._network import adapted, count_parameters, set_dropout, whole
from rmplug_trl.training._resumption import gone_on_from, newest_whole

if TYPE_CHECKING:
    from .settings import PolicySettings

REFERENCE = "ref"
"""The name that TRL gives to its copy of an adapter."""


def policy_of(model: RewardModel) -> TrainablePolicy:
    """Return the model if it can be trained as a policy."""
    if not isinstance(model, TrainablePolicy):
        raise DataError(
            f"{model.name or type(model).__name__} is no policy that can be trained; name a "
            "causal-lm, or what dpo, grpo, rloo or online-dpo has trained"
        )
    return model


def prepared(policy: TrainablePolicy, step: PolicySettings, seed: int) -> Any:
    """Return the policy's network with its dropout set, or the adapter on it."""
    transformers.set_seed(seed)
    set_dropout(policy.network, step.dropout)
    return whole(policy) if step.lora is None else adapted(policy, step.lora, "CAUSAL_LM", seed)


def drop_copied_adapter(network: Any) -> None:
    """Remove TRL's copy of an adapter. Of a new one, whose product is zero, it is not needed: the
    network without adapters is the same reference. It is never saved."""
    if REFERENCE in getattr(network, "peft_config", {}):
        network.delete_adapter(REFERENCE)


def run(loop: Any, work: Path) -> None:
    """Train, from the newest whole checkpoint of an interrupted training if there is one."""
    checkpoint = newest_whole(work)
    loop.remove_callback(PrinterCallback)  # it would print what observers are told
    with gone_on_from(checkpoint, loop):
        loop.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    # the wrapper of mixed precision would score otherwise than the saved model does
    loop.accelerator.unwrap_model(loop.model, keep_fp32_wrapper=False).eval()


def save(
    step: PolicySettings,
    policy: TrainablePolicy,
    network: Any,
    data: Pairs | Responses,
    directory: Path,
) -> None:
    """Write the policy, and prove that it gives the probabilities of the trained one."""
    probes = probes_of(data)
    trained = policy.log_prob_sums(probes).reshape(-1, 1)
    drop_copied_adapter(network)
    policy.save(directory, network)
    allowed = policy.loader.settings_to_reopen()
    saved = policy_of(type(step).open(directory, **allowed)).log_prob_sums(probes).reshape(-1, 1)
    check_equal(saved, trained, directory)


def facts(network: Any, steps: int, rows: int, **more: float) -> list[dict[str, Any]]:
    """Return numbers about a finished training."""
    trained, every = count_parameters(network)
    counted = {"steps": steps, "parameters": every, "parameters-trained": trained, **more}
    return [number(name, float(value), rows) for name, value in counted.items()]


def curves(
    log: Sequence[Mapping[str, Any]],
    shown: Mapping[str, str],
    history: Sequence[Mapping[str, float]] = (),
) -> list[dict[str, Any]]:
    """Return what was logged over the steps, under the names to show, and what was measured on
    validation rows: numbers with ``step``."""
    training = [
        {**number(name, float(entry[logged]), 0, subset="training"), "step": entry["step"]}
        for logged, name in shown.items()
        for entry in log
        if entry.get(logged) is not None
    ]
    validation = [
        {**number(name, value, 0, subset="validation"), "step": int(entry["step"])}
        for entry in history
        for name, value in entry.items()
        if name != "step"
    ]
    return [*training, *validation]
