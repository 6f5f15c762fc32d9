"""The parameters of the installed LightGBM, asked of its library without importing the package."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rmplug.errors import did_you_mean

RESERVED = {
    "objective": "objective", "num_iterations": "rounds", "num_threads": "threads",
    "early_stopping_round": "early_stopping", "num_class": "the target",
    "seed": "the run's seed",
}  # fmt: skip
FILES_AND_NETWORK = {
    "config", "convert_model", "data", "forcedbins_filename", "forcedsplits_filename",
    "input_model", "machine_list_filename", "machines", "num_machines", "output_model",
    "output_result", "task", "valid",
}  # fmt: skip
LONGEST = 1 << 20


@cache
def canonical_names() -> Mapping[str, str]:
    """Return each parameter and alias with LightGBM's own name for it; empty where its library
    cannot be asked. Importing ``lightgbm`` takes seconds; its package asks in the same way."""
    spec = find_spec("lightgbm")
    folders = (spec.submodule_search_locations or ()) if spec else ()
    for library in [path for folder in folders for path in Path(folder).glob("*/lib_lightgbm.*")]:
        with suppress(OSError, AttributeError, ValueError):
            buffer, length = ctypes.create_string_buffer(LONGEST), ctypes.c_int64()
            ask = ctypes.CDLL(str(library)).LGBM_DumpParamAliases
            if ask(ctypes.c_int64(LONGEST), ctypes.byref(length), buffer) == 0:
                aliases: Mapping[str, list[str]] = json.loads(buffer.value)
                return {alias: name for name in aliases for alias in (name, *aliases[name])}
    return {}


def wrong_args(args: Mapping[str, Any], canonical: Mapping[str, str]) -> Iterator[str]:
    """Yield a message for each arg that LightGBM does not know, or that is set elsewhere."""
    for key in args:
        name = canonical.get(key)
        if name is None:
            hint = did_you_mean(key, canonical)
            yield f"LightGBM has no parameter {key!r}{hint}; its documentation lists them"
        elif name in RESERVED:
            yield f"{key} is set by {RESERVED[name]}; leave it out of args"
        elif name in FILES_AND_NETWORK:
            yield f"{key} names files or machines; leave it out of args"
        elif name == "linear_tree" and args[key] not in (False, 0, "false", "0", "-"):
            yield f"{key} makes leaves linear models, which have no SHAP values; leave it out"
