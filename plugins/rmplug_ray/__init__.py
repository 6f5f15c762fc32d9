"""Runs on a Ray cluster: row-wise work and the items of loops, on many machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, PrivateAttr

from rmplug import Engine, Known, hookimpl
from rmplug.families import Result, Task
from rmplug.packed_work import SharedStore

if TYPE_CHECKING:
    from ._pool import Pool


def _whole_above_one(amount: float) -> float:
    if amount > 1 and amount != int(amount):
        raise ValueError(f"must be a whole number above 1, or a fraction of one, not {amount}")
    return amount


Amount = Annotated[float, Field(ge=0, le=10_000), AfterValidator(_whole_above_one)]


class Ray(Engine):
    """Run row-wise work and the items of loops on a Ray cluster; nothing else in a spec changes.

    Each worker is a Ray actor: it opens a model once and does one task (a shard, or an item of a
    loop) after the other. Results go to the same store: a folder that all nodes see under the same
    path, or an address such as `s3://bucket/folder`, of which each node keeps a copy of what it
    needs. Each worker proves that it reaches the store before it gets work, so that a run that was
    killed, or that has lost nodes, goes on where it was. A task whose worker died is handed to
    another one, and the worker is started again wherever there is room. Steps that are neither
    row-wise nor loops run where the run was started. Results are the same bytes as those of `local`
    on machines of one kind; other processors and devices round differently.

    Actors take the tasks one by one, rather than Ray Data whole tables, because the core already
    cuts, orders, commits and resumes shards; so a cluster needs only the core of Ray.

    Every node needs the same versions of Ray, Python, rmplug, its plugins and their libraries,
    which is checked. Ray's usage statistics are off unless `RAY_USAGE_STATS_ENABLED` is set. A
    program that has called `ray.init` itself is used as it is.
    """

    kind = "ray"
    requires = ("ray",)
    extra = "ray"
    neutral = frozenset(
        {
            "address",
            "workers",
            "num_cpus",
            "num_gpus",
            "memory",
            "runtime_env",
            "max_restarts",
            "max_task_retries",
            "start_timeout",
            "shard_rows",
            "keep_scores",
        }
    )
    renamed: ClassVar[Mapping[str, str]] = {
        "cpus": "num_cpus",
        "gpus": "num_gpus",
        "num_workers": "workers",
    }

    address: str | None = Field(default=None, min_length=1)
    """The cluster: `auto` for one that runs on this machine, `HOST:PORT`, or `ray://HOST:PORT`
    through Ray's client (`ray[client]`); `local` starts one on this machine for the run. By default
    what `RAY_ADDRESS` names, or else `local`."""
    workers: int = Field(default=2, ge=1, le=100_000)
    """Actors that work at once; each opens the model itself. Those for which there is no room yet
    join when there is."""
    num_cpus: Amount = 1.0
    """Cores of each worker, and its threads; a fraction shares a core."""
    num_gpus: Amount = 0.0
    """GPUs of each worker; a fraction shares one, 0 uses none."""
    memory: int | None = Field(default=None, ge=1)
    """Bytes of memory that a node sets aside for each worker; by default none."""
    runtime_env: dict[str, Any] = Field(default_factory=dict)
    """The environment of the workers, as Ray takes it: `env_vars`, `pip`, `working_dir`, …. It is
    recorded with the run: no place for secrets."""
    max_restarts: int = Field(default=10, ge=-1)
    """Times that each worker is started again after it died; -1 for any number."""
    max_task_retries: int = Field(default=3, ge=0)
    """Times that a task is handed out again after the worker that did it died."""
    start_timeout: float = Field(default=300.0, gt=0)
    """Seconds to wait while no worker at all could be started."""

    _store: SharedStore | None = PrivateAttr(default=None)
    _pool: Pool | None = PrivateAttr(default=None)

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        if (self.address or "").startswith("ray://") and find_spec("grpc") is None:
            yield "address", "ray:// needs Ray's client; pip install 'ray[client]'"

    def prepare(self, store: SharedStore) -> None:
        """Note the store that workers will have to see."""
        self._store = store

    def map(
        self, work: Callable[[Task], Result], tasks: Sequence[Task]
    ) -> Iterator[tuple[Task, Result]]:
        """Yield each task with its result as they finish; without tasks, nothing is started."""
        if not tasks:
            return
        from ._pool import open_pool

        try:
            if self._pool is None:
                self._pool = open_pool(self, self._store)
            yield from self._pool.map(work, tasks)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the workers, whatever they are doing, and the cluster if it was started for them."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()


@hookimpl
def rmplug_engines() -> list[type[Engine]]:
    return [Ray]
