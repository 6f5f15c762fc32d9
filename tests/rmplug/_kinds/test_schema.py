from __future__ import annotations

import copy
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import jsonschema
import pytest
import sample_plugin
import yaml
from check_specs import KINDS, WHOLE, load
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rmplug import OneOrMore, Pairs, Sampler
from rmplug._kinds.describe import describe, params, type_name
from rmplug._kinds.field_docs import field_docs
from rmplug._kinds.registry import Provider, discover
from rmplug._kinds.schema import params_schema, record_schema, run_schema
from rmplug._kinds.signatures import signature_of
from rmplug._run.run import run
from rmplug.families import Composite, Engine, Observer

SCHEMA = json.loads(json.dumps(run_schema(KINDS)))
ANY_KIND = [*KINDS.all(), *[p for p in discover().all() if p.plugin != "core"]]


def errors(spec: object) -> list[str]:
    """Where an editor would draw a red line."""
    found = jsonschema.Draft202012Validator(SCHEMA).iter_errors(spec)
    return [".".join(map(str, error.absolute_path)) for error in found]


def changed(*path: Any, to: object = None, drop: bool = False) -> Any:
    """The whole spec with one value changed."""
    spec = copy.deepcopy(WHOLE)
    holder: Any = spec
    for key in path[:-1]:
        holder = holder[key]
    if drop:
        del holder[path[-1]]
    else:
        holder[path[-1]] = to
    return spec


def test_the_schemas_are_schemas():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator.check_schema(record_schema())
    jsonschema.Draft202012Validator.check_schema(run_schema(discover()))


def test_a_right_spec_is_valid():
    assert errors(WHOLE) == []


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        (changed("steps", drop=True), ""),
        (changed("steps", to={}), "steps"),
        (changed("seed", to=-1), "seed"),
        (changed("name", to=None), "name"),
        (changed("stepz", to={}), ""),
        (changed("engine", "params", "workers", to=0), "engine"),
        (changed("engine", to={"params": {"workers": 0}}), "engine"),
        (changed("track", "watch", "laud", to=True), "track.watch"),
        (changed("steps", "3d", to={"kind": "some-pairs"}), "steps"),
        (changed("steps", "pairs", "kind", to="some-pears"), "steps.pairs.kind"),
        (changed("steps", "pairs", "kind", to="local"), "steps.pairs.kind"),
        (changed("steps", "pairs", "kind", drop=True), "steps.pairs"),
        (changed("steps", "pairs", "parms", to={}), "steps.pairs"),
        (changed("steps", "pairs", "params", "rows", to=0), "steps.pairs.params"),
        (changed("steps", "pairs", "params", "rowz", to=3), "steps.pairs.params"),
        (changed("steps", "pairs", "params", "names", to={"chose": "x"}), "steps.pairs.params"),
        (changed("steps", "words", "inputs", to=[]), "steps.words.inputs"),
        (changed("steps", "words", "inputs", to={"data": 3}), "steps.words.inputs"),
        (
            changed("steps", "loop", "params", "steps", "inner", "kind", to="cuont"),
            "steps.loop.params",
        ),
    ],
)
def test_a_wrong_spec_is_marked_where_it_is_wrong(spec: Any, place: str):
    assert place in errors(spec)


@pytest.mark.parametrize(
    "spec",
    [
        changed("engine", to=None),
        changed("engine", "kind", drop=True),
        changed("track", to=None),
        changed("steps", "words", "params", to=None),
        changed("steps", "words", "inputs", to=["pairs"]),
        changed("steps", "words", "kind", to="sample_plugin:count"),
        changed("steps", "pairs", "params", "path", to="one.jsonl"),
        changed("steps", "pairs", "params", "path", to=["one.jsonl", "two.jsonl"]),
        changed("steps", "pairs", "params", "path", to=None),
        changed("steps", "loop", "params", "steps", to="body.yaml"),
    ],
)
def test_every_way_of_writing_a_value_is_valid(spec: Any):
    assert errors(spec) == []


def test_what_the_schema_says_of_a_kind_is_its_documentation():
    some_pairs = SCHEMA["$defs"]["some-pairs"]
    assert some_pairs["description"].startswith("Loads small pairs.\n\nGives ``id``")
    assert some_pairs["properties"]["rows"]["description"] == "How many."
    names = some_pairs["$defs"]["Names"]["properties"]
    assert names["chosen"]["description"] == "The preferred response."
    kinds = SCHEMA["$defs"]["rmplug.steps"]["additionalProperties"]["properties"]["kind"]["anyOf"]
    assert {"const": "some-pairs", "description": "Loads small pairs."} in kinds


def test_kinds_of_two_plugins_are_written_with_the_plugin():
    registry = copy.deepcopy(KINDS)
    other = Provider("count", "other", "other", "1", sample_plugin.Shuffle)
    registry.providers["count"] = [*registry.providers["count"], other]
    definitions = run_schema(registry)["$defs"]
    assert "count" not in definitions
    assert "scale" in definitions["sample_plugin:count"]["properties"]
    assert "share" in definitions["other:count"]["properties"]


def test_the_record_of_a_run_is_valid(tmp_path: Path):
    spec = load("""\
        track: {watch: {}}
        steps:
          pairs: {kind: some-pairs}
          loop:
            kind: for-each
            params:
              values: [1, 2]
              collect: [words]
              steps: {words: {kind: count, inputs: {data: pairs, scale: item}}}
        """)
    finished = run(dict(spec.source.data), store=tmp_path, registry=KINDS)
    (path,) = tmp_path.glob("runs/*/record.json")
    schema = record_schema()
    record = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(record, schema)
    jsonschema.validate(json.loads(json.dumps(asdict(finished.record), default=str)), schema)
    record["steps"]["pairs"]["status"] = "asleep"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(record, schema)


def test_the_schema_of_records_says_what_each_entry_is():
    schema = record_schema()
    assert schema["properties"]["started"]["description"] == "UTC, ISO 8601."
    step = schema["$defs"]["StepRecord"]["properties"]
    assert step["artifact"]["description"] == "The name of the result in the store."


@pytest.mark.parametrize("provider", ANY_KIND, ids=lambda provider: provider.name)
def test_every_kind_can_be_described(provider: Provider):
    told = json.loads(json.dumps(describe(provider)))
    assert told["summary"] and told["doc"].startswith(told["summary"])
    assert all(entry["description"] and entry["type"] for entry in told["params"])
    gives = bool(told["gives"])
    assert gives != issubclass(provider.cls, Engine | Observer)
    example = yaml.safe_load(told["example"].replace("…", "null"))
    assert provider.kind in str(example)
    cls = provider.cls
    own = cls.takes if issubclass(cls, Composite) else {}
    names = [*own, *(entry.name for entry in signature_of(cls).inputs)]
    assert [entry["name"] for entry in told["inputs"]] == names


def test_a_description_is_complete():
    told = describe(KINDS.find("some-pairs"))
    assert (told["family"], told["inputs"], told["gives"]) == ("dataset loader", [], "Pairs")
    assert told["provider"] == "sample_plugin (sample_plugin 0)"
    shown = {entry["name"]: entry for entry in told["params"]}
    assert next(iter(shown)) == "rows"
    assert shown["rows"] == {
        "name": "rows",
        "type": "integer ≥ 1",
        "required": False,
        "default": 7,
        "description": "How many.",
    }
    assert shown["path"]["type"] == "path or list of path or null"
    assert shown["form"]["type"] == "text | messages"
    assert shown["names"]["type"] == "mapping"
    assert shown["names.chosen"]["default"] == "chosen"
    assert shown["odd_rows.identical"]["type"] == "keep | drop | error"


def test_an_example_names_required_inputs_and_parameters():
    assert describe(KINDS.find("line"))["example"] == (
        "steps:\n  my-line:\n    kind: line\n    inputs: {features: [features], target: features}"
    )
    assert describe(KINDS.find("some-responses"))["example"].endswith("    params: {path: …}")
    assert describe(KINDS.find("plain"))["example"] == "engine:\n  kind: plain"
    assert describe(KINDS.find("watch"))["example"] == "track:\n  watch: {}"


class Rating(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    """What is rated."""


class Rated(Sampler):
    """Has parameters of many types."""

    kind = "rated"

    ratings: list[Rating] | None = None
    """Ratings."""
    share: float = Field(default=0.5, gt=0, lt=1, description="Given by hand.")
    """Below."""
    flag: bool
    """A flag."""
    plain: int = 3

    def sample(self, data: Pairs) -> Pairs:
        return data


def test_fields_are_documented_by_the_text_below_them_or_by_hand():
    assert dict(field_docs(Rated)) == {
        "ratings": "Ratings.",
        "share": "Given by hand.",
        "flag": "A flag.",
    }


def test_documentation_is_inherited_and_found_inside_functions():
    class Inner(Rated):
        """Inner."""

        plain: int = 4
        """Now it says something."""

    assert field_docs(Inner)["plain"] == "Now it says something."
    assert field_docs(Inner)["flag"] == "A flag."


def test_a_class_without_source_has_no_documentation():
    assert field_docs(type("Typed", (BaseModel,), {"__module__": "nowhere"})) == {}


def test_parameters_are_told_with_those_inside_them():
    told = {entry["name"]: entry["type"] for entry in params(Rated)}
    assert told == {
        "ratings": "list of mapping or null",
        "ratings.name": "text",
        "share": "number > 0 < 1",
        "flag": "true or false",
        "plain": "integer",
    }


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "text"),
        ({"type": "string", "format": "path"}, "path"),
        ({"type": "integer", "minimum": 1, "maximum": 5}, "integer ≥ 1 ≤ 5"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "number or null"),
        ({"enum": ["a", 2]}, "a | 2"),
        ({"const": "a"}, "a"),
        ({"type": "array", "items": {"type": "string"}}, "list of text"),
        ({"type": "array"}, "list of any"),
        ({"$ref": "#/x"}, "mapping"),
        ({}, "any"),
    ],
)
def test_a_type_is_told_in_a_few_words(schema: dict[str, Any], words: str):
    assert type_name(schema) == words


def test_one_of_several_may_be_written_alone_in_an_editor_as_in_a_check() -> None:
    class Named(Sampler):
        kind = "named"
        names: Annotated[tuple[str, ...], Field(min_length=1), OneOrMore]

    schema = params_schema(Named)["properties"]["names"]
    validator = jsonschema.Draft202012Validator(schema)
    for written in ("a", ["a", "b"]):
        validator.validate(written)
        Named.model_validate({"names": written})
    for wrong in ([], 1, [1]):
        assert not validator.is_valid(wrong)
        with pytest.raises(ValidationError):
            Named.model_validate({"names": wrong})
