"""Words by which files in several languages call their columns, to propose which one is meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

ENGLISH: Mapping[str, frozenset[str]] = {
    "prompt": frozenset({"question", "query", "instruction", "input"}),
    "chosen": frozenset(
        "preferred better best good winner winning accepted positive".split()  # noqa: SIM905
    ),
    "rejected": frozenset(
        "worse worst bad loser losing refused dispreferred negative".split()  # noqa: SIM905
    ),
    "response": frozenset({"answer", "completion", "output", "reply"}),
}
"""Whole words of the name of a column."""

STEMS: Mapping[str, tuple[str, ...]] = {
    "prompt": (
        "frage", "eingabe", "vraag", "question", "requête", "invite", "pregunta", "pergunta",
        "domanda", "entrada", "pytanie", "вопрос", "запрос", "问题", "問題", "提问", "提示", "指令",
        "質問", "질문", "سؤال", "प्रश्न",
    ),
    "chosen": (
        "bevorzug", "besser", "gewählt", "gewaehlt", "choisi", "préféré", "prefere", "meilleur",
        "elegid", "preferid", "mejor", "escolhid", "melhor", "scelt", "preferit", "migliore",
        "gekozen", "beter", "wybran", "lepsz", "выбран", "лучш", "предпоч", "更好", "较好", "選択",
        "选择", "选中", "被选", "好回答", "採用", "선택", "선호", "مفضل",
    ),
    "rejected": (
        "abgelehn", "verworfen", "schlecht", "rejet", "refus", "pire", "rechazad", "peor",
        "rejeitad", "pior", "rifiutat", "scartat", "peggior", "afgewezen", "slechter", "odrzucon",
        "gorsz", "отклон", "отверг", "хуже", "худш", "拒绝", "拒絕", "被拒", "较差", "更差",
        "差回答", "却下", "不採用", "거부", "거절", "مرفوض",
    ),
    "response": (
        "antwort", "réponse", "reponse", "respuesta", "resposta", "risposta", "antwoord",
        "odpowied", "ответ", "回答", "答案", "回复", "応答", "답변", "응답", "جواب",
    ),
}  # fmt: skip
"""Beginnings of words in Latin letters; in other writing, parts of the name."""

_WORD = re.compile(r"[^\W\d_]+")
_PLAIN = re.compile(r"[^\W\d_][\w ()/-]*")


def columns_meant(fields: Sequence[str], names: Iterable[str]) -> dict[str, str]:
    """Return the column that each of some fields means, where one alone says so in a word."""
    listed = list(names)
    says = {field: [name for name in listed if _says(name, field)] for field in fields}
    found = {field: columns[0] for field, columns in says.items() if len(columns) == 1}
    taken = list(found.values())
    return {field: column for field, column in found.items() if taken.count(column) == 1}


def _says(name: str, field: str) -> bool:
    words = _WORD.findall(name.casefold())
    if ENGLISH.get(field, frozenset()) & set(words):
        return True
    # words of a writing without spaces stand inside others
    return any(
        any(word.startswith(stem) for word in words) or (stem[0] > "ɏ" and stem in name)
        for stem in STEMS.get(field, ())
    )


def written_fields(columns: Mapping[str, str]) -> str:
    """Return the parameter that names the columns of fields, as a spec has it."""
    listed = (
        f"{field}: {name if _PLAIN.fullmatch(name) else repr(name)}"
        for field, name in columns.items()
    )
    return f"fields: {{{', '.join(listed)}}}"
