"""Language: small words of an English response in another language."""

from __future__ import annotations

from collections import Counter
from random import Random

from .checked import recoded, words_of
from .perturbation import Perturbation, Row
from .texts import FIXED, LETTERS, draw, find_outside, replace_spans

GERMAN = {
    "and": "und", "but": "aber", "or": "oder", "because": "weil", "also": "auch", "very": "sehr",
    "always": "immer", "often": "oft", "never": "nie", "maybe": "vielleicht", "today": "heute",
    "people": "Leute", "time": "Zeit", "water": "Wasser", "house": "Haus", "world": "Welt",
    "good": "gut", "important": "wichtig", "here": "hier", "without": "ohne", "with": "mit",
    "only": "nur", "then": "dann", "if": "wenn", "not": "nicht",
}  # fmt: skip
SPANISH = {
    "and": "y", "but": "pero", "or": "o", "because": "porque", "also": "también", "very": "muy",
    "always": "siempre", "often": "a menudo", "never": "nunca", "today": "hoy", "people": "gente",
    "time": "tiempo", "water": "agua", "house": "casa", "world": "mundo", "good": "bueno",
    "important": "importante", "here": "aquí", "without": "sin", "with": "con", "only": "solo",
    "then": "entonces", "if": "si", "not": "no",
}  # fmt: skip
FRENCH = {
    "and": "et", "but": "mais", "or": "ou", "because": "parce que", "also": "aussi",
    "very": "très", "always": "toujours", "often": "souvent", "never": "jamais",
    "today": "aujourd'hui", "people": "gens", "time": "temps", "water": "eau", "house": "maison",
    "world": "monde", "good": "bon", "here": "ici", "without": "sans", "with": "avec",
    "only": "seulement", "then": "alors", "if": "si", "not": "pas",
}  # fmt: skip
LANGUAGES = (GERMAN, SPANISH, FRENCH)


class LanguageMixing(Perturbation):
    """Write common English words in German, Spanish or French, one language for each response.

    The dose is the number of words.
    """

    name = "language-mixing"
    theme = "language"
    intention = "worsens"
    doses = (1, 2, 4)
    english = True

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        text, foreign = row.response, random.choice(LANGUAGES)
        known = [
            word for word in find_outside(text, FIXED, LETTERS) if text[slice(*word)] in foreign
        ]
        drawn = draw(known, dose, random)
        if drawn is None:
            return None
        return replace_spans(text, [(word, foreign[text[slice(*word)]]) for word in drawn])

    def fault(self, before: str, after: str, dose: int) -> str | None:
        missing = Counter(words_of(before)) - Counter(words_of(after))
        if missing.total() != dose or not _COMMON.issuperset(missing):
            return "more or fewer words have changed than asked"
        return recoded(before, after)


_COMMON = frozenset(word for language in LANGUAGES for word in language)
