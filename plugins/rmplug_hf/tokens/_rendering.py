"""The text of conversations, and the bounds of the response in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, NamedTuple

from rmplug import DataError
from rmplug.models.text_generator import Message

from ._chat_process import ChatTemplate
from ._conversations import Conversation, Part

MARK = "\N{FULL BLOCK}response\N{FULL BLOCK}"
"""Stands for a response where only what the template writes after it is of interest."""


class RenderedText(NamedTuple):
    """A rendered conversation: the characters ``start`` to ``end`` are the response; ``pair`` is
    the second segment where there are two."""

    text: str
    start: int
    end: int
    pair: str | None = None


@dataclass(frozen=True)
class Style:
    """The format of conversations as text: see the parameters of the same names."""

    template: str = "chat"
    system: str | None = None
    turn: str | None = None
    roles: Mapping[str, str] | None = None


def lacks_template(name: str) -> str:
    """Return the message for a tokenizer without a chat template, with a remedy."""
    return (
        f"the tokenizer of {name} has no chat template; say how the "
        'model was trained to read a conversation: template: "{prompt}\\n\\n{response}" '
        "(your text) or template: pair; in a command --param 'template=...'"
    )


class Renderer:
    """A renderer of conversations as text."""

    def __init__(self, tokenizer: Any, style: Style) -> None:
        self.tokenizer = tokenizer
        self.style = style
        self.chat = ChatTemplate(tokenizer)
        self._endings: dict[tuple[str, ...], str] = {}
        if style.template == "chat" and not tokenizer.chat_template:
            raise DataError(lacks_template(tokenizer.name_or_path))

    @property
    def adds_special_tokens(self) -> bool:
        """True if the tokenizer adds its special tokens: a chat template writes its own."""
        return self.style.template != "chat"

    def text(
        self, conversation: Conversation, part: Part = "both", bounds: bool = True
    ) -> RenderedText:
        """Render a conversation, or its prompt up to the start of a response; the bounds of the
        response are computed only on request. Raises TemplateRefusal."""
        talk = Conversation(self._with_system(conversation.prompt), conversation.response)
        if self.style.template == "chat":
            return self._chat(talk, part, bounds)
        prompt, response = self._prompt(talk.prompt), self._response(talk.response)
        if self.style.template == "pair":
            alone = RenderedText(prompt, len(prompt), len(prompt))
            return alone if part != "both" else RenderedText(prompt, 0, 0, response)
        return self._filled(prompt, response, part)

    def _with_system(self, prompt: Sequence[Message]) -> Sequence[Message]:
        if self.style.system is None or (prompt and prompt[0]["role"] == "system"):
            return prompt
        return [{"role": "system", "content": self.style.system}, *prompt]

    def _chat(self, talk: Conversation, part: Part, bounds: bool) -> RenderedText:
        if part != "both":
            asked = self.chat.render(talk.prompt, generation=True)
            text = self._to_turn_end(talk.prompt, asked) if part == "turn" else asked
            return RenderedText(text, len(text), len(text))
        text = self.chat.render(talk.messages, generation=False)
        if not bounds:
            return RenderedText(text, 0, len(text))
        before = self.chat.render(talk.prompt, generation=True)
        start = len(before) if text.startswith(before) else shared(text, before)
        return RenderedText(text, start, self._response_end(talk, text, start))

    def _response_end(self, talk: Conversation, text: str, start: int) -> int:
        """Return the end of the response in its text: before what the template writes after any
        response to messages of these roles."""
        if not talk.response:
            return len(text)
        roles = tuple(message["role"] for message in talk.messages)
        if not text.endswith(self._endings.get(roles, "\0")):
            marked = [*talk.messages[:-1], {**talk.messages[-1], "content": MARK}]
            _, mark, ending = self.chat.render(marked, generation=False).rpartition(MARK)
            self._endings[roles] = ending if mark else ""
        ending = self._endings[roles]
        return max(start, len(text) - len(ending)) if text.endswith(ending) else len(text)

    def _to_turn_end(self, prompt: Sequence[Message], asked: str) -> str:
        """Render a prompt up to the token that ends its last turn: the text that the template
        writes whether or not a response is ``asked`` for. Some templates end a text that asks for
        none in a way of their own (Phi-3: the token that ends texts)."""
        text = self.chat.render(prompt, generation=False)
        if not asked.startswith(text):
            end = shared(text, asked)
            marks = self.tokenizer.get_added_vocab()
            starts = [text.find(m, max(0, end - len(m) + 1), end + len(m) - 1) for m in marks]
            text = text[: min([end, *(start for start in starts if start >= 0)])]
        return text.rstrip()

    def _prompt(self, prompt: Sequence[Message]) -> str:
        return "\n\n".join(self._turn(message) for message in prompt)

    def _turn(self, message: Message) -> str:
        roles = self.style.roles or {}
        role = roles.get(message["role"], message["role"])
        return _fill(self.style.turn or "{content}", {"role": role, "content": message["content"]})

    def _response(self, response: Sequence[Message]) -> str:
        rest = [self._turn(message) for message in response[1:]]
        return "\n\n".join([response[0]["content"], *rest]) if response else ""

    def _filled(self, prompt: str, response: str, part: Part) -> RenderedText:
        marks = {"bos": self.tokenizer.bos_token or "", "eos": self.tokenizer.eos_token or ""}
        before, after = self.style.template.split("{response}")
        before = _fill(before, {"prompt": prompt, **marks})
        if part != "both":
            return RenderedText(before, len(before), len(before))
        end = len(before) + len(response)
        after = _fill(after, {"prompt": prompt, **marks})
        return RenderedText(before + response + after, len(before), end)


def _fill(template: str, values: Mapping[str, str]) -> str:
    """Replace ``{name}`` in a template; braces in the values, or of other names, stay."""
    return re.sub(r"{(\w+)}", lambda m: values.get(m[1], m[0]), template)


def shared(one: Any, other: Any) -> int:
    """Count the equal leading entries of two sequences."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
