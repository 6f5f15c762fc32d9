"""The skops files of scikit-learn estimators: reproducible bytes, checked types."""

from __future__ import annotations

import importlib
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn.base import BaseEstimator
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.tree._tree import Tree

from rmplug import DataError

MODEL_FILE = "model.skops"
SCHEMA = "schema.json"
MOST_BYTES, MOST_FEATURES = 1_000_000_000, 10_000_000
LOADABLE = (
    "_loss", "calibration", "compose", "cross_decomposition", "discriminant_analysis", "dummy",
    "ensemble", "gaussian_process", "isotonic", "kernel_ridge", "linear_model",
    "metrics._dist_metrics", "multiclass", "multioutput", "naive_bayes", "neighbors",
    "neural_network", "preprocessing", "semi_supervised", "svm", "tree", "utils._bunch",
)  # fmt: skip


def write_estimator(estimator: Any, directory: Path) -> None:
    """Write a reproducible file: skops names objects by memory address and stamps the time."""
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
    """Read the saved estimator; a file with anything but scikit-learn's own types is refused."""
    file = directory / MODEL_FILE
    try:
        _check_size(file)
        types = skops.io.get_untrusted_types(file=file)
    except Exception as error:  # whatever a file that is none makes zipfile, json or skops raise
        raise DataError(f"{file} cannot be read ({_line(error)}); fit again") from error
    strange = [name for name in types if not _is_own_class(name)]
    if strange:
        raise DataError(
            f"{file} holds {', '.join(strange[:5])}, not a type of scikit-learn's estimators: "
            "it is not loaded; fit again"
        )
    try:
        estimator = skops.io.load(file, trusted=types)
    except Exception as error:  # whatever a state that is none makes an estimator raise
        raise DataError(f"{file} cannot be read ({_line(error)}); fit again") from error
    if not isinstance(estimator, BaseEstimator):
        raise DataError(f"{file} holds {type(estimator).__name__}, not an estimator; fit again")
    if not all(_is_whole(nodes) for nodes in _trees(estimator)):
        raise DataError(f"{file} holds a tree with nodes that are not there; fit again")
    return estimator


def _check_size(file: Path) -> None:
    """Refuse a file that unpacks to far more than it is."""
    with zipfile.ZipFile(file) as packed:
        size = sum(entry.file_size for entry in packed.infolist())
    if size > max(MOST_BYTES, 100 * file.stat().st_size):
        raise ValueError(f"it unpacks to {size:,} bytes")


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@dataclass(frozen=True)
class Nodes:
    """The nodes of a tree: the children of each (below 1 or itself at a leaf) and its feature."""

    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    features: int


def _trees(value: Any) -> Iterator[Nodes]:
    """Yield all trees inside an estimator: compiled code follows their indices unchecked."""
    rest, seen = [value], set()
    while rest:
        item = rest.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, Tree):
            inner = item.children_left != -1
            yield Nodes(
                np.where(inner, item.children_left, 0), np.where(inner, item.children_right, 0),
                np.where(inner, item.feature, 0), item.n_features,
            )  # fmt: skip
        elif isinstance(item, TreePredictor):
            inner = item.nodes["is_leaf"] == 0
            names = ("left", "right", "feature_idx")
            left, right, feature = (
                np.where(inner, item.nodes[name], 0).astype(np.int64) for name in names
            )
            yield Nodes(left, right, feature, MOST_FEATURES)
        elif isinstance(item, BaseEstimator):
            rest += vars(item).values()
        elif isinstance(item, dict):
            rest += item.values()
        elif isinstance(item, list | tuple) or (isinstance(item, np.ndarray) and item.dtype == "O"):
            rest += list(item)


def _is_whole(nodes: Nodes) -> bool:
    """Check whether every node leads to later nodes that exist: so there is no cycle either."""
    at = np.arange(len(nodes.left))
    inner = (nodes.left != 0) | (nodes.right != 0)
    children = np.stack([nodes.left[inner], nodes.right[inner]])
    later = (children > at[inner]) & (children < len(at))
    return bool(
        len(at) and later.all() and ((nodes.feature >= 0) & (nodes.feature < nodes.features)).all()
    )


def _addresses(schema: str) -> list[str]:
    """Return every object's address in memory, in the order of the schema."""
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
