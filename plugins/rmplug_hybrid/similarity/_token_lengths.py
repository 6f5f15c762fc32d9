"""Lengths of texts in tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from rmplug import DataError
from rmplug.arrays import Array
from rmplug.models.hub import fetched
from rmplug.models.tokenizer_files import FILE, check_tokenizer_file

from ._texts import read_texts

Counter: TypeAlias = Callable[[Sequence[str]], Array]


def count_words(texts: Sequence[str]) -> Array:
    """Count the words of each text."""
    return np.array([len(text.split()) for text in texts], dtype=np.float64)


class ByTokenizer:
    """A counter of all tokens of texts except special ones."""

    def __init__(self, file: Path) -> None:
        check_tokenizer_file(file)
        try:
            self.tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises no class of its own
            raise DataError(f"{file} cannot be read as a tokenizer: {error}") from error
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()

    def __call__(self, texts: Sequence[str]) -> Array:
        encodings = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return np.array([len(encoding) for encoding in encodings], dtype=np.float64)


@dataclass(frozen=True)
class TokenCounterOpener:
    """An opener of the tokenizer of a step, once per process."""

    tokenizer: str
    revision: str | None
    path: Path | None

    def __call__(self) -> Counter:
        if self.path is None and self.tokenizer == "whitespace":
            return count_words
        folder = self.path or fetched(self.tokenizer, self.revision, (FILE,))
        file = folder / FILE if folder.is_dir() else folder
        if not file.is_file():
            raise DataError(
                f"{folder} has no {FILE}; give the folder of a fast tokenizer, or save it once "
                "with AutoTokenizer.from_pretrained(…).save_pretrained(…)"
            )
        return ByTokenizer(file)


@dataclass(frozen=True)
class TokenCounts:
    """A row-wise computation of the lengths of a batch's texts."""

    def __call__(self, count: Counter, batch: pa.RecordBatch) -> dict[str, Array]:
        prompt, chosen, rejected = (
            count(read_texts(batch, side)) for side in ("prompt", "chosen", "rejected")
        )
        shorter, longer = np.minimum(chosen, rejected), np.maximum(chosen, rejected)
        return {
            "prompt_len": prompt,
            "len_shorter": shorter,
            "len_longer": longer,
            "token_len_diff": longer - shorter,
        }
