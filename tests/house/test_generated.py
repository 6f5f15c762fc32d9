"""What is generated from the code is what the code would generate."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from rmplug._kinds.registry import discover
from rmplug._kinds.schema import record_schema, run_schema
from rmplug._spec.check import load_spec

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    """What an editor checks specs by: the schema that is stored, itself a schema."""
    schema = stored("run.schema.json")
    assert isinstance(schema, dict)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def stored(name: str) -> object:
    return json.loads((ROOT / "schemas" / name).read_text(encoding="utf-8"))


def test_the_schema_of_specs_is_fresh() -> None:
    registry = discover()
    registry.keep("rmplug")
    made = json.loads(json.dumps(run_schema(registry)))
    assert stored("run.schema.json") == made, "run: make generated"


def test_the_schema_of_records_is_fresh() -> None:
    made = json.loads(json.dumps(record_schema()))
    assert stored("record.schema.json") == made, "run: make generated"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_valid_for_an_editor_and_for_check(
    path: Path, validator: jsonschema.Draft202012Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as a person who is online: offline, names that the cache lacks are told
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    validator.validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    load_spec(path, discover())


def test_every_built_in_kind_stands_in_an_example() -> None:
    used = {kind for path in EXAMPLES for kind in kinds_in(yaml.safe_load(path.read_text()))}
    registry = discover()
    registry.keep("rmplug")
    assert {provider.kind for provider in registry.all()} - used == set()


def kinds_in(data: object) -> set[str]:
    if isinstance(data, dict):
        own = {data["kind"]} if isinstance(data.get("kind"), str) else set()
        own |= set(data.get("track") or ())
        return own.union(*(kinds_in(value) for value in data.values()))
    if isinstance(data, list):
        return set().union(*(kinds_in(value) for value in data))
    return set()
