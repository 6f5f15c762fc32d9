"""JSON Schemas of the spec and of the record."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import cleandoc
from typing import Any

from pydantic import TypeAdapter

from rmplug.families import Composite, Engine, Observer, Step
from rmplug.records import RunRecord

from .field_docs import field_docs, inner_classes
from .registry import Provider, Registry

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def run_schema(registry: Registry) -> dict[str, Any]:
    """Make the JSON Schema of a spec with the kinds of a registry, for editors and for checks."""
    every = {
        p.kind if len(providers) == 1 else p.name: p
        for providers in _sorted(registry)
        for p in providers
    }
    engines = {name: p for name, p in every.items() if issubclass(p.cls, Engine)}
    observers = {name: p for name, p in every.items() if issubclass(p.cls, Observer)}
    steps = {name: p for name, p in every.items() if name not in {**engines, **observers}}
    track = {name: _or_null({"$ref": f"#/$defs/{name}"}) for name in observers}
    return {
        "$schema": DIALECT,
        "title": "rmplug run spec",
        "type": "object",
        "required": ["steps"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "description": "What the run is called."},
            "seed": {"type": "integer", "minimum": 0, "default": 0},
            "engine": _or_null(_envelope(engines, ("kind", "params"), default="local")),
            "track": {"type": ["object", "null"], "properties": track},
            "steps": {"$ref": "#/$defs/rmplug.steps"},
        },
        "$defs": {
            "rmplug.ref": _REF,
            "rmplug.inputs": _INPUTS,
            "rmplug.steps": _steps(steps),
            **{name: params_schema(p.cls, name) for name, p in every.items()},
        },
    }


def _sorted(registry: Registry) -> list[list[Provider]]:
    return [registry.providers[kind] for kind in sorted(registry.providers)]


_REF = {"type": "string", "pattern": r"^[A-Za-z][A-Za-z0-9_-]*(\..+)?$"}
_REFS = {
    "anyOf": [
        {"$ref": "#/$defs/rmplug.ref"},
        {"type": "array", "items": {"$ref": "#/$defs/rmplug.ref"}, "minItems": 1},
    ]
}
_INPUTS = {
    "description": "A step id, a list of them, or a mapping; step.column names a column.",
    "anyOf": [
        *_REFS["anyOf"],
        {"type": "object", "additionalProperties": _REFS},
        {"type": "null"},
    ],
}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _steps(providers: Mapping[str, Provider]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": "Steps by id, in any order.",
        "minProperties": 1,
        "propertyNames": {"pattern": "^[A-Za-z][A-Za-z0-9_-]*$"},
        "additionalProperties": _envelope(providers, ("kind", "inputs", "params")),
    }


def _envelope(
    providers: Mapping[str, Provider], keys: tuple[str, ...], default: str = ""
) -> dict[str, Any]:
    """Make the schema of a mapping with ``kind`` and, for each kind, its parameters. With a
    ``default`` kind, it need not be written."""
    kinds = [{"const": name, "description": summary_of(p.cls)} for name, p in providers.items()]
    properties: dict[str, Any] = {
        "kind": {"anyOf": [*kinds, {"enum": [p.name for p in providers.values()]}]},
        "params": {"type": ["object", "null"]},
    }
    if "inputs" in keys:
        properties["inputs"] = {"$ref": "#/$defs/rmplug.inputs"}
    return {
        "type": "object",
        "required": [] if default else ["kind"],
        "additionalProperties": False,
        "properties": properties,
        "allOf": [
            _params_of(name, provider, bool(default) and name != default)
            for name, provider in providers.items()
        ],
    }


def _params_of(name: str, provider: Provider, only_named: bool = False) -> dict[str, Any]:
    params = _or_null({"$ref": f"#/$defs/{name}"})
    needed = [n for n, info in provider.cls.model_fields.items() if info.is_required()]
    if needed:
        params["description"] = f"needs {', '.join(needed)}"
    names = list(dict.fromkeys([name, provider.name]))
    named: dict[str, Any] = {"properties": {"kind": {"enum": names}}}
    return {
        "if": named | ({"required": ["kind"]} if only_named else {}),
        "then": {"properties": {"params": params}},
    }


def params_schema(cls: type[Step], name: str = "") -> dict[str, Any]:
    """Make the JSON Schema of a kind's parameters. None is required: an item can set any."""
    prefix = f"#/$defs/{name or cls.kind}/$defs/"
    schema = documented(cls, cls.model_json_schema(ref_template=prefix + "{model}"))
    schema.pop("required", None)
    schema["description"] = cleandoc(cls.__doc__ or "")
    if issubclass(cls, Composite):
        steps = [{"$ref": "#/$defs/rmplug.steps"}, {"type": "string"}]
        schema["properties"]["steps"]["anyOf"] = steps
    return schema


def documented(cls: type[Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Add the docstrings of a class's fields to its schema as descriptions."""
    inner = inner_classes(cls)
    for name, part in [("", schema), *schema.get("$defs", {}).items()]:
        docs = field_docs(inner.get(name, cls))
        for field, described in part.get("properties", {}).items():
            if field in docs:
                described["description"] = docs[field]
    return schema


def record_schema() -> dict[str, Any]:
    """Make the JSON Schema of ``record.json``."""
    schema = TypeAdapter(RunRecord).json_schema(mode="serialization")
    return {"$schema": DIALECT, **documented(RunRecord, schema)}


def summary_of(cls: type[Step]) -> str:
    """Take the first line of a kind's docstring."""
    return (cls.__doc__ or "").strip().splitlines()[0]
