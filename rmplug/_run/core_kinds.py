"""The core's own kinds, registered through the same entry-point group as any plugin's."""

from __future__ import annotations

from rmplug._kinds.loops import ForEach, Repeat
from rmplug.families import Composite, Engine
from rmplug.hookspecs import hookimpl

from .local_engine import Local


@hookimpl
def rmplug_composites() -> list[type[Composite]]:
    return [ForEach, Repeat]


@hookimpl
def rmplug_engines() -> list[type[Engine]]:
    return [Local]
