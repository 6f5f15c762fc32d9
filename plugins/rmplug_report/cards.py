"""The reporters of cards: of a model, and of an audit of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from rmplug import Artifact, Known, Metrics, PlanView, Report, Reporter


class ModelCard(Reporter):
    """Write results for a model's card, as Markdown: a table with intervals, baselines, the data.

    Takes metrics (and anything else that ``html`` takes: pairs and their notices give the facts
    about the data, a trained model the numbers of its training). Gives ``README.md``: the numbers
    of the model, its accuracy and score on every part, with its 95 % CI and n, beside the strongest
    baseline; the sentences that evaluators wrote; the training; the seed, and the steps that led to
    the numbers with their parameters, as a spec has them. With ``front_matter`` it begins with a
    ``model-index`` as the Hugging Face hub reads it.
    """

    kind = "model-card"
    requires = ("jinja2",)
    extra = "report"

    model: str = ""
    """The model whose card it is, as in the column ``model`` of the metrics; the one most numbers
    are of where empty."""
    name: str = ""
    """Name of the model in the card; ``model`` where empty."""
    front_matter: bool = False
    """Begin with YAML that has a ``model-index``; put it into the card's own front matter where
    the card has one."""
    dataset: str = ""
    """The hub's name of the data (``allenai/reward-bench``), for the ``model-index``; the name of
    the evaluator's step where empty."""
    most_parts: int = Field(default=60, ge=1)
    """Most rows of the table; a line counts those left out."""

    def report(self, items: Sequence[Artifact], *, directory: Path, plan: PlanView) -> Report:
        from ._card import CardSettings, card

        asked = CardSettings(
            self.model, self.name, self.front_matter, self.dataset, self.most_parts
        )
        (directory / "README.md").write_text(card(items, plan, asked), encoding="utf-8")
        return Report(directory, "README.md")


class AuditCard(Reporter):
    """Write the card of an audit: what exploits a reward, graded by family, with examples.

    Takes the metrics of ``effects``, and where they are there: those of ``retest`` (what a repair
    changed), the fit of ``find-exploits`` (what a search found), the responses of ``perturb`` or
    ``variants`` with their rewards (examples side by side). Features with ``personal`` or
    ``secrets`` above 0 hide the texts of their rows.

    Gives ``index.html``, one page without scripts that it needs: a grade for each family of
    exploits by the bounds of its 95 % CI, or "cannot tell"; the effect of each change; dose and
    effect; subsets; preferences that turn; transfer to other models; what a repair changed; and
    what was not looked at. ``audit.json`` has all of it for programs (its schema is
    ``schemas/audit.schema.json``), ``audit.md`` the main parts for a model card. The same inputs
    give the same bytes.
    """

    kind = "audit-card"
    requires = ("jinja2", "matplotlib")
    extra = "report"

    title: str = ""
    """Title above the findings; the name of the run where empty."""
    examples: int = Field(default=4, ge=0, le=100)
    """Most examples for each model: one of each exploited family, the strongest first."""
    text_limit: int = Field(default=4_000, ge=100)
    """Most characters of a text of an example."""

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        items = inputs.get("items", ())
        if not any(_may_be_of_audit(item) for item in items):
            yield "items", "there are no effects to show; give it the metrics of effects or retest"

    def report(self, items: Sequence[Artifact], *, directory: Path, plan: PlanView) -> Report:
        from .audit._read import Limits
        from .audit._write import write_audit

        write_audit(items, plan, directory, self.title, Limits(self.examples, self.text_limit))
        return Report(directory, "index.html")


def _may_be_of_audit(item: Known) -> bool:
    if item.types == (Artifact,):
        return True
    return item.is_a(Metrics) and all(item.lacks(name) is None for name in ("theme", "dose"))
