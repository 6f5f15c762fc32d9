"""A real reward model behind the server, in another thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
from http_client import CLIENT
from running_server import running

import rmplug
from rmplug.models.scorer import Scorer

Serving = Callable[..., Any]


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
