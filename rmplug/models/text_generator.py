"""The contract between loaders and queries for a reward model that generates text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

Message: TypeAlias = Mapping[str, str]
"""One turn of a conversation: ``role`` and ``content``."""
Prompt: TypeAlias = str | Sequence[Message]
"""A message of the user, or a conversation."""


def as_conversation(prompt: Prompt) -> Sequence[Message]:
    """Return a prompt as a conversation."""
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt


@runtime_checkable
class TextGenerator(Protocol):
    """A model that generates text."""

    def generate(
        self, prompts: Sequence[Prompt], max_new_tokens: int = 100, temperature: float = 0.0
    ) -> list[str]:
        """Generate the text that follows each prompt.

        With temperature 0 the same prompt gives the same text, as far as the model allows.
        """


@runtime_checkable
class TextSampler(Protocol):
    """A model that draws several texts after a prompt."""

    def sample(
        self,
        prompts: Sequence[Prompt],
        count: int,
        max_new_tokens: int = 100,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> list[list[str]]:
        """Draw ``count`` texts that follow each prompt, none where it leaves no room for one.

        The same prompt, count and seed give the same texts, as far as the model allows.
        """
