"""The registry of kinds: plugins discovered, their kinds collected, their failures kept."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.metadata import (
    Distribution,
    EntryPoint,
    PackageNotFoundError,
    distributions,
    entry_points,
    version,
)
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from rmplug import hookspecs
from rmplug.errors import PluginError, did_you_mean
from rmplug.families import Step, all_hooks

from .signatures import check_class

GROUP = "rmplug"
CORE = "core"
"""The name of the entry point that gives the core's own kinds."""


@dataclass(frozen=True)
class Plugin:
    """A discovered plugin: its distribution, its kinds, and the reason if it failed."""

    name: str
    module: str
    distribution: str
    version: str
    kinds: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Provider:
    """A kind with the plugin and distribution that provide it."""

    kind: str
    plugin: str
    distribution: str
    version: str
    cls: type[Step]

    @property
    def name(self) -> str:
        """``plugin:kind``."""
        return f"{self.plugin}:{self.kind}"


@dataclass
class Registry:
    """All plugins and the kinds they provide."""

    plugins: list[Plugin] = field(default_factory=list)
    providers: dict[str, list[Provider]] = field(default_factory=dict)

    def find(self, kind: str, of: type[Step] = Step) -> Provider:
        """Return the provider of a kind, written ``kind``, ``plugin:kind`` or
        ``distribution:kind``.

        ``of`` is the family that is wanted: what is suggested instead of an unknown kind.
        """
        giver, _, name = kind.rpartition(":")
        matches = [
            p for p in self.providers.get(name, []) if giver in ("", p.plugin, p.distribution)
        ]
        if not matches:
            raise PluginError(self._unknown(kind, of))
        if len(matches) > 1:
            same = len({p.plugin for p in matches}) < len(matches)
            names = [f"{p.distribution if same else p.plugin}:{p.kind}" for p in matches]
            described = [
                f"{n} ({p.distribution} {p.version})" for n, p in zip(names, matches, strict=True)
            ]
            message = f"kind {kind!r} is given by {' and by '.join(sorted(described))}"
            raise PluginError(f"{message}; write {' or '.join(sorted(names))}")
        return matches[0]

    def _unknown(self, kind: str, of: type[Step]) -> str:
        former = [p.cls.former_kinds[kind] for p in self.all() if kind in p.cls.former_kinds]
        hint = f": {former[0]}" if former else did_you_mean(kind, self.names(of))
        message = f"unknown kind {kind!r}{hint or '; rmplug plugins lists what is installed'}"
        failed = [f"{p.name} ({p.distribution} {p.version}): {p.problem}" for p in self.failed]
        return message + (
            f"; plugins that could not be loaded: {'; '.join(failed)}" if failed else ""
        )

    def names(self, of: type[Step] = Step) -> list[str]:
        """List every kind of a family, and every ``plugin:kind``."""
        every = [provider for provider in self.all() if issubclass(provider.cls, of)]
        kinds = dict.fromkeys(provider.kind for provider in every)
        return [*kinds, *(provider.name for provider in every)]

    def all(self) -> list[Provider]:
        """List every provider, by name of its kind."""
        return [p for kind in sorted(self.providers) for p in self.providers[kind]]

    def keep(self, distribution: str) -> None:
        """Forget the kinds of all other distributions."""
        self.providers = {
            kind: own
            for kind, providers in self.providers.items()
            if (own := [p for p in providers if p.distribution == distribution])
        }

    @property
    def failed(self) -> list[Plugin]:
        return [plugin for plugin in self.plugins if plugin.problem]

    def add(self, name: str, module: ModuleType | object, entry: EntryPoint | None = None) -> None:
        """Register one plugin; if anything about it is wrong, all of it is left out and listed."""
        plugin = _describe(name, entry)
        try:
            classes = _collect(name, module if entry is None else entry.load())
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            self.plugins.append(_with(plugin, problem=reason))
            return
        self.plugins.append(_with(plugin, kinds=tuple(cls.kind for cls in classes)))
        for cls in classes:
            provider = Provider(cls.kind, name, plugin.distribution, plugin.version, cls)
            self.providers.setdefault(cls.kind, []).append(provider)


def discover(disabled: Iterable[str] = (), strict: bool = False) -> Registry:
    """Collect the kinds of all installed plugins but the disabled ones; the core is never disabled.

    Plugins are disabled by name with ``disabled`` or the environment variable ``RMPLUG_DISABLE``
    (comma-separated). A name in ``disabled`` that no plugin has raises ``PluginError``; with
    ``strict``, so does a plugin that fails.
    """
    off = {*disabled, *filter(None, os.environ.get("RMPLUG_DISABLE", "").split(","))} - {CORE}
    entries, unreadable = _entries(_marks())
    registry = Registry(list(unreadable))
    _check_disabled(disabled, [entry.name for entry in entries])
    for entry in entries:
        if entry.name not in off:
            registry.add(entry.name, entry, entry)
    if strict and registry.failed:
        reasons = "; ".join(f"{p.name}: {p.problem}" for p in registry.failed)
        raise PluginError(f"plugins that could not be loaded: {reasons}")
    return registry


def _check_disabled(disabled: Iterable[str], names: Sequence[str]) -> None:
    for name in disabled:
        if name not in names or name == CORE:
            reason = (
                "is always there"
                if name == CORE
                else f"is not installed{did_you_mean(name.removeprefix('rmplug_'), names)}"
            )
            raise PluginError(f"cannot disable {name!r}: it {reason}; see rmplug plugins")


def _marks() -> tuple[tuple[str, int, int, int], ...]:
    """Return the folders that distributions are looked for in, with what changes when one is
    installed or removed."""
    found = []
    for path in sys.path:
        try:
            stat = Path(path).stat()
        except OSError:
            continue
        found.append((path, stat.st_dev, stat.st_ino, stat.st_mtime_ns))
    return tuple(found)


@lru_cache(maxsize=1)
def _entries(marks: object) -> tuple[list[EntryPoint], list[Plugin]]:
    """List the entry points of all plugins, and each distribution that cannot be read as a failed
    plugin. Reading the files of all distributions takes longer than all else: it is done again
    where ``marks`` are others."""
    unreadable: list[Plugin] = []
    try:
        entries = list(entry_points(group=GROUP))
    except Exception:  # one malformed file anywhere: find out whose it is
        entries = [entry for dist in distributions() for entry in _entries_of(dist, unreadable)]
    return sorted(entries, key=lambda entry: (entry.name, entry.value)), unreadable


def _entries_of(dist: Distribution, unreadable: list[Plugin]) -> list[EntryPoint]:
    try:
        return list(dist.entry_points.select(group=GROUP))
    except Exception as error:
        name, number = _identity(dist)
        reason = f"its entry_points.txt cannot be read: {error}".splitlines()[0]
        unreadable.append(Plugin(name, name, name, number, problem=reason))
        return []


def _collect(name: str, module: object) -> list[type[Step]]:
    """Return the step classes of one plugin, each checked; raise if any of them is wrong."""
    results = [(hook, function()) for hook, function in _implementations(name, module)]
    families = all_hooks()
    classes = [cls for hook, result in results for cls in _checked(hook, result, families[hook])]
    if not classes:
        raise PluginError("it gives no kinds; implement a hook with @rmplug.hookimpl")
    kinds = [cls.kind for cls in classes]
    twice = next((kind for kind in kinds if kinds.count(kind) > 1), None)
    if twice is not None:
        raise PluginError(f"it gives the kind {twice!r} twice")
    return classes


_Implementations = list[tuple[str, Callable[[], Any]]]
_seen: dict[str, tuple[dict[str, Any], _Implementations]] = {}
"""What modules held, and the implementations of hooks that were found there."""


def _implementations(name: str, module: object) -> _Implementations:
    """Return the functions of a plugin that implement a hook, each with the hook's name.

    Raises an error for one that fits no hook. pluggy looks at every attribute of a plugin and of
    the specification, so that a module is looked at again only once it holds something else.
    """
    held = dict(vars(module)) if isinstance(module, ModuleType) else None
    before, found = _seen.get(name, (None, []))
    if held is not None and before is not None and _same(held, before):
        return found
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(module, name=name)
    manager.check_pending()
    implemented = {hook: getattr(manager.hook, hook).get_hookimpls() for hook in all_hooks()}
    for attribute in dir(module):
        if attribute.startswith("rmplug_") and implemented.get(attribute) == []:
            raise PluginError(f"put @rmplug.hookimpl above {attribute}, or it is never called")
    found = [(hook, impl.function) for hook, impls in implemented.items() for impl in impls]
    if held is not None:
        _seen[name] = held, found
    return found


def _same(held: dict[str, Any], before: dict[str, Any]) -> bool:
    return held.keys() == before.keys() and all(held[key] is before[key] for key in held)


def _checked(hook: str, result: object, family: type[Step]) -> list[type[Step]]:
    if not isinstance(result, list | tuple):
        raise PluginError(f"{hook} gave {type(result).__name__}; give a list of step classes")
    for cls in result:
        check_class(cls, family)
    return list(result)


def _describe(name: str, entry: EntryPoint | None) -> Plugin:
    if entry is None or entry.dist is None:
        distribution = "rmplug" if name == CORE else name
        return Plugin(name, name, distribution, installed_version(distribution) or "0")
    return Plugin(name, entry.value, *_identity(entry.dist))


@cache
def _identity(dist: Distribution) -> tuple[str, str]:
    """Return name and version of a distribution: reading them takes a while, as METADATA may be
    long."""
    try:
        about = dist.metadata
        return str(about["Name"]), str(about["Version"])
    except Exception:  # no METADATA, or a broken one
        return "unknown", "unknown"


def _with(plugin: Plugin, *, kinds: tuple[str, ...] = (), problem: str = "") -> Plugin:
    return Plugin(plugin.name, plugin.module, plugin.distribution, plugin.version, kinds, problem)


@cache
def installed_version(distribution: str) -> str:
    """Return the version of a distribution; empty if it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def missing_libraries(provider: Provider) -> str:
    """Explain why a kind cannot run on this machine, with the line that installs the libraries it
    needs."""
    missing = [name for name in provider.cls.requires if not _is_installed(name)]
    if not missing:
        return ""
    extra = provider.cls.extra
    package = f"'{provider.distribution}[{extra}]'" if extra else " ".join(missing)
    return f"{provider.kind!r} needs {', '.join(missing)}: pip install {package}"


def _is_installed(distribution: str) -> bool:
    try:
        Distribution.from_name(distribution)  # its version would have to be read
    except PackageNotFoundError:
        return False
    return True
