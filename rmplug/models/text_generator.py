"""The contract between loaders and queries for a reward model that generates text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

Message: TypeAlias = Mapping[str, str]
"""One turn of a conversation: ``role`` and ``content``."""


@runtime_checkable
class TextGenerator(Protocol):
    """A model that generates text."""

    def generate(
        self,
        prompts: Sequence[str | Sequence[Message]],
        max_new_tokens: int = 100,
        temperature: float = 0.0,
    ) -> list[str]:
        """Generate the text that follows each prompt: a message of the user, or a conversation.

        With temperature 0 the same prompt gives the same text, as far as the model allows.
        """
