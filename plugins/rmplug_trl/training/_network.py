"""The network as it is trained: its dropout, and low-rank matrices on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from torch import nn

from rmplug import DataError

if TYPE_CHECKING:
    from .settings import Lora

FUNCTIONAL = ("dropout", "dropout_p", "dropout_prob", "attention_dropout", "attn_dropout",
              "activation_dropout", "hidden_dropout")  # fmt: skip
"""Attributes in which modules of transformers keep the probability of a dropout that is no module
of its own, such as that inside attention."""

Task = Literal["SEQ_CLS", "CAUSAL_LM"]


def set_dropout(network: nn.Module, probability: float | None) -> None:
    """Set the probability of every dropout in the network; None leaves them."""
    if probability is None:
        return
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability
        for name in FUNCTIONAL:
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, probability)


def with_lora(network: Any, lora: Lora, task: Task, seed: int) -> Any:
    """Put low-rank matrices on a network, in place, and return the ``PeftModel`` around it. With
    ``SEQ_CLS`` PEFT trains and saves the head, too; without a task it would stay random."""
    import transformers
    from peft import LoraConfig, get_peft_model

    transformers.set_seed(seed)
    targets = (
        lora.target_modules if isinstance(lora.target_modules, str) else [*lora.target_modules]
    )
    config = LoraConfig(
        task_type=task,
        r=lora.r,
        lora_alpha=lora.lora_alpha,
        lora_dropout=lora.lora_dropout,
        target_modules=targets,
        use_rslora=lora.use_rslora,
        use_dora=lora.use_dora,
        bias=lora.bias,
    )
    try:
        return get_peft_model(network, config)
    except ValueError as error:
        linear = sorted({n.rpartition(".")[2] for n, m in network.named_modules() if _is_linear(m)})
        raise DataError(
            f"lora.target_modules: {str(error).splitlines()[0]} (linear modules of this model: "
            f"{', '.join(linear)})"
        ) from error


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"


def count_parameters(network: nn.Module) -> tuple[int, int]:
    """Count the parameters that are trained, and all."""
    every = list(network.parameters())
    return sum(p.numel() for p in every if p.requires_grad), sum(p.numel() for p in every)
