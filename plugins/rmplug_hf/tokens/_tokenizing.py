"""The tokens of conversations, no more than a model takes."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import DataError, notice
from rmplug.arrays import Array
from rmplug.errors import some

from ._chat_process import TemplateRefusal
from ._conversations import Conversation, Part, conversations_of
from ._rendering import RenderedText, Renderer, Style, shared

CHUNK = 512
CUT_PROMPT = "prompt cut to fit the model's max_length"
CUT_RESPONSE = "response cut to fit the model's max_length"
MERGED_TURNS = "messages of a prompt joined without saying who speaks (set turn)"


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token ids of shape (length,), the index of the response's first token (``length`` for a
    prompt alone) and of the first after its last, and segment ids where they are not all zero.

    ``separators`` is the number of special tokens directly before the response of a pair, which
    part it from the prompt.
    """

    ids: Array
    start: int
    end: int
    segments: Array | None = None
    separators: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def key(self) -> tuple[bytes, bytes, int, int]:
        """The key shared by rows that are equal to a model."""
        segments = b"" if self.segments is None else self.segments.tobytes()
        return self.ids.tobytes(), segments, self.start, self.end

    def begins_with(self, other: Tokens) -> bool:
        """Check whether it begins with all tokens of the other, which has at least one."""
        same = len(other) > 0 and np.array_equal(self.ids[: len(other)], other.ids)
        return same and self.segments is None and other.segments is None

    def after(self, shared: int) -> Tokens:
        """Return the tokens behind the first ``shared`` ones, of a row without segments."""
        return Tokens(self.ids[shared:], self.start - shared, self.end - shared)

    def keep(self, indices: Array, start: int, end: int) -> Tokens:
        """Select the tokens at some indices, with new bounds of the response."""
        segments = None if self.segments is None else self.segments[indices]
        return Tokens(self.ids[indices], start, end, segments, self.separators)


class Tokenizing:
    """A converter of rows of ``Responses`` into tokens, no longer than the model takes."""

    def __init__(
        self, tokenizer: Any, style: Style, max_length: int | None, truncate: str = "prompt-left"
    ) -> None:
        self.tokenizer = tokenizer
        self.renderer = Renderer(tokenizer, style)
        self.max_length = max_length
        self.truncate = truncate

    def without_limit(self) -> Tokenizing:
        """Return the same converter without a limit of length."""
        same = copy(self)
        same.max_length = None
        return same

    def rows(
        self, responses: pa.RecordBatch, part: Part = "both", bounds: bool = False
    ) -> list[Tokens]:
        """Return the tokens of each row. ``start`` and ``end`` are right only with ``bounds``."""
        ids = responses.column("id").to_pylist()
        return self.encode(conversations_of(responses, part), ids, part, bounds)

    def encode(
        self,
        conversations: Sequence[Conversation],
        ids: Sequence[str],
        part: Part = "both",
        bounds: bool = False,
    ) -> list[Tokens]:
        """Tokenize conversations; ``ids`` name them in notices and errors."""
        style = self.renderer.style
        shows_prompt = style.template == "pair" or "{prompt}" in style.template
        if shows_prompt and style.turn is None:
            merged = [i for i, talk in zip(ids, conversations, strict=True) if len(talk.prompt) > 1]
            notice(MERGED_TURNS, merged)
        rows: list[Tokens] = []
        for first in range(0, len(conversations), CHUNK):
            talks, names = conversations[first : first + CHUNK], ids[first : first + CHUNK]
            texts = [self.text(t, n, part, bounds) for t, n in zip(talks, names, strict=True)]
            rows += self.tokenize(texts, bounds)
        return self._fitted(rows, conversations, ids, part)

    def text(self, talk: Conversation, name: str, part: Part, bounds: bool) -> RenderedText:
        """Render a conversation, which messages call ``name``."""
        try:
            return self.renderer.text(talk, part, bounds)
        except TemplateRefusal as error:
            raise DataError(
                f"the chat template of {self.tokenizer.name_or_path} refuses the conversation of "
                f"{name} (roles {', '.join(message['role'] for message in talk.messages)}): "
                f"{error}"
            ) from error

    def tokenize(self, texts: Sequence[RenderedText], bounds: bool, **options: Any) -> list[Tokens]:
        """Tokenize texts, without a limit of length; ``options`` go to the tokenizer."""
        if not texts:
            return []
        offsets = bounds and self.tokenizer.is_fast
        paired = texts[0].pair is not None
        encoded = self.tokenizer(
            [text.text for text in texts],
            *([[text.pair for text in texts]] if paired else []),
            add_special_tokens=self.renderer.adds_special_tokens,
            return_attention_mask=False,
            return_offsets_mapping=offsets,
            verbose=False,
            **options,
        )
        return [self._row(encoded, row, text, bounds) for row, text in enumerate(texts)]

    def _row(self, encoded: Any, row: int, text: RenderedText, bounds: bool) -> Tokens:
        ids = np.asarray(encoded["input_ids"][row], dtype=np.int64)
        segments = np.asarray(encoded.get("token_type_ids", [[]] * (row + 1))[row])
        start, end, separators = 0, len(ids), 0
        if bounds and self.tokenizer.is_fast:
            start, end = _token_bounds(encoded, row, text)
            separators = _separators(encoded, row, text, start)
        elif bounds:
            start, end = self._slow_bounds(ids, text)
        tokens = Tokens(ids, start, end, segments if segments.any() else None, separators)
        bos = self.tokenizer.bos_token_id
        if self.renderer.adds_special_tokens and len(ids) > 1 and ids[0] == ids[1] == bos:
            return tokens.keep(np.arange(1, len(ids)), max(start - 1, 0), end - 1)
        return tokens

    def _slow_bounds(self, ids: Array, text: RenderedText) -> tuple[int, int]:
        """Return the bounds of the response for a tokenizer without character offsets."""
        if text.pair is not None:
            raise DataError(
                f"the tokenizer of {self.tokenizer.name_or_path} cannot tell prompt from response "
                "in a pair; use a fast tokenizer (tokenizer.json) or a text template"
            )
        special = self.renderer.adds_special_tokens
        before = self.tokenizer(text.text[: text.start], add_special_tokens=special)["input_ids"]
        start = shared(ids.tolist(), before)
        after = self.tokenizer(text.text[text.end :], add_special_tokens=special)["input_ids"]
        tail = shared(ids[start:][::-1].tolist(), after[::-1])
        return start, len(ids) - tail

    def _fitted(
        self,
        rows: list[Tokens],
        conversations: Sequence[Conversation],
        ids: Sequence[str],
        part: Part,
    ) -> list[Tokens]:
        if self.max_length is None:
            return rows
        long = [n for n, row in enumerate(rows) if len(row) > self.max_length]
        if not long:
            return rows
        if self.truncate == "error":
            self._refuse([ids[n] for n in long], len(rows))
        # a part at a time: what a tokenizer tells of each token takes some hundred bytes
        for few in (long[first : first + CHUNK] for first in range(0, len(long), CHUNK)):
            texts = [self.text(conversations[n], ids[n], part, True) for n in few]
            whole = self.tokenize(texts, True)
            cut = self._cut(texts, whole)
            for n, row in zip(few, cut, strict=True):
                rows[n] = row
            _notice_cuts(whole, cut, [ids[n] for n in few])
        return rows

    def _refuse(self, long: list[str], total: int) -> None:
        raise DataError(
            f"{len(long)} of {total} conversations are longer than {self.max_length} tokens "
            f"({some(long)}); raise max_length, or set truncate: prompt-left to cut prompts"
        )

    def _cut(self, texts: Sequence[RenderedText], whole: Sequence[Tokens]) -> list[Tokens]:
        assert self.max_length is not None
        if self.truncate != "prompt-left":
            self.tokenizer.truncation_side = self.truncate
            return self.tokenize(texts, True, truncation=True, max_length=self.max_length)
        specials = {self.tokenizer.bos_token_id, self.tokenizer.cls_token_id} - {None}
        return [cut_prompt_left(row, self.max_length, int(row.ids[0]) in specials) for row in whole]


def _notice_cuts(whole: Sequence[Tokens], cut: Sequence[Tokens], ids: Sequence[str]) -> None:
    """Name the rows that lost some of their response, and those that lost only prompt."""
    shorter = [b.end - b.start < a.end - a.start for a, b in zip(whole, cut, strict=True)]
    rows = list(zip(ids, shorter, strict=True))
    notice(CUT_RESPONSE, [name for name, was in rows if was], "changed")
    notice(CUT_PROMPT, [name for name, was in rows if not was], "changed")


def cut_prompt_left(row: Tokens, length: int, keep_first: bool) -> Tokens:
    """Cut to at most ``length`` tokens: the prompt loses its beginning; only when nothing of it is
    left does the response lose its end. The first token, if it is to be kept, what parts a pair,
    and what follows the response always stay."""
    lead = 1 if keep_first and row.start > 0 else 0
    joint = min(row.separators, row.start - lead)
    tail = len(row) - row.end
    room = length - lead - joint - tail
    if room < min(1, row.end - row.start):
        raise DataError(
            f"max_length {length} leaves no room for a response beside the {lead + joint + tail} "
            "tokens that the template writes around it; raise max_length"
        )
    response = min(row.end - row.start, room)
    before = joint + min(row.start - lead - joint, room - response)
    start = lead + before
    indices = np.concatenate(
        [
            np.arange(lead),
            np.arange(row.start - before, row.start + response),
            np.arange(row.end, len(row)),
        ]
    )
    return row.keep(indices, start, start + response)


def _separators(encoded: Any, row: int, text: RenderedText, start: int) -> int:
    """Count the special tokens between prompt and response of a pair."""
    if text.pair is None:
        return 0
    before = encoded.sequence_ids(row)[:start]
    return sum(1 for _ in takewhile(lambda segment: segment is None, reversed(before)))


def _token_bounds(encoded: Any, row: int, text: RenderedText) -> tuple[int, int]:
    """Return the bounds of the response's tokens: by segment, or by character offsets."""
    segment = np.array([-1 if s is None else s for s in encoded.sequence_ids(row)])
    if text.pair is not None:
        second = np.flatnonzero(segment == 1)
        return (int(second[0]), int(second[-1]) + 1) if len(second) else (len(segment),) * 2
    spans = np.asarray(encoded["offset_mapping"][row]).reshape(-1, 2)
    written = np.flatnonzero(segment == 0)
    begins, ends = spans[written, 0], spans[written, 1]
    last = int(written[-1]) + 1 if len(written) else len(segment)
    inside = np.flatnonzero((ends > text.start) & (begins < text.end))
    if len(inside):
        return int(written[inside[0]]), int(written[inside[-1]]) + 1
    after = np.flatnonzero(begins >= text.end)
    edge = int(written[after[0]]) if len(after) else last
    return edge, edge
