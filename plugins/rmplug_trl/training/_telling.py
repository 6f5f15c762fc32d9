"""The numbers that a training tells while it runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from transformers import TrainerCallback

from rmplug import DataError

SHOWN = {
    "loss": "loss",
    "mean_reward": "mean_reward",
    "grad_norm": "gradient_norm",
    "learning_rate": "learning_rate",
}
"""Numbers in the log of transformers, and their names here."""


class Telling(TrainerCallback):  # type: ignore[misc]
    """Tell observers each step, and the numbers that are logged; stop where one is not finite."""

    def __init__(self, tell: Callable[..., None], shown: Mapping[str, str] = SHOWN) -> None:
        self.tell, self.shown = tell, shown

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.tell(state.global_step, state.max_steps)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any
    ) -> None:
        given = {n: v for n, v in (logs or {}).items() if v is not None}
        numbers = {self.shown[n]: float(v) for n, v in given.items() if n in self.shown}
        # in float16 the scaler finds overflows by such gradients, and skips the step
        odd = [n for n, v in numbers.items() if not math.isfinite(v)]
        if odd and not args.fp16:
            raise DataError(
                f"{odd[0]} is not finite at step {state.global_step}; lower learning_rate or "
                "max_grad_norm"
            )
        if numbers:
            self.tell(state.global_step, state.max_steps, **numbers)
