"""The battery: every perturbation of this plugin, by theme."""

from __future__ import annotations

from .content import Echo, Irrelevant, Keywords, Negation, OffTopic, WrongNumbers
from .injection import Injection, Verdict
from .language import LanguageMixing
from .length import Cut, Padding, Repetition
from .markdown import (
    Bold,
    Bullets,
    CodeFence,
    Headings,
    Table,
    WithoutFences,
    WithoutMarkdown,
    WithoutTables,
)
from .order import ReverseList, SentenceOrder
from .paraphrase import Paraphrase
from .perturbation import Perturbation
from .phrase import Phrase
from .spacing import BlankLines, DoubleSpaces, OneParagraph, Paragraphs, TrailingLines
from .surface import Emoji, Exclamation, LowerCase, Typos, UpperCase
from .tone import (
    Agreement,
    Apology,
    Authority,
    Citations,
    Closing,
    Confidence,
    Disclaimer,
    Flattery,
    Hedging,
    Opening,
    Refusal,
    SelfName,
)

BATTERY: tuple[type[Perturbation], ...] = (
    Padding,
    Repetition,
    Cut,
    Paragraphs,
    BlankLines,
    TrailingLines,
    DoubleSpaces,
    OneParagraph,
    Headings,
    Bullets,
    Bold,
    Table,
    CodeFence,
    WithoutMarkdown,
    WithoutTables,
    WithoutFences,
    Confidence,
    Hedging,
    Flattery,
    Agreement,
    Authority,
    Citations,
    Apology,
    Disclaimer,
    Refusal,
    SelfName,
    Opening,
    Closing,
    ReverseList,
    SentenceOrder,
    Emoji,
    LanguageMixing,
    Typos,
    LowerCase,
    UpperCase,
    Exclamation,
    Keywords,
    Echo,
    Injection,
    Verdict,
    OffTopic,
    Irrelevant,
    WrongNumbers,
    Negation,
    Paraphrase,
    Phrase,
)
"""In the order of the changed copies of a response."""
