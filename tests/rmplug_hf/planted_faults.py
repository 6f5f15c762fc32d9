"""Scores of plain loops with transformers, each with one fault that such loops have."""

from __future__ import annotations

import numpy as np
import torch
from direct import chat_text, direct_model

from rmplug import Features, Pairs

CUT = 40
SYSTEM = "You are a helpful assistant."
FAULTS = {
    "none": ("bert", "gpt2", "llama", "qwen2"),
    "template": ("bert", "gpt2", "llama", "qwen2"),
    "special tokens twice": ("bert", "llama"),
    "no end": ("bert", "gpt2", "llama", "qwen2"),
    "pad token": ("gpt2", "llama"),
    "cut on the right": ("bert", "gpt2", "llama", "qwen2"),
    "cut on the left": ("gpt2", "llama", "qwen2"),
    "sigmoid": ("bert", "gpt2", "llama", "qwen2"),
    "left padding": ("bert", "gpt2"),
    "padding is read": ("gpt2", "llama"),
    "system prompt": ("bert", "gpt2", "llama", "qwen2"),
    "bfloat16": ("bert", "gpt2", "llama", "qwen2"),
    "generation prompt": ("gpt2", "llama", "qwen2"),
    "exchanged": ("bert", "llama"),
}
"""The faults, and the architectures whose scores each of them changes."""
NAMED = {
    "template": "template: '{prompt}\\n{response}'",
    "special tokens twice": "special tokens added",
    "no end": "no special token at the end",
    "pad token": "pad_token: ",
    "cut on the right": f"max_length: {CUT}, truncate: right",
    "cut on the left": f"max_length: {CUT}, truncate: left",
    "sigmoid": "sigmoid applied",
    "left padding": "padding on the left, in batches of 8",
    "padding is read": "padding on the right that the head reads (pad_token), in batches of 8",
    "system prompt": f"system: {SYSTEM}",
    "bfloat16": "dtype: bfloat16",
    "generation prompt": "add_generation_prompt",
    "exchanged": "chosen and rejected exchanged",
}
"""What a certificate must name for each."""
TEXT = (
    "first this then that and so on because rain on a roof is not the sea which is green or blue "
    "think about prime eggs boil water wait minutes cool answers storm Canberra Sydney helpful"
)


def planted_pairs(count: int, seed: int = 0) -> Pairs:
    """Return pairs of random words of many lengths."""
    chance, words = np.random.default_rng(seed), TEXT.split()
    texts = [
        " ".join(chance.choice(words, size=size)) for size in chance.integers(2, 45, size=3 * count)
    ]
    ids = [f"p{number}" for number in range(count)]
    return Pairs(
        {
            "id": ids,
            "prompt": [f"{text}?" for text in texts[:count]],
            "chosen": texts[count : 2 * count],
            "rejected": texts[2 * count :],
        }
    )


def faulty_scores(fault: str, folder: str, pairs: Pairs) -> Features:
    """Score both sides of pairs by a loop with a fault."""
    model, tokenizer = direct_model(folder)
    rows = pairs.table.to_pylist()
    if fault == "pad token":
        model.config.pad_token_id = tokenizer.eos_token_id
    if fault == "padding is read":
        model.config.pad_token_id = -1
    if fault == "bfloat16":
        model = model.to(torch.bfloat16)
    sides = {}
    for side in ("chosen", "rejected"):
        ids = [_ids(fault, tokenizer, row["prompt"], row[side]) for row in rows]
        size = 8 if fault in ("left padding", "padding is read") else 1
        batches = [ids[start : start + size] for start in range(0, len(ids), size)]
        sides[side] = np.concatenate([_logits(fault, model, tokenizer, batch) for batch in batches])
    if fault == "sigmoid":
        sides = {side: 1 / (1 + np.exp(-scores)) for side, scores in sides.items()}
    if fault == "exchanged":
        sides = dict(zip(sides, reversed(sides.values()), strict=True))
    return Features({"id": pairs["id"].to_pylist(), **sides}, "recorded")


def _ids(fault, tokenizer, prompt, response):
    if fault == "template":
        text = prompt[0]["content"] + "\n" + response[0]["content"]
        return tokenizer(text)["input_ids"]
    if fault == "system prompt":
        prompt = [{"role": "system", "content": SYSTEM}, *prompt]
    text = chat_text(tokenizer, prompt, response)
    if fault == "generation prompt":
        text = tokenizer.apply_chat_template(
            [*prompt, *response], tokenize=False, add_generation_prompt=True
        )
    ids = tokenizer(text, add_special_tokens=fault == "special tokens twice")["input_ids"]
    if fault == "no end":
        ends = {tokenizer.eos_token_id, tokenizer.sep_token_id}
        return ids[: max(place for place, token in enumerate(ids) if token in ends)]
    return {"cut on the right": ids[:CUT], "cut on the left": ids[-CUT:]}.get(fault, ids)


def _logits(fault, model, tokenizer, batch):
    longest, pad = max(map(len, batch)), tokenizer.pad_token_id
    left = fault == "left padding"
    filled = [[pad] * (longest - len(row)) for row in batch]
    rows = [f + r if left else r + f for f, r in zip(filled, batch, strict=True)]
    mask = [
        [0] * len(f) + [1] * len(r) if left else [1] * len(r) + [0] * len(f)
        for f, r in zip(filled, batch, strict=True)
    ]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor(rows), attention_mask=torch.tensor(mask)).logits
    return logits[:, 0].double().numpy()
