"""A real reward model behind the server, in another thread."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
from http_client import CLIENT

import rmplug
from rmplug._addresses import listen, url_of
from rmplug.models.scorer import Scorer

Serving = Callable[..., Any]


@contextmanager
def running(scorer: Scorer, **settings: Any) -> Iterator[tuple[str, Any]]:
    """The address of a server of a model, and its service."""
    pytest.importorskip("starlette", reason="starlette is not installed")
    uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    from rmplug._serve.server import Service, Settings

    service = Service(scorer, Settings(**{"name": "tiny", **settings}))
    listening = listen("127.0.0.1", 0)
    config = uvicorn.Config(
        service.application(), log_level="critical", access_log=False, lifespan="off"
    )
    server = uvicorn.Server(config)
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


@pytest.fixture(scope="session", autouse=True)
def closed_client() -> Iterator[None]:
    yield
    CLIENT.close()


@pytest.fixture(scope="session")
def serving() -> Serving:
    return running


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``folders(labels=3)``: the folder of a tiny reward model."""
    from rmplug.testing.tiny_models import tiny_model

    root = tmp_path_factory.mktemp("tiny")
    return lambda **options: tiny_model("llama", root, **options)


@pytest.fixture(scope="session")
def scorer(folders: Callable[..., Path]) -> Scorer:
    return rmplug.load(folders())


@pytest.fixture(scope="session")
def server(scorer: Scorer) -> Iterator[str]:
    with running(scorer) as (address, _):
        yield address
