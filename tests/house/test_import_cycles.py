"""No module needs itself: imports inside functions count, imports for types do not."""

from __future__ import annotations

import grimp
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

PACKAGES = (
    "rmplug",
    "rmplug_armorm",
    "rmplug_audit",
    "rmplug_bench",
    "rmplug_embeddings",
    "rmplug_endpoint",
    "rmplug_hf",
    "rmplug_hybrid",
    "rmplug_quality",
    "rmplug_report",
    "rmplug_tabular",
    "rmplug_text",
    "rmplug_trl",
    "rmplug_wandb",
)


@pytest.fixture(scope="module")
def cycles() -> list[list[str]]:
    """The modules of each cycle: the strongly connected components of two and more."""
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    modules = sorted(graph.modules)
    place = {module: at for at, module in enumerate(modules)}
    edges = [
        (place[module], place[other])
        for module in modules
        for other in graph.find_modules_directly_imported_by(module)
    ]
    rows, columns = zip(*edges, strict=True)
    matrix = coo_array(([True] * len(edges), (rows, columns)), shape=(len(modules),) * 2)
    count, label = connected_components(matrix.tocsr(), directed=True, connection="strong")
    members: list[list[str]] = [[] for _ in range(count)]
    for module, component in zip(modules, label, strict=True):
        members[component].append(module)
    return [component for component in members if len(component) > 1]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_of_a_package_import_each_other(package, cycles):
    inside = [found for found in cycles if any(f"{m}.".startswith(f"{package}.") for m in found)]
    assert inside == []
