"""A model whose rewards are kept in the store, for tests of what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rmplug import DataError, ModelLoader, RewardModel, text_of
from rmplug.models.kept import kept_rows

from .working import write_line


class Remembering(RewardModel):
    """A reward for every character, rounded otherwise in every batch, as a network's would be."""

    def __init__(self, step: RememberingModel) -> None:
        self.step = step

    def score(self, responses: Any) -> Any:
        import numpy as np

        texts = text_of(responses["response"]).to_pylist()

        def compute(indices: Any) -> Any:
            for index in indices:
                write_line(self.step.log, texts[index])
                if texts[index] == self.step.refused:
                    raise DataError(f"no score for {texts[index]}")
            rewards = np.array([len(texts[index]) for index in indices]) * self.step.reward
            return rewards + 1e-9 * len(indices)

        keys = [text.encode() for text in texts]
        return kept_rows(lambda: {"reward": self.step.reward}, keys, compute)


class RememberingModel(ModelLoader):
    """A reward for every character, kept in the store."""

    kind = "remembering-model"
    neutral = frozenset({"log", "refused"})

    reward: float = 1.0
    """The reward."""
    log: Path | None = None
    """A file that gets each text that is scored."""
    refused: str = ""
    """A text that cannot be scored."""

    def load(self) -> RewardModel:
        return Remembering(self)
