"""A run in Weights & Biases: logged without an account, read back; nothing sent, nothing harmed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from wandb_file import logged, run_of

import rmplug
import rmplug_bench
import rmplug_report
import rmplug_tabular
import rmplug_text
import rmplug_wandb
from rmplug._cli.commands import main
from rmplug.errors import SpecError
from rmplug.testing import check_step, registry_of
from rmplug_wandb import Wandb

REGISTRY = registry_of(rmplug_text, rmplug_bench, rmplug_tabular, rmplug_report, rmplug_wandb)
STEPS = {
    "pairs": {"kind": "synthetic", "params": {"size": 60}},
    "model": {"kind": "ngram-head", "inputs": "pairs"},
    "reward": {"kind": "reward", "inputs": {"model": "model", "data": "pairs"}},
    "words": {"kind": "lexical", "inputs": "pairs"},
    "why": {"kind": "sklearn", "inputs": {"features": ["words"], "target": "reward.margin"},
            "params": {"name": "Ridge"}},
    "accuracy": {"kind": "pairwise", "inputs": {"data": "pairs", "rewards": ["reward"]}},
    "page": {"kind": "html", "inputs": ["pairs", "reward", "accuracy"]},
}  # fmt: skip


def spec(folder, steps=STEPS, **track):
    track = {"project": "audits", "directory": str(folder), **track}
    return {"name": "tried", "seed": 5, "track": {"wandb": track}, "steps": steps}


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    """A run logged offline though the environment asks for online, without any account."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "online")
        patch.setenv("WANDB_DATA_DIR", str(folder / "data"))
        patch.delenv("WANDB_API_KEY", raising=False)
        written = spec(folder, name="first", tags=["nightly"])
        done = rmplug.run(written, store=folder / "store", registry=REGISTRY)
    return folder, done


def test_it_conforms():
    check_step(Wandb, {"project": "p", "directory": "somewhere"})


def test_spec_seed_and_versions_are_the_config(offline):
    folder, done = offline
    config, _, _ = logged(folder)
    assert config["spec"]["steps"]["why"]["params"] == {"name": "Ridge"}
    assert config["seed"] == 5
    assert config["run"] == done.record.id
    assert config["environment"]["libraries"]["numpy"] == np.__version__
    assert set(config["versions"]) >= {"rmplug_text:reward", "rmplug_bench:pairwise"}
    about = run_of(folder)
    assert (about.project, about.display_name, list(about.tags)) == ("audits", "first", ["nightly"])


def test_every_step_has_its_seconds_and_rows(offline):
    folder, done = offline
    _, history, summary = logged(folder)
    for name, step in done.record.steps.items():
        assert history[f"steps/{name}/seconds"] == step.seconds
        assert history.get(f"steps/{name}/rows") == step.rows
    assert history["steps/words/rows"] == 60
    assert summary["status"] == "finished" and summary["problems"] == ""


def test_every_metric_is_a_scalar_with_model_and_subset(offline):
    folder, done = offline
    _, history, _ = logged(folder)
    rows = done["accuracy"].table.to_pylist()
    assert {"model", "baseline"} == {row["kind"] for row in rows}
    for row in rows:
        subset = [] if row["subset"] == "all" else [row["subset"]]
        at = [] if row["at"] is None else [f"{row['at']:g}"]
        key = "/".join(["accuracy", row["model"], *subset, row["metric"], *at])
        assert row["value"] is None or history[key] == pytest.approx(row["value"], nan_ok=True)
    for number in done["why"].numbers:
        assert history[f"why/{number['metric']}"] == pytest.approx(number["value"])


def test_metrics_are_a_table_too(offline):
    folder, done = offline
    _, history, _ = logged(folder)
    [run] = (folder / "wandb").glob("offline-run-*")
    table = json.loads((run / "files" / history["accuracy"]["path"]).read_text())
    assert table["columns"] == done["accuracy"].columns
    assert len(table["data"]) == len(done["accuracy"])
    assert table["data"][0] == list(done["accuracy"].table.to_pylist()[0].values())
    coefficients = json.loads((run / "files" / history["why/coefficients"]["path"]).read_text())
    assert coefficients["columns"][:2] == ["feature", "coefficient"]
    steps = json.loads((run / "files" / history["steps"]["path"]).read_text())
    assert [row[0] for row in steps["data"]] == list(done.record.steps)


def test_the_report_is_a_page_and_its_files_are_kept(offline):
    folder, done = offline
    _, history, _ = logged(folder)
    [run] = (folder / "wandb").glob("offline-run-*")
    page = done.reports[0].read_text()
    assert (run / "files" / history["page"]["path"]).read_text() == page
    kept = {p.name for p in (run / "files/reports/page").rglob("*") if p.is_file()}
    assert kept == {p.name for p in done.reports[0].parent.rglob("*") if p.is_file()}


def test_a_run_that_reuses_everything_logs_the_same_numbers(offline, tmp_path):
    folder, _ = offline
    again = rmplug.run(spec(tmp_path), store=folder / "store", registry=REGISTRY)
    assert {step.status for n, step in again.record.steps.items()} == {"reused"}
    assert again.record.problems == []  # what wandb did not take in time is told there
    before, now = logged(folder)[1], logged(tmp_path)[1]
    metrics = {key for key in before if key.startswith("accuracy/")}
    assert metrics and all(now[key] == before[key] for key in metrics)


def test_without_a_directory_nothing_is_written_outside_the_store(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    steps = {"pairs": {"kind": "synthetic", "params": {"size": 3}}}
    written = {"name": "tried", "track": {"wandb": {}}, "steps": steps}
    done = rmplug.run(written, store=tmp_path / "store", registry=REGISTRY)
    assert done.record.problems == []
    assert run_of(tmp_path / "store").display_name == "tried"
    assert list((tmp_path / "here").iterdir()) == []
    assert main(["gc", "--keep", "0", "--store", str(tmp_path / "store")]) == 0
    assert run_of(tmp_path / "store").display_name == "tried"


def test_tables_and_reports_can_be_left_out(offline, tmp_path):
    folder, _ = offline
    rmplug.run(
        spec(tmp_path, tables=False, report=False), store=folder / "store", registry=REGISTRY
    )
    _, history, _ = logged(tmp_path)
    assert "accuracy/reward/accuracy" in history
    assert not {"accuracy", "page", "steps"} & set(history)


def test_disabled_writes_nothing(tmp_path):
    steps = {"pairs": {"kind": "synthetic", "params": {"size": 3}}}
    rmplug.run(
        spec(tmp_path / "w", steps, mode="disabled"), store=tmp_path / "s", registry=REGISTRY
    )
    assert not (tmp_path / "w").exists()


def test_online_without_an_account_is_noted_and_the_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    steps = {"pairs": {"kind": "synthetic", "params": {"size": 3}}}
    written = spec(tmp_path, steps, mode="online")
    done = rmplug.run(written, store=tmp_path / "store", registry=REGISTRY)
    assert done.record.status == "finished" and len(done["pairs"]) == 3
    [problem] = done.record.problems
    assert problem == (
        "wandb: run_started: RmplugError: mode: online needs an account of Weights & Biases; "
        "run wandb login once, or write mode: offline"
    )


def test_a_folder_that_cannot_be_written_is_noted_and_the_run_goes_on(tmp_path):
    steps = {"pairs": {"kind": "synthetic", "params": {"size": 3}}}
    written = spec(Path("/proc/rmplug"), steps)  # nothing can be made there, whoever asks
    done = rmplug.run(written, store=tmp_path / "store", registry=REGISTRY)
    assert done.record.status == "finished"
    assert [p.partition(":")[0] for p in done.record.problems] == ["wandb"]


KILLING = """
import psutil, rmplug, rmplug_text, rmplug_wandb
from rmplug.testing import registry_of

class Kills(rmplug.Observer):
    kind = "kills"
    def step_started(self, step):
        [service] = psutil.Process().children()
        service.kill()
        service.wait()

done = rmplug.run({spec!r}, store={store!r}, observers=[Kills()],
                  registry=registry_of(rmplug_text, rmplug_wandb))
print(done.record.status, len(done["pairs"]), len(done.record.problems) > 0)
"""


def test_a_service_that_dies_on_the_way_harms_no_run(tmp_path):
    steps = {"pairs": {"kind": "synthetic", "params": {"size": 3}}}
    code = KILLING.format(spec=spec(tmp_path, steps), store=str(tmp_path / "store"))
    done = elsewhere([sys.executable, "-c", code])
    assert done.stdout.strip() == "finished 3 True", done.stderr


def elsewhere(command):
    """A command in an environment without anything for Weights & Biases."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**plain, **paths}
    )


def test_a_failing_step_is_logged_as_failed(tmp_path):
    steps = {
        "pairs": {"kind": "synthetic", "params": {"size": 20}},
        "none": {"kind": "filter", "inputs": "pairs", "params": {"where": "prompt == 'nobody'"}},
        "model": {"kind": "ngram-head", "inputs": "none"},
    }
    with pytest.raises(rmplug.StepError):
        rmplug.run(spec(tmp_path, steps), store=tmp_path / "store", registry=REGISTRY)
    _, _, summary = logged(tmp_path)
    assert summary["status"] == "failed"


def test_a_parameter_that_is_unknown_is_an_error_of_the_spec(tmp_path):
    with pytest.raises(SpecError, match=r"track\.wandb\.projct: unknown field; did you mean"):
        rmplug.run(spec(tmp_path, projct="x"), store=tmp_path / "store", registry=REGISTRY)


def test_an_offline_run_opens_no_connection_and_listens_on_no_port(tmp_path):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    steps = {"pairs": {"kind": "synthetic", "params": {"size": 3}}}
    code = (
        "import rmplug, rmplug_text, rmplug_wandb; from rmplug.testing import registry_of; "
        f"done = rmplug.run({spec(tmp_path, steps)!r}, store={str(tmp_path / 'store')!r}, "
        "registry=registry_of(rmplug_text, rmplug_wandb)); print(done.record.problems)"
    )
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-e", "trace=network", "-o", str(trace), sys.executable, "-c", code]
    done = elsewhere(command)
    if "PTRACE" in done.stderr:
        pytest.skip("processes cannot be traced here")
    assert done.stdout.strip() == "[]", done.stderr
    calls = trace.read_text()
    assert re.search(r"connect\(.*AF_UNIX", calls)
    assert not re.findall(r"(?:connect|sendto|sendmsg)\(.*AF_INET6?,.*", calls)
    assert run_of(tmp_path).project == "audits"
    bound = re.findall(r"bind\((\d+), \{sa_family=AF_INET6?", calls)
    assert not [number for number in bound if re.search(rf"listen\({number},", calls)]
    assert Path(tmp_path / "wandb").is_dir()
