"""What is generated from the code is what the code would generate."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from rmplug._kinds.registry import discover
from rmplug._kinds.schema import record_schema, run_schema
from rmplug._spec.check import load_spec
from rmplug._spec.source import parse_source
from rmplug.errors import SpecError
from rmplug_report.audit.document import audit_schema

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
OTHER_LINES = [
    (path, *found)
    for path in EXAMPLES
    for found in re.findall(
        r"^ *# +([\w-]+): (\{kind: .*\})$", path.read_text(encoding="utf-8"), re.MULTILINE
    )
]
"""What a comment offers instead of a step of the example: its name, and the step."""


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


def test_the_schema_of_audits_is_fresh() -> None:
    made = json.loads(json.dumps(audit_schema()))
    assert stored("audit.schema.json") == made, "run: make generated"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_valid_for_an_editor_and_for_check(
    path: Path, validator: jsonschema.Draft202012Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as a person who is online: offline, names that the cache lacks are told
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    validator.validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    load_spec(path, discover())


@pytest.mark.parametrize(
    ("path", "name", "step"), OTHER_LINES, ids=[f"{p.stem}:{name}" for p, name, _ in OTHER_LINES]
)
def test_the_other_line_of_an_example_can_be_written_for_it(
    path: Path,
    name: str,
    step: str,
    validator: jsonschema.Draft202012Validator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    spec = yaml.safe_load(path.read_text(encoding="utf-8"))
    (spec if name == "engine" else spec["steps"])[name] = yaml.safe_load(step)
    validator.validate(spec)
    try:
        load_spec(parse_source(yaml.safe_dump(spec), path.name, path.parent), discover())
    except SpecError as error:  # files of one's own are not here
        others = [p.message for p in error.problems if "no such file or folder" not in p.message]
        assert not others, others


def test_every_built_in_kind_stands_in_an_example() -> None:
    used = {kind for path in EXAMPLES for kind in kinds_in(yaml.safe_load(path.read_text()))}
    used |= {yaml.safe_load(step)["kind"] for _, _, step in OTHER_LINES}
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
