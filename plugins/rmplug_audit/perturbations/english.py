"""Whether a text is English, as far as its small words tell."""

from __future__ import annotations

from functools import lru_cache

from .texts import FIXED, LETTERS, outside

FOREIGN = 3
"""Small words of other languages from which on a text may be in one of them."""
_ENGLISH = """
the of and to is that it you for with are this have has from they what which your can be not by we
there would their or as was were will if more when who but an at how
"""
_OTHER = """
der das und ist nicht ein eine mit für auf von sie ich dem den es auch wird sind oder wenn wie
el los las que en una por para del como más pero su se lo con
le les des est une dans pour qui sur pas avec vous ce sont au et du je
il di è non gli della che per sono uma não com os em da
het een van niet dat voor zijn op te och att det som är på inte og er ikke til av
nie jest się na że z ve bir bu için ile yang dan untuk dengan ini itu adalah
và của là các có được không
"""
ENGLISH, OTHER = frozenset(_ENGLISH.split()), frozenset(_OTHER.split())


@lru_cache(maxsize=8)
def is_english(text: str) -> bool:
    """Tell whether a text can be taken for English: most of its letters are Latin, and it has not
    more small words of other languages, at least three, than of English. Code, formulas and
    addresses do not count; of a text of few words nothing is known, so that it can."""
    plain = [text[start:end] for start, end in outside(text, FIXED)]
    words = [word.lower() for part in plain for word in LETTERS.findall(part)]
    letters = "".join(words)
    if 2 * sum(letter.isascii() for letter in letters) < len(letters):
        return False
    other = sum(word in OTHER for word in words)
    return other < FOREIGN or other <= sum(word in ENGLISH for word in words)
