"""Prompts and responses in whatever form a row has them: plain text, messages, transcripts."""

from __future__ import annotations

import json
import re
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, str]
"""One turn: its ``role`` and ``content``."""
Text: TypeAlias = str | list[Message]
"""A prompt or a response: plain text, or turns."""

MISSING: Any = object()
"""The result of ``find`` where a row has no value."""
_TURN = re.compile(r"(?:\A|\n\n|(?<=\n\n))(Human|Assistant|System):")
_ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "chatbot": "assistant"}
_SURROGATE = re.compile("[\ud800-\udfff]")


class BadRow(ValueError):
    """The reason why a row cannot be used: the kind of fault, the details, and the missing field.

    As text it is ``reason (detail)``.
    """

    def __init__(self, reason: str, detail: str = "", missing: str = "") -> None:
        self.reason, self.detail, self.missing = reason, detail, missing
        super().__init__(f"{reason} ({detail})" if detail else reason)


def without_surrogates(text: str) -> str:
    """Return the text with each half of a surrogate pair, which no file can hold, replaced by
    U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def find(value: Any, path: str) -> Any:
    """Return the value at a dotted path (``answers.0.text``), or ``MISSING``.

    A key that itself has dots is found too; the longest match wins.
    """
    if isinstance(value, dict):
        return value[path] if path in value else _find_inside(value, path.split("."))
    head, _, rest = path.partition(".")
    if not isinstance(value, list) or not head.isascii() or not head.isdigit():
        return MISSING
    if int(head) >= len(value):
        return MISSING
    return find(value[int(head)], rest) if rest else value[int(head)]


def _find_inside(value: dict[str, Any], parts: list[str]) -> Any:
    for size in range(len(parts) - 1, 0, -1):
        head = ".".join(parts[:size])
        if head in value:
            return find(value[head], ".".join(parts[size:]))
    return MISSING


def text_from(value: Any, name: str, form: str) -> Text:
    """Return a field's value as plain text or as messages; anything else is refused by name.

    ``form`` is ``text``, ``messages``, ``transcript`` or ``auto``.
    """
    if isinstance(value, str):
        return _from_string(value, name, form)
    if form in ("text", "transcript") and isinstance(value, dict | list):
        raise BadRow(f"{name} is not text", "but a list; set form: messages, or auto")
    return _messages(value, name)


def _messages(value: Any, name: str) -> list[Message]:
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise BadRow(f"{name} is not text", f"but {shown(value)}")
    if not value:
        raise BadRow(f"{name} has no messages")
    return [_message(item, name, number) for number, item in enumerate(value, 1)]


def _from_string(text: str, name: str, form: str) -> Text:
    if form == "transcript" or (form == "auto" and text.startswith("\n\nHuman:")):
        return turns_of(text) if _TURN.match(text) else text
    if form == "messages" and text.lstrip().startswith("["):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadRow(f"{name} is not valid JSON", str(error)) from error
        return [
            {key: without_surrogates(part) for key, part in turn.items()}
            for turn in _messages(value, name)
        ]
    return text


def turns_of(transcript: str) -> list[Message]:
    """Return the turns of ``\\n\\nHuman: ... \\n\\nAssistant: ...``.

    An empty last turn is left out: what follows a final ``Assistant:`` is the response.
    """
    pieces = _TURN.split(transcript)
    turns = [
        {"role": _role(speaker), "content": content.removeprefix(" ")}
        for speaker, content in zip(pieces[1::2], pieces[2::2], strict=True)
    ]
    if len(turns) > 1 and turns[-1]["role"] == "assistant" and not turns[-1]["content"].strip():
        turns.pop()
    return turns


def _role(name: str) -> str:
    lowered = name.lower()
    return _ROLES.get(lowered, lowered)


def _message(item: Any, name: str, index: int) -> Message:
    if not isinstance(item, dict):
        raise BadRow(f"{name} is not a list of messages", f"item {index} is {shown(item)}")
    role = item.get("role", item.get("from"))
    content = item.get("content", item.get("value"))
    if isinstance(content, list):
        content = _joined(content)
    if not isinstance(role, str):
        raise BadRow(f"a message of {name} has no role", f"message {index}")
    if not isinstance(content, str):
        raise BadRow(f"a message of {name} has no text", f"message {index} has {shown(content)}")
    return {"role": _role(role), "content": content}


def _joined(parts: list[Any]) -> str | None:
    """Return the text of a content made of parts, when all parts are text."""
    values = [part.get("text") if isinstance(part, dict) else part for part in parts]
    texts = [text for text in values if isinstance(text, str)]
    return "\n".join(texts) if len(texts) == len(values) else None


def shown(value: Any) -> str:
    """Return a value as JSON, cut short, for a message."""
    return json.dumps(value, default=str, ensure_ascii=False)[:40]


def is_conversation(text: Text) -> bool:
    """Check whether a response holds its prompt too: messages whose first is not the
    assistant's."""
    return not isinstance(text, str) and text[0]["role"] != "assistant"


def split_pair(prompt: Text | None, chosen: Text, rejected: Text) -> tuple[Text, Text, Text]:
    """Return prompt, chosen and rejected; the prompt of whole conversations is their beginning.

    The common beginning ends before an assistant's turn, and leaves each side at least one turn.
    """
    if is_conversation(chosen) != is_conversation(rejected):
        raise BadRow("only one of chosen and rejected is a whole conversation")
    if not is_conversation(chosen) or isinstance(chosen, str) or isinstance(rejected, str):
        return _given(prompt), chosen, rejected
    common = 0
    while common < min(len(chosen), len(rejected)) - 1 and chosen[common] == rejected[common]:
        common += 1
    while common and chosen[common]["role"] != "assistant":
        common -= 1
    if not common:
        raise BadRow("chosen and rejected begin differently", "so there is no prompt they share")
    _check_prompt(prompt, chosen[:common])
    return chosen[:common], chosen[common:], rejected[common:]


def split_response(prompt: Text | None, response: Text) -> tuple[Text, Text]:
    """Return prompt and response; of a whole conversation the response is the last turn."""
    if isinstance(response, str) or not is_conversation(response):
        return _given(prompt), response
    if response[-1]["role"] != "assistant":
        raise BadRow("the conversation does not end with the assistant's turn")
    _check_prompt(prompt, response[:-1])
    return response[:-1], response[-1:]


def _given(prompt: Text | None) -> Text:
    if prompt is None:
        raise BadRow("no prompt", missing="prompt")
    return prompt


def _check_prompt(prompt: Text | None, beginning: list[Message]) -> None:
    """Require that a prompt beside whole conversations is part of how they begin."""
    if prompt is None:
        return
    expected = [prompt] if isinstance(prompt, str) else [turn["content"] for turn in prompt]
    turns = [turn["content"] for turn in beginning]
    starts = range(len(turns) - len(expected) + 1)
    if not any(turns[start : start + len(expected)] == expected for start in starts):
        raise BadRow("the conversation does not begin with the prompt")
