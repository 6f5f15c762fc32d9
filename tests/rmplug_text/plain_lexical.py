"""The measures of `lexical` once more, one text at a time in plain Python: slow, easy to check."""

from __future__ import annotations

import re
import string
import unicodedata
import zlib
from functools import cache

ALONE = (
    "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9d"
    "\U00020000-\U0003ffff"
)
IDEOGRAPH = re.compile(f"[{ALONE}]")
SCRIPTS = {
    "latin": "A-\u024f\u0250-\u02af\u1d00-\u1eff\u2c60-\u2c7f\ua720-\ua7ff\uab30-\uab6f"
    "\ufb00-\ufb06\uff21-\uff5a",
    "cyrillic": "\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f",
    "arabic": "\u0600-\u06ff\u0750-\u077f\u0870-\u08ff\ufb50-\ufdff\ufe70-\ufeff",
    "cjk": "\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u31ff\u3400-\u9fff\ua960-\ua97f"
    "\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U0001b000-\U0001b16f\U00020000-\U0003ffff",
}
SCRIPT_PATTERNS = {name: re.compile(f"[{ranges}]") for name, ranges in SCRIPTS.items()}
CLOSING = "\"')]}”’»*_`」』）"


def is_punctuation(character):
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def tokens_of(text):
    """(start, end, lower-cased token) of each token."""
    found, start = [], None
    for place, character in enumerate(text + "\n"):
        wordlike = unicodedata.category(character)[0] in "LNM"
        alone = wordlike and IDEOGRAPH.match(character)
        if start is not None and (alone or not wordlike):
            found.append((start, place))
            start = None
        if alone:
            found.append((place, place + 1))
        elif wordlike and start is None:
            start = place
    return [(first, last, "".join(map(lower, text[first:last]))) for first, last in found]


def lower(character):
    return character.lower() if len(character.lower()) == 1 else character


def sentences(text):
    tokens = {first for first, _, _ in tokens_of(text)}
    count, filled = 0, False
    for place, character in enumerate(text):
        filled |= place in tokens
        behind = text[place + 1 : place + 2]
        ends = character in ".!?…" and (not behind or behind.isspace() or behind in CLOSING)
        if ends or character in "。！？\n":
            count, filled = count + filled, False
    return count + filled


def markdown(text):
    counts = dict.fromkeys(("headings", "bullets", "numbered", "tables"), 0)
    fences = 0
    for line in text.split("\n"):
        word = (line.split() or [""])[0]
        if word.startswith("```"):
            fences += 1
        elif fences % 2 == 0:
            counts["headings"] += bool(re.fullmatch("#{1,6}", word))
            counts["bullets"] += word in ("-", "*", "+", "•")
            counts["numbered"] += bool(re.fullmatch(r"\d{1,9}[.)]", word))
            frame = "".join(line.split())
            counts["tables"] += not set(frame) - set("|-:") and "|" in frame and "-" in frame
    counts["code"] = (fences + 1) // 2 + len(re.findall(r"`[^`\n]+`", text))
    counts["bold"] = len(re.findall(r"\*\*[^*\n]+\*\*", text))
    counts["links"] = len(re.findall(r"\[[^\[\]\n]*\]\([^()\n]+\)", text))
    return {**counts, "markdown": sum(counts.values())}


def urls(text):
    return sum(
        (
            token in ("http", "https")
            and text[last:].startswith("://")
            and text[first:last].isascii()
        )
        or (token == "www" and text[last : last + 1] == "." and text[first - 1 : first] != "/")
        for first, last, token in tokens_of(text)
    )


@cache
def tokens_of_phrase(phrase):
    return [token for _, _, token in tokens_of(phrase)]


def phrase_count(tokens, phrases, opening=None):
    listed = [tokens_of_phrase(phrase) for phrase in phrases]
    starts = range(len(tokens) if opening is None else min(opening, len(tokens)))
    return sum(
        tokens[place : place + len(phrase)] == phrase for place in starts for phrase in listed
    )


def scripts(text):
    letters = [character for character in text if unicodedata.category(character)[0] == "L"]
    counts = {
        name: sum(bool(pattern.match(character)) for character in letters)
        for name, pattern in SCRIPT_PATTERNS.items()
    }
    counts["other_script"] = len(letters) - sum(counts.values())
    return {name: count / max(len(letters), 1) for name, count in counts.items()}


def overlap(text, prompt):
    known = {token for _, _, token in tokens_of(prompt)}
    tokens = [token for _, _, token in tokens_of(text)]
    return sum(token in known for token in tokens) / max(len(tokens), 1)


def measures(text, phrases, opening):
    """All measures of one text, but for `overlap` and `compression`."""
    tokens = [token for _, _, token in tokens_of(text)]
    words = text.split()
    return {
        "characters": len(text),
        "words": len(words),
        "sentences": sentences(text),
        "average_word_length": sum(map(len, words)) / max(len(words), 1),
        "type_token_ratio": len(set(tokens)) / max(len(tokens), 1),
        **markdown(text),
        "digits": sum(unicodedata.category(character) == "Nd" for character in text),
        "punctuation": sum(map(is_punctuation, text)),
        "urls": urls(text),
        "questions": sum(text.count(mark) for mark in "?？؟"),
        "exclamations": sum(text.count(mark) for mark in "!！"),
        "refusals": phrase_count(tokens, phrases["refusals"]),
        "hedges": phrase_count(tokens, phrases["hedges"]),
        "first_person": phrase_count(tokens, phrases["first_person"]),
        "flattery": phrase_count(tokens, phrases["flattery"], opening),
        **scripts(text),
    }


def compression(text):
    return len(zlib.compress(text.encode())) / len(text.encode()) if text else 0.0
