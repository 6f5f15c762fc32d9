"""Tiny models of many architectures of transformers, with random weights, and pairs for them."""

from __future__ import annotations

import torch
import transformers

from rmplug import Pairs
from rmplug.testing.tiny_models import tiny_tokenizer

WINDOW = 16
SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 256,
}  # fmt: skip
GROUPED = {**SMALL, "num_key_value_heads": 2, "head_dim": 8}
WINDOWED = {**GROUPED, "sliding_window": WINDOW}
ALTERNATING = {**WINDOWED, "layer_types": ["sliding_attention", "full_attention"]}
DECODERS = {
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "Llama": GROUPED,
    "Qwen2": GROUPED,
    "Qwen3": GROUPED,
    "Mistral": WINDOWED,
    "Gemma2": {**ALTERNATING, "query_pre_attn_scalar": 8},
    "Gemma3Text": {**ALTERNATING, "query_pre_attn_scalar": 8},
    "GPTNeoX": SMALL,
    "Falcon": SMALL,
    "OPT": {**SMALL, "ffn_dim": 64, "word_embed_proj_dim": 32},
}
ENCODER = {**SMALL, "type_vocab_size": 2}
ENCODERS = {
    "Bert": ENCODER,
    "Roberta": ENCODER,
    "DistilBert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64},
    "DebertaV2": ENCODER,
    "Electra": ENCODER,
    "ModernBert": {**SMALL, "cls_token_id": 1, "sep_token_id": 2},
}
CLASSES = {"GPT2ForCausalLM": "GPT2LMHeadModel", "Gemma3TextForCausalLM": "Gemma3ForCausalLM"}
STEPS = "First this, then that, and so on: water, an egg, eight minutes. "


def made(name, folder, ending="ForSequenceClassification", seed=0, **more):
    """Save a tiny model of an architecture of transformers, with random weights."""
    tokenizer = tiny_tokenizer("qwen2" if name.startswith("Qwen") else "llama")
    config = getattr(transformers, f"{name}Config")(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        num_labels=1,
        initializer_range=0.3,
        **more,
    )
    torch.manual_seed(seed)
    model = getattr(transformers, CLASSES.get(name + ending, name + ending))(config)
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def pairs_of(count=4, long=3):
    """Pairs with long prompts of several lengths, and one with a short prompt."""
    prompts = [f"Question {n}. {STEPS * (long - n % 2)} What next?" for n in range(count)]
    return Pairs(
        {
            "id": [f"p{n}" for n in range(count + 1)],
            "prompt": [*prompts, "Hm?"],
            "chosen": [*(f"Boil water {n} times." for n in range(count)), STEPS],
            "rejected": [*(f"I cannot help you. {'Ask again! ' * n}" for n in range(count)), "No."],
        }
    )
