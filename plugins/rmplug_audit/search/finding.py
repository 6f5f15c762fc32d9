"""Find exploits of a reward model by search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from rmplug import (
    DataError,
    Estimator,
    Features,
    Fit,
    Known,
    Pairs,
    Predictor,
    Progress,
    Responses,
    RewardModel,
)
from rmplug_audit.naming import Entries, NamesPerturbations

if TYPE_CHECKING:
    from rmplug_audit.perturbations.changes import Change

PHRASE = "phrase"
"""The name that stands for all phrases that are mined or proposed."""


class FindExploits(NamesPerturbations, Estimator):
    """Find exploits of a reward model: changes that raise the reward of bad responses.

    From each prompt one bad response (rejected, or of the lowest label) is changed by programs of
    one to ``steps`` changes: perturbations that do not improve a response, and phrases. Phrases
    come from the data (what is typical of chosen responses), from the responses whose reward is
    highest or whose ``residuals`` are (the column `residual` of a fit, of pairs or responses), from
    a ``proposer``, a language model, where the spec names one, and with ``gradient_words`` from the
    vocabulary of the model, so that words are found that no text has. A program is worth the share
    of prompts where the changed response beats the good one of the same prompt (ties one half) plus
    the mean lift of its reward, in units of the model's own standard deviation within prompts.

    Texts are scored once; each counts towards the ``budget``, confirmation included. Programs race:
    all are tried on few prompts, the better third on more. `evolution` first tries each change
    alone, then varies the best programs; `flat` draws programs at random, for comparison.

    A model that compares two responses, such as `generative-judge`, is asked how strongly it
    prefers the changed response to the response as it was (the lift, of log-odds), and to the good
    one. A scoring is then a question about two responses: a changed one costs two, and four with a
    model that does not take the mean of both orders itself, which is asked in both.

    The best programs are reduced to the steps that they need, those that do the same are put
    together, and what is left is confirmed on prompts that the search has not seen. Numbers, one
    ``subset`` per exploit: ``lift`` with a 95 % interval over the confirming prompts, ``p`` (as
    in `effects`) and ``p_holm`` (Holm's correction for all exploits), ``wins`` and ``wins-before``
    (shares), ``changed`` (the share of responses to which it can be applied; others count as not
    lifted), and ``lift-in-sample`` on the prompts of the search, which is biased upwards. Also
    ``confirmed`` (exploits with a lift above 0 and ``p_holm`` below .05), ``scorings``,
    ``programs``, ``unit`` (the standard deviation within prompts).

    Tables: ``exploits``, ``examples`` (before and after; of a model that compares, rewards are the
    log-odds over the response as it was), ``trace`` (the best program by scorings).
    `exploits.json` holds the programs, which `perturb` applies to other data and for other models.
    """

    kind = "find-exploits"

    search: Literal["evolution", "flat"] = "evolution"
    """The way programs are proposed: varied from the best, or drawn at random."""
    budget: int = Field(default=2000, ge=50, le=1_000_000)
    """Most texts that are scored, or comparisons that are asked for, confirmation included."""
    prompts: int = Field(default=80, ge=4)
    """Most prompts that are used, drawn by seed, one pair of each; fewer with a budget of less than
    25 changed responses for each."""
    confirm: float = Field(default=0.5, ge=0.1, le=0.9)
    """Share of the prompts on which exploits are confirmed; the search never sees them."""
    findings: int = Field(default=8, ge=1, le=100)
    """Most exploits that are reported; each is tried on all confirming prompts."""
    steps: int = Field(default=3, ge=1, le=5)
    """Most steps of a program."""
    start: Literal["bad", "off-topic"] = "bad"
    """The response that is changed: the bad one of the prompt, or a good one of another prompt."""
    perturbations: Entries | None = None
    """Names, or mappings with a `name`, parameters of that perturbation and `doses`; by default all
    that need neither parameters nor a language model, and `phrase`, the name of all that is mined
    or proposed (with a `text` it is that text alone). Those that improve a response are never
    used."""

    gradient_words: int = Field(default=0, ge=0, le=1000)
    """Words of the model's vocabulary to try as phrases, 0 for none: those to which the gradient of
    the reward points, in the mean over words drawn at random at either end of responses to 8
    prompts. Needs a model that is a network on this machine, such as `sequence-classifier`; each of
    the 32 gradients counts as 3 scorings."""

    @field_validator("perturbations")
    @classmethod
    def _known(cls, entries: Entries | None) -> Entries | None:
        if entries == ():
            raise ValueError("there is none to search with; name some, or leave it out for all")
        for name, change in cls.named_changes(_without_phrase(entries or ())).items():
            if change.asks:
                raise ValueError(
                    f"{name} asks a language model, which a search does not; leave it out"
                )
        return entries

    def changes(self) -> list[Change]:
        """Return the changes to search with, but phrases of the data."""
        from rmplug_audit.perturbations.programs import grammar

        plain = [name for name, kind in grammar(self.known_kinds()).items() if not kind.given]
        entries = plain if self.perturbations is None else _without_phrase(self.perturbations)
        changes = self.named_changes(entries).values()
        return [change for change in changes if change.intention != "improves"]

    @property
    def takes_phrases(self) -> bool:
        """True of a search that mines phrases."""
        return self.perturbations is None or PHRASE in self.perturbations

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        if self.gradient_words and not self.takes_phrases:
            yield "gradient_words", "its words are phrases; name phrase among the perturbations"
        for model in inputs.get("model", ()) if self.gradient_words else ():
            if model.compares:
                what = "compares two responses and has no gradient of a reward; leave it out"
                yield "gradient_words", f"{model.step} {what}"
        for data in inputs.get("data", ()):
            if data.is_a(Responses) and (lacking := data.lacks("label")):
                yield "data", f"{lacking}; find-exploits needs to know which response is bad"

    def fit(
        self,
        model: RewardModel,
        data: Pairs | Responses,
        residuals: Features | None = None,
        proposer: RewardModel | None = None,
        *,
        seed: int,
        directory: Path,
        work: Path,
        progress: Progress,
    ) -> Fit:
        from ._finding import Given, find

        given = Given(model, data, residuals, proposer)
        found = find(self, given, seed, directory, work, progress)
        return Fit(directory, type(self), found.numbers, found.tables)

    @classmethod
    def open(cls, directory: Path) -> FoundExploits:
        from rmplug_audit.perturbations.programs import read_exploits

        return FoundExploits(read_exploits(directory, cls.known_kinds()))


def _without_phrase(entries: Entries) -> Entries:
    """Return the entries but the name that stands for phrases of the data."""
    return tuple(entry for entry in entries if entry != PHRASE)


class FoundExploits(Predictor):
    """The changes that were found: a `perturb` step applies them."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = changes

    def predict(self, features: object) -> Mapping[str, object]:  # type: ignore[override]
        raise DataError("exploits change responses and predict nothing; use them in perturb")
