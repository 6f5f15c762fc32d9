"""The reference of kinds, a page for each family: what a kind takes and gives, its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from rmplug._kinds.describe import describe
from rmplug._kinds.registry import Provider, Registry
from rmplug.families import FAMILIES, Step, family_of

from .markdown import anchor, cell, code, docstring, table


def page_of(family: type[Step]) -> str:
    """Return the name of a family's page: ``dataset-loader``."""
    return family.family.replace(" ", "-")


def kinds_of(registry: Registry, family: type[Step]) -> list[Provider]:
    return [provider for provider in registry.all() if family_of(provider.cls) is family]


def write_kinds(registry: Registry) -> Mapping[str, str]:
    """Write the pages of all families that have kinds, by path in the site."""
    written = {}
    for family in FAMILIES:
        kinds = kinds_of(registry, family)
        if kinds:
            written[f"reference/kinds/{page_of(family)}.md"] = _family(family, kinds)
    return written


def _family(family: type[Step], kinds: list[Provider]) -> str:
    described = [describe(provider) for provider in kinds]
    listed = table(
        ("kind", "what it does", "plugin"),
        (
            (f"[`{d['kind']}`](#{anchor(d['kind'])})", docstring(d["summary"]), p.plugin)
            for d, p in zip(described, kinds, strict=True)
        ),
    )
    lead = docstring(family.__doc__)
    parts = [f"# Kinds: {family.family}", lead, listed, *(_kind(d) for d in described)]
    return "\n\n".join(parts) + "\n"


def _kind(described: Mapping[str, Any]) -> str:
    parts = [f"## {described['kind']}", docstring(described["doc"])]
    if described["inputs"]:
        heads = ("input", "takes", "needed")
        rows = [
            (f"`{i['name']}`", _types(i["takes"]), "" if i["optional"] else "yes")
            for i in described["inputs"]
        ]
        parts.append(table(heads, rows))
    if described["gives"]:
        parts.append(f"Gives {_types(described['gives'])}.")
    if described["params"]:
        heads = ("parameter", "type", "default", "meaning")
        parts.append(table(heads, (_parameter(p) for p in described["params"])))
    if described["requires"]:
        parts.append(f"Needs {', '.join(f'`{name}`' for name in described['requires'])}.")
    parts.append(f"```yaml\n{described['example']}\n```")
    return "\n\n".join(parts)


def _types(text: str) -> str:
    """Write types as code; the inputs of loops are told in words."""
    return docstring(text) if " of " in text or len(text) > 40 else code(text)


def _parameter(param: Mapping[str, Any]) -> tuple[str, str, str, str]:
    default = "needed" if param["required"] else default_text(param["default"])
    return code(param["name"]), param["type"], default, cell(docstring(param["description"]))


def default_text(value: Any) -> str:
    """Write a default value as a spec would."""
    if value is None or value == "":
        return "" if value is None else '`""`'
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
    plain = text.removesuffix("...\n").strip()
    return code(plain if len(plain) <= 60 else plain[:57] + "…")
