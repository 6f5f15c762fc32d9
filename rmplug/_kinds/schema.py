"""JSON Schemas of the spec and the record, and what a kind says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import cleandoc
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from rmplug.families import Composite, Engine, Observer, Step, family_of, reads_files
from rmplug.records import RunRecord

from .field_docs import classes_in, field_docs, inner_classes
from .registry import Provider, Registry
from .signatures import signature_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def run_schema(registry: Registry) -> dict[str, Any]:
    """The JSON Schema of a spec with the kinds of a registry, for editors and for checks."""
    every = {p.kind if len(found) == 1 else p.name: p for found in _sorted(registry) for p in found}
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
            "engine": _or_null(_envelope(engines, ("kind", "params"))),
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


def _envelope(providers: Mapping[str, Provider], keys: tuple[str, ...]) -> dict[str, Any]:
    """A mapping with ``kind`` and, for each kind, the parameters it takes."""
    kinds = [{"const": name, "description": _summary(p.cls)} for name, p in providers.items()]
    properties: dict[str, Any] = {
        "kind": {"anyOf": [*kinds, {"enum": [p.name for p in providers.values()]}]},
        "params": {"type": ["object", "null"]},
    }
    if "inputs" in keys:
        properties["inputs"] = {"$ref": "#/$defs/rmplug.inputs"}
    return {
        "type": "object",
        "required": ["kind"],
        "additionalProperties": False,
        "properties": properties,
        "allOf": [_params_of(name, provider) for name, provider in providers.items()],
    }


def _params_of(name: str, provider: Provider) -> dict[str, Any]:
    params = _or_null({"$ref": f"#/$defs/{name}"})
    needed = [n for n, info in provider.cls.model_fields.items() if info.is_required()]
    if needed:
        params["description"] = f"needs {', '.join(needed)}"
    names = list(dict.fromkeys([name, provider.name]))
    return {
        "if": {"properties": {"kind": {"enum": names}}},
        "then": {"properties": {"params": params}},
    }


def params_schema(cls: type[Step], name: str = "") -> dict[str, Any]:
    """The JSON Schema of a kind's parameters. None is required: a loop's item can set any."""
    place = f"#/$defs/{name or cls.kind}/$defs/"
    schema = documented(cls, cls.model_json_schema(ref_template=place + "{model}"))
    schema.pop("required", None)
    schema["description"] = cleandoc(cls.__doc__ or "")
    for field, info in cls.model_fields.items():
        schema["properties"][field] = _taken(info, schema["properties"][field])
    if issubclass(cls, Composite):
        steps = [{"$ref": "#/$defs/rmplug.steps"}, {"type": "string"}]
        schema["properties"]["steps"]["anyOf"] = steps
    return schema


def documented(cls: type[Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A schema made from a class, with the docstrings of its fields as descriptions."""
    inner = inner_classes(cls)
    for name, part in [("", schema), *schema.get("$defs", {}).items()]:
        docs = field_docs(inner.get(name, cls))
        for field, described in part.get("properties", {}).items():
            if field in docs:
                described["description"] = docs[field]
    return schema


def _path_or_paths(schema: dict[str, Any]) -> dict[str, Any]:
    """A list of paths may also be written as one path."""
    about = {name: schema[name] for name in schema if name in ("title", "description", "default")}
    form = {name: schema[name] for name in schema if name not in about}
    forms = form.get("anyOf", [form])
    one = [each["items"] for each in forms if each.get("type") == "array"]
    return {**about, "anyOf": [*one, *forms]} if one else schema


def record_schema() -> dict[str, Any]:
    """The JSON Schema of ``record.json``."""
    schema = TypeAdapter(RunRecord).json_schema(mode="serialization")
    return {"$schema": DIALECT, **documented(RunRecord, schema)}


def describe(provider: Provider) -> dict[str, Any]:
    """Everything a kind says of itself."""
    cls = provider.cls
    signature = signature_of(cls)
    takes = [{"name": e.name, "takes": str(e), "optional": e.optional} for e in signature.inputs]
    gives = " | ".join(kind.__name__ for kind in signature.gives)
    if issubclass(cls, Composite):
        inputs = cls.takes.items()
        takes = [{"name": name, "takes": what, "optional": True} for name, what in inputs]
        gives = cls.results
    return {
        "kind": provider.kind,
        "family": family_of(cls).family,
        "summary": _summary(cls),
        "doc": cleandoc(cls.__doc__ or ""),
        "inputs": takes,
        "gives": gives,
        "params": params(cls),
        "requires": list(cls.requires),
        "provider": f"{provider.plugin} ({provider.distribution} {provider.version})",
        "example": example(provider),
    }


def params(cls: type[BaseModel], prefix: str = "") -> list[dict[str, Any]]:
    """Each parameter with type, default and description; nested ones by dotted name."""
    properties = cls.model_json_schema().get("properties", {})
    docs = field_docs(cls)
    found: list[dict[str, Any]] = []
    for name, info in _own_first(cls):
        inner = [c for c in classes_in(info.annotation) if issubclass(c, BaseModel) and c != cls]
        found.append(
            {
                "name": prefix + name,
                "type": type_name(_taken(info, properties[name])),
                "required": info.is_required(),
                "default": _default(info),
                "description": docs.get(name, ""),
            }
        )
        for model in inner:
            found.extend(params(model, f"{prefix}{name}."))
    return found


def _own_first(cls: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    """The fields of a kind before those that its family brings."""
    family = family_of(cls).model_fields if issubclass(cls, Step) else {}
    return sorted(cls.model_fields.items(), key=lambda entry: entry[0] in family)


def _taken(info: FieldInfo, schema: dict[str, Any]) -> dict[str, Any]:
    return _path_or_paths(schema) if reads_files(info) else schema


def _default(info: FieldInfo) -> Any:
    value = None if info.is_required() else info.get_default(call_default_factory=True)
    return None if isinstance(value, BaseModel) else _plain(value)


def type_name(schema: Mapping[str, Any]) -> str:
    """A JSON Schema type in a few words: ``integer ≥ 1``, ``text or null``."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_name(inner) for inner in schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if "$ref" in schema:
        return "mapping"
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {type_name(schema.get('items', {}))}"
    noun = {
        "string": "path" if "path" in str(schema.get("format")) else "text",
        "object": "mapping",
        "boolean": "true or false",
    }
    return " ".join([noun.get(kind, kind), *_bounds(schema)])


def _bounds(schema: Mapping[str, Any]) -> list[str]:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return [f"{sign} {schema[name]:g}" for name, sign in signs.items() if name in schema]


def example(provider: Provider) -> str:
    """A step of this kind as it would stand in a spec."""
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
    required = [n for n, info in cls.model_fields.items() if info.is_required()]
    if required:
        shown = ", ".join(f"{n}: {_example_value(cls, n)}" for n in required)
        lines.append(f"    params: {{{shown}}}")
    return "\n".join(lines)


def _example_value(cls: type[Step], name: str) -> Any:
    examples = cls.model_fields[name].examples
    return examples[0] if examples else "…"


def _stand_in(type_name: str, many: bool) -> str:
    name = {"RewardModel": "model", "Artifact": "step"}.get(type_name, type_name.lower())
    return f"[{name}]" if many else name


def _summary(cls: type[Step]) -> str:
    return (cls.__doc__ or "").strip().splitlines()[0]


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list | frozenset | set):
        return [_plain(entry) for entry in value]
    return value if isinstance(value, str | int | float | bool | None | dict) else str(value)
