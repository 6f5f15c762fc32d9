"""Commands on what is installed: ``plugins``, ``describe`` and ``schema``."""

from __future__ import annotations

import argparse
import json

from .registry import registry_of
from .tables import Row, kind_page, show_rows


def plugins(options: argparse.Namespace) -> int:
    """List plugins, the kinds they give, and those that could not be loaded."""
    registry = registry_of(options)
    rows: list[Row] = [
        {
            "plugin": p.name,
            "distribution": f"{p.distribution} {p.version}",
            "status": "failed" if p.problem else "loaded",
            "kinds": p.problem or ", ".join(p.kinds),
        }
        for p in registry.plugins
    ]
    show_rows(rows, options.json)
    return 1 if options.strict and registry.failed else 0


def describe(options: argparse.Namespace) -> int:
    """Say everything about a kind; without one, list all kinds."""
    from rmplug._kinds.describe import describe as tell
    from rmplug.families import family_of

    registry = registry_of(options)
    if options.kind:
        page = tell(registry.find(options.kind))
        print(json.dumps(page, indent=1, ensure_ascii=False) if options.json else kind_page(page))
        return 0
    rows: list[Row] = [
        {
            "kind": p.kind,
            "family": family_of(p.cls).family,
            "plugin": p.plugin,
            "what": _first(p.cls),
        }
        for p in registry.all()
    ]
    show_rows(rows, options.json)
    return 0


def schema(options: argparse.Namespace) -> int:
    """Print the JSON Schema of a spec (with the kinds installed here) or of a record."""
    from rmplug._kinds.schema import record_schema, run_schema

    registry = registry_of(options)
    if options.built_in:
        registry.keep("rmplug")
    made = record_schema() if options.what == "record" else run_schema(registry)
    print(json.dumps(made, indent=1, ensure_ascii=False, sort_keys=True))
    return 0


def _first(cls: type) -> str:
    return (cls.__doc__ or "").strip().splitlines()[0]
