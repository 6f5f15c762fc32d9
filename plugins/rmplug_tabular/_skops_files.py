"""scikit-learn estimators in skops files: the same bytes for the same estimator, types checked."""

from __future__ import annotations

import importlib
import io
import re
import zipfile
from pathlib import Path
from typing import Any

import skops.io
from sklearn.base import BaseEstimator

from rmplug import DataError

MODEL_FILE = "model.skops"
SCHEMA = "schema.json"
LOADABLE = (
    "_loss", "calibration", "compose", "cross_decomposition", "discriminant_analysis", "dummy",
    "ensemble", "gaussian_process", "isotonic", "kernel_ridge", "linear_model",
    "metrics._dist_metrics", "multiclass", "multioutput", "naive_bayes", "neighbors",
    "neural_network", "preprocessing", "semi_supervised", "svm", "tree", "utils._bunch",
)  # fmt: skip


def write_estimator(estimator: Any, directory: Path) -> None:
    """skops names objects by their address in memory and stamps the time; here they are counted."""
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(estimator))) as made:
        schema = made.read(SCHEMA).decode()
        names = {old: str(new) for new, old in enumerate(_addresses(schema))}
        files = {_renamed(name, names): made.read(name) for name in made.namelist()}
    files[SCHEMA] = re.sub(
        r'("__id__": |"file": ")(\d+)', lambda match: match[1] + names[match[2]], schema
    ).encode()
    with zipfile.ZipFile(directory / MODEL_FILE, "w", zipfile.ZIP_DEFLATED) as written:
        for name in sorted(files):
            written.writestr(_entry(name), files[name])


def read_estimator(directory: Path) -> Any:
    """The saved estimator; a file that holds anything but scikit-learn's own types is refused."""
    file = directory / MODEL_FILE
    types = skops.io.get_untrusted_types(file=file)
    strange = [name for name in types if not _is_own_class(name)]
    if strange:
        raise DataError(
            f"{file} holds {', '.join(strange[:5])}, not a type of scikit-learn's estimators: "
            "it is not loaded; fit again"
        )
    estimator = skops.io.load(file, trusted=types)
    if not isinstance(estimator, BaseEstimator):
        raise DataError(f"{file} holds {type(estimator).__name__}, not an estimator; fit again")
    return estimator


def _addresses(schema: str) -> list[str]:
    """Every object's address in memory, in the order of the schema."""
    return list(dict.fromkeys(re.findall(r'(?:"__id__": |"file": ")(\d+)', schema)))


def _renamed(file: str, names: dict[str, str]) -> str:
    stem, dot, ending = file.partition(".")
    return names.get(stem, stem) + dot + ending


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _is_own_class(path: str) -> bool:
    module, _, name = path.rpartition(".")
    if not any(_inside(module, f"sklearn.{part}") for part in LOADABLE):
        return False
    return isinstance(getattr(importlib.import_module(module), name, None), type)


def _inside(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")
