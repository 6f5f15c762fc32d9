"""The files of a small model: a tokenizer learned from texts, and random weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from rmplug import DataError, ModelLoader, Pairs, Responses, RewardModel
from rmplug.models.files import read_json
from rmplug.models.quiet import quiet
from rmplug.models.reopen import load_model
from rmplug_hf.loading.loaders import SequenceClassifier
from rmplug_hf.queries.likelihood import CausalLM

if TYPE_CHECKING:
    from .small_models import SmallModel

USE = "small-model.json"
"""The file that says how the model is opened."""
OPENED: dict[str, type[ModelLoader]] = {c.kind: c for c in (SequenceClassifier, CausalLM)}
USES = frozenset({"template", "head", "outputs"})
"""The parameters of a loader that the file may hold."""
PREFIX = {"bert": "Bert", "gpt2": "GPT2", "llama": "Llama", "qwen2": "Qwen2"}
PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
BRACKETS = {"cls_token": "[CLS]", "sep_token": "[SEP]"}
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXTS = ("prompt", "chosen", "rejected", "response")


def make(step: SmallModel, data: Pairs | Responses | None, seed: int, directory: Path) -> None:
    """Write tokenizer, weights and what they are opened as into a folder."""
    with quiet():
        tokenizer = make_tokenizer(step, data)
        tokenizer.save_pretrained(str(directory))
        make_network(step, tokenizer, seed).save_pretrained(str(directory))
    use: dict[str, Any] = {"kind": step.opens_as, "template": step.format}
    if step.opens_as == SequenceClassifier.kind:
        use |= {"head": "new", "outputs": step.outputs}
    (directory / USE).write_text(json.dumps(use, indent=2) + "\n", encoding="utf-8")


def open_made(directory: Path, changed: Mapping[str, Any]) -> RewardModel:
    """Open a small model as what it was made to be."""
    use = read_json(directory / USE)
    loader = OPENED.get(str(use.pop("kind", None)))
    if loader is None or not set(use) <= USES:
        raise DataError(f"{directory / USE} is not as small-model wrote it; make the model again")
    return load_model(loader, {"path": directory, **use, **changed})


def make_tokenizer(step: SmallModel, data: Pairs | Responses | None) -> Any:
    """Return a byte-level BPE tokenizer that has learned from the texts of data, if any."""
    encoder = step.architecture == "bert"
    names = BRACKETS if encoder else {"eos_token": END}
    specials = [PAD, *names.values(), *([] if encoder else [START])]
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=step.vocab_size,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(() if data is None else texts_of(data), trainer)
    if encoder:
        backend.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[(t, backend.token_to_id(t)) for t in names.values()],
        )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        additional_special_tokens=[] if encoder else [START],
        padding_side="right",
        model_max_length=step.max_position_embeddings,
        model_input_names=["input_ids", *(["token_type_ids"] * encoder), "attention_mask"],
        **names,
    )
    if not encoder:
        tokenizer.chat_template = CHAT
    return tokenizer


def texts_of(data: Pairs | Responses) -> Iterator[str]:
    """Yield every text of the conversations, in order."""
    names = [name for name in TEXTS if name in data.columns]
    for batch in data.batches():
        for row in batch.select(names).to_pylist():
            yield from (turn["content"] for name in names for turn in row[name])


def make_network(step: SmallModel, tokenizer: Any, seed: int) -> Any:
    """Return the network with random weights, the same for the same seed."""
    causal = "LMHeadModel" if step.architecture == "gpt2" else "ForCausalLM"
    prefix = PREFIX[step.architecture]
    config = getattr(transformers, f"{prefix}Config")(**sizes_of(step, tokenizer))
    cls = getattr(transformers, prefix + (causal if step.opens_as == CausalLM.kind else "Model"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return cls(config)


def sizes_of(step: SmallModel, tokenizer: Any) -> dict[str, Any]:
    """Return the entries of the configuration, under the names of its architecture."""
    sizes = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "initializer_range": step.initializer_range,
        "hidden_size": step.hidden_size,
        "num_hidden_layers": step.num_hidden_layers,
        "num_attention_heads": step.num_attention_heads,
        "max_position_embeddings": step.max_position_embeddings,
    }
    if step.architecture == "gpt2":
        return sizes
    sizes["intermediate_size"] = 4 * step.hidden_size
    if step.architecture != "bert":
        sizes["num_key_value_heads"] = step.num_attention_heads
    return sizes
