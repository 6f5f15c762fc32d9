"""From a conversation to the text and the tokens that a model sees."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import jinja2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, notice

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Message: TypeAlias = Mapping[str, str]
Part: TypeAlias = Literal["both", "prompt", "turn"]
"""A conversation; its prompt up to where a response would begin; or its prompt up to the end of its
last turn, without what the chat template opens a response with."""
CHUNK = 512
CUT_PROMPT = "prompt cut to fit the model's max_length"
CUT_RESPONSE = "response cut to fit the model's max_length"
MERGED_TURNS = "messages of a prompt joined without saying who speaks (set turn)"


class Conversation(NamedTuple):
    """What was said before the response, and the response."""

    prompt: Sequence[Message]
    response: Sequence[Message]


class Text(NamedTuple):
    """A rendered conversation: the characters ``start`` to ``end`` are the response; ``pair`` is
    the second segment where there are two."""

    text: str
    start: int
    end: int
    pair: str | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token ids of shape (length,), the place of the response's first token (``length`` for a
    prompt alone) and the first after its last, and segment ids where they are not all zero."""

    ids: Array
    start: int
    end: int
    segments: Array | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def key(self) -> tuple[bytes, bytes, int, int]:
        """The same for rows that a model cannot tell apart."""
        segments = b"" if self.segments is None else self.segments.tobytes()
        return self.ids.tobytes(), segments, self.start, self.end

    def begins_with(self, other: Tokens) -> bool:
        """Whether its first tokens are the other's, of which there is one at least."""
        same = len(other) > 0 and np.array_equal(self.ids[: len(other)], other.ids)
        return same and self.segments is None and other.segments is None

    def keep(self, places: Array, start: int, end: int) -> Tokens:
        """The tokens at some places, with new bounds of the response."""
        segments = None if self.segments is None else self.segments[places]
        return Tokens(self.ids[places], start, end, segments)


@dataclass(frozen=True)
class Style:
    """How a conversation becomes text: see the parameters of the same names."""

    template: str = "chat"
    system: str | None = None
    turn: str | None = None
    roles: Mapping[str, str] | None = None


class Renderer:
    """Writes conversations as text."""

    def __init__(self, tokenizer: Any, style: Style) -> None:
        self.tokenizer = tokenizer
        self.style = style
        if style.template == "chat" and not tokenizer.chat_template:
            raise DataError(
                f"the tokenizer of {tokenizer.name_or_path} has no chat template; say how the "
                'model was trained to read a conversation: template: "{prompt}\\n\\n{response}" '
                "(your text) or template: pair"
            )

    @property
    def adds_special_tokens(self) -> bool:
        """Whether the tokenizer adds its special tokens: a chat template writes its own."""
        return self.style.template != "chat"

    def text(self, conversation: Conversation, part: Part = "both", bounds: bool = True) -> Text:
        """The text of a conversation, or of its prompt up to where a response would begin; the
        bounds of the response are looked for only if asked."""
        talk = Conversation(self._with_system(conversation.prompt), conversation.response)
        if self.style.template == "chat":
            return self._chat(talk, part, bounds)
        prompt, response = self._prompt(talk.prompt), self._response(talk.response)
        if self.style.template == "pair":
            alone = Text(prompt, len(prompt), len(prompt))
            return alone if part != "both" else Text(prompt, 0, 0, response)
        return self._filled(prompt, response, part)

    def _with_system(self, prompt: Sequence[Message]) -> Sequence[Message]:
        if self.style.system is None or (prompt and prompt[0]["role"] == "system"):
            return prompt
        return [{"role": "system", "content": self.style.system}, *prompt]

    def _chat(self, talk: Conversation, part: Part, bounds: bool) -> Text:
        if part != "both":
            asked = self._apply(talk.prompt, generation=True)
            text = self._to_turn_end(talk.prompt, asked) if part == "turn" else asked
            return Text(text, len(text), len(text))
        text = self._apply([*talk.prompt, *talk.response], generation=False)
        if not bounds:
            return Text(text, 0, len(text))
        before = self._apply(talk.prompt, generation=True)
        start = len(before) if text.startswith(before) else _shared(text, before)
        last = talk.response[-1]["content"].strip() if talk.response else ""
        place = text.rfind(last, start)
        return Text(text, start, place + len(last) if last and place >= 0 else len(text))

    def _to_turn_end(self, prompt: Sequence[Message], asked: str) -> str:
        """A prompt up to the token that ends its last turn: what the template writes of it whether
        or not a response is ``asked`` for. Some templates end a text that asks for none in a way
        of their own (Phi-3: the token that ends texts)."""
        text = self._apply(prompt, generation=False)
        if not asked.startswith(text):
            end = _shared(text, asked)
            marks = self.tokenizer.get_added_vocab()
            places = [text.find(m, max(0, end - len(m) + 1), end + len(m) - 1) for m in marks]
            text = text[: min([end, *(place for place in places if place >= 0)])]
        return text.rstrip()

    def _apply(self, messages: Sequence[Message], generation: bool) -> str:
        text = self.tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=generation
        )
        return str(text)

    def _prompt(self, prompt: Sequence[Message]) -> str:
        return "\n\n".join(self._turn(message) for message in prompt)

    def _turn(self, message: Message) -> str:
        roles = self.style.roles or {}
        found = {
            "role": roles.get(message["role"], message["role"]),
            "content": message["content"],
        }
        return _fill(self.style.turn or "{content}", found)

    def _response(self, response: Sequence[Message]) -> str:
        rest = [self._turn(message) for message in response[1:]]
        return "\n\n".join([response[0]["content"], *rest]) if response else ""

    def _filled(self, prompt: str, response: str, part: Part) -> Text:
        marks = {"bos": self.tokenizer.bos_token or "", "eos": self.tokenizer.eos_token or ""}
        before, after = self.style.template.split("{response}")
        before = _fill(before, {"prompt": prompt, **marks})
        if part != "both":
            return Text(before, len(before), len(before))
        end = len(before) + len(response)
        after = _fill(after, {"prompt": prompt, **marks})
        return Text(before + response + after, len(before), end)


class Tokenizing:
    """Turns rows of ``Responses`` into tokens, no longer than the model takes."""

    def __init__(
        self, tokenizer: Any, style: Style, max_length: int | None, truncate: str = "prompt-left"
    ) -> None:
        self.tokenizer = tokenizer
        self.renderer = Renderer(tokenizer, style)
        self.max_length = max_length
        self.truncate = truncate

    def rows(
        self, responses: pa.RecordBatch, part: Part = "both", bounds: bool = False
    ) -> list[Tokens]:
        """The tokens of each row. ``start`` and ``end`` are right only with ``bounds``."""
        ids = responses.column("id").to_pylist()
        return self.encode(conversations_of(responses, part), ids, part, bounds)

    def encode(
        self,
        conversations: Sequence[Conversation],
        ids: Sequence[str],
        part: Part = "both",
        bounds: bool = False,
    ) -> list[Tokens]:
        """The tokens of conversations; ``ids`` name them in notices and errors."""
        style = self.renderer.style
        shows_prompt = style.template == "pair" or "{prompt}" in style.template
        if shows_prompt and style.turn is None:
            merged = [i for i, talk in zip(ids, conversations, strict=True) if len(talk.prompt) > 1]
            notice(MERGED_TURNS, merged)
        found: list[Tokens] = []
        for first in range(0, len(conversations), CHUNK):
            talks, names = conversations[first : first + CHUNK], ids[first : first + CHUNK]
            texts = [self._text(t, n, part, bounds) for t, n in zip(talks, names, strict=True)]
            found += self.tokenize(texts, bounds)
        return self._fitted(found, conversations, ids, part)

    def _text(self, talk: Conversation, name: str, part: Part, bounds: bool) -> Text:
        try:
            return self.renderer.text(talk, part, bounds)
        except (jinja2.TemplateError, TypeError) as error:
            raise DataError(
                f"the chat template of {self.tokenizer.name_or_path} refuses the conversation of "
                f"{name} (roles {', '.join(m['role'] for m in (*talk.prompt, *talk.response))}): "
                f"{error}"
            ) from error

    def tokenize(self, texts: Sequence[Text], bounds: bool, **options: Any) -> list[Tokens]:
        """The tokens of texts, however many; ``options`` go to the tokenizer."""
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
        return [self._row(encoded, place, text, bounds) for place, text in enumerate(texts)]

    def _row(self, encoded: Any, place: int, text: Text, bounds: bool) -> Tokens:
        ids = np.asarray(encoded["input_ids"][place], dtype=np.int64)
        segments = np.asarray(encoded.get("token_type_ids", [[]] * (place + 1))[place])
        start, end = 0, len(ids)
        if bounds and self.tokenizer.is_fast:
            start, end = _token_bounds(encoded, place, text)
        elif bounds:
            start, end = self._slow_bounds(ids, text)
        tokens = Tokens(ids, start, end, segments if segments.any() else None)
        bos = self.tokenizer.bos_token_id
        if self.renderer.adds_special_tokens and len(ids) > 1 and ids[0] == ids[1] == bos:
            return tokens.keep(np.arange(1, len(ids)), max(start - 1, 0), end - 1)
        return tokens

    def _slow_bounds(self, ids: Array, text: Text) -> tuple[int, int]:
        """Where the response is, for a tokenizer that does not tell the places of characters."""
        if text.pair is not None:
            raise DataError(
                f"the tokenizer of {self.tokenizer.name_or_path} cannot tell prompt from response "
                "in a pair; use a fast tokenizer (tokenizer.json) or a text template"
            )
        special = self.renderer.adds_special_tokens
        before = self.tokenizer(text.text[: text.start], add_special_tokens=special)["input_ids"]
        start = _shared(ids.tolist(), before)
        after = self.tokenizer(text.text[text.end :], add_special_tokens=special)["input_ids"]
        tail = _shared(ids[start:][::-1].tolist(), after[::-1])
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
        long = [place for place, row in enumerate(rows) if len(row) > self.max_length]
        if not long:
            return rows
        if self.truncate == "error":
            self._refuse([ids[place] for place in long], len(rows))
        texts = [self._text(conversations[place], ids[place], part, True) for place in long]
        whole = self.tokenize(texts, True)
        cut = self._cut(texts, whole)
        for place, row in zip(long, cut, strict=True):
            rows[place] = row
        _tell(whole, cut, [ids[place] for place in long])
        return rows

    def _refuse(self, long: list[str], total: int) -> None:
        shown = ", ".join(long[:5]) + (f" and {len(long) - 5} more" if len(long) > 5 else "")
        raise DataError(
            f"{len(long)} of {total} conversations are longer than {self.max_length} tokens "
            f"({shown}); raise max_length, or set truncate: prompt-left to cut prompts"
        )

    def _cut(self, texts: Sequence[Text], whole: Sequence[Tokens]) -> list[Tokens]:
        assert self.max_length is not None
        if self.truncate != "prompt-left":
            self.tokenizer.truncation_side = self.truncate
            return self.tokenize(texts, True, truncation=True, max_length=self.max_length)
        specials = {self.tokenizer.bos_token_id, self.tokenizer.cls_token_id} - {None}
        return [cut_prompt_left(row, self.max_length, int(row.ids[0]) in specials) for row in whole]


def _tell(whole: Sequence[Tokens], cut: Sequence[Tokens], ids: Sequence[str]) -> None:
    """Name the rows that lost some of their response, and those that lost only prompt."""
    shorter = [b.end - b.start < a.end - a.start for a, b in zip(whole, cut, strict=True)]
    found = list(zip(ids, shorter, strict=True))
    notice(CUT_RESPONSE, [name for name, was in found if was], "changed")
    notice(CUT_PROMPT, [name for name, was in found if not was], "changed")


def cut_prompt_left(row: Tokens, length: int, keep_first: bool) -> Tokens:
    """At most ``length`` tokens: the prompt loses its beginning; only when nothing of it is left
    does the response lose its end. The first token, if it is to be kept, and what follows the
    response always stay."""
    lead = 1 if keep_first and row.start > 0 else 0
    tail = len(row) - row.end
    room = length - lead - tail
    if room < min(1, row.end - row.start):
        raise DataError(
            f"max_length {length} leaves no room for a response beside the {lead + tail} tokens "
            "that the template writes around it; raise max_length"
        )
    response = min(row.end - row.start, room)
    prompt = min(row.start - lead, room - response)
    start = lead + prompt
    places = np.concatenate(
        [
            np.arange(lead),
            np.arange(row.start - prompt, row.start + response),
            np.arange(row.end, len(row)),
        ]
    )
    return row.keep(places, start, start + response)


def conversations_of(responses: pa.RecordBatch, part: Part = "both") -> list[Conversation]:
    """The conversations of rows of ``Responses``; those of prompts alone need no response."""
    prompts = _messages(responses, "prompt")
    if part != "both":
        return [Conversation(prompt, []) for prompt in prompts]
    answers = _messages(responses, "response")
    return [Conversation(p, r) for p, r in zip(prompts, answers, strict=True)]


def _messages(responses: pa.RecordBatch, name: str) -> list[list[Message]]:
    column = responses.column(name)
    contents = pc.struct_field(column.flatten(), "content")
    found: list[list[Message]] = [messages or [] for messages in column.to_pylist()]
    if contents.null_count:
        ids = responses.column("id").to_pylist()
        empty = [any(turn["content"] is None for turn in messages) for messages in found]
        raise DataError(
            f"{name} of {ids[empty.index(True)]} has a message without content; write its text or "
            "drop the row"
        )
    return found


def _token_bounds(encoded: Any, place: int, text: Text) -> tuple[int, int]:
    """Where the response's tokens begin and end: by segment, or by the places of characters."""
    segment = np.array([-1 if s is None else s for s in encoded.sequence_ids(place)])
    if text.pair is not None:
        found = np.flatnonzero(segment == 1)
        return (int(found[0]), int(found[-1]) + 1) if len(found) else (len(segment),) * 2
    spans = np.asarray(encoded["offset_mapping"][place]).reshape(-1, 2)
    written = np.flatnonzero(segment == 0)
    begins, ends = spans[written, 0], spans[written, 1]
    last = int(written[-1]) + 1 if len(written) else len(segment)
    inside = np.flatnonzero((ends > text.start) & (begins < text.end))
    if len(inside):
        return int(written[inside[0]]), int(written[inside[-1]]) + 1
    after = np.flatnonzero(begins >= text.end)
    edge = int(written[after[0]]) if len(after) else last
    return edge, edge


def _fill(template: str, values: Mapping[str, str]) -> str:
    """The template with ``{name}`` replaced; braces in the values, or of other names, stay."""
    return re.sub(r"{(\w+)}", lambda m: values.get(m[1], m[0]), template)


def _shared(one: Any, other: Any) -> int:
    """How many of the first entries of two sequences are the same."""
    pairs: Iterator[tuple[Any, Any]] = zip(one, other, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
