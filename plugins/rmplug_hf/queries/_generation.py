"""The generation of text after prompts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from transformers import GenerationConfig

from rmplug.arrays import Array
from rmplug.models.quiet import quiet
from rmplug.models.text_generator import Prompt, as_conversation
from rmplug_hf.loading._loading import Loaded
from rmplug_hf.loading._transformer import Transformer, evaluating
from rmplug_hf.tokens._batch import plan
from rmplug_hf.tokens._conversations import Conversation


class Writer(Transformer):
    """A language model that generates text."""

    @property
    def max_length(self) -> int | None:
        """Most tokens of a conversation; None without a limit."""
        return self.loaded.tokenizing.max_length

    def prompt_ids(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Return the tokens after which a response to each prompt begins, uncut."""
        return [ids.tolist() for ids in _tokens(self.loaded, prompts)]

    def generate(
        self, prompts: Sequence[Prompt], max_new_tokens: int = 100, temperature: float = 0.0
    ) -> list[str]:
        """Generate a text after each prompt.

        With temperature 0 always the most likely token; above it tokens are drawn, for the same
        prompt the same ones. A prompt that leaves no room for an answer gets an empty one.
        """
        loaded = self.loaded
        rows = _tokens(loaded, prompts)
        most = loaded.tokenizing.max_length
        fit = [n for n, row in enumerate(rows) if len(row) and (most is None or len(row) < most)]
        results = [""] * len(rows)
        for batch in _batches([len(rows[n]) for n in fit], max_new_tokens, loaded, temperature):
            indices = [fit[int(index)] for index in batch]
            texts = _continued(loaded, [rows[n] for n in indices], max_new_tokens, temperature)
            for index, text in zip(indices, texts, strict=True):
                results[index] = text
        return results

    def sample(
        self,
        prompts: Sequence[Prompt],
        count: int,
        max_new_tokens: int = 100,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> list[list[str]]:
        """Draw ``count`` texts after each prompt: the same ones for the same prompt, count and
        seed, whatever is asked beside it. A prompt that leaves no room for an answer gets none."""
        most = self.loaded.tokenizing.max_length
        return [
            _continued(self.loaded, [row] * count, max_new_tokens, temperature, seed)
            if len(row) and (most is None or len(row) < most)
            else []
            for row in _tokens(self.loaded, prompts)
        ]


def _tokens(loaded: Loaded, prompts: Sequence[Prompt]) -> list[Array]:
    talks = [Conversation(as_conversation(prompt), []) for prompt in prompts]
    names = [f"prompt {number}" for number in range(len(prompts))]
    return [row.ids for row in loaded.tokenizing.without_limit().encode(talks, names, "prompt")]


def _batches(
    lengths: Sequence[int], new: int, loaded: Loaded, temperature: float
) -> Iterator[Array]:
    """Yield indices of prompts of one batch: of one length, so that none needs padding; alone where
    tokens are drawn."""
    for length in sorted(set(lengths), reverse=True):
        indices = np.flatnonzero(np.asarray(lengths) == length)
        budget = 1 if temperature > 0 else loaded.budget.tokens
        for part in plan([length + new] * len(indices), budget):
            yield indices[part]


def _continued(
    loaded: Loaded, rows: Sequence[Array], max_new_tokens: int, temperature: float, seed: int = 0
) -> list[str]:
    ids = torch.from_numpy(np.stack(rows)).to(loaded.device)
    most, length = loaded.tokenizing.max_length, ids.shape[1]
    new = max_new_tokens if most is None else min(max_new_tokens, most - length)
    config = _configured(loaded, new, temperature)
    devices = [loaded.device] if loaded.device.type == "cuda" else []
    # quiet: of texts that end early, transformers takes the filled-up rest for a forgotten mask
    own_draws = torch.random.fork_rng(devices=devices)
    with loaded.lock, quiet(), evaluating(loaded.model), torch.inference_mode(), own_draws:
        size = hashlib.blake2b.SALT_SIZE
        salt = (seed % 256**size).to_bytes(size, "little")
        digest = hashlib.blake2b(rows[0].tobytes(), digest_size=7, salt=salt).digest()
        torch.manual_seed(int.from_bytes(digest))
        written = loaded.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config
        )
    texts: list[str] = loaded.tokenizer.batch_decode(written[:, length:], skip_special_tokens=True)
    return texts


def _configured(loaded: Loaded, new: int, temperature: float) -> GenerationConfig:
    """Return settings of generation; only the end tokens are those of the model's own."""
    own = getattr(loaded.model, "generation_config", None)
    ends = getattr(own, "eos_token_id", None)
    if ends is None:
        ends = loaded.tokenizer.eos_token_id
    first = ends[0] if isinstance(ends, list) else ends
    drawn = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    return GenerationConfig(
        max_new_tokens=new,
        eos_token_id=ends,
        pad_token_id=loaded.pad if loaded.pad is not None else (first if first is not None else 0),
        use_cache=True,
        **(drawn if temperature > 0 else {"do_sample": False}),
    )
