"""Odd rows of preference data: what is looked for, how it is found, and what is done about it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from rmplug.errors import DataError, some

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

Policy = Literal["keep", "drop", "error"]


class OddRows(BaseModel):
    """What to do with valid but odd rows. Every odd row is counted and named either way."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    empty_prompt: Policy = "keep"
    """A prompt without any text."""
    empty_response: Policy = "keep"
    """A response without any text but white space."""
    identical: Policy = "keep"
    """Chosen and rejected are the same text."""
    differs_by_space: Policy = "keep"
    """Chosen and rejected differ only by white space at their ends."""
    empty_turn: Policy = "keep"
    """A turn of the prompt without text."""
    repeated_role: Policy = "keep"
    """Two turns of the same role in a row."""
    prompt_ends_with_assistant: Policy = "keep"
    """The last turn of the prompt is not the user's."""
    control_characters: Policy = "keep"
    """Control characters other than tab, newline and carriage return."""
    replacement_character: Policy = "keep"
    """U+FFFD, the trace of a broken decoding."""
    invisible_characters: Policy = "keep"
    """Zero-width or bidirectional control characters."""
    duplicate: Policy = "keep"
    """The same prompt and responses as an earlier row."""
    contradiction: Policy = "keep"
    """The same prompt and responses as an earlier row, with the preference reversed."""


WORDS: dict[str, str] = {
    "empty_prompt": "empty prompt",
    "empty_response": "empty response",
    "identical": "chosen and rejected identical",
    "differs_by_space": "chosen and rejected differ only by outer white space",
    "empty_turn": "empty turn in the prompt",
    "repeated_role": "two turns of the same role in a row",
    "prompt_ends_with_assistant": "prompt does not end with the user's turn",
    "control_characters": "control characters",
    "replacement_character": "replacement character U+FFFD",
    "invisible_characters": "zero-width or bidirectional characters",
    "duplicate": "duplicate of an earlier row",
    "contradiction": "contradicts an earlier row",
}
"""Each oddity as notices and errors call it."""

_PATTERNS = {
    "control_characters": r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]",
    "replacement_character": "\ufffd",
    "invisible_characters": "[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]",
}
IN_MEMORY = 1 << 16
"""Hashes that are kept in memory at a time: half a megabyte."""
_SIDES = ("prompt", "chosen", "rejected", "response")


def find_oddities(batch: pa.RecordBatch) -> dict[str, np.ndarray]:
    """A boolean mask over the rows for each oddity that a row of pairs or of responses can have by
    itself (all of ``OddRows`` but ``duplicate`` and ``contradiction``)."""
    import pyarrow as pa

    from .messages import text_of

    sides = [name for name in _SIDES if name in batch.schema.names]
    texts = {name: text_of(batch.column(name)).cast(pa.large_string()) for name in sides}
    found = _unusual_characters(list(texts.values()))
    found |= _prompt_shape(batch.column("prompt"), texts["prompt"])
    answers = [_trimmed(texts[name]) for name in sides[1:]]
    blank = [_equal(answer, "") for answer in answers]
    found["empty_response"] = blank[0] | blank[-1]
    if len(answers) == 2:
        found["identical"] = _equal(texts["chosen"], texts["rejected"])
        found["differs_by_space"] = _equal(*answers) & ~found["identical"]
    return found


def _unusual_characters(texts: Sequence[pa.Array]) -> dict[str, np.ndarray]:
    """Which rows have a character of each kind in any of their texts."""
    import numpy as np
    import pyarrow.compute as pc

    found = {name: np.zeros(len(texts[0]), dtype=bool) for name in _PATTERNS}
    for name, pattern in _PATTERNS.items():
        for text in texts:
            found[name] |= _mask(pc.match_substring_regex(text, pattern))
    return found


def _prompt_shape(prompts: pa.Array, texts: pa.Array) -> dict[str, np.ndarray]:
    """Oddities of the turns of each prompt."""
    import numpy as np
    import pyarrow.compute as pc

    rows = np.asarray(pc.list_parent_indices(prompts)).astype(np.int64)
    turns = prompts.flatten()
    roles = pc.fill_null(pc.struct_field(turns, "role"), "")
    blank = _equal(_trimmed(pc.struct_field(turns, "content")), "")
    within = rows[1:] == rows[:-1]
    same = within & _equal(roles[1:], roles[:-1]) if len(rows) else within
    last = np.append(~within, True)[: len(rows)]
    count = np.bincount(rows, minlength=len(prompts))
    empty = _equal(_trimmed(texts), "")
    return {
        "empty_prompt": empty,
        "empty_turn": _any(rows[blank], len(prompts)) & (count > 1) & ~empty,
        "repeated_role": _any(rows[1:][same], len(prompts)),
        "prompt_ends_with_assistant": _any(rows[last & _equal(roles, "assistant")], len(prompts)),
    }


def _any(rows: np.ndarray, length: int) -> np.ndarray:
    import numpy as np

    mask = np.zeros(length, dtype=bool)
    mask[rows] = True
    return mask


def _mask(values: pa.Array) -> np.ndarray:
    import numpy as np
    import pyarrow.compute as pc

    return np.asarray(pc.fill_null(values, False)).astype(bool)


def _trimmed(texts: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return pc.utf8_trim_whitespace(pc.fill_null(texts, ""))


def _equal(first: pa.Array, second: pa.Array | str) -> np.ndarray:
    import pyarrow.compute as pc

    return _mask(pc.equal(first, second))


class Seen:
    """The 8-byte hashes met so far, in a few sorted arrays of growing size; large ones lie in
    temporary files, so that memory does not grow with the rows."""

    def __init__(self) -> None:
        self.levels: list[np.ndarray] = []

    def known(self, hashes: np.ndarray) -> np.ndarray:
        """Which of the hashes were added before."""
        import numpy as np

        mask = np.zeros(len(hashes), dtype=bool)
        for level in self.levels:
            places = np.minimum(np.searchsorted(level, hashes), len(level) - 1)
            mask |= level[places] == hashes
        return mask

    def add(self, hashes: np.ndarray) -> None:
        """Remember the hashes; arrays of like size are merged into one."""
        import numpy as np

        parts = [np.unique(hashes)]
        while self.levels and len(self.levels[-1]) <= 2 * sum(map(len, parts)):
            parts.append(self.levels.pop())
        if len(parts) > 1:
            parts = [_merged(parts)]
        if len(parts[0]):
            self.levels.append(parts[0])


def _merged(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The numbers of all parts in order; of more than ``IN_MEMORY``, in a temporary file, which
    goes when nothing holds the array."""
    import numpy as np

    if sum(map(len, parts)) <= IN_MEMORY:
        return np.sort(np.concatenate(parts))
    with tempfile.TemporaryFile() as file:
        for part in parts:
            file.write(part.data)
        file.flush()
        merged = np.memmap(file, dtype=np.uint64, mode="r+")
    merged.sort()
    return merged


def earlier(hashes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each of ``hashes``, whether ``others`` has it at an earlier place."""
    import numpy as np

    if not len(others):
        return np.zeros(len(hashes), dtype=bool)
    values, first = np.unique(others, return_index=True)
    places = np.minimum(np.searchsorted(values, hashes), len(values) - 1)
    found: np.ndarray = (values[places] == hashes) & (first[places] < np.arange(len(hashes)))
    return found


class OddRowsFilter:
    """Applies a policy to the batches of one data set, in order.

    Every odd row is counted with ``notice``; rows whose policy is ``drop`` are left out; a row
    whose policy is ``error``, or an id that was there before, raises ``DataError``. Of the rows
    seen, only 8-byte hashes are kept. A row is a duplicate or a contradiction of any earlier row,
    also of one that was itself dropped.
    """

    def __init__(self, policy: OddRows) -> None:
        self.policy = policy
        self._ids = Seen()
        self._rows = Seen()

    def __call__(self, table: pa.Table) -> pa.Table:
        """The rows of the batch that stay."""
        import numpy as np

        from .rows import one_batch

        if not table.num_rows:
            return table
        batch = one_batch(table)
        self._check_ids(batch.column("id"))
        found = find_oddities(batch) | self._repetitions(batch)
        dropped = np.zeros(batch.num_rows, dtype=bool)
        for name in WORDS:
            if name in found and found[name].any():
                dropped |= self._handle(name, found[name], batch.column("id"))
        return table.filter(~dropped) if dropped.any() else table

    def _check_ids(self, ids: pa.Array) -> None:
        missing = int(ids.null_count)
        if missing:
            raise DataError(f"{missing} rows have no id; every row needs its own")
        hashes = _hashes(ids.to_pylist())
        twice = self._ids.known(hashes) | earlier(hashes, hashes)
        if twice.any():
            names = ids.filter(twice).to_pylist()
            raise DataError(
                f"ids must be unique, but {len(names)} occur again: {some(names)}; "
                "name another column as id, or none to number the rows"
            )
        self._ids.add(hashes)

    def _repetitions(self, batch: pa.RecordBatch) -> dict[str, np.ndarray]:
        """Rows that an earlier row repeats or, for pairs, reverses."""
        prompts = _conversations(batch.column("prompt"))
        if "chosen" not in batch.schema.names:
            model = batch.column("model").to_pylist() if "model" in batch.schema.names else None
            responses = _conversations(batch.column("response"))
            same = _hashes(_rows_of(prompts, responses, model or [""] * len(prompts)))
            found = {"duplicate": self._rows.known(same) | earlier(same, same)}
            self._rows.add(same)
            return found
        chosen, rejected = (_conversations(batch.column(n)) for n in ("chosen", "rejected"))
        same = _hashes(_rows_of(prompts, chosen, rejected))
        reverse = _hashes(_rows_of(prompts, rejected, chosen))
        reversed_before = self._rows.known(reverse) | earlier(reverse, same)
        found = {
            "duplicate": self._rows.known(same) | earlier(same, same),
            "contradiction": reversed_before & (same != reverse),
        }
        self._rows.add(same)
        return found

    def _handle(self, name: str, mask: np.ndarray, ids: pa.Array) -> np.ndarray:
        """Count the rows of one oddity; the mask of those to drop."""
        import numpy as np

        from rmplug.notices import notice

        policy: Policy = getattr(self.policy, name)
        names = ids.filter(mask).to_pylist()
        if policy == "error":
            raise DataError(
                f"{WORDS[name]}: {len(names)} {'row' if len(names) == 1 else 'rows'} "
                f"({some(names)}); set odd_rows: {{{name}: drop}} to leave such rows out"
            )
        notice(WORDS[name], names, "dropped" if policy == "drop" else "kept")
        return mask if policy == "drop" else np.zeros(len(mask), dtype=bool)


def _conversations(column: pa.Array) -> list[str]:
    """Each conversation as one string, its roles included."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    turns = column.flatten()
    roles, contents = (
        pc.fill_null(pc.struct_field(turns, name).cast(pa.large_string()), "")
        for name in ("role", "content")
    )
    lines = pc.binary_join_element_wise(roles, contents, pa.scalar("\x1f", pa.large_string()))
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0))
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
    joined = pc.binary_join(
        pa.LargeListArray.from_arrays(offsets, lines), pa.scalar("\x1e", pa.large_string())
    )
    texts: list[str] = joined.to_pylist()
    return texts


def _rows_of(*columns: Sequence[str | None]) -> Iterator[str]:
    return ("\x1d".join(text or "" for text in row) for row in zip(*columns, strict=True))


def _hashes(texts: Iterable[str]) -> np.ndarray:
    """An 8-byte hash of each text."""
    import numpy as np

    digests = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts]
    return np.frombuffer(b"".join(digests), dtype=np.uint64)
