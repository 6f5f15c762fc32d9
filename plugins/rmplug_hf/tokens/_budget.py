"""The most tokens of a forward pass: given, or as many as suit the device and the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from rmplug import notice

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
"""The caches of a core, as Linux describes them."""
CACHE_BYTES = 2 << 20
"""The size of a core's own (second-level) cache where the system does not tell it."""
FEWEST, MOST_ON_CPU, MOST_ON_GPU = 1024, 2048, 16384
"""Bounds of what is found; a forward pass of more tokens is no faster, and pads more."""
SHARE = 0.25
"""Of what a GPU has beside the weights: other processes, and workers, use it too."""
HALVED = (
    "forward pass that did not fit into the memory of the device: half as many tokens at once from "
    "then on (set batch_tokens)"
)


class TokenBudget:
    """The most tokens per forward pass, padding included, of a model in this process. It is halved
    where they do not fit into memory, for all work that follows."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.is_exact = False
        """True while each row is to be run alone, and anew even if it is known."""

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have each row run alone within the context."""
        before = self.tokens, self.is_exact
        self.tokens, self.is_exact = 1, True
        try:
            yield
        finally:
            self.tokens, self.is_exact = before

    def halve(self, tried: int) -> None:
        """Allow half of the ``tried`` tokens from now on, and say so."""
        self.tokens = max(1, tried // 2)
        notice(HALVED, [f"{tried} tokens"], "kept", "forward passes")


def suitable_tokens(device: torch.device, model: Any, vocabulary: int = 0) -> int:
    """Return the number of tokens per forward pass that suits a loaded model and its device, a
    power of two; ``vocabulary`` is the number of logits that it gives for each token.

    It follows from the machine and the model alone, not from what else runs: a batch of another
    size may round differently.
    """
    if device.type == "cpu":
        return _within(cache_bytes() // _state_bytes(model), MOST_ON_CPU)
    if device.type == "cuda":
        free = torch.cuda.get_device_properties(device).total_memory - model.get_memory_footprint()
        return _within(int(SHARE * free) // token_bytes(model, vocabulary), MOST_ON_GPU)
    return MOST_ON_CPU


def _within(tokens: int, most: int) -> int:
    """Return the greatest power of two up to ``tokens``, within the bounds."""
    return max(FEWEST, min(1 << max(tokens, 1).bit_length() - 1, most))


def cache_bytes(caches: Path = CACHES) -> int:
    """Read the size of a core's second-level cache: the states of a batch that stay in it from one
    operation to the next are not fetched again."""
    try:
        for cache in sorted(caches.glob("index*")):
            if (cache / "level").read_text().strip() == "2":
                return int((cache / "size").read_text().strip().removesuffix("K")) << 10
    except (OSError, ValueError):
        pass
    return CACHE_BYTES


def _state_bytes(model: Any) -> int:
    return int(model.config.get_text_config().hidden_size * model.dtype.itemsize)


def token_bytes(model: Any, vocabulary: int = 0) -> int:
    """Estimate the most memory that a forward pass without gradients takes per token: the states of
    all layers (a query may ask for them), within a layer six more of their width (residual, normed,
    query, key, value, attention) and three of the feed-forward's, and the logits, which are also
    converted to float32 row by row."""
    config = model.config.get_text_config()
    width, layers = config.hidden_size, config.num_hidden_layers
    inner = getattr(config, "intermediate_size", None) or 4 * width
    inner = max(inner) if isinstance(inner, list | tuple) else inner
    numbers = width * (layers + 1 + 6) + 3 * inner + 2 * vocabulary
    return int(numbers * model.dtype.itemsize)
