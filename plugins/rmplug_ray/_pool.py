"""Workers on a cluster that take tasks and return results, whatever happens to some of them."""

from __future__ import annotations

import math
import pickle
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import ray
from ray import cloudpickle
from ray.exceptions import RayError, RayTaskError, RuntimeEnvSetupError

from rmplug import RmplugError, StepError
from rmplug.families import Result, Task
from rmplug.packed_work import SharedStore, pack

from ._actor import Worker, settings_here, versions_here
from ._cluster import connect, describe_room, disconnect

if TYPE_CHECKING:
    from . import Ray

AHEAD = 2
"""Tasks that a worker has at most, the one that it does included."""
SHORT = 1.0
"""Seconds of a task up to which another one may wait behind it: after longer ones the way to the
driver and back costs nothing, and none waits behind a long one while others have nothing to do."""


@dataclass
class Seat:
    """A place for one worker: the actor that holds it now, and the tasks that it was given."""

    actor: Any
    joining: Any
    """The reference of the answer to ``join``; None once it has come."""
    mark: str
    """The mark in the store that the worker removes when it joins."""
    tasks: deque[tuple[Any, int, float]] = field(default_factory=deque)
    """Reference of the result, number of the task and the time it was given, the oldest first."""
    seconds: float = math.inf
    """What its last task of this work took."""
    restarts: int = 0


def open_pool(engine: Ray, store: SharedStore | None) -> Pool:
    """Connect to the engine's cluster, and start workers there."""
    connected = connect(engine)
    try:
        return Pool(engine, store, connected)
    except BaseException:
        if connected:
            disconnect()
        raise


class Pool:
    """Workers that wait for work until they are closed."""

    def __init__(self, engine: Ray, store: SharedStore | None, connected: bool) -> None:
        self.engine = engine
        self.store = store
        self.connected = connected
        self._numbers = count(1)
        self._versions = ray.put(versions_here())
        self._packed_store = ray.put(pickle.dumps(store))
        self._settings = settings_here()
        if "working_dir" in engine.runtime_env:
            self._settings["folder"] = None
        asked: dict[str, Any] = {"num_cpus": engine.num_cpus, "num_gpus": engine.num_gpus}
        if engine.memory:
            asked["memory"] = engine.memory
        if engine.runtime_env and not connected:
            asked["runtime_env"] = dict(engine.runtime_env)
        # this class starts workers and hands out tasks anew itself: Ray would keep the tasks of
        # a worker that finds no room any more waiting for it
        self._class = ray.remote(**asked, max_restarts=0, max_task_retries=0)(Worker)
        self._seats = [Seat(*self._start()) for _ in range(engine.workers)]

    def _start(self) -> tuple[Any, Any, str]:
        """Start a worker; return it with the reference of its answer to ``join``, and its mark."""
        mark = self.store.leave_mark() if self.store is not None else ""
        actor = self._class.remote(**self._settings)
        return actor, actor.join.remote(self._versions, self._packed_store, mark), mark

    def map(
        self, work: Callable[[Task], Result], tasks: Sequence[Task]
    ) -> Iterator[tuple[Task, Result]]:
        """Yield each task with its result as they finish."""
        number, packed = next(self._numbers), [ray.put(pack(work, cloudpickle.Pickler))]
        waiting, lost = deque(range(len(tasks))), Counter[int]()
        for seat in self._seats:
            seat.seconds = math.inf
        while waiting or any(seat.tasks for seat in self._seats):
            for seat in self._free(len(waiting)):
                task = waiting.popleft()
                ref = seat.actor.do.remote(number, packed, tasks[task])
                seat.tasks.append((ref, task, time.monotonic()))
            ref, seat = self._wait()
            try:
                result = ray.get(ref)
            except RayTaskError as error:
                raise error.cause from error
            except RayError as error:
                waiting.extendleft(self._replace(seat, lost, error))
            else:
                if ref == seat.joining:
                    seat.joining = None
                else:
                    yield tasks[self._done(seat)], result

    def _free(self, wanted: int) -> list[Seat]:
        """Return seats that may be given a task now, each as often as it may, idle ones first."""
        free = [
            (given, index, seat)
            for index, seat in enumerate(self._seats)
            if seat.joining is None
            for given in range(len(seat.tasks), AHEAD if seat.seconds < SHORT else 1)
        ]
        return [seat for _, _, seat in sorted(free, key=lambda each: each[:2])[:wanted]]

    def _wait(self) -> tuple[Any, Seat]:
        """Wait for an answer of any worker. Raises ``StepError`` when none can be started."""
        owners = {seat.tasks[0][0]: seat for seat in self._seats if seat.tasks}
        owners |= {seat.joining: seat for seat in self._seats if seat.joining is not None}
        idle = all(seat.joining is not None for seat in self._seats)
        timeout = self.engine.start_timeout if idle else None
        ready, _ = ray.wait(list(owners), num_returns=1, timeout=timeout)
        if not ready:
            engine = self.engine
            raise StepError(
                f"no worker could be started on the Ray cluster within {timeout:g} seconds: each "
                f"asks for CPU: {engine.num_cpus:g}, GPU: {engine.num_gpus:g}, and the cluster has "
                f"{describe_room()} in all; what is finished is kept, run again to go on"
            )
        return ready[0], owners[ready[0]]

    def _done(self, seat: Seat) -> int:
        """Note that the oldest task of a seat is done; return its number."""
        _, task, given = seat.tasks.popleft()
        now = time.monotonic()
        seat.seconds = now - given
        if seat.tasks:  # it begins only now
            ref, following, _ = seat.tasks[0]
            seat.tasks[0] = (ref, following, now)
        return task

    def _replace(self, seat: Seat, lost: Counter[int], error: RayError) -> list[int]:
        """Start a worker anew that died; return the tasks to hand out again, the last one first."""
        tasks = [task for _, task, _ in seat.tasks]
        lost.update(tasks[:1])
        reason = " ".join(str(error).split())
        if isinstance(error, RuntimeEnvSetupError) or getattr(error, "actor_init_failed", False):
            raise StepError(f"a worker cannot start on the Ray cluster: {reason:.1000}") from error
        kept = "what is finished is kept, run again to go on; Ray says:"
        if tasks and lost[tasks[0]] > self.engine.max_task_retries:
            raise StepError(
                f"{lost[tasks[0]]} workers died over the same task (out of memory?); "
                f"{kept} {reason:.600}"
            ) from error
        if seat.restarts == self.engine.max_restarts:
            raise StepError(
                f"a worker died {seat.restarts + 1} times (max_restarts); {kept} {reason:.600}"
            ) from error
        ray.kill(seat.actor)
        _take_back(self.store, seat)
        seat.restarts += 1
        seat.tasks.clear()
        seat.actor, seat.joining, seat.mark = self._start()
        return tasks[::-1]

    def close(self) -> None:
        """End the workers, and the connection if it is ours; a cluster that is gone has none."""
        for seat in self._seats:
            _take_back(self.store, seat)
        with suppress(RayError, RuntimeError, ValueError):
            for seat in self._seats:
                ray.kill(seat.actor)
        if self.connected:
            disconnect()


def _take_back(store: SharedStore | None, seat: Seat) -> None:
    """Remove the mark of a worker that did not: nothing is left in the store whatever dies."""
    if store is not None:
        with suppress(RmplugError):  # a store that is gone keeps nothing, and hides no other error
            store.take_mark(seat.mark)
