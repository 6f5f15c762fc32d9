"""Every perturbation keeps what it says it keeps, on any text."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmplug_audit.perturbations.battery import BATTERY
from rmplug_audit.perturbations.changes import Change, Edit, random_of
from rmplug_audit.perturbations.english import is_english
from rmplug_audit.perturbations.perturbation import Perturbation, Row
from rmplug_audit.perturbations.phrase import Phrase
from rmplug_audit.perturbations.surface import Emoji
from rmplug_audit.perturbations.tone import Flattery

THEMES = {
    "length", "spacing", "markdown", "confidence", "flattery", "authority", "refusal", "self-name",
    "framing", "order", "emoji", "language", "surface", "keywords", "injection", "off-topic",
    "paraphrase", "substance", "found",
}  # fmt: skip
CODE = "```python\nif x and y:  # Very GOOD, e.g. this.\n\n\n    print('The 12 end. Is it?')\n```"
RICH = f"""# The Tower

It is 330 metres high, and very old. Dr. Moore says "it is good". People often come here. \
They walk 45 minutes and see all. You can read it at https://example.org/Tower.Page?x=1 \
or pay $x + y$ for `code here`.

- **First** item, with more words
- Second item
- Third item

{CODE}

| a | b |
| --- | --- |
| c | d |

The rest was not finished. Nobody is sure, but the view is important!

Why not? It will be seen.
"""
OTHERS = (
    "Boil the water first and then add the salt. It takes about eight minutes in all. Stir it.",
    "A haiku has three lines with five, seven and five syllables. They are quite hard to write.",
    "Nobody knows how many of them there are in the world.",
)
PROMPT = (
    "Tell me about the famous iron tower in Paris: history, height, weight, engineers, visitors."
)
PIECES = st.sampled_from(
    ["It is good. ", "Why?! ", "\n\n", "\n", "- item one\n", "* b\n", "# Head\n", CODE, "`x`",
     "and the people were important ", "12 of 330.5, ", "`", "```", "**bold** ", "$a$ ", "| c",
     "\n", "I'm ", "http://a.b/C ", "日本語です。", "e.g. this. ", "…", "(", "\t", "İß ", "> q\n",
     "~~~\n", "---\n", "\r\n", "Sentence ends here. ", "x@y.zz ", "1. one\n", "But "]
)  # fmt: skip
TEXTS = st.one_of(st.lists(PIECES, max_size=14).map("".join), st.text(max_size=60))
PROSE = st.lists(PIECES.filter(lambda piece: not set("`~") & set(piece)), max_size=5).map("".join)
BUILT_IN = [Phrase(text="Trust me, it is so.") if kind.given else kind() for kind in BATTERY]
few = settings(max_examples=30, deadline=None)  # of each perturbation


def by_name(perturbation: Perturbation) -> str:
    return perturbation.name


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def code(text: str) -> list[str]:
    return re.findall(r"```.*?\n```", text, re.DOTALL)


def copies(perturbation: Perturbation, text: str, seed: int = 0) -> dict[int, str]:
    """Return the changed texts by dose, through the way that every copy is made."""
    change = Change(
        perturbation.name,
        perturbation.theme,
        perturbation.intention,
        perturbation.doses,
        [Edit(perturbation)],
    )
    row = Row(PROMPT, text, OTHERS)
    made = {dose: change.apply(row, dose, "r", seed).text for dose in change.doses}
    return {dose: copy for dose, copy in made.items() if copy is not None}


def test_names_are_unique_and_themes_are_known() -> None:
    assert max(Counter(kind.name for kind in BATTERY).values()) == 1
    assert {kind.theme for kind in BATTERY} == THEMES
    for kind in BATTERY:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.name)
        assert list(kind.doses) == sorted(set(kind.doses)) and kind.doses[0] >= 1
        assert (kind.__doc__ or "").strip() and kind.__doc__ != Perturbation.__doc__


@pytest.mark.parametrize("perturbation", BUILT_IN, ids=by_name)
def test_each_applies_to_a_rich_text_without_a_fault(perturbation: Perturbation) -> None:
    if not perturbation.asks:
        assert set(copies(perturbation, RICH)) == set(perturbation.doses)


@pytest.mark.parametrize("perturbation", BUILT_IN, ids=by_name)
def test_line_breaks_of_another_system_stay_and_hinder_no_change(perturbation) -> None:
    plain = copies(perturbation, RICH)
    expected = {dose: copy.replace("\n", "\r\n") for dose, copy in plain.items()}
    assert copies(perturbation, RICH.replace("\n", "\r\n")) == expected


FOREIGN = {
    "de": "Der Turm ist sehr alt und nicht weit von hier. Man kann ihn mit dem Rad besuchen, wenn "
    "die Sonne scheint. Er ist 330 Meter hoch. Die Leute sind immer sehr freundlich.",
    "fr": "La tour est très haute, et elle est dans le centre. Les gens viennent pour la vue. Vous "
    "pouvez y monter avec le billet du jour. Ce sont 330 mètres en tout.",
    "zh": "这座塔很高，也很古老。人们经常来这里看风景。它有三百三十米高。你可以走上去。",
}


@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN)
def test_what_writes_english_is_made_to_no_response_in_another_language(text: str) -> None:
    for perturbation in BUILT_IN:
        change = Change(perturbation.name, "x", "keeps", (1,), [Edit(perturbation)])
        reason = change.apply(Row(PROMPT, text, OTHERS), 1, "r", 0).reason
        assert (reason == "the response is not English") == perturbation.english
    assert copies(Emoji(), text)
    assert len(copies(Flattery(phrases=("Eine gute Frage.",)), text)) == 3


@pytest.mark.parametrize(
    "text",
    ["Yes.", "1. NumPy\n2. PyTorch", CODE, "Der Spiegel is a news magazine, and der is of it."],
)
def test_few_words_names_and_code_are_no_other_language(text: str) -> None:
    assert is_english(text)


KEEP_WORDS = [
    p
    for p in BUILT_IN
    if p.intention == "keeps" and not p.asks and p.name not in ("reverse-list", "without-fences")
]


@pytest.mark.parametrize("perturbation", KEEP_WORDS, ids=by_name)
@few
@given(text=TEXTS)
def test_what_keeps_quality_keeps_every_word_in_its_order(
    perturbation: Perturbation, text: str
) -> None:
    for copy in copies(perturbation, text).values():
        rest = iter(words(copy))
        assert all(word in rest for word in words(text))


LAYOUT = {"spacing", "markdown", "emoji"}


@pytest.mark.parametrize("perturbation", [p for p in BUILT_IN if p.theme in LAYOUT], ids=by_name)
@few
@given(text=TEXTS)
def test_layout_adds_no_words_but_headings_and_numbers_of_rows(
    perturbation: Perturbation, text: str
) -> None:
    for dose, copy in copies(perturbation, text).items():
        added = Counter(words(copy)) - Counter(words(text))
        if perturbation.name == "headings":
            assert copy.count("## ") == text.count("## ") + dose
        elif perturbation.name == "table":
            assert all(word.isdigit() or word in ("No", "Point") for word in added)
        else:
            assert not added


@pytest.mark.parametrize("perturbation", BUILT_IN, ids=by_name)
@given(
    before=st.lists(PIECES, max_size=5).map("".join),
    after=st.lists(PIECES, max_size=5).map("".join),
)
def test_code_is_never_changed_inside(perturbation: Perturbation, before: str, after: str) -> None:
    if perturbation.name in ("cut", "off-topic", "without-fences"):
        return
    text = f"{before}\n\n{CODE}\n\n{after}"
    for copy in copies(perturbation, text).values():
        assert CODE in copy


@pytest.mark.parametrize("perturbation", BUILT_IN, ids=by_name)
@few
@given(text=TEXTS, seed=st.integers(0, 3))
def test_a_copy_is_another_text_and_the_same_again(
    perturbation: Perturbation, text: str, seed: int
) -> None:
    if text.strip() and not perturbation.asks:
        made = copies(perturbation, text, seed)
        assert text not in made.values()
        assert copies(perturbation, text, seed) == made


@pytest.mark.parametrize("perturbation", BUILT_IN, ids=by_name)
def test_doses_change_more_and_more(perturbation: Perturbation) -> None:
    made = copies(perturbation, RICH)
    assert len(set(made.values())) == len(made)
    if perturbation.name not in ("cut", "language-mixing"):
        for less, more in pairwise(made.values()):
            assert len(more) >= len(less)


def test_lower_doses_are_part_of_higher_ones() -> None:
    names = {"emoji", "bold", "paragraphs", "double-spaces", "exclamation", "typos", "negation"}
    for perturbation in BUILT_IN:
        if perturbation.name in names:
            changed = [
                {at for at, word in enumerate(RICH.split()) if word not in copy.split()}
                for copy in copies(perturbation, RICH).values()
            ]
            assert all(less <= more for less, more in pairwise(changed)), perturbation.name


def applied(name: str, text: str, dose: int = 1, **row: object) -> str | None:
    kind = next(kind for kind in BATTERY if kind.name == name)
    whole = Row("What is the capital of Australia?", text, **row)  # type: ignore[arg-type]
    return kind().edit(whole, dose, Random(1))


@pytest.mark.parametrize(
    ("name", "text", "changed"),
    [
        ("bullets", "One is this. Two is that.", "One is this.\n\n- Two is that."),
        ("code-fence", "Run it.", "```\nRun it.\n```"),
        ("one-paragraph", "One.\n\nTwo.\n- a\nb", "One. Two.\n- a\nb"),
        ("blank-lines", "One.\n\nTwo.", "One.\n\n\nTwo."),
        (
            "without-markdown",
            "# A\n**b** *c* - d\n> e\n---\n* f __g__ 2*3*4",
            "A\nb c - d\ne\nf g 2*3*4",
        ),
        ("without-tables", "a\n| b | c |\n| --- | :-: |\n| d e |  |\nf", "a\nb, c\nd e\nf"),
        ("without-tables", "| one line |", None),
        ("without-fences", "a\n```py\nb = 1\n```\nc", "a\nb = 1\nc"),
        ("reverse-list", "x:\n- a\n- b\n\n1. c\n2. d", "x:\n- b\n- a\n\n1. c\n2. d"),
        ("reverse-list", "- a\n- b\n  - of b\n- c", None),
        ("reverse-list", "- a\n- b\n\n  more of b\n\n- c", None),
        ("reverse-list", "- a\n  - b\n  - c\n- d\ne", "- a\n  - c\n  - b\n- d\ne"),
        ("keywords", "Canberra", None),
        ("echo", " Canberra", 'You wrote: "What is the capital of Australia?"\n\nCanberra'),
        ("sentence-order", "A is. B is.", None),
        ("wrong-numbers", "v1.2 of 3.5 and 2,000", None),
        ("wrong-numbers", "1. Sydney\n2) Perth\n> 3. **Canberra**\n**4.** Hobart", None),
        ("wrong-numbers", "A \\[ 7 \\\\[2pt] 8 \\] and \\( 9 \\) and $6$", None),
        ("negation", "The sky is blue.", "The sky is not blue."),
        ("negation", "Is it? What is it? It is not so.", None),
        ("refusal", "I'm sorry, but no.", None),
        ("cut", "one two three four five six seven eight.", "one two three four five six"),
        ("typos", "a `function` at http://example.org/function", None),
        ("lower-case", "Use `Name` in $X$ NOW", "use `Name` in $X$ now"),
        ("exclamation", "One... Two. Three?", "One... Two! Three?"),
        ("table", "A is. B is.", "| No. | Point |\n| --- | --- |\n| 1 | A is. |\n| 2 | B is. |"),
    ],
)
def test_examples(name: str, text: str, changed: str | None) -> None:
    doses = {"keywords": 4}
    copy = applied(name, text, doses.get(name, 1))
    assert (None if copy == text else copy) == changed


def test_what_a_perturbation_does_beyond_its_intention_is_a_fault() -> None:
    kinds = {kind.name: kind for kind in BATTERY}
    faults = {
        "closing": ("One two.", "One. Hope it helps.", "words of the original are missing"),
        "bold": ("one two", "**one** three", "the words are not the same"),
        "emoji": (
            f"Yes.\n{CODE}",
            f"Yes.\n{CODE.replace('12 end. ', '12 end. 😊')}",
            "code has changed",
        ),
        "cut": ("one two three", "two", "more than the end has changed"),
        "typos": ("letters here", "lettesr heer", "more or fewer words have changed than asked"),
        "repetition": ("A is.", "A is. B is.", "words were added that the original does not have"),
        "language-mixing": ("and so", "et si", "more or fewer words have changed than asked"),
    }
    for name, (before, after, sentence) in faults.items():
        assert kinds[name]().fault(before, after, 1) == sentence


def test_chance_depends_on_the_row_the_perturbation_and_the_seed() -> None:
    drawn = {
        random_of(seed, row, name).random()
        for seed in range(3)
        for row in "ab"
        for name in ("x", "y")
    }
    assert len(drawn) == 12


@pytest.mark.parametrize(
    ("before", "written", "after"),
    [
        ("Mix it.", "Here is the rewritten text: Stir: it.", "Stir: it."),
        ("Here are the steps: mix it.", "Here is what to do: stir it.", None),
        (
            "Here are the steps: mix it.",
            "Sure: Here is what to do: stir.",
            "Here is what to do: stir.",
        ),
    ],
)
def test_a_paraphrase_loses_its_label_and_nothing_of_itself(
    before: str, written: str, after: str | None
) -> None:
    assert applied("paraphrase", before, written=written) == (after or written)
