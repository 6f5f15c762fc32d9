"""Odd rows of preference data: their detection, and the policy for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from rmplug.errors import DataError, some

from .seen_texts import SeenHashes, UniqueIds, combine_hashes, hash_texts, seen_earlier

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

Policy = Literal["keep", "drop", "error"]


class OddRows(BaseModel):
    """The policy for valid but odd rows. Every odd row is counted and named either way."""

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


def find_oddities(batch: pa.RecordBatch, texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Return a boolean mask over the rows for each oddity that a row of pairs or of responses can
    have by itself (all of ``OddRows`` but ``duplicate`` and ``contradiction``). ``texts`` are the
    columns of text, ``prompt`` first: further columns may bear any name."""
    import pyarrow as pa

    from .messages import text_of

    plain = {name: text_of(batch.column(name)).cast(pa.large_string()) for name in texts}
    masks = _unusual_characters(list(plain.values()))
    masks |= _prompt_shape(batch.column("prompt"), plain["prompt"])
    answers = [_trimmed(plain[name]) for name in texts[1:]]
    blank = [_equal(answer, "") for answer in answers]
    masks["empty_response"] = blank[0] | blank[-1]
    if len(answers) == 2:
        masks["identical"] = _equal(*(plain[name] for name in texts[1:]))
        masks["differs_by_space"] = _equal(*answers) & ~masks["identical"]
    return masks


def _unusual_characters(texts: Sequence[pa.Array]) -> dict[str, np.ndarray]:
    """Return masks of the rows that have a character of each kind in any of their texts."""
    import numpy as np
    import pyarrow.compute as pc

    masks = {name: np.zeros(len(texts[0]), dtype=bool) for name in _PATTERNS}
    for name, pattern in _PATTERNS.items():
        for text in texts:
            masks[name] |= _mask(pc.match_substring_regex(text, pattern))
    return masks


def _prompt_shape(prompts: pa.Array, texts: pa.Array) -> dict[str, np.ndarray]:
    """Return masks of the oddities in the turns of each prompt."""
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


class OddRowsFilter:
    """A policy applied to the batches of one data set, in order; ``texts`` are its columns of text,
    ``prompt`` first.

    Every odd row is counted with ``notice``; rows whose policy is ``drop`` are left out; a row
    whose policy is ``error``, or an id that was there before, raises ``DataError``. Of the rows
    seen, only 8-byte hashes are kept. A row is a duplicate or a contradiction of any earlier row,
    also of one that was itself dropped.
    """

    def __init__(self, policy: OddRows, texts: Sequence[str]) -> None:
        self.policy = policy
        self.texts = tuple(texts)
        self._ids = UniqueIds("name another column as id, or none to number the rows")
        self._rows = SeenHashes()

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return the rows of the batch that stay."""
        import numpy as np

        from .rows import one_batch

        if not table.num_rows:
            return table
        batch = one_batch(table)
        self._ids.check(batch.column("id"))
        masks = find_oddities(batch, self.texts) | self._repetitions(batch)
        dropped = np.zeros(batch.num_rows, dtype=bool)
        for name in WORDS:
            if name in masks and masks[name].any():
                dropped |= self._handle(name, masks[name], batch.column("id"))
        return table.filter(~dropped) if dropped.any() else table

    def _repetitions(self, batch: pa.RecordBatch) -> dict[str, np.ndarray]:
        """Find rows that an earlier row repeats or, for pairs, reverses."""
        prompt, *answers = (hash_conversations(batch.column(name)) for name in self.texts)
        if len(answers) == 1 and "model" in batch.schema.names:
            answers.append(hash_texts(batch.column("model")))
        same = combine_hashes(prompt, *answers)
        masks = {"duplicate": self._rows.contains(same) | seen_earlier(same, same)}
        if "rejected" in self.texts:
            reverse = combine_hashes(prompt, *reversed(answers))
            before = self._rows.contains(reverse) | seen_earlier(reverse, same)
            masks["contradiction"] = before & (same != reverse)
        self._rows.add(same)
        return masks

    def _handle(self, name: str, mask: np.ndarray, ids: pa.Array) -> np.ndarray:
        """Count the rows of one oddity; return the mask of those to drop."""
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


def hash_conversations(column: pa.Array) -> np.ndarray:
    """Return an 8-byte hash of each conversation, its roles included."""
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
    if len(lines) == len(column) and (lengths == 1).all():
        return hash_texts(lines)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
    between = pa.scalar("\x1e", pa.large_string())
    return hash_texts(pc.binary_join(pa.LargeListArray.from_arrays(offsets, lines), between))
