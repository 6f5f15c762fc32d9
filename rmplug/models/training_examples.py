"""Examples of a training as the model reads them, kept beside its checkpoint for reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rmplug.errors import DataError

FILE = "examples.json"
MOST_EXAMPLES, MOST_TEXTS = 3, 4
"""Examples of a training that are kept, and texts of each: the responses of a list may be many."""
MOST_CHARACTERS = 4_000
"""Characters of a text that are kept, half of them from its beginning and half from its end."""
MOST_BYTES = 2_000_000
"""Bytes of the file; a longer one was not written here."""


class ReadText(BaseModel):
    """A text that a model reads, of the row ``id``: ``begin`` and ``end`` with ``left_out``
    characters between them, special tokens included; the number of its tokens; ``cut`` where the
    conversation was longer than the model takes, so that some of it is not among them."""

    model_config = ConfigDict(frozen=True, strict=True)

    id: str
    side: str
    begin: str = Field(max_length=MOST_CHARACTERS)
    left_out: int = Field(default=0, ge=0)
    end: str = Field(default="", max_length=MOST_CHARACTERS)
    tokens: int = Field(ge=0)
    cut: bool = False

    @classmethod
    def of(cls, name: str, side: str, text: str, tokens: int, cut: bool) -> ReadText:
        """Return a text of the row ``name`` as it is kept: its middle left out where it is long."""
        if len(text) <= MOST_CHARACTERS:
            return cls(id=name, side=side, begin=text, tokens=tokens, cut=cut)
        half = MOST_CHARACTERS // 2
        return cls(
            id=name,
            side=side,
            begin=text[:half],
            left_out=len(text) - 2 * half,
            end=text[-half:],
            tokens=tokens,
            cut=cut,
        )


class TrainingExample(BaseModel):
    """One example of a training: the texts of a pair, of a list, or a single one."""

    model_config = ConfigDict(frozen=True)

    texts: tuple[ReadText, ...] = Field(max_length=MOST_TEXTS)


class _File(BaseModel):
    examples: tuple[TrainingExample, ...] = Field(max_length=MOST_EXAMPLES)


def write_examples(directory: Path, examples: Sequence[TrainingExample]) -> None:
    """Write the examples of a training into the folder of its checkpoint."""
    kept = _File(examples=tuple(examples[:MOST_EXAMPLES]))
    (directory / FILE).write_bytes(kept.model_dump_json(indent=1).encode("utf-8") + b"\n")


def read_examples(directory: Path) -> Sequence[TrainingExample]:
    """Read the examples beside a checkpoint; none where there is no such file. Raises DataError for
    a file that was not written by ``write_examples``."""
    path = directory / FILE
    if not path.is_file():
        return ()
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES:,} bytes")
        return _File.model_validate_json(path.read_bytes()).examples
    except (OSError, ValidationError, ValueError) as error:
        raise DataError(f"{path} has no examples of a training; train again") from error
