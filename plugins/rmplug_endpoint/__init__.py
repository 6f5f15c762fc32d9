"""Models behind an address: language models that write text, reward models, and encoders."""

from __future__ import annotations

from rmplug import ModelLoader, hookimpl

from .scores import EndpointScores
from .states import EndpointStates
from .text import Endpoint


@hookimpl
def rmplug_model_loaders() -> list[type[ModelLoader]]:
    return [Endpoint, EndpointScores, EndpointStates]
