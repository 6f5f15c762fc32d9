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

from rmplug import DataError
from rmplug.models.deferred_imports import deferred_imports

from ._sklearn_names import NOT_CALLED

# what skops trusts: a list for which it imports all estimators, and looks up each function of SciPy
# in all modules that are imported (as of 0.16); files are written without it
with deferred_imports([*NOT_CALLED, "skops.io._trusted_types"]):
    import skops.io
    from sklearn.base import BaseEstimator
    from sklearn.ensemble._gb import BaseGradientBoosting
    from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
    from sklearn.neighbors import BallTree, KDTree
    from sklearn.neighbors._base import NeighborsBase
    from sklearn.svm._base import BaseLibSVM
    from sklearn.tree import BaseDecisionTree
    from sklearn.tree._tree import Tree

MODEL_FILE = "model.skops"
SCHEMA = "schema.json"
MOST_BYTES = 1_000_000_000
SEARCH_TREES = {"kd_tree": KDTree, "ball_tree": BallTree}
SEARCH_MODULES = ("sklearn.neighbors._kd_tree", "sklearn.neighbors._ball_tree")
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
        with deferred_imports(NOT_CALLED):  # what is trusted is asked for here first
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
    try:
        _check_parts(estimator)
    except Exception as error:  # whatever attributes of other types make the checks raise
        raise DataError(f"{file} holds {_line(error)}; fit again") from error
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


def _check_parts(estimator: Any) -> None:
    """Refuse what compiled code would follow without looking: indices of nodes and features that
    are not there. Search trees of neighbours are built anew from the rows that they stand for."""
    for item, owner in _walk(estimator):
        if type(item).__module__ in SEARCH_MODULES:
            raise ValueError("a search tree, which is used without being checked")
        if isinstance(item, NeighborsBase):
            _build_search_tree(item)
        elif isinstance(item, BaseHistGradientBoosting) and item._preprocessor is not None:
            raise ValueError("splits on categories, which are not checked")
        elif isinstance(item, BaseLibSVM) and "support_" in vars(item):  # else it is not fitted
            _check_support(item)
        elif isinstance(item, Tree | TreePredictor):
            _check_tree(item, owner)
    for item, _ in _walk(estimator):
        if isinstance(item, BaseGradientBoosting):
            _check_boosting(item)


def _check_boosting(model: Any) -> None:
    """Refuse trees and first scores of another number than the outputs: compiled code adds a score
    of each tree to memory of that size. The parts of the model are checked before."""
    outputs = model.n_trees_per_iteration_
    if model.estimators_.shape[1:] != (outputs,):
        raise ValueError("another number of trees than it has outputs")
    for tree in model.estimators_.ravel():
        whole = isinstance(tree, BaseDecisionTree) and isinstance(tree.tree_, Tree)
        if not whole or tree.tree_.value.shape[1:] != (1, 1):
            raise ValueError("a tree that gives no single number")
    rows = np.zeros((2, model.n_features_in_), dtype=np.float32)
    if model._raw_predict_init(rows).shape != (2, outputs):
        raise ValueError("another number of first scores than it has outputs")


def _check_support(machine: Any) -> None:
    """Refuse arrays of a support vector machine of other sizes than each other's, which libsvm
    reads without looking, and rows that a precomputed kernel does not have."""
    classifies = machine._impl in ("c_svc", "nu_svc")
    vectors, rows = int(machine.n_support_.sum()), machine.shape_fit_[0]
    several = len(machine._n_support) if classifies else 2
    pairs = several * (several - 1) // 2
    known = machine.kernel == "precomputed"
    whole = (
        "_impl" not in vars(machine)
        and machine._sparse is False
        and machine.shape_fit_[1] == machine.n_features_in_
        and (not classifies or len(machine.classes_) == several > 1)
        and (machine._n_support >= 0).all()
        and machine.support_.shape == (vectors,)
        and bool(((machine.support_ >= 0) & (machine.support_ < rows)).all())
        and (known or machine.support_vectors_.shape == (vectors, machine.n_features_in_))
        and machine._dual_coef_.shape == (several - 1, vectors)
        and machine._intercept_.shape == (pairs,)
        and all(each.size in (0, pairs) for each in (machine._probA, machine._probB))
        and machine._probA.size == machine._probB.size
        and not (known and (machine.support_vectors_.size or rows != machine.n_features_in_))
    )
    if not whole:
        raise ValueError("support vectors that do not fit each other")


def _walk(value: Any) -> Iterator[tuple[Any, Any]]:
    """All that is inside an estimator, and the estimator that checks the rows for it: of trees
    inside gradient boosting, that is the whole, which asks their nodes by itself."""
    rest: list[tuple[Any, Any]] = [(value, None)]
    seen = set()
    while rest:
        item, owner = rest.pop()
        if (id(item), id(owner)) in seen:
            continue
        seen.add((id(item), id(owner)))
        yield item, owner
        if isinstance(item, BaseEstimator):
            boosted = isinstance(item, BaseDecisionTree) and isinstance(owner, BaseGradientBoosting)
            own = {name: part for name, part in vars(item).items() if not _is_rebuilt(item, name)}
            rest += [(part, owner if boosted else item) for part in own.values()]
        elif isinstance(item, dict):
            rest += [(part, owner) for part in item.values()]
        elif isinstance(item, list | tuple) or (isinstance(item, np.ndarray) and item.dtype == "O"):
            rest += [(part, owner) for part in list(item)]


def _is_rebuilt(item: Any, name: str) -> bool:
    return isinstance(item, NeighborsBase) and name == "_tree"


def _build_search_tree(item: Any) -> None:
    method = getattr(item, "_fit_method", None)
    if method not in SEARCH_TREES:
        item._tree = None
    elif not isinstance(item.effective_metric_, str):
        raise ValueError("a search tree of a metric without a name")
    else:
        item._tree = SEARCH_TREES[method](
            np.asarray(item._fit_X, dtype=np.float64), int(item.leaf_size),
            metric=item.effective_metric_, **item.effective_metric_params_,
        )  # fmt: skip


def _check_tree(tree: Any, owner: Any) -> None:
    features = owner.n_features_in_
    if isinstance(tree, Tree):
        if tree.n_features != features:
            raise ValueError("a tree of other features than its estimator's")
        inner = tree.children_left != -1
        names = (tree.children_left, tree.children_right, tree.feature)
    else:
        inner = tree.nodes["is_leaf"] == 0
        names = tuple(tree.nodes[name] for name in ("left", "right", "feature_idx"))
        if tree.nodes["is_categorical"][inner].any():
            raise ValueError("splits on categories, which are not checked")
    left, right, feature = (np.where(inner, values, 0).astype(np.int64) for values in names)
    if not _is_whole(Nodes(left, right, feature)):
        raise ValueError("a tree with nodes that are not there")
    if ((feature < 0) | (feature >= features)).any():
        raise ValueError("a tree with features that are not there")


def _is_whole(nodes: Nodes) -> bool:
    """Check whether every node leads to later nodes that exist: so there is no cycle either."""
    at = np.arange(len(nodes.left))
    inner = (nodes.left != 0) | (nodes.right != 0)
    children = np.stack([nodes.left[inner], nodes.right[inner]])
    later = (children > at[inner]) & (children < len(at))
    return bool(len(at) and later.all())


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
