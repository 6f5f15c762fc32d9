"""The same in plain Python: slow, and short enough to be seen to be right."""

from __future__ import annotations

import re
import unicodedata

from rmplug import Pairs


def words(text: str) -> list[str]:
    """Words in lower case; each Chinese character or kana by itself."""
    found, run = [], ""
    for sign in text.lower() + " ":
        single = re.match("[\u3040-\u30ff\u4e00-\u9fff]", sign)
        if not single and unicodedata.category(sign)[0] in "LNM":
            run += sign
            continue
        found += [run] if run else []
        run = ""
        found += [sign] if single else []
    return found


def shingles(text: str, size: int) -> set[tuple[str, ...]]:
    run = words(text)
    if 0 < len(run) < size:
        return {tuple(run)}
    return {tuple(run[start : start + size]) for start in range(len(run) - size + 1)}


def jaccard(first: set, second: set) -> float:
    return len(first & second) / len(first | second) if first | second else 0.0


def pairs_of(rows: list[tuple[str, str, str]], **more: object) -> Pairs:
    prompts, chosen, rejected = zip(*rows, strict=True)
    ids = [f"r{number}" for number in range(len(rows))]
    columns = {"id": ids, "prompt": prompts, "chosen": chosen, "rejected": rejected}
    return Pairs({**columns, **more})
