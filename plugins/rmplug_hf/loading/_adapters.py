"""PEFT adapters: small weights that are added to a model, and may contain its head."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rmplug import DataError
from rmplug.errors import some
from rmplug.models.files import read_json
from rmplug.models.settings import check_settings
from rmplug.models.weights import pickle_sentence, read_header

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
WEIGHTS_ONLY = ("LORA", "ADALORA", "LOHA", "LOKR", "IA3", "OFT", "BOFT", "HRA", "VERA", "LN_TUNING")
"""Sorts of adapters that are matrices put on a model's own, with nothing to fetch or to run."""
ELSEWHERE = (
    "megatron_config",
    "arrow_config",
    "layer_replication",
    "cache_file",
    "covariance_file",
)
"""Settings by which PEFT imports a module by name, uses other adapters, or reads other files."""
PATTERNS = (
    "target_modules", "exclude_modules", "layers_pattern", "feedforward_modules",
    "target_parameters",
)  # fmt: skip
KEYED = ("rank_pattern", "alpha_pattern")
"""Entries whose keys are patterns too."""
ENDLESS = re.compile(r"\)\s*[+*{]|(?:[+*}].*){6}|.{1000}", re.DOTALL)
"""A repeated group, six repetitions or a long pattern: their search may take for ever."""
MOST_ENTRIES = 10_000
"""Entries of a list or mapping: PEFT looks for each of them in each module."""
ITERATIONS = re.compile(r"pissa_niter_\d{3,}")
"""Decompositions of the model's weights that would be repeated hundreds of times."""
RANKS = ("r", "init_r", "target_r", "oft_block_size", "boft_block_size")
HEADS = ("score.weight", "classifier.weight", "classifier.out_proj.weight")

Shapes = Mapping[str, tuple[int, ...]]


def adapter_weights(folder: Path) -> Shapes:
    """Return the shape of each of an adapter's tensors by its name in the model; refuse one that
    does more than to change weights."""
    if not (folder / CONFIG).is_file():
        raise DataError(f"{folder} is no adapter: it has no {CONFIG}")
    check_settings(folder)
    _check_kind(folder)
    if (folder / WEIGHTS).is_file():
        shapes = read_header(folder / WEIGHTS)
        return {name.removeprefix(PREFIX): shape for name, shape in shapes.items()}
    if (folder / "adapter_model.bin").is_file():
        raise DataError(pickle_sentence(folder, "adapter_model.bin").partition(", or set")[0])
    raise DataError(f"the adapter {folder} has no weights: {WEIGHTS} is not there")


def base_of(folder: Path) -> str:
    """Return the name of the model that an adapter was trained on, by its configuration."""
    return str(
        read_json(folder / CONFIG).get("base_model_name_or_path") or "a model it does not name"
    )


def labels_of(shapes: Shapes) -> int | None:
    """Return the number of outputs of an adapter's head; None if it has no head."""
    heads = [shape for name, shape in shapes.items() if name.endswith(HEADS)]
    return heads[0][0] if heads else None


def _check_kind(folder: Path) -> None:
    """Refuse what PEFT would fetch, import or search without end for an adapter's sake, before PEFT
    reads the adapter."""
    config = read_json(folder / CONFIG)
    kind = config.get("peft_type")
    if kind not in WEIGHTS_ONLY:
        raise DataError(
            f"{folder} is a {kind!s:.40} adapter; adapters that change weights can be used "
            f"({some(WEIGHTS_ONLY, 12)})"
        )
    every = {**config, **_mapping(config.get("corda_config"))}
    asked = [name for name in ELSEWHERE if every.get(name)]
    if asked:
        raise DataError(
            f"{folder} asks for {asked[0]}, which an adapter that is only weights has not; save it "
            "without"
        )
    long = [n for n, v in every.items() if isinstance(v, list | Mapping) and len(v) > MOST_ENTRIES]
    if ITERATIONS.match(str(every.get("init_lora_weights"))):
        long.append("init_lora_weights")
    if _mapping(config.get("loftq_config")).get("loftq_iter", 1) not in range(100):
        long.append("loftq_iter")
    if long:
        raise DataError(f"{long[0]:.60} of {folder} would take for ever; no adapter needs so many")
    endless = [name for name in (*PATTERNS, *KEYED) if _is_endless(config.get(name))]
    if endless:
        raise DataError(f"{endless[0]} of {folder} is a pattern that may take for ever; list names")


def _is_endless(value: Any) -> bool:
    """Check whether a pattern, or one of a list or of a mapping's keys, may take for ever."""
    patterns = value if isinstance(value, list | Mapping) else [value or ""]
    return any(ENDLESS.search(str(pattern)) for pattern in patterns)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _check_ranks(folder: Path, shapes: Shapes) -> None:
    """Refuse ranks that no tensor of the adapter has: PEFT would allocate memory for them."""
    config, most = (
        read_json(folder / CONFIG),
        max((max(s, default=0) for s in shapes.values()), default=0),
    )
    patterns = _mapping(config.get("rank_pattern")).values()
    ranks = [*(config.get(name) for name in RANKS), *patterns]
    odd = [rank for rank in ranks if isinstance(rank, int) and rank > most]
    if odd:
        raise DataError(
            _not_fitting(folder, f"it says rank {odd[0]}, its weights have {most} at most")
        )


def has_adapter(network: Any) -> bool:
    """Check whether an adapter is beside the weights of a network."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    return any(isinstance(module, BaseTunerLayer) for module in network.modules())


def put_adapter(model: Any, folder: Path, shapes: Shapes, merge: bool) -> tuple[Any, Any]:
    """Add the adapter to the model, or merge it; every weight must fit a module. Return the model
    and, where the adapter is beside its weights, the ``PeftModel`` around it."""
    from peft import PeftModel

    _check_ranks(folder, shapes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # missing keys are an error below, with their names
        try:
            wrapped = PeftModel.from_pretrained(model, str(folder), torch_device="cpu")
        except Exception as error:  # whatever odd entries or weights make PEFT raise
            raise DataError(_not_fitting(folder, str(error))) from error
    _check_complete(wrapped, folder, shapes)
    if merge:
        return wrapped.merge_and_unload(safe_merge=True), None
    return wrapped.get_base_model(), wrapped


def _check_complete(wrapped: Any, folder: Path, shapes: Shapes) -> None:
    from peft import get_peft_model_state_dict

    expected = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    wanted = {name.removeprefix(PREFIX) for name in expected}
    missing, unused = sorted(wanted - set(shapes)), sorted(set(shapes) - wanted)
    unused = [name for name in unused if "embed" not in name]
    if missing:
        raise DataError(_not_fitting(folder, f"it lacks {', '.join(missing[:3])}"))
    if unused:
        raise DataError(_not_fitting(folder, f"no place for {', '.join(unused[:3])}"))


def _not_fitting(folder: Path, reason: str) -> str:
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    detail = next((line for line in lines if "size mismatch" in line), lines[0] if lines else "")
    return (
        f"the adapter {folder} does not fit the model ({detail}); "
        f"it was trained on {base_of(folder)}"
    )
