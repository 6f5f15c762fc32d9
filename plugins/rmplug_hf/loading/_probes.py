"""Probes of a tokenizer and of a format: texts and conversations that show a change of either."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmplug import DataError
from rmplug_hf.tokens._conversations import Conversation

from ._format_file import NAME, FormatFile

if TYPE_CHECKING:
    from ._loading import Loaded

TEXTS = (
    "Hello, world!",
    "3.14159 and 12345678",
    "  two spaces,\n\n\ta tab, and a space at the end ",
    "Grüße, naïve façade",
    "日本語と한국어, и по-русски, بالعربية",
    "👩‍🚀 🙂",
    "def f(x):\n    return x ** 2",
    "<|endoftext|></s>[SEP]<|im_end|>",
)
"""Texts whose tokens tell the beginning and end that a tokenizer adds, and its splits of digits,
white space, scripts, emoji, code and special tokens. Their order is part of the format."""
TALKS = (
    Conversation(
        [{"role": "user", "content": "Is 91 prime?"}],
        [{"role": "assistant", "content": "No: 91 = 7 × 13."}],
    ),
    Conversation(
        [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": " Hello! "},
            {"role": "user", "content": "Name a colour.\n"},
        ],
        [{"role": "assistant", "content": "Blue."}],
    ),
)


def tokenizer_digest(tokenizer: Any) -> str | None:
    """Return the SHA-256 of a fast tokenizer's model (vocabulary, merges, probabilities) and of its
    added tokens, by which texts that are no probes become tokens too; None of a slow one.

    How it cuts texts before, which the probes show, is left out: libraries write that otherwise
    from version to version. Merges are joined, since they were texts once and are pairs now.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    settings = json.loads(backend.to_str())
    model = settings["model"]
    merges = [m if isinstance(m, str) else " ".join(m) for m in model.get("merges") or ()]
    added = [(token["id"], token["content"]) for token in settings.get("added_tokens") or ()]
    told = [model.get("type"), model.get("vocab"), merges, sorted(added)]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def probe_texts(loaded: Loaded) -> list[list[int]]:
    """Return the tokens of the texts."""
    return [[int(i) for i in loaded.tokenizer(text)["input_ids"]] for text in TEXTS]


def probe_conversations(loaded: Loaded) -> list[list[int]]:
    """Return the tokens of the conversations, uncut; none of one that the format refuses."""
    return [_tokens(loaded, talk) for talk in TALKS]


def _tokens(loaded: Loaded, talk: Conversation) -> list[int]:
    tokenizing = loaded.tokenizing
    try:
        text = tokenizing.text(talk, "a probe", "both", False)
    except DataError:
        return []
    ids: list[int] = tokenizing.tokenize([text], False)[0].ids.tolist()
    return ids


def check_probes(loaded: Loaded, found: FormatFile, folder: Path, changed: Sequence[str]) -> None:
    """Refuse a tokenizer that reads otherwise than that of the training; a format that the spec
    ``changed`` is not compared."""
    pairs = list(zip(TEXTS, probe_texts(loaded), found.texts, strict=False))
    if not set(changed) & {"template", "turn", "roles", "system"}:
        shown = ["a conversation"] * len(TALKS)
        pairs += zip(shown, probe_conversations(loaded), found.conversations, strict=False)
    other = [text for text, ids, recorded in pairs if ids != recorded]
    few = len(found.texts) < len(TEXTS) or len(found.conversations) < len(TALKS)
    pad = "pad_token" not in changed and found.pad_token_id != loaded.padding
    unlike = found.tokenizer not in (None, tokenizer_digest(loaded.tokenizer))
    if other or few or pad or unlike:
        reason = "the vocabulary, or a merge in it, is another one"
        if few or pad:
            reason = "the pad token is another one"
        if other:
            reason = f"{other[0]!r:.40} has other tokens"
        raise DataError(
            f"the tokenizer of {folder} is not the one that the model was trained with "
            f"({reason} than in {NAME}); put the files of that tokenizer back"
        )
