"""The connection to a Ray cluster, or one on this machine for one run."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import chdir, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import ray
from ray._private import ray_constants, worker

from rmplug import RmplugError

if TYPE_CHECKING:
    from . import Ray

LOCAL = "local"
OBJECT_STORE = 128 * 2**20
"""Bytes of a local cluster's object store: tasks and their results are small."""


def connect(engine: Ray) -> bool:
    """Connect this process to the engine's cluster; False if it was connected before. Raises
    ``RmplugError`` where there is no cluster to connect to."""
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # or a driver that `uv run` started would send its folder to the cluster, which no spec says
    ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = False
    address = engine.address or os.environ.get("RAY_ADDRESS") or LOCAL
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if engine.runtime_env:
        settings["runtime_env"] = dict(engine.runtime_env)
    if address == LOCAL:
        settings |= {
            "num_cpus": max(1, math.ceil(engine.workers * engine.num_cpus)),
            "object_store_memory": OBJECT_STORE,
            "include_dashboard": False,
        }
    try:
        alone = _unreachable() if address == LOCAL else nullcontext()
        with _handlers_kept(), _elsewhere(engine), alone:
            ray.init(address, **settings)
    except (OSError, RuntimeError, ValueError, ImportError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise RmplugError(f"cannot use the Ray cluster at {address}: {reason:.500}") from error
    _keep_standard_output()
    return True


def disconnect() -> None:
    """Leave a cluster, and end it if it was started by ``connect``."""
    with _handlers_kept():
        ray.shutdown()


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Keep the handler of SIGTERM: Ray sets its own, which ends the process before a run could note
    that it was interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


@contextmanager
def _unreachable() -> Iterator[None]:
    """A context in which a cluster is started that no other machine can reach: Ray's processes do
    what they are told, and listen at every address of this machine unless it is one (as on Windows
    and macOS) that Ray takes for no part of larger clusters. No parameter says so."""
    larger = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = larger


def _elsewhere(engine: Ray) -> Any:
    """Be in a folder without modules while connecting: Ray lets workers import from the folder that
    a driver connects in, before all others, and what lies there may be a stranger's. Where the spec
    names a ``working_dir`` it does not."""
    return nullcontext() if "working_dir" in engine.runtime_env else chdir("/")


def _keep_standard_output() -> None:
    """Keep what nodes report, such as a worker that died, from standard output, where Ray prints it
    whatever ``log_to_driver`` says; its own debugger hides it by the same switch."""
    worker._worker_logs_enabled = False


def describe_room() -> str:
    """Describe what the cluster has: ``CPU: 2, GPU: 1``."""
    has = ray.cluster_resources()
    named = [name for name in ("CPU", "GPU", "memory") if name in has]
    return ", ".join(f"{name}: {has[name]:g}" for name in named) or "nothing"
