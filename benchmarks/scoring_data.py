"""The texts and models of the benchmarks of scoring: real preferences, and small models of two
sorts."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers

from rmplug.models.installed_encoders import MINILM
from rmplug.testing.tiny_models import tiny_tokenizer

HERE = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("RMPLUG_SHARED_DATA", HERE / "../shared/data"))
LENGTH = 1024
CHAT = (
    "{% for message in messages %}{{ message['content'] }}"
    "{% if not loop.last %}\n\n{% endif %}{% endfor %}"
)
"""Writes prompt and response as ``{prompt}\\n\\n{response}`` does."""


def texts(rows: int) -> list[dict[str, Any]]:
    """Return both responses of pairs of hh-rlhf, or of this project's examples, as rows."""
    place = SHARED / "hh_rlhf/pairs.jsonl.gz"
    if place.is_file():
        found = list(_lines(place, rows // 2))
    else:
        lines = (HERE / "examples/data/preferences.jsonl").read_text("utf-8").splitlines()
        found = [json.loads(lines[n % len(lines)]) for n in range(rows // 2)]
    sides = [(pair, side) for pair in found for side in ("chosen", "rejected")]
    return [
        {"id": str(n), "prompt": pair["prompt"], "response": pair[side]}
        for n, (pair, side) in enumerate(sides)
    ]


def pairs_of(case: str, rows: int) -> list[tuple[str, str, str]]:
    """Return prompt, chosen and rejected of each comparison: of pairs (``hh``), of the grid of
    three styles by three of RM-Bench (``grid``: 9 for a prompt), or of the lists of RMB (``lists``:
    the best response beside each other one)."""
    if case == "hh":
        made = texts(2 * rows)
        pairs = list(zip(made[::2], made[1::2], strict=True))
        return [(_text(a["prompt"]), _text(a["response"]), _text(b["response"])) for a, b in pairs]
    place = SHARED / ("rm_bench/bench.jsonl.gz" if case == "grid" else "rmb/bon.jsonl.gz")
    found: list[tuple[str, str, str]] = []
    for line in _lines(place, rows):
        chosen = line["chosen"] if isinstance(line["chosen"], list) else [line["chosen"]]
        prompt = _text(line["prompt"])
        found += [(prompt, a, b) for a in chosen for b in line["rejected"]]
        if len(found) >= rows:
            break
    return found[:rows]


def _lines(place: Path, most: int) -> Iterator[dict[str, Any]]:
    with gzip.open(place, "rt", encoding="utf-8") as file:
        for line, _ in zip(file, range(most), strict=False):
            yield json.loads(line)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "\n\n".join(turn["content"] for turn in value)


def model_in(folder: Path, architecture: str, length: int = LENGTH) -> Path:
    """Write a random classifier of 4 layers, 256 wide, that reads ``length`` tokens."""
    place = folder / architecture
    tokenizer = tiny_tokenizer(architecture, chat=True)  # type: ignore[arg-type]
    sizes = {
        "hidden_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 1024,
        "max_position_embeddings": length,
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "num_labels": 1,
    }
    config = transformers.AutoConfig.for_model(architecture, **sizes)
    torch.manual_seed(0)
    transformers.AutoModelForSequenceClassification.from_config(config).save_pretrained(place)
    tokenizer.model_max_length = length
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(place)
    config = place / "tokenizer_config.json"  # so that transformers 4 reads it as well
    written = json.loads(config.read_text("utf-8"))
    written |= {"tokenizer_class": "PreTrainedTokenizerFast"}
    written.pop("extra_special_tokens", None)
    config.write_text(json.dumps(written), encoding="utf-8")
    return place


def minilm_in(folder: Path) -> Path:
    """Write MiniLM, its real weights, with a head that is drawn from a seed."""
    place, source = folder / "minilm", str(MINILM.folder())
    torch.manual_seed(0)
    transformers.AutoModelForSequenceClassification.from_pretrained(
        source, num_labels=1
    ).save_pretrained(place)
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    tokenizer.model_max_length = 512
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(place)
    return place
