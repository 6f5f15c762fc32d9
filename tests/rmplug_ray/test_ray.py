"""The engine ``ray`` on a real cluster of two nodes: the bytes of ``local``, whatever dies."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

if importlib.util.find_spec("ray") is None:
    pytest.skip("the engine ray needs Ray: pip install 'rmplug[ray]'", allow_module_level=True)

import ray
import s3_server
import sample_plugin
from cluster_work import DiesOnce, Fail, Meet, Touch, die, square
from model_server import Paid, paid_steps, serving
from ray.cluster_utils import Cluster
from run_specs import LOOP, all_files, assert_valid, lines, spec_of, start, until_lines
from s3_server import machine, new_address, objects, use

import rmplug_endpoint
import rmplug_hf
import rmplug_ray
import rmplug_text
from rmplug import RmplugError, StepError, hookimpl
from rmplug._run.run import run
from rmplug._store.store import Store
from rmplug.errors import places_of
from rmplug.testing import check_step, registry_of
from rmplug.testing.tiny_models import tiny_model
from rmplug_ray import Ray

TASKS = 200
SMALL = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server of S3, which all nodes know."""
    with s3_server.s3_server() as address:
        yield address


@pytest.fixture(scope="module")
def mirrors(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The folders in which the nodes keep what they have of stores at addresses."""
    return [tmp_path_factory.mktemp("node") for _ in range(2)]


@pytest.fixture(scope="module")
def cluster(server: str, mirrors: list[Path]) -> Iterator[Cluster]:
    """Two nodes of one core, to which this process is connected."""
    known = s3_server.variables(server) if server else {}
    first, second = ({"env_vars": {**known, "RMPLUG_MIRRORS": str(path)}} for path in mirrors)
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "RAY_USAGE_STATS_ENABLED")}
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = Cluster(initialize_head=True, head_node_args={**SMALL, **first})
    cluster.add_node(**SMALL, **second)
    ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
    yield cluster
    ray.shutdown()
    cluster.shutdown()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture
def engine(cluster: Cluster) -> Iterator[Ray]:
    engine = Ray()
    yield engine
    engine.close()


def test_the_engine_conforms(cluster: Cluster) -> None:
    check_step(Ray, {"workers": 1, "num_cpus": 0.5})


@hookimpl
def rmplug_feature_computers() -> list[type[Any]]:
    return [DiesOnce]


STEPS = {
    "pairs": {"kind": "made-pairs", "params": {"rows": 60}},
    "words": {"kind": "lengths", "inputs": "pairs"},
    "dies": {"kind": "dies-once", "inputs": "pairs"},
    "loop": LOOP,
}


def test_rows_and_loops_give_the_bytes_of_local_though_a_worker_is_killed(
    cluster: Cluster, tmp_path: Path
) -> None:
    hooks = SimpleNamespace(rmplug_feature_computers=rmplug_feature_computers)
    registry = registry_of(sample_plugin, rmplug_ray, hooks)
    mark, spec = tmp_path / "mark", spec_of(STEPS)
    spec["steps"]["dies"]["params"] = {"mark": str(mark)}
    mark.touch()
    run(spec, store=tmp_path / "local", registry=registry)
    mark.unlink()
    spec["engine"] = {"kind": "ray", "params": {"shard_rows": 10}}
    made = run(spec, store=tmp_path / "ray", registry=registry).record
    assert mark.exists()
    assert all_files(tmp_path / "ray") == all_files(tmp_path / "local")
    assert len(all_files(tmp_path / "ray")) > 40
    words = made.steps["words"]
    assert (words.computed, words.notices[0]["count"]) == (60, 6)
    assert words.peak_memory_mb and words.peak_memory_mb > 0
    assert list((tmp_path / "ray").glob(".*")) == []


def test_nodes_without_a_shared_folder_give_the_bytes_of_local_though_a_worker_is_killed(
    cluster: Cluster, server: str, mirrors: list[Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    hooks = SimpleNamespace(rmplug_feature_computers=rmplug_feature_computers)
    registry = registry_of(sample_plugin, rmplug_ray, hooks)
    use(server, monkeypatch)
    machine(tmp_path / "driver", monkeypatch)
    asked = {"kind": "ask", "inputs": {"model": "head", "data": "pairs"}}
    head = {"kind": "character-head", "inputs": "pairs"}
    model = {"kind": "remembering-model"}
    known = {"kind": "ask", "inputs": {"model": "model", "data": "pairs"}}
    spec = spec_of({**STEPS, "head": head, "asked": asked, "model": model, "known": known})
    mark, local = tmp_path / "mark", tmp_path / "local"
    spec["steps"]["dies"]["params"] = {"mark": str(mark)}
    mark.touch()
    run(spec, store=local, registry=registry)
    mark.unlink()
    spec["engine"] = {"kind": "ray", "params": {"shard_rows": 10}}
    address = new_address(server, tmp_path)
    made = run(spec, store=address, registry=registry).record
    assert mark.exists() and made.steps["words"].computed == 60
    whole = {
        name: (tmp_path / "local/artifacts" / name).read_bytes()
        for name in all_files(tmp_path / "local")
    }
    assert objects(f"{address}/artifacts") == whole
    assert {name.partition("/")[0] for name in objects(address)} == {"artifacts", "kept", "runs"}
    here = [all_files(own) for mirror in mirrors for own in mirror.iterdir()]
    assert any(here) and all(len(files) < len(whole) for files in here)  # each has its own part
    machine(tmp_path / "other", monkeypatch)
    again = run(spec, store=address, registry=registry).record.steps.values()
    assert {step.id for step in again if step.status != "reused"} == {"model"}


def test_a_model_is_opened_once_in_a_worker_and_scores_as_it_does_locally(
    cluster: Cluster, tmp_path: Path
) -> None:
    registry = registry_of(sample_plugin, rmplug_text, rmplug_hf, rmplug_ray)
    folder = tiny_model("gpt2", tmp_path / "models")
    steps = {
        "pairs": STEPS["pairs"],
        "model": {"kind": "sequence-classifier", "params": {"path": str(folder)}},
        "reward": {"kind": "reward", "inputs": {"model": "model", "data": "pairs"}},
    }
    spec = spec_of(steps)
    run(spec, store=tmp_path / "local", registry=registry)
    spec["engine"] = {"kind": "ray", "params": {"workers": 1, "shard_rows": 10}}
    run(spec, store=tmp_path / "ray", registry=registry)
    assert all_files(tmp_path / "ray") == all_files(tmp_path / "local")


def test_what_a_server_answered_before_a_step_failed_is_not_asked_for_again(
    cluster: Cluster, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = registry_of(rmplug_text, rmplug_endpoint, rmplug_ray)
    use(server, monkeypatch)
    machine(tmp_path / "driver", monkeypatch)
    address, (failing, rest) = new_address(server, tmp_path), (Paid(31), Paid(1000))
    with serving(failing) as model:
        engine = {"kind": "ray", "params": {"workers": 1, "shard_rows": 8}}
        spec = {"name": "paid", "engine": engine, "steps": paid_steps(model, tmp_path, 40)}
        with pytest.raises(StepError, match="out of memory"):
            run(spec, store=address, registry=registry)
        model.answer = rest
        run(spec, store=address, registry=registry)
    asked = failing.texts + rest.texts
    assert failing.texts and len(asked) == 80 and set(asked.values()) == {1}


def test_no_task_nor_a_result_that_is_there_starts_anything() -> None:
    engine = Ray(address="127.0.0.1:1")
    assert list(engine.map(square, [])) == []
    engine.close()


@pytest.mark.parametrize(
    ("kind", "type_", "message"),
    [("step", StepError, "three"), ("bug", KeyError, "three"), ("local", RuntimeError, "three")],
)
def test_an_error_of_the_work_arrives_as_it_would_locally(
    cluster: Cluster, kind: str, type_: type[Exception], message: str
) -> None:
    engine = Ray(workers=1)
    with pytest.raises(type_, match=message) as raised:
        list(engine.map(Fail(kind), range(8)))
    assert type(raised.value) is type_
    assert kind == "local" or places_of(raised.value) == ["task 3"]
    assert "cluster_work.py" in str(raised.value.__cause__)


def test_tasks_are_handed_out_as_results_are_taken_and_never_all_at_once(
    engine: Ray, tmp_path: Path
) -> None:
    results = engine.map(Touch(tmp_path), range(100))
    for _ in range(5):
        next(results)
    results.close()
    assert 5 <= len(list(tmp_path.iterdir())) <= 5 + 2 * engine.workers


def test_a_task_over_which_workers_die_ends_the_run_in_a_sentence(cluster: Cluster) -> None:
    engine = Ray(workers=1, max_task_retries=1)
    with pytest.raises(StepError, match="^2 workers died over the same task .*run again to go on"):
        list(engine.map(die, [1]))


def test_workers_without_room_are_told_in_a_sentence(cluster: Cluster) -> None:
    engine = Ray(num_gpus=1, start_timeout=0.2)
    asked = r"no worker could be started .* within 0.2 seconds: .*GPU: 1, and the cluster has CPU"
    with pytest.raises(StepError, match=asked):
        list(engine.map(square, [1]))


def test_a_node_that_has_another_folder_than_the_run_is_refused(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rmplug_ray import _pool

    for name in ("theirs", "ours"):
        (tmp_path / name).mkdir()
    settings = {**_pool.settings_here(), "folder": str(tmp_path / "theirs")}
    monkeypatch.setattr(_pool, "settings_here", lambda: settings)
    monkeypatch.chdir(tmp_path / "ours")
    pool = _pool.open_pool(Ray(workers=1), Store("/proc/self/cwd"))
    with pytest.raises(RmplugError, match=r"has another store /proc/self/cwd than this run: name"):
        list(pool.map(square, [1]))
    pool.close()
    assert list(tmp_path.glob("*/*")) == []


def test_a_store_that_cannot_be_written_is_told_in_a_sentence(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Ray(workers=1)
    engine.prepare(Store("/proc"))
    with pytest.raises(RmplugError, match=r"^cannot write the store /proc \("):
        list(engine.map(square, [1]))
    monkeypatch.setattr(Store, "leave_mark", lambda store: "version")
    with pytest.raises(RmplugError, match=r"^node .* cannot write the store /proc \(.* permitted"):
        list(engine.map(square, [1]))


@pytest.mark.parametrize("room", [True, False])
def test_workers_that_never_get_work_leave_nothing_in_the_store(
    cluster: Cluster, tmp_path: Path, room: bool
) -> None:
    from rmplug_ray._pool import open_pool

    pool = open_pool(Ray(workers=2, num_gpus=0 if room else 1), Store(tmp_path))
    joining = [seat.joining for seat in pool._seats]
    joined, _ = ray.wait(joining, num_returns=2, timeout=None if room else 0.2)
    assert len(joined) == (2 if room else 0)
    pool.close()
    assert list(tmp_path.iterdir()) == []


def test_a_node_with_other_versions_is_refused(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rmplug_ray import _pool

    other = {**_pool.versions_here(), "pyarrow": "1.0"}
    assert {"rmplug", "numpy", "torch"} <= set(other)
    monkeypatch.setattr(_pool, "versions_here", lambda: other)
    with pytest.raises(
        RmplugError, match=r"has pyarrow [\d.]+, and the run 1\.0: install the same"
    ):
        list(Ray(workers=1).map(square, [1]))


def test_a_mistake_in_the_address_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    steps = {"pairs": {"kind": "made-pairs"}, "words": {"kind": "lengths", "inputs": "pairs"}}
    spec = spec_of(steps)
    spec["engine"] = {"kind": "ray", "params": {"num_gpus": 1.5}}
    with pytest.raises(RmplugError, match="a whole number above 1, or a fraction of one, not 1.5"):
        run(spec, store=tmp_path, registry=registry_of(sample_plugin, rmplug_ray))


def parts_of(store: Path) -> list[str]:
    return [sum for name, sum in all_files(store).items() if name.endswith(".parquet")]


def test_a_run_whose_driver_was_killed_goes_on_with_what_is_committed(
    cluster: Cluster, tmp_path: Path
) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    slow = {"pause": 0.05, "log": str(log)}
    spec = spec_of(
        {
            "pairs": {"kind": "made-pairs", "params": {"rows": 160}},
            "words": {"kind": "lengths", "inputs": "pairs", "params": slow},
        }
    )
    registry = registry_of(sample_plugin, rmplug_ray)
    run(spec, store=tmp_path / "local", registry=registry)
    log.unlink()
    spec["engine"] = {"kind": "ray", "params": {"address": cluster.address, "shard_rows": 10}}
    killed = start(spec, tmp_path / "store", tmp_path)
    until_lines(log, 4, killed)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    assert_valid(store)
    done = len(list(store.glob("partial/*/part-*.parquet")))
    assert 2 <= done < 16
    again = start(spec, tmp_path / "store", tmp_path)
    told = again.communicate(timeout=100)[0]
    assert again.returncode == 0 and "16 rows" not in told
    assert len(lines(log)) <= 16 + 4
    assert parts_of(store) == parts_of(tmp_path / "local")


def addresses(processes: list[psutil.Process]) -> set[str]:
    """The addresses at which processes listen."""
    found = set()
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found |= {
                one.laddr.ip
                for one in process.net_connections("inet")
                if one.status == psutil.CONN_LISTEN
            }
    return found


def test_a_cluster_that_was_started_for_a_run_is_this_machines_and_ends_with_ctrl_c(
    tmp_path: Path,
) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    slow = {"pause": 0.05, "log": str(log)}
    spec = {
        "name": "tested",
        "engine": {"kind": "ray", "params": {"address": "local", "shard_rows": 10}},
        "steps": {
            "pairs": {"kind": "made-pairs", "params": {"rows": 1000}},
            "words": {"kind": "lengths", "inputs": "pairs", "params": slow},
        },
    }
    process = start(spec, tmp_path / "store", tmp_path)
    until_lines(log, 3, process)
    family = process.children(recursive=True)
    assert addresses([process, *family]) == {"127.0.0.1", "::ffff:127.0.0.1"}
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert told.splitlines()[-1] == "rmplug: interrupted; run the same command to go on"
    assert "ray" not in told.lower().replace(str(tmp_path).lower(), "")
    assert psutil.wait_procs(family, timeout=20)[1] == []
    assert_valid(store)


def test_a_run_goes_on_when_a_node_is_lost(cluster: Cluster, engine: Ray, tmp_path: Path) -> None:
    nodes = cluster.list_all_nodes()
    results = engine.map(Meet(tmp_path, len(nodes)), range(TASKS))
    seen: dict[int, str] = {}
    while len(set(seen.values())) < len(nodes):
        seen |= [next(results)]
    cluster.remove_node(nodes[-1])
    seen |= results
    assert sorted(seen) == list(range(TASKS))
