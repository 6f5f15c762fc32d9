"""Description of a kind: its inputs, parameters and an example of a step."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rmplug.families import Composite, Engine, Observer, Step, family_of, written_name

from .field_docs import classes_in, field_docs
from .registry import Provider
from .schema import summary_of
from .signatures import signature_of


def describe(provider: Provider) -> dict[str, Any]:
    """Describe a kind: its family, inputs, parameters, libraries and an example."""
    cls = provider.cls
    signature = signature_of(cls)
    takes = [{"name": e.name, "takes": str(e), "optional": e.optional} for e in signature.inputs]
    gives = " | ".join(each.__name__ for each in signature.gives)
    if issubclass(cls, Composite):
        inputs = cls.takes.items()
        takes = [{"name": name, "takes": what, "optional": True} for name, what in inputs]
        gives = cls.results
    return {
        "kind": provider.kind,
        "family": family_of(cls).family,
        "summary": summary_of(cls),
        "doc": inspect.cleandoc(cls.__doc__ or ""),
        "inputs": takes,
        "gives": gives,
        "params": params(cls),
        "requires": list(cls.requires),
        "provider": f"{provider.plugin} ({provider.distribution} {provider.version})",
        "example": example(provider),
    }


def params(cls: type[BaseModel], prefix: str = "") -> list[dict[str, Any]]:
    """List each parameter with type, default and description; nested ones by dotted name."""
    properties = cls.model_json_schema().get("properties", {})
    docs = field_docs(cls)
    listed: list[dict[str, Any]] = []
    for attribute, info in _own_first(cls):
        name = written_name(attribute, info)
        inner = [c for c in classes_in(info.annotation) if issubclass(c, BaseModel) and c != cls]
        listed.append(
            {
                "name": prefix + name,
                "type": type_name(properties[name]),
                "required": info.is_required(),
                "default": _default(info),
                "description": docs.get(name) or _sort_of(cls, name),
            }
        )
        for model in inner:
            listed.extend(params(model, f"{prefix}{name}."))
    return listed


def _sort_of(cls: type[BaseModel], name: str) -> str:
    """Describe the parameter that chooses among several sorts of settings by what is chosen."""
    return inspect.cleandoc(cls.__doc__ or "") if name == "kind" else ""


def _own_first(cls: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    """Order the fields of a kind before those that its family brings."""
    family = family_of(cls).model_fields if issubclass(cls, Step) else {}
    return sorted(cls.model_fields.items(), key=lambda entry: entry[0] in family)


def _default(info: FieldInfo) -> Any:
    value = None if info.is_required() else info.get_default(call_default_factory=True)
    return None if isinstance(value, BaseModel) else _plain(value)


def type_name(schema: Mapping[str, Any]) -> str:
    """Name a JSON Schema type in a few words: ``integer ≥ 1``, ``text or null``."""
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return " or ".join(dict.fromkeys(type_name(inner) for inner in choices))
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if "$ref" in schema:
        return "mapping"
    name = str(schema.get("type", "any"))
    if name == "array":
        return f"list of {type_name(schema.get('items', {}))}"
    noun = {
        "string": "path" if "path" in str(schema.get("format")) else "text",
        "object": "mapping",
        "boolean": "true or false",
    }
    return " ".join([noun.get(name, name), *_bounds(schema)])


def _bounds(schema: Mapping[str, Any]) -> list[str]:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return [f"{sign} {schema[name]:g}" for name, sign in signs.items() if name in schema]


def example(provider: Provider) -> str:
    """Write an example of a step of this kind, as in a spec."""
    cls = provider.cls
    if issubclass(cls, Observer):
        return f"track:\n  {provider.kind}: {{}}"
    if issubclass(cls, Engine):
        return f"engine:\n  kind: {provider.kind}"
    lines = ["steps:", f"  my-{provider.kind}:", f"    kind: {provider.kind}"]
    needed = [entry for entry in signature_of(cls).inputs if not entry.optional]
    if needed:
        named = ", ".join(f"{e.name}: {_stand_in(e.types[0].__name__, e.many)}" for e in needed)
        lines.append(f"    inputs: {{{named}}}")
    needed_params = [n for n, info in cls.model_fields.items() if _is_needed(info)]
    if needed_params:
        shown = ", ".join(f"{n}: {_example_value(cls, n)}" for n in needed_params)
        lines.append(f"    params: {{{shown}}}")
    return "\n".join(lines)


def _is_needed(info: FieldInfo) -> bool:
    """Check for a required parameter, or a permission without which the step is refused: its
    example is true."""
    return info.is_required() or info.examples == [True]


def _example_value(cls: type[Step], name: str) -> Any:
    examples = cls.model_fields[name].examples
    if examples == [True]:
        return "true"
    return examples[0] if examples else "…"


def _stand_in(type_name: str, many: bool) -> str:
    name = {"RewardModel": "model", "Artifact": "step"}.get(type_name, type_name.lower())
    return f"[{name}]" if many else name


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list | frozenset | set):
        return [_plain(entry) for entry in value]
    return value if isinstance(value, str | int | float | bool | None | dict) else str(value)
