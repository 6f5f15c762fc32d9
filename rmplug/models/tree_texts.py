"""LightGBM's text models, checked before the library reads them: it trusts every index in them, and
one that is out of range ends the process or reads memory that is not its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from rmplug.errors import DataError

MOST_BYTES, MOST_LEAVES, MOST_DEPTH, MOST_CLASSES = 1_000_000_000, 131_072, 500, 10_000
END = "end of trees"
HEADER = {
    "version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective",
    "feature_names", "feature_infos", "tree_sizes", "monotone_constraints",
}  # fmt: skip
NODES = ("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child",
         "internal_value", "internal_weight", "internal_count")  # fmt: skip
LEAVES = ("leaf_value", "leaf_weight", "leaf_count")
NEEDED = {"split_feature", "threshold", "decision_type", "left_child", "right_child", "leaf_value"}
OTHER = {"num_leaves", "num_cat", "cat_boundaries", "cat_threshold", "is_linear", "shrinkage"}
OBJECTIVE = re.compile(r"[a-z0-9_]+(?: [a-z_]+:[-+.\w]+| sqrt)*")


def read_trees(path: Path) -> str:
    """Return the text of a LightGBM model, as far as its trees go. Raises DataError where it is not
    a forest: a feature, node or category that is not there, a circle, a list of another length."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES:,} bytes")
        text = path.read_bytes().decode("ascii", "strict")
        head, _, rest = text.partition("\n\nTree=0\n")
        body, end, _ = rest.partition(END)
        header = _lines(head)
        trees = re.split(r"\n{2,}Tree=\d+\n", body.rstrip("\n")) if end else []
        _check_header(header, len(trees))
        for tree in trees:
            _check_tree(_lines(tree), int(header["max_feature_idx"]) + 1)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise DataError(
            f"{path} is not a whole model of LightGBM ({error or type(error).__name__}); fit again"
        ) from error
    # sizes that are wrong misplace the library's reading; without them it reads in order
    kept = "\n".join(line for line in head.splitlines() if not line.startswith("tree_sizes="))
    return f"{kept}\n\nTree=0\n{body}{END}\n\npandas_categorical:null\n"


def _lines(block: str) -> dict[str, str]:
    pairs = [line.partition("=") for line in block.splitlines() if line]
    lines = {name: value for name, _, value in pairs}
    if len(lines) < len(pairs):
        raise ValueError("a line is there twice")
    return lines


def _check_header(header: Mapping[str, str], trees: int) -> None:
    odd = set(header) - HEADER - {"tree", "average_output"}
    features, classes = int(header["max_feature_idx"]) + 1, int(header["num_class"])
    each, objective = int(header["num_tree_per_iteration"]), header.get("objective", "custom")
    stated = re.search(r"num_class:(\S+)", objective)
    names = header["feature_names"].split(), header["feature_infos"].split()
    if odd or "tree" not in header or not OBJECTIVE.fullmatch(objective):
        raise ValueError(f"its header has {sorted(odd)[:1] or 'an unknown objective'}")
    if not 1 <= classes <= MOST_CLASSES or each not in (1, classes) or not trees or trees % each:
        raise ValueError(f"{trees} trees are not of {classes} classes")
    if stated and (int(stated[1]), each) != (classes, classes):
        raise ValueError("its objective has another number of classes")
    if features < 1 or any(len(listed) != features for listed in names):
        raise ValueError(f"it does not name {features} features")


def _check_tree(tree: Mapping[str, str], features: int) -> None:
    leaves, categories = int(tree["num_leaves"]), int(tree["num_cat"])
    odd = set(tree) - {*NODES, *LEAVES, *OTHER}
    if odd or not 1 <= leaves <= MOST_LEAVES or not 0 <= categories < MOST_LEAVES:
        raise ValueError(f"a tree of {leaves} leaves has {sorted(odd)[:1] or 'no such number'}")
    lists = {name: tree[name].split() for name in (*NODES, *LEAVES) if name in tree}
    for name, values in lists.items():
        wanted = leaves - (name in NODES)
        alone = leaves == 1 and not values and name != "leaf_value"
        if len(values) != wanted and not alone:
            raise ValueError(f"{name} has {len(values)} entries, not {wanted}")
        [float(value) for value in values]
    if not set(lists) >= NEEDED:
        raise ValueError(f"a tree lacks {sorted(NEEDED - set(lists))[0]}")
    if any(not 0 <= int(feature) < features for feature in lists["split_feature"]):
        raise ValueError("a split is on a feature that is not there")
    if leaves > 1:
        _check_shape([int(c) for c in lists["left_child"]], [int(c) for c in lists["right_child"]])
    _check_categories(tree, lists, categories)
    if tree.get("is_linear", "0") != "0":
        raise ValueError("its leaves are linear models, which are not explained")


def _check_shape(left: list[int], right: list[int]) -> None:
    """Check that every node and leaf is reached from the first node once, and none too deep."""
    nodes, seen, rest = len(left), 0, [(0, 0)]
    reached: set[int] = set()
    while rest:
        node, depth = rest.pop()
        seen += 1
        if node in reached or not -nodes - 1 <= node < nodes or depth > MOST_DEPTH:
            raise ValueError("its nodes are no tree")
        reached.add(node)
        if node >= 0:
            rest += [(left[node], depth + 1), (right[node], depth + 1)]
    if seen != 2 * nodes + 1:
        raise ValueError("its nodes are no tree")


def _check_categories(
    tree: Mapping[str, str], lists: Mapping[str, list[str]], categories: int
) -> None:
    sets = [
        float(at)
        for at, kind in zip(lists["threshold"], lists["decision_type"], strict=True)
        if int(kind) & 1
    ]
    bounds = [int(bound) for bound in tree.get("cat_boundaries", "").split()]
    words = [int(word) for word in tree.get("cat_threshold", "").split()]
    whole = not categories or (
        len(bounds) == categories + 1
        and bounds[0] == 0
        and bounds == sorted(bounds)
        and bounds[-1] == len(words)
    )
    if not whole or any(not 0 <= at < categories for at in sets):
        raise ValueError("a split is on a set of categories that is not there")
