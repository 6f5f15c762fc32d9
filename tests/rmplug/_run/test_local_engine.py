"""The seam through which an engine takes work: any engine gives the same bytes."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import sample_plugin
from pydantic import PrivateAttr
from run_specs import LOOP, all_files, go, lines, spec_of

from rmplug import Engine, hookimpl
from rmplug._run.local_engine import Local
from rmplug._run.run import run
from rmplug.errors import StepError
from rmplug.families import Result, Task
from rmplug.packed_work import SharedStore
from rmplug.testing import registry_of


class Threads(Engine):
    """Runs work in threads and gives results in whatever order they come."""

    kind = "threads"
    _store: SharedStore | None = PrivateAttr(default=None)

    def prepare(self, store: SharedStore) -> None:
        self._store = store

    def map(
        self, work: Callable[[Task], Result], tasks: Sequence[Task]
    ) -> Iterator[tuple[Task, Result]]:
        assert self._store is not None  # told before there is work
        assert self._store.take_mark(self._store.leave_mark())
        with ThreadPoolExecutor(3) as pool:
            futures = {pool.submit(work, task): task for task in reversed(tasks)}
            for future in as_completed(futures):
                yield futures[future], future.result()


@hookimpl
def rmplug_engines() -> list[type[Engine]]:
    return [Threads]


STEPS = {
    "pairs": {"kind": "made-pairs", "params": {"rows": 95}},
    "words": {"kind": "lengths", "inputs": "pairs"},
    "loop": LOOP,
}


def test_engines_of_one_process_of_several_and_of_a_plugin_give_the_same_bytes(
    tmp_path: Path,
) -> None:
    registry = registry_of(sample_plugin, SimpleNamespace(rmplug_engines=rmplug_engines))
    for workers in (1, 2):
        run(spec_of(STEPS, workers), store=tmp_path / f"local-{workers}", registry=registry)
    other = {**spec_of(STEPS), "engine": {"kind": "threads", "params": {"shard_rows": 10}}}
    run(other, store=tmp_path / "threads", registry=registry)
    one, two, threads = (all_files(tmp_path / name) for name in ("local-1", "local-2", "threads"))
    assert one == two == threads and len(one) > 50


@pytest.mark.parametrize(("least", "others"), [(30.0, False), (0.01, True)])
def test_short_row_wise_work_is_done_in_this_process(
    tmp_path: Path, least: float, others: bool
) -> None:
    log = tmp_path / "log"
    steps = {
        "pairs": STEPS["pairs"],
        "words": {"kind": "lengths", "inputs": "pairs", "params": {"log": str(log), "pause": 0.02}},
    }
    engine = {"kind": "local", "params": {"workers": 2, "shard_rows": 10, "least_seconds": least}}
    go({**spec_of(steps), "engine": engine}, tmp_path / "store")
    processes = [int(line.split()[2]) for line in lines(log)]
    assert len(processes) in (12, 13)  # two or three short batches are tried here
    assert (os.getpid() not in processes[-10:]) == others
    go(spec_of(steps), tmp_path / "plain")
    assert all_files(tmp_path / "store") == all_files(tmp_path / "plain")


def test_few_rows_are_tried_where_they_take_long(tmp_path: Path) -> None:
    log = tmp_path / "log"
    steps = {
        "pairs": {"kind": "made-pairs", "params": {"rows": 20}},
        "words": {"kind": "lengths", "inputs": "pairs", "params": {"log": str(log), "pause": 0.16}},
    }
    engine = {"kind": "local", "params": {"workers": 2, "shard_rows": 10}}
    go({**spec_of(steps), "engine": engine}, tmp_path / "store")
    begun = [line.split()[1] for line in lines(log)]
    assert begun == ["p0000000", "p0000001", "p0000000", "p0000010"]  # the first two are tried


def test_what_is_noticed_when_a_model_is_opened_is_told_once_by_any_workers(tmp_path: Path) -> None:
    ask = {"kind": "ask", "inputs": {"model": "model", "data": "pairs"}}
    steps = {
        "pairs": STEPS["pairs"],
        "model": {"kind": "character-model", "params": {"odd": ["one", "two"]}},
        "asked": ask,
        "fewer": {"kind": "later", "inputs": "pairs"},
        "again": {**ask, "inputs": {"model": "model", "data": "fewer"}},
    }
    for name, workers, least in (("plain", 1, 0), ("tried", 2, 30.0), ("spread", 2, 0)):
        params = {"workers": workers, "shard_rows": 10, "least_seconds": least}
        engine = {"kind": "local", "params": params}
        done = go({**spec_of(steps), "engine": engine}, tmp_path / name).record.steps
        for step in ("asked", "again"):
            [noticed] = done[step].notices
            assert (noticed["what"], noticed["count"]) == ("odd in the model", 2)
    plain, tried, spread = (all_files(tmp_path / n) for n in ("plain", "tried", "spread"))
    assert plain == tried == spread


def test_work_that_fails_when_it_is_tried_fails_as_the_rows_say(tmp_path: Path) -> None:
    steps = {
        "pairs": STEPS["pairs"],
        "fussy": {"kind": "fussy", "inputs": "pairs", "params": {"how": "message"}},
    }
    engine = {"kind": "local", "params": {"workers": 2, "shard_rows": 10}}
    with pytest.raises(StepError, match="row p0000010 is not to its taste"):
        go({**spec_of(steps), "engine": engine}, tmp_path)


def square(number: int) -> int:
    return number**2


def process_of(_: int) -> int:
    return os.getpid()


def fail_at_three(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return number


def test_every_task_is_done_once_and_comes_back_with_its_result() -> None:
    engine = Local(workers=2, least_seconds=0)
    assert sorted(engine.map(square, range(40))) == [(n, n**2) for n in range(40)]
    assert list(engine.map(square, [])) == []
    engine.close()


def test_one_worker_or_one_task_needs_no_process() -> None:
    assert dict(Local(workers=1).map(process_of, [1, 2])) == {1: os.getpid(), 2: os.getpid()}
    assert dict(Local(workers=2, least_seconds=0).map(process_of, [1])) == {1: os.getpid()}


def test_workers_are_kept_for_the_next_work_and_end_when_the_engine_is_closed() -> None:
    engine = Local(workers=2, least_seconds=0)
    first = {pid for _, pid in engine.map(process_of, range(20))}
    second = {pid for _, pid in engine.map(process_of, range(20))}
    assert os.getpid() not in first | second and len(first | second) <= 2
    engine.close()
    assert not any(psutil.pid_exists(pid) for pid in first | second)
    engine.close()


class Sleep:
    """Sleeps so many seconds as a task says, and tells where; one of a negative number fails."""

    def __call__(self, task: tuple[str, float]) -> int:
        time.sleep(abs(task[1]))
        if task[1] < 0:
            raise ValueError(f"{task[0]} failed")
        return os.getpid()


def test_short_tasks_of_unknown_length_are_done_here() -> None:
    engine = Local(workers=2)
    assert dict(engine.map(process_of, range(50))) == dict.fromkeys(range(50), os.getpid())
    assert engine._workers is None


def test_workers_do_what_is_left_where_a_task_takes_long() -> None:
    engine = Local(workers=2, least_seconds=0.3)
    tasks = [("first", 0.0), ("long", 1.5), *((f"other {n}", 0.01) for n in range(8))]
    done = list(engine.map(Sleep(), tasks))
    assert [task for task, _ in done[:2]] == tasks[:2] and sorted(t for t, _ in done) == sorted(
        tasks
    )
    here = [task[0] for task, process in done if process == os.getpid()]
    assert here == ["first", "long"]
    engine.close()


def test_workers_take_over_where_many_tasks_are_left() -> None:
    engine = Local(workers=2, least_seconds=0.5)
    tasks = [(str(n), 0.2) for n in range(12)]
    done = list(engine.map(Sleep(), tasks))
    assert sorted(task for task, _ in done) == sorted(tasks)
    here = [task for task, process in done if process == os.getpid()]
    assert here == tasks[:2]
    engine.close()


@pytest.mark.parametrize("which", ["here", "elsewhere"])
def test_an_error_beside_others_ends_them(which: str) -> None:
    engine = Local(workers=2, least_seconds=0.2)
    long, short = ("long", -2.0 if which == "here" else 2.0), ("short", -0.1)
    others = [("other", 60.0)] * 4 if which == "here" else [short, *[("other", 60.0)] * 3]
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(ValueError, match="long failed" if which == "here" else "short failed"):
        list(engine.map(Sleep(), [long, *others]))
    assert engine._workers is None
    alive = set(psutil.Process().children(recursive=True)) - before
    assert not [one for one in alive if "spawn_main" in " ".join(one.cmdline())]
    assert len(list(engine.map(square, range(4)))) == 4
    engine.close()


def test_others_end_where_no_more_results_are_taken() -> None:
    engine = Local(workers=2, least_seconds=0.2)
    before = set(psutil.Process().children(recursive=True))
    results = engine.map(Sleep(), [("long", 1.0), *[("other", 60.0)] * 4])
    assert next(results) == (("long", 1.0), os.getpid())
    results.close()
    assert engine._workers is None
    alive = set(psutil.Process().children(recursive=True)) - before
    assert not [one for one in alive if "spawn_main" in " ".join(one.cmdline())]


def test_after_a_failure_no_worker_is_left_and_the_engine_can_be_used_again() -> None:
    engine = Local(workers=2, least_seconds=0)
    with pytest.raises(ValueError, match="three"):
        list(engine.map(fail_at_three, range(40)))
    assert engine._workers is None
    assert len(list(engine.map(square, range(4)))) == 4
    engine.close()


def test_tasks_are_handed_out_as_results_are_taken_and_never_all_at_once(tmp_path: Path) -> None:
    engine = Local(workers=2, least_seconds=0)
    results = engine.map(Touch(tmp_path), range(100))
    next(results)
    engine.close()
    assert len(list(tmp_path.iterdir())) <= 5


class Touch:
    """Leaves a file for each task."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, task: int) -> None:
        (self.folder / str(task)).touch()


def test_workers_start_where_signals_cannot_be_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "pthread_sigmask")  # Windows has none
    engine = Local(workers=2, least_seconds=0)
    assert sorted(engine.map(square, range(4))) == [(n, n**2) for n in range(4)]
    engine.close()


PACKAGE = """
import os, time

def work(task):
    from {name} import heavy
    return os.getpid(), os.getppid(), heavy.PROCESS

def end_parent(task):
    os.kill(os.getppid(), 9)
    time.sleep(60)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Make packages of work, each with a heavy module of which a part is given, and import them."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(part: str) -> Any:
        name = f"forked_{len(list(tmp_path.iterdir()))}"
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(PACKAGE.format(name=name))
        heavy = f"import os\nPROCESS = os.getpid()\n{part}"
        (tmp_path / name / "heavy.py").write_text(heavy)
        module = importlib.import_module(name)
        importlib.import_module(f"{name}.heavy")
        return module

    yield make
    for name in [name for name in sys.modules if name.startswith("forked_")]:
        del sys.modules[name]


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="workers are not forked here")


@on_linux
def test_workers_share_one_import_of_what_their_work_has_imported_here(package: Any) -> None:
    engine = Local(workers=2, least_seconds=0)
    found = [result for _, result in engine.map(package("").work, range(20))]
    [(parent, importer)] = {(parent, process) for _, parent, process in found}
    assert parent == importer != os.getpid()
    assert parent not in {process for process, _, _ in found}
    engine.close()
    assert not psutil.pid_exists(parent)


THREAD = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"


@on_linux
@pytest.mark.parametrize("part", [THREAD, "OPEN = os.open('/dev/nvidiactl', os.O_RDWR)\n"])
def test_workers_import_by_themselves_what_would_be_broken_in_a_fork(
    package: Any, part: str
) -> None:
    if "nvidia" in part and not Path("/dev/nvidiactl").exists():
        pytest.skip("no GPU")
    engine = Local(workers=2, least_seconds=0)
    found = [result for _, result in engine.map(package(part).work, range(20))]
    assert {parent for _, parent, _ in found} == {os.getpid()}
    assert all(process == importer for process, _, importer in found)
    engine.close()


@on_linux
def test_workers_end_with_the_process_that_forked_them_and_the_run_says_so(package: Any) -> None:
    engine = Local(workers=2, least_seconds=0)
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(StepError, match="a worker process died before its work was done"):
        list(engine.map(package("").end_parent, range(4)))
    alive = set(psutil.Process().children(recursive=True)) - before
    assert not [one for one in alive if "spawn_main" in " ".join(one.cmdline())]


def fail_deeply(number: int) -> int:
    return fail_at_three(number)


def test_an_error_of_a_worker_comes_with_its_traceback_there() -> None:
    engine = Local(workers=2, least_seconds=0)
    with pytest.raises(ValueError, match="three") as caught:
        list(engine.map(fail_deeply, range(4)))
    assert "in fail_deeply" in str(caught.value.__cause__)


def lock_of(_: int) -> object:
    return threading.Lock()


def test_a_result_that_cannot_be_sent_is_an_error_and_no_dead_worker() -> None:
    with pytest.raises(TypeError, match="cannot pickle"):
        list(Local(workers=2, least_seconds=0).map(lock_of, range(4)))
