"""Tiny real models for tests: true classes of transformers, random weights, trained tokenizers.

    from rmplug.tiny import tiny_model

    folder = tiny_model("llama", tmp_path, head="score")

Needs the libraries of the extra ``hf``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

Architecture: TypeAlias = Literal["bert", "gpt2", "llama", "qwen2"]
Head: TypeAlias = Literal["score", "lm", "none"]
Pad: TypeAlias = Literal["own", "eos", "none"]

WIDTH, LAYERS, HEADS, POSITIONS, VOCABULARY = 32, 2, 4, 256, 420

TEXTS = (
    "What is the capital of Australia? It is Canberra, not Sydney, the largest city.",
    "Name a prime above 10. 11 is prime; 12 is not, since it is 2 times 6.",
    "How do I boil an egg? Boil water, wait eight minutes, and cool it.",
    "Write a haiku about rain on a tin roof and a kettle that answers the storm.",
    "I cannot help with that, but here is what you could do instead.",
    "The user asks a question and the assistant gives a helpful answer.",
    "Please explain step by step why the sky is blue and the sea is green.",
    "Great question! Let me think about it: first this, then that, and so on.",
)

LETTERS = ("abcdefghijklmnopqrstuvwxyz", "0 1 2 3 4 5 6 7 8 9 : ; ! ( ) - * #")

SPECIAL = {
    "bert": {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"},
    "gpt2": {"pad": "<|pad|>", "bos": "<|endoftext|>", "eos": "<|endoftext|>"},
    "llama": {"pad": "<|pad|>", "bos": "<|begin_of_text|>", "eos": "<|eot_id|>"},
    "qwen2": {"pad": "<|endoftext|>", "eos": "<|im_end|>"},
}
MARKS = {
    "bert": [],
    "gpt2": [],
    "llama": ["<|start_header_id|>", "<|end_header_id|>"],
    "qwen2": ["<|im_start|>"],
}
CHAT = {
    "llama": (
        "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}"
        "<|end_header_id|>\n\n{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
    ),
    "qwen2": (
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
        "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
}
CHAT["gpt2"] = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}{{ eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)
CHAT["bert"] = (
    "[CLS] {% for message in messages %}{{ message['role'] }}: {{ message['content'] }} [SEP] "
    "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)


def tiny_model(
    architecture: Architecture,
    folder: Path,
    *,
    head: Head = "score",
    labels: int = 1,
    chat: bool = True,
    pad: Pad = "own",
    pad_left: bool = False,
    seed: int = 0,
) -> Path:
    """Return the folder of a model of two layers with random weights, made there unless it exists.

    ``head`` is a sequence classifier with ``labels`` outputs, a language model (for BERT a masked
    one) or none. ``chat`` gives the tokenizer a chat template. ``pad`` says what the model knows as
    padding: a token of its own, the token that ends texts, or nothing. ``pad_left`` sets the side
    on which the tokenizer would pad.
    """
    if architecture not in get_args(Architecture):
        names = ", ".join(get_args(Architecture))
        raise ValueError(f"no tiny model of architecture {architecture!r}; there are {names}")
    target = folder / f"{architecture}-{head}-{labels}-{chat}-{pad}-{pad_left}-{seed}"
    if not (target / "made.json").is_file():
        target.mkdir(parents=True, exist_ok=True)
        tokenizer = tiny_tokenizer(architecture, chat=chat, pad=pad, pad_left=pad_left)
        tokenizer.save_pretrained(target)
        _save(_built(architecture, tokenizer, head, labels, seed), target)
        (target / "made.json").write_text(json.dumps({"seed": seed}))
    return target


def tiny_tokenizer(
    architecture: Architecture, *, chat: bool = True, pad: Pad = "own", pad_left: bool = False
) -> Any:
    """Return a tokenizer of a few hundred tokens, trained on a few sentences in a blink."""
    from transformers import PreTrainedTokenizerFast

    names = dict(SPECIAL[architecture])
    specials = [*dict.fromkeys([*names.values(), *MARKS[architecture]])]
    backend = (_word_pieces if architecture == "bert" else _byte_pairs)(specials)
    _wrap(backend, names)
    if pad != "own":
        names.pop("pad")
    if pad == "eos":
        names["pad"] = names.get("eos", "[SEP]")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        padding_side="left" if pad_left else "right",
        model_max_length=POSITIONS,
        additional_special_tokens=MARKS[architecture],
        model_input_names=["input_ids", *_segments(architecture), "attention_mask"],
        **{f"{name}_token": token for name, token in names.items()},
    )
    if chat:
        tokenizer.chat_template = CHAT[architecture]
    return tokenizer


def _segments(architecture: Architecture) -> list[str]:
    return ["token_type_ids"] if architecture == "bert" else []


def _word_pieces(specials: list[str]) -> Any:
    """Return pieces learned by byte-pair encoding: the library's own trainer of word pieces breaks
    ties by chance, so that no two tokenizers would be the same."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.BertNormalizer(lowercase=True)
    learner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY // 2, show_progress=False)
    learner.train_from_iterator([*TEXTS, *LETTERS], trainer)
    pieces = sorted(learner.get_vocab())
    names = [*specials, *pieces, *(f"##{piece}" for piece in pieces)]
    vocabulary = {name: index for index, name in enumerate(names)}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer, backend.pre_tokenizer = learner.normalizer, learner.pre_tokenizer
    backend.decoder = decoders.WordPiece()
    return backend


def _byte_pairs(specials: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(TEXTS, trainer)
    return backend


def _wrap(backend: Any, names: dict[str, str]) -> None:
    """Let the tokenizer add what models of its kind expect: BERT's brackets, Llama's beginning."""
    from tokenizers.processors import TemplateProcessing

    if "cls" in names:
        single, pair = "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"
        used = ["[CLS]", "[SEP]"]
    elif names.get("bos", names.get("eos")) != names.get("eos"):
        bos = names["bos"]
        single, pair, used = f"{bos} $A", f"{bos} $A {bos}:1 $B:1", [bos]
    else:
        return
    backend.post_processor = TemplateProcessing(
        single=single, pair=pair, special_tokens=[(t, backend.token_to_id(t)) for t in used]
    )


def _built(architecture: Architecture, tokenizer: Any, head: Head, labels: int, seed: int) -> Any:
    import torch
    import transformers

    prefix = {"bert": "Bert", "gpt2": "GPT2", "llama": "Llama", "qwen2": "Qwen2"}[architecture]
    causal = {"bert": "ForMaskedLM", "gpt2": "LMHeadModel"}.get(architecture, "ForCausalLM")
    ending = {"score": "ForSequenceClassification", "lm": causal, "none": "Model"}[head]
    config = getattr(transformers, f"{prefix}Config")(**_sizes(architecture, tokenizer, labels))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return getattr(transformers, prefix + ending)(config)


def _sizes(architecture: Architecture, tokenizer: Any, labels: int) -> dict[str, Any]:
    common = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "num_labels": labels,
        "initializer_range": 0.3,
    }
    if architecture == "gpt2":
        sizes = {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "n_positions": POSITIONS}
        return {**common, **sizes}
    return {
        **common,
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": 2 * WIDTH,
        "max_position_embeddings": POSITIONS,
        **({} if architecture == "bert" else {"num_key_value_heads": HEADS // 2}),
    }


def _save(model: Any, folder: Path) -> None:
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model.save_pretrained(folder)
    finally:
        if bars:
            logging.enable_progress_bar()
