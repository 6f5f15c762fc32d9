"""Tag dimensions of a prompt, and their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Dimension(BaseModel):
    """One thing that a tag can say about a prompt, and the values that it can have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    form: Literal["closed-set", "scalar", "open-set"] = "closed-set"
    """`closed-set`: any number of known values; `scalar`: one of them; `open-set`: any texts, of
    which only counts whether there are any."""
    values: tuple[str, ...] = ()
    """The values that become features, in the order of the columns."""
    others: tuple[str, ...] = ()
    """Further values of the vocabulary, which become no feature."""
    question: str = Field(default="")
    """Question to a language model, instead of one made from the values."""

    @model_validator(mode="after")
    def _check(self) -> Dimension:
        if (self.form == "open-set") == bool(self.values):
            raise ValueError("a closed set and a scalar need values, an open set has none")
        normalised = [" ".join(value.casefold().split()) for value in (*self.values, *self.others)]
        if len(set(normalised)) < len(normalised):
            raise ValueError("values and others must differ by more than case and spaces")
        odd = [value for value in self.values if any(m in value for m in ("::", "|", "="))]
        if odd:
            raise ValueError(f"the value {odd[0]!r} has ::, | or =, which names cannot have")
        return self


SUBJECTS = (
    "Anthropology",
    "History",
    "Linguistics and language",
    "Philosophy",
    "Religion",
    "Economics",
    "Geography",
    "Political science",
    "Psychology",
    "Sociology",
    "Biology",
    "Chemistry",
    "Earth sciences",
    "Physics",
    "Space sciences",
    "Computer sciences",
    "Logic",
    "System science",
    "Agriculture",
    "Architecture and design",
    "Business",
    "Divinity",
    "Education",
    "Chemical engineering",
    "Civil engineering",
    "Electrical engineering",
    "Materials science and engineering",
    "Mechanical engineering",
    "Environmental studies and forestry",
    "Family and consumer science",
    "Human physical performance and recreation",
    "Journalism",
    "Media studies and communication",
    "Law",
    "Library and museum studies",
    "Medicine and health",
    "Military sciences",
    "Social work",
    "Transportation",
    "Culinary arts",
    "Literature",
    "Performing arts",
    "Visual arts",
    "Mathematics",
    "Public administration",
    "Others",
)
OTHER_LANGUAGES = (
    "Arabic",
    "Bengali",
    "Bulgarian",
    "Catalan",
    "Chinese",
    "Croatian",
    "Czech",
    "Danish",
    "Dutch",
    "Estonian",
    "Finnish",
    "French",
    "German",
    "Greek",
    "Hebrew",
    "Hindi",
    "Hungarian",
    "Indonesian",
    "Italian",
    "Japanese",
    "Korean",
    "Latvian",
    "Lithuanian",
    "Malay",
    "Norwegian",
    "Persian",
    "Polish",
    "Portuguese",
    "Romanian",
    "Russian",
    "Serbian",
    "Slovak",
    "Slovenian",
    "Spanish",
    "Swedish",
    "Tamil",
    "Thai",
    "Turkish",
    "Ukrainian",
    "Urdu",
    "Vietnamese",
    "Others",
)

DIMENSIONS: Mapping[str, Dimension] = {
    "subject_of_expertise": Dimension(
        values=SUBJECTS,
        question="Which subjects must one know well to answer the text below?",
    ),
    "languages": Dimension(
        values=("English",),
        others=OTHER_LANGUAGES,
        question="Which natural languages does the text below use or ask for?",
    ),
    "expertise_level": Dimension(
        form="scalar",
        values=("general public", "basic domain knowledge", "expert domain knowledge"),
        question="How much expertise does it take to answer the text below?",
    ),
    "open_endedness": Dimension(
        form="scalar",
        values=("no", "low", "moderate", "high"),
        question="How open-ended is the text below: how much may good answers to it differ?",
    ),
    "safety_concern": Dimension(
        form="scalar",
        values=("safe", "low", "moderate", "high"),
        question="How much harm could come of answering the text below?",
    ),
    "complexity_of_intents": Dimension(
        form="scalar",
        values=("simple", "moderate", "complex"),
        question="How complex is what the text below asks for?",
    ),
    "type_of_in_context_material": Dimension(
        form="open-set",
        question="What kinds of material does the text below bring along for the answer to use, "
        "such as a table, a passage, code or examples?",
    ),
    "format_constraints": Dimension(
        form="open-set",
        question="What does the text below demand of the form of its answer, such as a number of "
        "words, a list or a file format?",
    ),
}
"""Eight dimensions with the values of the hybrid preference router (arXiv 2410.19133)."""


def choose_dimensions(
    only: Sequence[str] | None, dimensions: Mapping[str, Dimension] | None
) -> dict[str, Dimension]:
    available = DIMENSIONS if dimensions is None else dimensions
    return {name: available[name] for name in (available if only is None else only)}


def check_choice(only: Sequence[str] | None, dimensions: Mapping[str, Dimension] | None) -> None:
    available = DIMENSIONS if dimensions is None else dimensions
    odd = [name for name in only or () if name not in available]
    if odd:
        raise ValueError(f"only names {odd[0]!r}; the dimensions are {', '.join(available)}")
    marked = [name for name in available if any(mark in name for mark in ("::", "|", "="))]
    if marked or not available:
        raise ValueError("dimensions need names, without ::, | and =")
