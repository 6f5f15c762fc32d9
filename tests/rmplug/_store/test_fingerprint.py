from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from check_specs import KINDS, load

from rmplug import DataError
from rmplug._kinds import registry
from rmplug._kinds.registry import Provider
from rmplug._run.run import run
from rmplug._store.fingerprint import Fingerprints, difference, key_of, plugin_version, source_hash

SPEC = """\
    seed: 1
    steps:
      pairs: {kind: some-pairs, params: {path: data.jsonl}}
      asked: {kind: ask, inputs: {model: model, data: pairs}}
      model: {kind: length-model}
      words: {kind: count, inputs: pairs}
      mixed: {kind: shuffle, inputs: pairs}
      mean: {kind: mean, inputs: [words]}
      last: {kind: count, inputs: mixed}
    """


@pytest.fixture
def keys(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """The names of the results that a spec leads to."""
    (tmp_path / "data.jsonl").write_text("{}\n", encoding="utf-8")

    def names(text: str) -> dict[str, str]:
        path = tmp_path / "spec.yaml"
        path.write_text(dedent(text), encoding="utf-8")
        record = run(path, store=tmp_path / "store", registry=KINDS).record
        return {name: step.artifact for name, step in record.steps.items()}

    return names


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after.get(name)}


def test_a_comment_and_the_order_of_steps_and_fields_change_nothing(keys: Any):
    swapped = SPEC.replace("      words: {kind: count, inputs: pairs}\n", "")
    swapped += "  # a comment\n      words: {inputs: pairs, kind: count}\n"
    assert changed(keys(SPEC), keys(swapped)) == set()


def test_a_default_that_is_written_out_changes_nothing(keys: Any):
    assert not changed(keys(SPEC), keys(SPEC.replace("path: data", "rows: 7, path: data")))


def test_a_changed_byte_of_data_changes_all_below_it(keys: Any, tmp_path: Path):
    before = keys(SPEC)
    (tmp_path / "data.jsonl").write_text("{ }\n", encoding="utf-8")
    assert changed(before, keys(SPEC)) == {"pairs", "asked", "words", "mixed", "mean", "last"}


def test_the_place_of_the_data_changes_nothing(keys: Any, tmp_path: Path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "data.jsonl").write_text("{}\n", encoding="utf-8")
    assert not changed(keys(SPEC), keys(SPEC.replace("path: data", "path: deep/data")))


def test_a_parameter_changes_its_step_and_what_uses_it(keys: Any):
    scaled = SPEC.replace("words: {kind: count,", "words: {kind: count, params: {scale: 2},")
    assert changed(keys(SPEC), keys(scaled)) == {"words", "mean"}


def test_a_neutral_parameter_changes_nothing(keys: Any):
    batched = SPEC.replace("{kind: ask,", "{kind: ask, params: {batch: 99},")
    assert changed(keys(SPEC), keys(batched)) == set()


def test_the_seed_changes_only_steps_that_take_one(keys: Any):
    assert changed(keys(SPEC), keys(SPEC.replace("seed: 1", "seed: 2"))) == {"mixed", "last"}


def test_the_name_of_a_step_matters_only_where_columns_are_named_after_it(keys: Any):
    renamed = SPEC.replace("words", "other").replace("mixed", "moved")
    after = keys(renamed)
    before = keys(SPEC)
    assert before["words"] == after["other"]
    assert before["last"] == after["last"]
    assert before["mean"] != after["mean"]


def provider(distribution: str, cls: type[Any]) -> Provider:
    return Provider(cls.kind, "plugin", distribution, "1", cls)


CODE = '''
    from rmplug import FeatureComputer, Features, Pairs

    class Count(FeatureComputer):
        """Counts."""

        kind = "count-{name}"
        requires = ("some-library",)

        def compute(self, data: Pairs) -> Features: ...
'''


def install(folder: Path, name: str, origin: dict[str, Any]) -> type[Any]:
    """A package that is installed in a folder; gives its class."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(
        dedent(CODE.replace("{name}", name)), encoding="utf-8"
    )
    (folder / name / "words.txt").write_text("one two\n", encoding="utf-8")
    distribute(folder, name, "1.5", origin)
    found: type[Any] = __import__(name).Count
    return found


def distribute(folder: Path, name: str, version: str, origin: dict[str, Any]) -> None:
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (about / "direct_url.json").write_text(json.dumps(origin), encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("edited", "finished"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def forget() -> None:
    """What a new process would not know."""
    from rmplug._store import fingerprint

    registry.installed_version.cache_clear()
    fingerprint.plugin_version.cache_clear()
    fingerprint._hash_of_source.cache_clear()


EDITABLE = {"url": "file:///x", "dir_info": {"editable": True}}


def test_the_source_of_a_plugin_that_is_edited_is_part_of_its_version(site: Path):
    edited = provider("edited", install(site, "edited", EDITABLE))
    before = plugin_version(edited)
    assert before.startswith("1.5 source ")
    (site / "edited" / "__pycache__").mkdir(exist_ok=True)
    (site / "edited" / "__pycache__" / "x.pyc").touch()
    (site / "edited" / ".hidden").touch()
    forget()
    assert plugin_version(edited) == before
    (site / "edited" / "words.txt").write_text("one two three\n", encoding="utf-8")
    forget()
    assert plugin_version(edited) != before


def record(site: Path, *lines: str) -> None:
    """What an installer notes of the files of the package ``finished``."""
    (site / "finished-1.5.dist-info" / "RECORD").write_text("\n".join(lines) + "\n")


def test_a_plugin_that_is_installed_again_with_changed_code_has_another_version(site: Path):
    finished = provider("finished", install(site, "finished", {"url": "https://x"}))
    code, data = "finished/__init__.py,sha256=aa,9", "finished/words.txt,sha256=bb,7"
    versions = {}
    for name, lines in {
        "first": [code, data, "finished/__pycache__/__init__.cpython-311.pyc,,"],
        "moved": [data, code, "finished-1.5.dist-info/INSTALLER,sha256=cc,3", "other/x.py,,"],
        "code": [code.replace("aa", "ab"), data],
        "data": [code, data.replace("bb", "bc")],
        "fewer": [code],
    }.items():
        record(site, *lines)
        forget()
        versions[name] = plugin_version(finished)
    assert versions["first"].startswith("1.5 files ")
    assert versions["moved"] == versions["first"]
    assert len(set(versions.values())) == 4


def test_a_plugin_whose_installer_noted_nothing_is_known_by_its_source(site: Path):
    finished = provider("finished", install(site, "finished", {"url": "https://x"}))
    version = plugin_version(finished)
    assert version.startswith("1.5 source ")
    (site / "finished" / "words.txt").write_text("one\n", encoding="utf-8")
    forget()
    assert plugin_version(finished) != version


def test_a_module_by_itself_is_known_by_its_own_line(site: Path):
    cls = install(site, "finished", {})
    record(site, "finished.py,sha256=aa,9", "finished_too.py,sha256=bb,9")
    before = plugin_version(provider("finished", cls))
    record(site, "finished.py,sha256=aa,9", "finished_too.py,sha256=cc,9")
    forget()
    assert plugin_version(provider("finished", cls)) == before


def test_a_class_that_was_typed_in_has_a_source_too():
    from sample_plugin import Count

    typed = type("Typed", (Count,), {"kind": "typed", "__doc__": "T.", "__module__": "builtins"})
    assert source_hash(typed) != source_hash(Count)


def test_the_version_of_a_library_that_a_kind_requires_matters(site: Path):
    counted = provider("finished", install(site, "finished", {}))
    forget()
    absent = Fingerprints().of_step(counted, counted.cls())
    distribute(site, "some-library".replace("-", "_"), "2.0", {})
    forget()
    there = Fingerprints().of_step(counted, counted.cls())
    assert absent["libraries"] == {"some-library": "absent"}
    assert there["libraries"] == {"some-library": "2.0"}
    assert difference(absent, there) == 'libraries: some-library "absent" → "2.0"'
    forget()


def test_a_folder_is_known_by_its_files_and_their_names(tmp_path: Path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.txt").write_text("a", encoding="utf-8")
    before = Fingerprints().of_path(tmp_path)
    assert Fingerprints().of_path(tmp_path) == before
    (tmp_path / "deep" / "a.txt").rename(tmp_path / "deep" / "b.txt")
    assert Fingerprints().of_path(tmp_path) != before


def test_a_key_is_the_same_for_the_same_ingredients_in_any_order():
    assert key_of("k", {"a": 1, "b": {"c": 2, "d": 3}}) == key_of(
        "k", {"b": {"d": 3, "c": 2}, "a": 1}
    )
    assert key_of("k", {"a": 1}) != key_of("k", {"a": "1"})
    assert key_of("k", {}).startswith("k-")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ({"seed": 0}, {"seed": 1}, "seed: 0 → 1"),
        ({"params": {"n": 10}}, {"params": {"n": 7}}, "params: n 10 → 7"),
        ({"params": {"n": 1}}, {"params": {"n": 1, "m": 2}}, "params: m null → 2"),
        (
            {"params": {"names": {"a": "x", "b": "y"}}},
            {"params": {"names": {"a": "x", "b": "z"}}},
            'params: names.b "y" → "z"',
        ),
        ({"params": {"n": [1]}}, {"params": {"n": [2]}}, "params: n changed"),
        (
            {"files": {"path": [["a", "1"]]}},
            {"files": {"path": [["a", "2"]]}},
            "files: path changed",
        ),
        ({"inputs": {"data": ["a"]}}, {"inputs": {"data": ["b"]}}, "inputs: data changed"),
        ({"plan": ["a"]}, {"plan": ["b"]}, "plan changed"),
        ({"version": "1.0"}, {"version": "1.1"}, 'version: "1.0" → "1.1"'),
        ({}, {"seed": 1}, "seed: null → 1"),
        ({"seed": 1}, {"seed": 1}, "its result is not in the store"),
        ({"x": "a" * 90}, {"x": "b"}, f'x: "{"a" * 38}… → "b"'),
    ],
)
def test_why_a_step_is_done_again_is_said_in_a_few_words(
    old: dict[str, Any], new: dict[str, Any], sentence: str
):
    assert difference(old, new) == sentence


def test_the_seed_of_a_loop_s_item_is_part_of_the_fingerprint(tmp_path: Path):
    spec = load("""\
        steps:
          pairs: {kind: some-pairs}
          loop:
            kind: for-each
            params:
              values: [1, 2]
              collect: [words]
              steps:
                mixed: {kind: shuffle, inputs: {data: pairs, seed: item}}
                words: {kind: count, inputs: mixed}
        """)
    finished = run(dict(spec.source.data), store=tmp_path / "store", registry=KINDS)
    items = finished.record.steps["loop"].items
    assert not set(items[0]["artifacts"]) & set(items[1]["artifacts"])


def test_a_named_pipe_is_refused_before_it_is_opened(tmp_path):
    pipe = tmp_path / "pairs.jsonl"
    os.mkfifo(pipe)
    with pytest.raises(DataError) as error:
        Fingerprints().of_path(pipe)
    assert str(error.value) == (
        f"{pipe} is neither a file nor a folder; save what it gives as a file, and name that"
    )
