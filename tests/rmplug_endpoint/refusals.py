"""What is told of a server that misbehaves."""

from __future__ import annotations

import pytest
from model_server import endpoint, serving

from rmplug import DataError


def refusal(server, **params):
    """What is told of a server, after its address."""
    with pytest.raises(DataError) as caught:
        endpoint(server, **params).load().generate(["x"])
    address = f"http://127.0.0.1:{server.server_port}/v1/chat/completions "
    assert str(caught.value).startswith(address)
    return str(caught.value).removeprefix(address)


def told(answer, **params):
    with serving(answer) as server:
        return refusal(server, **params)
