"""What a server says of the model behind a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field

from rmplug import DataError

from ._asking import Asking, RefusedError
from ._server import Answer, Request

if TYPE_CHECKING:
    from .connection import ServedNumbers

Said = Annotated[str, Field(max_length=1000)]


class _Model(BaseModel):
    """A model in the list of a server. vLLM's ``created`` is left out: it is when it was asked."""

    id: Said
    root: Said | None = None
    parent: Said | None = None
    owned_by: Said | None = None
    max_model_len: int | None = None


class _Models(BaseModel):
    """The answer to ``/v1/models``, which vLLM, SGLang and ``rmplug serve`` have."""

    data: list[_Model]


def self_description(step: ServedNumbers) -> dict[str, Any]:
    """Return what the server says of the model, such as the folder it was loaded from; nothing
    where it has no such list, or the model is not in it. Raises DataError where it cannot be
    reached."""
    asking = Asking(step, "/v1/models", "an OpenAI-compatible server")
    names = {step.model, step.answers_as}

    def read(answer: Answer, request: Request) -> dict[str, Any]:
        try:
            listed = answer.parsed(_Models, request).data
        except DataError:
            return {}
        return next((model.model_dump() for model in listed if model.id in names), {})

    try:
        [said] = asking.ask([Request(None)], read)
    except RefusedError:
        return {}
    return said
