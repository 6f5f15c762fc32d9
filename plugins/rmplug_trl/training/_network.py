"""The network as it is trained: its dropout, and low-rank matrices on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from rmplug import DataError
from rmplug.models.trainable import TrainableModel

from ._quiet import libraries_quiet
from .settings import QUANTIZED_WHOLE

if TYPE_CHECKING:
    from .settings import Lora

FUNCTIONAL = ("dropout", "dropout_p", "dropout_prob", "attention_dropout", "attn_dropout",
              "activation_dropout", "hidden_dropout")  # fmt: skip
"""Attributes in which modules of transformers keep the probability of a dropout that is no module
of its own, such as that inside attention."""

Task = Literal["SEQ_CLS", "CAUSAL_LM"]


def is_quantized(network: Any) -> bool:
    """Check whether weights of the network are rounded to 4 or 8 bits, as transformers says it."""
    return any(getattr(network, f"is_loaded_in_{bits}bit", False) for bits in (4, 8))


def set_dropout(network: nn.Module, probability: float | None) -> None:
    """Set the probability of every dropout in the network but that of low-rank matrices; None
    leaves them."""
    if probability is None:
        return
    for path, module in network.named_modules():
        if isinstance(module, nn.Dropout) and ".lora_dropout." not in path:
            module.p = probability
        for name in FUNCTIONAL:
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, probability)


def largest_dropout(network: nn.Module) -> float:
    """Return the largest probability of any dropout in the network, low-rank matrices included."""
    modules = [module for module in network.modules() if isinstance(module, nn.Dropout)]
    functional = [getattr(m, name, None) for m in network.modules() for name in FUNCTIONAL]
    set_ = [p for p in functional if isinstance(p, float)]
    return max([*(module.p for module in modules), *set_], default=0.0)


def adapted(model: TrainableModel, lora: Lora, task: Task, seed: int) -> Any:
    """Return the ``PeftModel`` to train: the adapter that the model came with, which goes on, or a
    new one."""
    if model.adapted is None:
        network = with_lora(model.network, lora, task, seed, model.head_modules)
        model.check_trainable()
        return network
    # as loaded for use, an adapter is frozen
    model.adapted.set_adapter(model.adapted.active_adapter)
    return model.adapted


def narrow_formats(network: nn.Module) -> list[str]:
    """Return the number formats of the network's weights that have fewer bits than float32."""
    floating = [p.dtype for p in network.parameters() if p.is_floating_point()]
    return sorted({str(dtype) for dtype in floating if dtype.itemsize < 4})


def check_mergeable(network: nn.Module) -> None:
    """Refuse weights that low-rank matrices cannot be merged into without other scores."""
    narrow = narrow_formats(network)
    if narrow:
        raise DataError(
            f"matrices merged into {', '.join(narrow)} weights are rounded and would score "
            "otherwise; set save: adapter, or dtype: float32 in the step that loads the model"
        )


class Widened:
    """The modules that are trained beside low-rank matrices, such as a head, in float32 as long as
    they are trained: in bfloat16 small steps vanish. PEFT itself widens only the matrices."""

    def __init__(self, network: nn.Module) -> None:
        self.modules = [m for m in network.modules() if _is_narrow_and_trained(m)]
        self.formats = [next(m.parameters(recurse=False)).dtype for m in self.modules]
        self.hooks = [m.register_forward_pre_hook(_widen_inputs) for m in self.modules]
        self._convert([torch.float32] * len(self.modules))

    def undo(self) -> None:
        """Give the modules back the number formats in which they are saved and asked."""
        self._convert(self.formats)
        while self.hooks:
            self.hooks.pop().remove()

    def _convert(self, formats: Sequence[torch.dtype]) -> None:
        for module, dtype in zip(self.modules, formats, strict=True):
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.to(dtype)


def _is_narrow_and_trained(module: nn.Module) -> bool:
    own = list(module.parameters(recurse=False))
    return bool(own) and all(p.requires_grad and p.dtype.itemsize < 4 for p in own)


def _widen_inputs(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(x.float() if torch.is_tensor(x) and x.is_floating_point() else x for x in inputs)


def whole(model: TrainableModel) -> Any:
    """Return the network with all its weights to train, an adapter merged into them."""
    if is_quantized(model.network):
        raise DataError(QUANTIZED_WHOLE)
    network = model.network
    if model.adapted is not None:
        network = model.adapted.merge_and_unload(safe_merge=True)
    narrow = narrow_formats(network)
    if narrow:
        raise DataError(
            f"all weights are to be trained, but they are {', '.join(narrow)}, in which "
            "small steps vanish; set dtype: float32 in the step that loads the model, or lora: {}"
        )
    network.requires_grad_(True)
    return network


@contextmanager
def precision_kept(network: nn.Module) -> Iterator[None]:
    """Keep the numbers of the trained parameters as they are while TRL makes its trainer: it rounds
    those beside quantized weights to bf16, the head included, in which small steps vanish and which
    a float32 pass refuses."""
    before = [(p, p.data) for p in network.parameters() if p.requires_grad]
    try:
        yield
    finally:
        for parameter, values in before:
            parameter.data = values.to(parameter.device)


def with_lora(network: Any, lora: Lora, task: Task, seed: int, head: Sequence[str]) -> Any:
    """Put low-rank matrices on a network, in place, and return the ``PeftModel`` around it, which
    trains and saves the modules of a new ``head``, too."""
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
        # GPT-2 keeps its weights transposed; PEFT finds that too, but with a warning
        fan_in_fan_out=any(type(m).__name__ == "Conv1D" for m in network.modules()),
        modules_to_save=list(head) or None,
    )
    try:
        with libraries_quiet():
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
    return sum(_size(p) for p in every if p.requires_grad), sum(_size(p) for p in every)


def _size(parameter: Any) -> int:
    """Return how many numbers a parameter stands for; of 4 bits, two share a byte."""
    state = getattr(parameter, "quant_state", None)
    return int(prod(parameter.shape if state is None else state.shape))
