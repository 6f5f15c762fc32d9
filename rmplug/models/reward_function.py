"""A reward model as a function that libraries for reinforcement learning call."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmplug.errors import DataError, some

from .scorer import MAIN, Scorer, load
from .text_generator import Message, Prompt

if TYPE_CHECKING:
    import numpy as np


@dataclass
class RewardFunction:
    """Rewards of completions, with the signature of TRL's reward functions.

    The model reads conversations with its own tokenizer and in its own format, whatever the policy
    reads: rewards are those of ``rmplug score``. It is opened at the first call, once per process,
    so that the function can be sent to other processes. Calls may come from several threads.
    """

    opener: Callable[[], Scorer]
    """Opens the model."""
    output: str | None = None
    """The one output that is the reward, of a model with several."""
    name: str = "reward"
    """The name of the function in logs."""
    _scorer: Scorer | None = field(default=None, init=False, repr=False, compare=False)
    _lock: Any = field(default_factory=threading.RLock, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.__name__ = self.name  # by which TRL names its logs

    def __getstate__(self) -> dict[str, Any]:
        left = ("_scorer", "_lock")
        return {name: value for name, value in vars(self).items() if name not in left}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _scorer=None, _lock=threading.RLock())

    def __call__(
        self,
        prompts: Sequence[Prompt],
        completions: Sequence[Prompt],
        completion_ids: object = None,
        **columns: object,
    ) -> list[float | None]:
        """Return the reward of each completion to its prompt: texts or chat messages. None, which
        TRL leaves out of a group, where the model gives no number."""
        talks = [_talk(*pair) for pair in zip(prompts, completions, strict=True)]
        rewards = self._rewards([prompt for prompt, _ in talks], [text for _, text in talks])
        return [None if math.isnan(reward) else reward for reward in rewards]

    def for_verl(
        self,
        data_source: str,
        solution_str: str,
        ground_truth: object = None,
        extra_info: Mapping[str, Any] | None = None,
        **more: object,
    ) -> float:
        """Return the reward of a response, with the signature of verl's ``compute_score``.

        ``extra_info["prompt"]`` is the prompt (text or chat messages): verl passes no other.
        Raises DataError without it, and where the model gives no number.
        """
        prompt = (extra_info or {}).get("prompt")
        if prompt is None or not len(prompt):
            raise DataError(
                f"a row of {data_source} has no extra_info.prompt, without which a reward model "
                "cannot score; write the prompt there when the data are prepared"
            )
        turns: Prompt = prompt if isinstance(prompt, str) else list(prompt)
        return self._numbers([turns], [solution_str])[0]

    def for_openrlhf(
        self,
        queries: Sequence[str],
        prompts: Sequence[str],
        labels: Sequence[str] = (),
        prompts_in_labels: bool = False,
        endings: Sequence[str] = (),
        **more: object,
    ) -> dict[str, Any]:
        """Return rewards with the signature and result of OpenRLHF's ``reward_func``.

        ``queries`` are prompt and response as one text, as the policy reads them. A prompt's text
        is one message of the user; where a chat template was applied to it, give the conversation
        itself as label (OpenRLHF's ``label_key``), as a text or as JSON of messages, and set
        ``prompts_in_labels`` with ``functools.partial``. ``endings`` are texts, such as the token
        that ends a turn, that are not part of a response. ``rewards`` are those of the model,
        ``scores`` their sigmoid. Raises DataError where the model gives no number.
        """
        import torch

        given = labels if prompts_in_labels else prompts
        texts = [_response(*each, endings) for each in zip(queries, prompts, strict=True)]
        rewards = torch.tensor(self._numbers([_prompt(each) for each in given], texts))
        return {
            "rewards": rewards,
            "scores": rewards.sigmoid(),
            "extra_logs": {self.name: rewards},
        }

    def _numbers(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[float]:
        """Return rewards where each must be a number."""
        rewards = self._rewards(prompts, responses)
        missing = sum(map(math.isnan, rewards))
        if missing:
            raise DataError(
                f"the reward model gave no number for {missing} of {len(rewards)} responses"
            )
        return rewards

    def _rewards(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[float]:
        with self._lock:
            self._scorer = self._scorer or self.opener()
            matrix = self._scorer.matrix(prompts, responses, missing=True)
            return _column(matrix, self._scorer.outputs, self.output)


def _column(matrix: np.ndarray, outputs: Sequence[str], wanted: str | None) -> list[float]:
    """Return the column of rewards of shape (rows, outputs) that counts."""
    name = wanted or (outputs[0] if len(outputs) == 1 else MAIN)
    if name not in outputs:
        raise DataError(
            f"the model has no output {name!r}; name the one that is the reward, with output: "
            f"{some(outputs, 12)}"
        )
    rewards: list[float] = matrix[:, outputs.index(name)].tolist()
    return rewards


def _talk(prompt: Prompt, completion: Prompt) -> tuple[Prompt, str]:
    """Return a conversation as what is before its last message, and the text of that."""
    if isinstance(completion, str):
        return prompt, completion
    if not completion:
        raise DataError("a completion has no message")
    before: Sequence[Message] = (
        [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    )
    return [*before, *completion[:-1]], str(completion[-1].get("content") or "")


def _response(query: str, prompt: str, endings: Iterable[str]) -> str:
    """Return the response in a text that begins with its prompt."""
    if not query.startswith(prompt):
        raise DataError(f"a query does not begin with its prompt: {query[:60]!r}")
    response = query[len(prompt) :]
    for ending in endings:
        response = response.removesuffix(ending)
    return response


def _prompt(written: str) -> Prompt:
    """Return a prompt as it is written: a text, or chat messages as JSON."""
    if written.lstrip().startswith("[{"):
        try:
            messages: Sequence[Message] = json.loads(written)
            return messages
        except ValueError:
            return written
    return written


def reward_function(
    source: str | Path,
    kind: str | None = None,
    *,
    output: str | None = None,
    name: str = "reward",
    **params: Any,
) -> RewardFunction:
    """Return a reward model as a function for TRL (the function itself), verl (``for_verl``) and
    OpenRLHF (``for_openrlhf``). ``source``, ``kind`` and ``params`` are those of ``rmplug.load``;
    ``output`` names the reward of a model with several outputs, ``name`` the function in logs."""
    return RewardFunction(partial(load, source, kind, **params), output, name)


def as_function(model: Any, output: str | None = None, name: str = "reward") -> RewardFunction:
    """Return a ``RewardModel`` as a function for TRL."""
    return RewardFunction(partial(Scorer, model), output, name)
