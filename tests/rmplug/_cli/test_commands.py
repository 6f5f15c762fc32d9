"""The command line as a person meets it."""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import traceback
from pathlib import Path

import pytest

from rmplug._cli.commands import main

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"

SPEC = """\
name: small
seed: 5
steps:
  pairs:
    kind: synthetic
    params: {size: 60}
  words:
    kind: lexical
    inputs: pairs
    params: {measures: [characters, words]}
  some:
    kind: random
    inputs: pairs
    params: {n: 10}
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.yaml"
    path.write_text(SPEC)
    return path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """What a command prints on standard output."""
    assert main(arguments) == code
    return capsys.readouterr().out


def test_check_says_how_many_steps_will_run(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "check", "small.yaml") == "small.yaml: 3 steps, no problems\n"


def test_check_says_what_only_running_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = '{"prompt": "a", "chosen": "b", "rejected": "c", "n": 1}\n'
    Path("rows.jsonl").write_text(rows, encoding="utf-8")
    steps = {
        "pairs": {"kind": "pairs-file", "params": {"path": "rows.jsonl"}},
        "page": {"kind": "html", "inputs": ["pairs.n"]},
    }
    Path("spec.yaml").write_text(json.dumps({"steps": steps}), encoding="utf-8")
    assert printed(capsys, "check", "spec.yaml") == (
        "spec.yaml: 2 steps, no problems\nnot checked, as only running tells: column 'n' of pairs\n"
    )


def test_a_mistake_is_shown_with_its_place_and_exit_code_2(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec.write_text(SPEC.replace("kind: lexical", "kind: lexicl"))
    assert main(["check", "small.yaml"]) == 2
    assert capsys.readouterr().err == (
        "small.yaml:8:11: steps.words.kind: unknown kind 'lexicl'; did you mean 'lexical'?\n"
        "  8 |     kind: lexicl\n"
        "    |           ^^^^^^\n"
        "1 problem\n"
    )


def test_a_missing_spec_is_one_line(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "no-such.yaml"]) == 2
    assert "no-such.yaml" in capsys.readouterr().err


def test_a_run_can_be_listed_shown_compared_and_cleaned_up(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "record: .rmplug/runs/" in printed(capsys, "run", "small.yaml")
    printed(capsys, "run", "small.yaml", "--set", "steps.some.params.n=7")
    listed = json.loads(printed(capsys, "runs", "--json"))
    assert [run["status"] for run in listed] == ["finished", "finished"]
    shown = json.loads(printed(capsys, "show", "--json"))
    assert shown["steps"]["some"]["rows"] == 7
    assert shown["steps"]["words"]["status"] == "reused"
    compared = json.loads(printed(capsys, "compare", listed[0]["run"], listed[1]["run"], "--json"))
    assert compared[0] == {
        "where": "spec",
        "what": "steps.some.params.n",
        "first": "10",
        "second": "7",
    }
    removed = json.loads(printed(capsys, "gc", "--keep", "1", "--json"))
    assert [name.partition("-")[0] for name in removed["names"]] == ["random"]


def test_records_that_this_version_does_not_know_stop_no_command(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        printed(capsys, "run", "small.yaml")
    torn, newer, _ = sorted(Path(".rmplug/runs").glob("*/record.json"))
    torn.write_text("{")
    newer.write_text(json.dumps({**json.loads(newer.read_text()), "format": 2, "status": "odd"}))
    rows = json.loads(printed(capsys, "runs", "--json"))
    assert [row["status"] for row in rows] == ["unreadable", "odd", "finished"]
    assert "is no record of a run that can be read" in rows[0]["note"]
    assert rows[1]["note"].startswith("written by a newer rmplug (record format 2, this one knows")
    assert rows[2]["note"] == "" and rows[2]["steps"] == "3 of 3"
    assert "unreadable" in printed(capsys, "runs")
    assert "written by a newer rmplug" in printed(capsys, "show", newer.parent.name)
    assert json.loads(printed(capsys, "show", newer.parent.name, "--json"))["status"] == "odd"
    assert printed(capsys, "gc").splitlines()[-1] == "removed 0 results, 0.0 MB; 3 runs kept"


def test_dry_run_says_what_would_be_done_and_why(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed(capsys, "run", "small.yaml")
    planned = json.loads(
        printed(
            capsys, "run", "small.yaml", "--dry-run", "--json", "--set", "steps.some.params.n=7"
        )
    )
    assert planned[-1] == {
        "step": "some",
        "kind": "random",
        "action": "run",
        "why": "params: n 10 → 7",
    }
    assert {row["step"]: row["action"] for row in planned[:-1]} == {
        "pairs": "reuse",
        "words": "reuse",
    }


def test_describe_tells_all_about_a_kind(capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, "describe", "split")
    for part in ("split: sampler, from text (rmplug", "inputs  data:", "parameters", "example"):
        assert part in page
    told = json.loads(printed(capsys, "describe", "text:split", "--json"))
    assert {entry["name"] for entry in told["params"]} >= {"part", "test", "folds", "fold"}


def test_every_kind_is_listed_with_its_family(capsys: pytest.CaptureFixture[str]) -> None:
    kinds = {
        row["kind"]: row["family"] for row in json.loads(printed(capsys, "describe", "--json"))
    }
    assert kinds["pairs-file"] == "dataset loader"
    assert kinds["for-each"] == "composite"
    assert kinds["html"] == "reporter"


def test_plugins_can_be_listed_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    listed = json.loads(printed(capsys, "plugins", "--json", "--disable", "tabular"))
    names = {row["plugin"]: row["status"] for row in listed}
    assert names["text"] == names["core"] == "loaded"
    assert "tabular" not in names


def test_schema_prints_what_an_editor_needs(capsys: pytest.CaptureFixture[str]) -> None:
    schema = json.loads(printed(capsys, "schema"))
    assert "lexical" in schema["$defs"]
    assert json.loads(printed(capsys, "schema", "record"))["title"] == "RunRecord"


def test_init_lists_recipes_and_writes_one_ready_to_check(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = {row["recipe"]: row for row in json.loads(printed(capsys, "init", "--json"))}
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} <= set(listed)
    for name in (path.stem for path in EXAMPLES.glob("*.yaml")):
        assert re.search(r"\d+ (second|minute)s?\b|not measured", listed[name]["needs"]), name
    assert "network" in listed["hub-models"]["needs"]
    assert "server" in listed["served-model"]["needs"]
    assert printed(capsys, "init", "quickstart", "audit").splitlines() == [
        "wrote audit/quickstart.yaml",
        "wrote audit/data/preferences.jsonl",
        "wrote audit/run.schema.json",
    ]
    assert "no problems" in printed(capsys, "check", "audit/quickstart.yaml")


def test_a_spec_that_init_wrote_names_the_schema_beside_it(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed(capsys, "init", "quickstart")
    assert "$schema=run.schema.json" in Path("quickstart.yaml").read_text()
    assert "lexical" in json.loads(Path("run.schema.json").read_text())["$defs"]


def test_gc_keeps_a_number_of_runs_that_makes_sense(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["gc", "--keep", "-1"])
    assert "'-1' is no whole number from 0" in capsys.readouterr().err


@pytest.mark.parametrize("rows", ["0", "-1", "true"])
def test_shards_have_rows(spec: Path, rows: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "small.yaml", "--set", f"engine.params.shard_rows={rows}"]) == 2
    assert "shard_rows" in capsys.readouterr().err


def test_init_brings_folders_along_and_leaves_equal_files_alone(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed(capsys, "init", "quickstart")
    printed(capsys, "init", "embeddings")
    assert Path("data/minilm-head/config.json").is_file()


def test_init_does_not_write_over_files(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys, "init", "quickstart")
    Path("quickstart.yaml").write_text("steps: {}")
    assert main(["init", "quickstart"]) == 2
    assert capsys.readouterr().err == (
        "rmplug: quickstart.yaml: there already, and different; --force writes over it\n"
    )


def test_an_unknown_recipe_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "quickstrat"]) == 2
    assert "no recipe 'quickstrat'; did you mean 'quickstart'?" in capsys.readouterr().err


def test_rmplug_alone_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys)
    assert out.startswith("usage: rmplug ") and "Prove that a spec will run" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "small.yaml", "--froce"], "unknown argument '--froce'; did you mean '--force'?"),
        (["gc", "--kepe=3"], "unknown argument '--kepe=3'; did you mean '--keep'?"),
        (["runs", "more"], "unknown argument 'more'"),
        (["chekc", "small.yaml"], "unknown: 'chekc'; did you mean 'check'? (known: check, run,"),
    ],
)
def test_a_misspelt_option_or_command_names_the_nearest(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2 and sentence in capsys.readouterr().err


def test_init_into_a_folder_that_cannot_be_made_is_one_line(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "quickstart", "small.yaml/below"]) == 2
    assert capsys.readouterr().err == (
        "rmplug: cannot write into the folder small.yaml/below: Not a directory\n"
    )


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_pipe_or_device_is_no_spec(
    spec: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo("pipe.yaml")
    for file in ("pipe.yaml", "/dev/zero"):
        assert main([command, file]) == 2
        assert capsys.readouterr().err == (
            f"{file}: cannot be read: it is a pipe or a device; give a regular file\n1 problem\n"
        )


def test_runs_and_show_work_on_a_read_only_store(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = spec.parent / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine does not allow a test to mount a file system")
    try:
        printed(capsys, "run", "small.yaml", "--store", str(disk))
        [path] = disk.glob("runs/*/record.json")
        path.write_text(path.read_text().replace('"status": "finished"', '"status": "running"'))
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        [row] = json.loads(printed(capsys, "runs", "--json", "--store", str(disk)))
        assert row["status"] == "interrupted"
        assert "pairs" in printed(capsys, "show", "--store", str(disk))
        assert main(["gc", "--store", str(disk)]) == 2
        assert "the file system is read-only" in capsys.readouterr().err
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_check_tells_a_program_what_is_wrong_and_where(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert json.loads(printed(capsys, "check", "small.yaml", "--json")) == {
        "spec": "small.yaml",
        "steps": 3,
        "problems": [],
        "not_checked": [],
    }
    spec.write_text(SPEC.replace("kind: lexical", "kind: lexicl"))
    told = json.loads(printed(capsys, "check", "small.yaml", "--json", code=2))
    assert told["problems"] == [
        {
            "file": "small.yaml",
            "line": 8,
            "column": 11,
            "where": "steps.words.kind",
            "message": "unknown kind 'lexicl'; did you mean 'lexical'?",
        }
    ]


def test_a_plugin_named_like_its_package_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "--disable", "rmplug_bnch"]) == 2
    assert "it is not installed; did you mean 'bench'?" in capsys.readouterr().err


def test_a_parameter_of_a_loader_has_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "x", "--prompt", "a", "--response", "b", "--param", "device"]) == 2
    assert "--param device: write it as NAME=VALUE" in capsys.readouterr().err


def test_garbage_is_looked_for_while_a_command_runs() -> None:
    during: set[str] = set()

    def note(*_: object) -> None:
        during.update(frame.f_code.co_name for frame, _ in traceback.walk_stack(None))

    before = gc.get_threshold()
    gc.callbacks.append(note)
    gc.set_threshold(100)
    try:
        assert main(["plugins"]) == 0
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(note)
    assert "plugins" in during
