"""The loading of a model with its tokenizer: it scores as it was trained, or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

import torch
import transformers

from rmplug import DataError, notice
from rmplug.models.devices import device_of
from rmplug.models.files import read_json
from rmplug.models.quiet import quiet
from rmplug.models.settings import check_settings
from rmplug.models.sizes import check_counts, check_size
from rmplug.models.tokenizer_files import check_tokenizer_file
from rmplug.models.weights import check_weights
from rmplug_hf.tokens._budget import TokenBudget, suitable_tokens
from rmplug_hf.tokens._rendering import Style
from rmplug_hf.tokens._tokenizing import Tokenizing

from ._adapters import CONFIG, base_of
from ._fused_layers import fuse_layers
from ._identity import Weights
from ._last_layer import LastLayer
from ._last_layer_trial import find_last_layer
from ._light_imports import light_imports
from ._locations import folder_of
from ._network import Given, Source, first_line, read_model
from ._padding import settle_padding, stated_pad
from ._trials import ignores_padding, shares_prompts

if TYPE_CHECKING:
    from ._state_change import StateChange
    from .loaders import HubModel, HubReader

VOCABULARIES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
    "tekken.json",
)
UNLIMITED = 1_000_000


@dataclass(frozen=True)
class Loaded:
    """A loaded model with its tokenizer.

    ``folder`` is where its files are, ``pad`` the pad token of its configuration, None where that
    has none; ``padding`` the one that pads batches in training; ``vocabulary`` the number of tokens
    that it can embed; ``budget`` the most tokens per forward pass; ``new_head`` the names of
    parameters that await training; ``adapted`` the ``PeftModel`` around the model where an adapter
    is beside its weights; ``use_cache`` what its configuration said of that, None for nothing;
    ``change`` what is done to its states while it runs; ``weights`` the files behind the network;
    ``lock`` is held while hooks are on the network, by one thread at a time.
    """

    folder: Path
    model: Any
    config: Any
    tokenizer: Any
    tokenizing: Tokenizing
    device: torch.device
    pad: int | None
    padding: int | None
    vocabulary: int
    budget: TokenBudget
    new_head: tuple[str, ...] = ()
    adapted: Any = None
    use_cache: bool | None = None
    change: StateChange | None = None
    weights: Weights | None = None
    lock: Any = field(default_factory=RLock, repr=False, compare=False)

    @cached_property
    def shares_prompts(self) -> bool:
        """True if rows can be run behind the keys and values of what they begin with, as a trial
        shows; never in int8, whose rounding depends on what is run together."""
        return not self._is_int8 and shares_prompts(self)

    @cached_property
    def last_layer(self) -> LastLayer | None:
        """What the last layer may leave out of tokens whose output is not read, as a trial shows;
        None for nothing, and in int8."""
        return None if self._is_int8 else find_last_layer(self)

    @property
    def _is_int8(self) -> bool:
        return bool(getattr(self.model, "is_loaded_in_8bit", False))


def load(
    step: HubModel,
    auto: str = "AutoModelForSequenceClassification",
    new_head: bool = False,
    weights: Given | None = None,
    **configured: Any,
) -> Loaded:
    """Load the model of a step by the ``auto`` class of transformers, or its body with a
    ``new_head``; ``weights`` are taken in the place of the folder's; ``configured`` replaces
    entries of its configuration."""
    folder = folder_of(step)
    check_settings_of(folder, step)
    sizes = check_weights(folder, step.allow_pickle_weights) if weights is None else weights.shapes
    with quiet(), light_imports():
        config = read_config(folder, step, **configured)
        if sizes is not None and not step.trust_remote_code:
            check_size(folder, config, auto, sizes)
        tokenizer = read_tokenizer(folder, step, step.adapter)
        source = Source(folder, pickled=sizes is None, given=weights)
        model, adapted, head = read_model(source, config, step, auto, new_head)
    vocabulary = check_vocabulary(folder, tokenizer, model)
    device, pad = device_of(step.device), stated_pad(step, tokenizer, model, vocabulary)
    padding = settle_padding(tokenizer, model, pad)
    if device.type == "cpu" and getattr(model, "quantization_method", None) is None:
        fuse_layers(model)
    text = model.config.get_text_config()
    use_cache, text.use_cache = getattr(text, "use_cache", None), False
    loaded = Loaded(
        folder=folder,
        # a quantized model is on its device already
        model=(model.to(device) if step.quantization == "none" else model).eval(),
        config=model.config,
        tokenizer=tokenizer,
        tokenizing=tokenizing_of(step, tokenizer, model, folder),
        device=device,
        pad=padding if head else pad,
        padding=padding,
        vocabulary=vocabulary,
        budget=_budget(step, model, auto, vocabulary, device),
        new_head=head,
        adapted=adapted,
        use_cache=use_cache,
        weights=Weights(step, folder, None if weights is None else weights.file),
    )
    _settle_budget(loaded)
    return loaded


def _budget(
    step: HubModel, model: Any, auto: str, vocabulary: int, device: torch.device
) -> TokenBudget:
    """Return the most tokens per forward pass: the step's, or what suits model and device."""
    if step.quantization == "int8":
        return TokenBudget(1)  # which inputs int8 computes exactly depends on all rows of a batch
    logits = vocabulary if auto == "AutoModelForCausalLM" else 0
    return TokenBudget(step.batch_tokens or suitable_tokens(device, model, logits))


def _settle_budget(loaded: Loaded) -> None:
    """Have each row run alone where padding changes what the model gives: sparse attention of
    blocks goes by where rows end, and some networks mix tokens by other means than attention."""
    is_sparse = _keep_sparse(loaded.model)
    with quiet():
        if loaded.budget.tokens == 1 or (not is_sparse and ignores_padding(loaded)):
            return
    loaded.budget.tokens = 1
    told = "padding changes what the network gives, so that its rows are run one at a time"
    notice(told, [loaded.folder.name], of="models")


def _keep_sparse(model: Any) -> bool:
    """Check whether attention is sparse (BigBird), and have it so in every forward pass: by itself
    the model turns to full attention at the first row that is too short, and never back."""
    body = model.base_model
    is_so = getattr(body, "attention_type", None) == "block_sparse"
    if is_so:
        body.register_forward_pre_hook(lambda *_: body.set_attention_type("block_sparse"))
    return is_so


def tokenizing_of(step: HubReader, tokenizer: Any, model: Any, folder: Path) -> Tokenizing:
    """Return the converter of conversations into tokens, as the step describes it."""
    length = max_length(step.max_length, tokenizer, model, folder)
    style = Style(step.template, step.system, step.turn, step.roles)
    return Tokenizing(tokenizer, style, length, step.truncate)


def check_settings_of(folder: Path, step: HubReader) -> None:
    """Refuse what is not the folder of a model, or asks for what only a spec may allow."""
    if (folder / CONFIG).is_file():
        raise DataError(
            f"{folder} is an adapter of {base_of(folder)}, not a model; load that model and write "
            f"adapter: {folder}"
        )
    if not (folder / "config.json").is_file():
        raise DataError(f"{folder} is no folder of a model: it has no config.json")
    if not step.trust_remote_code:
        check_settings(folder)
        check_counts(folder)


def read_config(folder: Path, step: HubReader, **replaced: Any) -> Any:
    """Read the configuration, some entries ``replaced``; DataError if it needs code of its own."""
    written = read_json(folder / "config.json")
    if not isinstance(written.get("architectures") or [], list):
        raise DataError(f"architectures in config.json in {folder} must be a list of names")
    try:
        config = transformers.AutoConfig.from_pretrained(
            str(folder), trust_remote_code=step.trust_remote_code
        )
    except Exception as error:  # whatever odd entries make a configuration raise
        if "auto_map" in written and not step.trust_remote_code:
            raise DataError(
                f"the model in {folder} brings Python code of its own "
                f"({written.get('model_type')}); read it, and set trust_remote_code: true to run it"
            ) from error
        raise DataError(f"config.json in {folder} cannot be used: {first_line(error)}") from error
    for name, value in replaced.items():
        setattr(config, name, value)
    return config


def read_tokenizer(folder: Path, step: HubReader, adapter: Path | None = None) -> Any:
    """Load the tokenizer: the adapter's if it has one, else the model's."""
    sources = [
        source for source in (adapter, folder) if source is not None and _has_vocabulary(source)
    ]
    if not sources and not step.trust_remote_code:
        raise DataError(
            f"{folder} has no tokenizer ({VOCABULARIES[0]}); save the tokenizer that the model was "
            "trained with beside it"
        )
    source = (sources or [folder])[0]
    if not step.trust_remote_code:
        check_tokenizer_file(source / VOCABULARIES[0])
    try:
        return transformers.AutoTokenizer.from_pretrained(
            str(source), trust_remote_code=step.trust_remote_code
        )
    except Exception as error:  # whatever a broken tokenizer file makes a tokenizer raise
        raise DataError(
            f"the tokenizer in {source} cannot be loaded: {first_line(error)}"
        ) from error


def _has_vocabulary(folder: Path) -> bool:
    return any((folder / name).is_file() for name in VOCABULARIES)


def check_vocabulary(folder: Path, tokenizer: Any, model: Any) -> int:
    """Return the number of tokens that the model embeds; the tokenizer may have no more."""
    embedded = int(model.get_input_embeddings().weight.shape[0])
    token, highest = max(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    if highest >= embedded:
        raise DataError(
            f"the tokenizer in {folder} has tokens up to {highest} ({token!r}), but the model "
            f"embeds {embedded}: it is of another model; use the one that it was trained with"
        )
    return embedded


def max_length(wanted: int | None, tokenizer: Any, model: Any, folder: Path) -> int | None:
    """Return the token limit of a conversation: the step's, else the tokenizer's or the model's."""
    positions = _positions(model)
    if wanted is not None and positions is not None and wanted > positions:
        raise DataError(
            f"max_length {wanted!s:.20} is more than the {positions} positions of the model in "
            f"{folder}"
        )
    stated = tokenizer.model_max_length
    if not isinstance(stated, int | float) or not stated > 0:
        raise DataError(
            f"model_max_length of the tokenizer of {folder} is no number above 0: {stated!r:.40}"
        )
    limits = [n for n in (positions, int(stated) if stated < UNLIMITED else None) if n is not None]
    return wanted or (min(limits) if limits else None)


def _positions(model: Any) -> int | None:
    """Return the number of positions of a model; some (RoBERTa) count from after the pad token."""
    for name, module in model.named_modules():
        if (
            name.endswith("position_embeddings")
            and getattr(module, "padding_idx", None) is not None
        ):
            return int(module.num_embeddings - module.padding_idx - 1)
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return int(positions) if positions is not None and positions > 0 else None
