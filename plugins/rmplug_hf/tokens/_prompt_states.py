"""The keys and values of prompts, as a causal model keeps them for what follows."""

from __future__ import annotations

from copy import copy
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer


class UnsharedStates(Exception):
    """A model keeps other states of a prompt than keys and values of every layer."""


def run_prompts(model: Any, ids: torch.Tensor) -> DynamicCache:
    """Run prompts of one length, of shape (prompts, tokens), without padding. Raises
    ``UnsharedStates``."""
    cache = DynamicCache(config=model.config)
    if any(type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer) for layer in cache.layers):
        raise UnsharedStates(type(model).__name__)
    mask = torch.ones_like(ids)
    model.base_model(input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True)
    if cache.get_seq_length() != ids.shape[1] or any(layer.keys is None for layer in cache.layers):
        raise UnsharedStates(type(model).__name__)
    return cache


def joined(caches: list[Any]) -> Any:
    """Put the prompts of several caches, of one length, into the first."""
    for number, layer in enumerate(caches[0].layers if len(caches) > 1 else ()):
        layer.keys = torch.cat([cache.layers[number].keys for cache in caches])
        layer.values = torch.cat([cache.layers[number].values for cache in caches])
    return caches[0]


def added_to(cache: Any) -> Any:
    """Return a cache of the same prompts, None for none: a model adds to its layers while the given
    ones stay as they are."""
    own = copy(cache)
    if cache is not None:
        own.layers = [copy(layer) for layer in cache.layers]
    return own


def selected(cache: Any, prompts: torch.Tensor) -> Any:
    """Return a cache of some of the prompts, each as often as it is named, as ``added_to`` does."""
    chosen = added_to(cache)
    for layer in chosen.layers:
        layer.keys, layer.values = layer.keys[prompts], layer.values[prompts]
    return chosen
