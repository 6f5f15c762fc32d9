"""``format.json``: how the conversations of a trained model become tokens, beside its weights.

The file may be a stranger's: it is read within bounds, and holds nothing that runs code, reads
pickles or uses a network.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rmplug import DataError, ModelLoader
from rmplug.models.files import read_json

NAME = "format.json"
MOST_BYTES = 1_000_000
RECORDED = (
    "template", "turn", "roles", "system", "max_length", "truncate", "pad_token", "dtype",
    "quantization", "outputs",
)  # fmt: skip
"""The parameters of a loader that the file holds; of them only those that its kind is reopened
with are taken."""

Ids = Annotated[list[int], Field(max_length=10_000)]


class Below(BaseModel):
    """The model below an adapter, as a checkpoint records one."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    params: dict[str, Any]
    """``path``, or ``name`` and ``revision``."""
    digests: dict[str, str]
    """The SHA-256 of each file that defines the model, by its name."""


class FormatFile(BaseModel):
    """The content of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal[1]
    kind: str = Field(max_length=100)
    """The kind of loader that opens the folder."""
    params: dict[str, Any]
    """The parameters of that loader that belong to the weights."""
    pad_token_id: int | None
    tokenizer: str | None = Field(default=None, max_length=64)
    """The SHA-256 of vocabulary, merges and added tokens; none of a slow tokenizer."""
    texts: Annotated[list[Ids], Field(max_length=100)]
    """The tokens of texts that tokenizers read differently."""
    conversations: Annotated[list[Ids], Field(max_length=100)]
    """The tokens of conversations in this format; none where the format refuses one."""
    below: Below | None = None
    """The model that the weights are an adapter of."""


def find_format(folder: Path) -> FormatFile | None:
    """Read the file of a folder; None where there is none. Raises DataError for one that is none,
    in one sentence."""
    path = folder / NAME
    if not path.exists():
        return None
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        raise DataError(f"{path} has more than {MOST_BYTES:,} bytes; copy the folder again")
    try:
        return FormatFile.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"{path} does not say how a model reads: {at:.80}: {first['msg']:.100}; copy the "
            "folder again, or save the model again"
        ) from error


def format_kind(folder: str | Path) -> str | None:
    """Return the kind of loader that a folder's file names; None without one that can be read."""
    try:
        found = find_format(Path(folder))
    except (DataError, OSError):
        return None
    return None if found is None else found.kind


def recorded_params(cls: type[ModelLoader], found: FormatFile, folder: Path) -> Mapping[str, Any]:
    """Return the parameters that a folder's file gives to a loader. Raises DataError where it holds
    another one than the file may."""
    odd = [name for name in found.params if name not in RECORDED or name not in cls.reopened_with]
    if odd:
        raise DataError(
            f"{folder / NAME} asks for {odd[0]:.40}: {found.params[odd[0]]!r:.40}, which no folder "
            "can allow or ask for; say it yourself, in the spec or the command that opens it"
        )
    return found.params
