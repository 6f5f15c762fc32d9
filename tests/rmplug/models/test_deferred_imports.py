"""Packages that are imported when something of them is used, and not before."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rmplug.models.deferred_imports import deferred_imports, is_imported

FILES = {
    "heavy_parent/__init__.py": "",
    "heavy_parent/heavy/__init__.py": (
        "class Thing:\n    size = 3\n\nNAMES = ['a', 'b']\n\ndef double(x):\n    return 2 * x\n"
    ),
    "heavy_parent/heavy/deep.py": "def triple(x):\n    return 3 * x\n",
    "uses_heavy.py": (
        "import heavy_parent.heavy\n"
        "from heavy_parent.heavy import NAMES, Thing, double\n"
        "from heavy_parent.heavy.deep import triple\n"
        "def is_thing(x: 'Thing') -> bool:\n    return isinstance(x, Thing)\n"
        "kind = Thing | None\n"
    ),
    "extends_heavy.py": "from heavy_parent.heavy import Thing\nclass More(Thing):\n    pass\n",
}
HEAVY = "heavy_parent.heavy"


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [n for n in sys.modules if "heavy" in n]:
        del sys.modules[name]


def imported(name: str = "uses_heavy") -> Any:
    with deferred_imports([HEAVY]):
        return importlib.import_module(name)


def test_a_module_that_uses_a_package_is_imported_without_it() -> None:
    module = imported()
    assert not module.is_thing(3)
    assert not any(name.startswith(HEAVY) for name in sys.modules)
    assert not hasattr(sys.modules["heavy_parent"], "heavy")
    assert all(type(finder).__name__ != "_Finder" for finder in sys.meta_path)


def test_what_is_used_is_imported_then_and_works() -> None:
    module = imported()
    assert (module.double(2), module.triple(2), module.Thing.size) == (4, 6, 3)
    real = importlib.import_module(HEAVY)
    assert is_imported(HEAVY) and module.is_thing(real.Thing()) and not module.is_thing(3)
    assert isinstance(module.Thing(), real.Thing) and issubclass(real.Thing, module.Thing)


def test_a_list_is_imported_when_it_is_read_and_works_as_one() -> None:
    module = imported()
    names, others = module.NAMES, ["c"]
    assert not is_imported(HEAVY)
    assert (names + others, others + names) == (["a", "b", "c"], ["c", "a", "b"])
    assert names + names == [*names, *names] and "b" in names and "c" not in names
    assert is_imported(HEAVY)


def test_a_class_of_a_package_can_be_extended_at_once() -> None:
    assert imported("extends_heavy").More.size == 3
    assert is_imported(HEAVY)


def test_names_that_are_given_need_no_import() -> None:
    with deferred_imports([HEAVY], {HEAVY: {"double": lambda x: x + x + 1}}):
        module = importlib.import_module("uses_heavy")
        assert module.double(2) == 5 and not is_imported(HEAVY)


def test_a_package_that_is_imported_already_is_used_and_one_that_is_not_installed_is_missed() -> (
    None
):
    real = importlib.import_module(HEAVY)
    with deferred_imports([HEAVY, "not_installed"]):
        assert importlib.import_module("uses_heavy").Thing is real.Thing
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("not_installed")
