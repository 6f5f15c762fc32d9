"""The server of a reward model, in another thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rmplug._addresses import listen, url_of
from rmplug.models.scorer import Scorer


@contextmanager
def running(scorer: Scorer, **settings: Any) -> Iterator[tuple[str, Any]]:
    """The address of a server of a model, and its service."""
    pytest.importorskip("starlette", reason="starlette is not installed")
    uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    from rmplug._serve.server import Service, Settings

    service = Service(scorer, Settings(**{"name": "tiny", **settings}))
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(service.configuration("critical"))
    thread = threading.Thread(target=server.run, args=([listening],))
    service.batcher.start()
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    try:
        yield url_of("127.0.0.1", listening), service
    finally:
        server.should_exit = True
        thread.join()
        service.batcher.close()
