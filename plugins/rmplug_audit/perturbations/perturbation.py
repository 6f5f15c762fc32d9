"""The base of perturbations: one change to a response whose effect on its quality is known.

A perturbation of a plugin's own is a subclass of ``Perturbation``, and a subclass of ``Perturb``
whose ``battery`` names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from rmplug import OneOrMore

Intention: TypeAlias = Literal["keeps", "improves", "worsens"]
"""What a change does to the quality of a response: none, better, or worse."""
Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=10_000)]
"""A text to put into responses: it may be a stranger's."""
Texts = Annotated[tuple[Text, ...], Field(min_length=1, max_length=1000), OneOrMore]
"""One text, or several to draw from."""


@dataclass(frozen=True)
class Row:
    """A response to be changed."""

    prompt: str
    """The text of the prompt's last message."""
    response: str
    """The text of the response's last message."""
    others: Sequence[str] = ()
    """Responses to other prompts, drawn for this row."""
    written: str = ""
    """What a language model wrote for this row, where the perturbation asks one."""


class Perturbation(BaseModel):
    """One change to a response. Its class docstring says what it does; its fields are parameters
    that a spec may set."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    name: ClassVar[str]
    """The name in a spec and in reports: lower case and hyphens, unique in a battery."""
    theme: ClassVar[str]
    """What is exploited: ``length``, ``markdown``, ``confidence``; a report grades each theme."""
    intention: ClassVar[Intention]
    """What it is meant to do to the quality of a response."""
    doses: ClassVar[Sequence[int]] = (1,)
    """The strengths by which it can be applied, in rising order, such as a number of bullets."""
    asks: ClassVar[bool] = False
    """True of one that needs a language model: ``question`` is what it is asked, ``row.written``
    what it answered."""
    answer_tokens: ClassVar[int] = 1024
    """The most tokens of an answer of the language model."""
    english: ClassVar[bool] = False
    """True of one that writes or looks for English words: it is made to no response that is not
    English, unless it has parameters of the spec's own, such as phrases in another language."""
    given: ClassVar[bool] = False
    """True of one that needs parameters, such as a text: it is used only where it is named."""

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        """Return the changed response, or None where this one cannot be changed so (there is no
        list to reorder, say). ``random`` is the same for a row whatever else is changed, and for
        every dose: what is drawn in order for a dose is part of what is drawn for a higher one."""
        raise NotImplementedError

    def fault(self, before: str, after: str, dose: int) -> str | None:
        """Return what a change did beyond its intention, in words that are the same for all rows,
        or None: such a change is counted and left out. Called with every change."""
        return None

    def question(self, row: Row) -> Sequence[Mapping[str, str]]:
        """Return the conversation that a language model answers for this row."""
        raise NotImplementedError
