"""Imports that a library makes and the work at hand does not need, put off until something of them
is used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


@contextmanager
def deferred_imports(
    packages: Sequence[str], given: Mapping[str, Mapping[str, Any]] | None = None
) -> Iterator[None]:
    """Within the context, whatever imports one of the packages (``torch.distributed.tensor``) or a
    module below it gets a stand-in, whose names import the real one when they are called or asked
    for more. A package that is imported already, or not installed, is left alone.

    It is for ``from package import name`` at the head of modules whose functions are not called:
    afterwards they hold names that still work. ``isinstance`` with such a name imports nothing: of
    a class that was never imported there is no instance.
    """
    finder = _Finder([name for name in packages if not is_imported(name)], given or {})
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        finder.withdraw(*finder.packages)


def is_imported(name: str) -> bool:
    """Check whether a module is imported, and no stand-in."""
    return name in sys.modules and not isinstance(sys.modules[name], _StandIn)


class _Finder:
    """An import hook that finds stand-ins of some packages and of the modules below them."""

    def __init__(self, packages: Sequence[str], given: Mapping[str, Mapping[str, Any]]) -> None:
        self.packages, self.given = list(packages), given

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec of a stand-in; None where the real module is to be found, or is not
        there."""
        package = self.package_of(name)
        if package is None or (name == package and PathFinder.find_spec(name, path) is None):
            return None
        return ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]

    def package_of(self, name: str) -> str | None:
        """Return the deferred package that a module belongs to."""
        inside = (p for p in self.packages if name == p or name.startswith(f"{p}."))
        return next(inside, None)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StandIn(spec.name, self)

    def exec_module(self, module: ModuleType) -> None:
        """Give a stand-in the names that it has from the start."""
        vars(module).update(self.given.get(module.__name__, {}))

    def real(self, name: str) -> ModuleType:
        """Import a module that a stand-in stands for, and its package from now on."""
        package = self.package_of(name)
        if package is not None:
            self.packages.remove(package)
            self.withdraw(package)
        return importlib.import_module(name)

    def withdraw(self, *packages: str) -> None:
        """Remove the stand-ins of packages from what is imported."""
        for name, module in list(sys.modules.items()):
            if isinstance(module, _StandIn) and module.finder is self:
                if not any(name == p or name.startswith(f"{p}.") for p in packages):
                    continue
                del sys.modules[name]
                parent, _, last = name.rpartition(".")
                if vars(sys.modules.get(parent, object)).get(last) is module:
                    delattr(sys.modules[parent], last)


class _StandIn(ModuleType):
    """A module that stands for one that is not imported yet."""

    def __init__(self, name: str, finder: _Finder) -> None:
        super().__init__(name)
        self.finder = finder

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Deferred(self, name)


class _Deferred:
    """A name of a module that is not imported yet: a function, a class, or anything else."""

    def __init__(self, module: _StandIn, name: str) -> None:
        self._module, self._name = module, name

    def _real(self) -> Any:
        return getattr(self._module.finder.real(self._module.__name__), self._name)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._real()(*args, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked for by decorators and inspections
            raise AttributeError(name)
        return getattr(self._real(), name)

    def __instancecheck__(self, instance: Any) -> bool:
        return is_imported(self._module.__name__) and isinstance(instance, self._real())

    def __subclasscheck__(self, cls: type) -> bool:
        with suppress(AttributeError):
            return issubclass(cls, self._real())
        return False

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._real(),)

    def __iter__(self) -> Iterator[Any]:  # and what else is done with lists
        return iter(self._real())

    def __contains__(self, value: Any) -> bool:
        return value in self._real()

    def __add__(self, other: Any) -> Any:
        return [*self, *other]

    def __radd__(self, other: Any) -> Any:
        return [*other, *self]

    def __or__(self, other: Any) -> Any:  # in annotations
        return Any

    __ror__ = __or__
