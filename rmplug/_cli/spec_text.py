"""The text of a spec that a command has made."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


def as_yaml(spec: dict[str, Any], comments: Mapping[str, str] = MappingProxyType({})) -> str:
    """Write a spec as its file would be written: a block for each step, its values in lines, with
    the comments on steps above them."""
    lines = [f"name: {_flow(spec['name'])}", f"seed: {spec['seed']}", "", "steps:"]
    for name, step in spec["steps"].items():
        lines += [f"  # {comments[name]}"] if name in comments else []
        lines.append(f"  {_flow(name)}:")
        lines += [f"    {key}: {_flow(value)}" for key, value in step.items()]
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    """Write a value in one line, as YAML 1.2 and 1.1 read it; line breaks as ``\\n``."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes texts of several lines between double quotes."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        return dumper.represent_scalar(
            "tag:yaml.org,2002:str", value, style='"' if "\n" in value else None
        )

    Dumper.add_representer(str, text)
    written = yaml.dump(
        value, Dumper=Dumper, default_flow_style=True, sort_keys=False, allow_unicode=True,
        width=10**6,
    )  # fmt: skip
    return written.removesuffix("\n...\n").rstrip("\n")
