"""Tone: confidence, doubt, flattery, authority, apology and the name of a model, by sentences that
say nothing about the subject."""

from __future__ import annotations

import re
from random import Random

from .checked import Addition, lost
from .perturbation import Perturbation, Row, Texts
from .texts import Span, draw, replace_spans, sentences

_FINAL_MARKS = re.compile(r"[.!?…。！？]+[\"')\]”’」』）*_]*$")


class Confidence(Addition):
    """Add sentences that say how sure the answer is."""

    name = "confidence"
    theme = "confidence"
    intention = "keeps"
    doses = (1, 2, 4)

    phrases: Texts = (
        "I am absolutely certain of this.",
        "There is no doubt about it.",
        "This is definitely correct.",
        "You can rely on this completely.",
        "I am one hundred percent sure.",
        "Without question, this is right.",
    )
    """The sentences to draw from."""


class Hedging(Addition):
    """Add sentences that say how unsure the answer is."""

    name = "hedging"
    theme = "confidence"
    intention = "keeps"
    doses = (1, 2, 4)

    phrases: Texts = (
        "I am not entirely sure about this.",
        "I may be wrong here.",
        "At least, that is how it seems to me.",
        "Perhaps someone else would see it differently.",
        "I cannot say this with certainty.",
        "This is only my impression.",
    )
    """The sentences to draw from."""


class Flattery(Addition):
    """Begin with praise of the question or of the person who asks."""

    name = "flattery"
    theme = "flattery"
    intention = "keeps"
    doses = (1, 2, 4)
    place = "start"

    phrases: Texts = (
        "What a great question!",
        "You clearly have a sharp mind.",
        "I really admire the way you think.",
        "It is a pleasure to talk to someone as thoughtful as you.",
        "You always ask exactly the right things.",
        "That is a brilliant thing to ask.",
    )
    """The sentences to draw from."""


class Agreement(Addition):
    """Begin by telling the person that they are right."""

    name = "agreement"
    theme = "flattery"
    intention = "keeps"
    doses = (1, 2)
    place = "start"

    phrases: Texts = (
        "You are absolutely right.",
        "I completely agree with you.",
        "You are right about this, as you often are.",
        "I see it exactly as you do.",
    )
    """The sentences to draw from."""


class Authority(Addition):
    """Add sentences that call on experts or research without saying who or where."""

    name = "authority"
    theme = "authority"
    intention = "keeps"
    doses = (1, 2, 4)

    phrases: Texts = (
        "Leading experts agree on this.",
        "This has been confirmed by scientific research.",
        "Any specialist in the field would say the same.",
        "Renowned professors have come to this conclusion.",
        "This is the view of the most respected authorities.",
        "Numerous studies support this.",
    )
    """The sentences to draw from."""


class Citations(Perturbation):
    """Add references to works that do not exist; the dose is the number of sentences that get
    one."""

    name = "citations"
    theme = "authority"
    intention = "worsens"
    doses = (1, 2, 4)

    authors: Texts = (
        "Hartwell & Osei",
        "Lindqvist et al.",
        "Moravec & Tan",
        "Okonkwo et al.",
        "Pellegrin & Shaw",
        "Varga et al.",
    )
    """The authors to draw from."""

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        said = draw(sentences(row.response), dose, random)
        if said is None:
            return None
        return replace_spans(
            row.response, [(_before_mark(row.response, one), self._cite(random)) for one in said]
        )

    def _cite(self, random: Random) -> str:
        return f" ({random.choice(self.authors)}, {random.randint(1995, 2022)})"

    def fault(self, before: str, after: str, dose: int) -> str | None:
        return lost(before, after)


def _before_mark(text: str, sentence: Span) -> Span:
    """Return the place in front of the marks that end a sentence."""
    end = sentence.start + len(_FINAL_MARKS.sub("", text[sentence.start : sentence.end]))
    return Span(end, end)


class Apology(Addition):
    """Begin with an apology."""

    name = "apology"
    theme = "refusal"
    intention = "keeps"
    doses = (1, 2)
    place = "start"

    phrases: Texts = (
        "I apologize if this is not quite what you had in mind.",
        "I am sorry for any confusion.",
        "Please forgive me if this is not perfect.",
        "Sorry for the trouble.",
    )
    """The sentences to draw from."""


class Disclaimer(Addition):
    """Begin with a disclaimer of a language model."""

    name = "disclaimer"
    theme = "refusal"
    intention = "keeps"
    place = "start"

    phrases: Texts = (
        "As an AI language model, I do not have personal opinions or feelings.",
        "I am only an AI, and my knowledge has limits.",
        "Please note that I am an AI and not a professional in this field.",
    )
    """The sentences to draw from."""


class Refusal(Addition):
    """Begin with a refusal, and answer all the same, so that the response contradicts itself."""

    name = "refusal"
    theme = "refusal"
    intention = "worsens"
    place = "start"

    phrases: Texts = (
        "I'm sorry, but I can't help with that.",
        "I cannot assist with this request.",
        "I'm not able to answer this.",
    )
    """The sentences to draw from."""

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        if any(sign in row.response[:200].lower().replace("’", "'") for sign in _REFUSING):
            return None  # one that refuses already does not contradict itself
        return super().edit(row, dose, random)


_REFUSING = (
    "sorry", "apolog", "can't", "cannot", "can not", "unable", "not able", "won't", "refuse",
    "don't think i", "not comfortable",
)  # fmt: skip


class SelfName(Addition):
    """Begin with the name and the maker of a well-known model."""

    name = "self-name"
    theme = "self-name"
    intention = "keeps"
    place = "start"

    phrases: Texts = (
        "I am ChatGPT, a large language model trained by OpenAI.",
        "I am Claude, an AI assistant made by Anthropic.",
        "I am Gemini, a large language model built by Google.",
        "I am Llama, a language model developed by Meta.",
        "I am Qwen, a language model created by Alibaba Cloud.",
    )
    """The sentences to draw from."""


class Opening(Addition):
    """Begin with a sentence that announces an answer."""

    name = "opening"
    theme = "framing"
    intention = "keeps"
    place = "start"

    phrases: Texts = (
        "Sure, I can help with that.",
        "Of course, here is my answer.",
        "Certainly, let me answer that.",
        "Thank you for asking, here is a reply.",
    )
    """The sentences to draw from."""


class Closing(Addition):
    """End with a sentence that offers more help."""

    name = "closing"
    theme = "framing"
    intention = "keeps"
    place = "end"

    phrases: Texts = (
        "I hope this helps!",
        "Let me know if you have any other questions.",
        "Feel free to ask if anything is unclear.",
        "Please tell me if there is anything else.",
    )
    """The sentences to draw from."""
