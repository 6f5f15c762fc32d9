"""The reporter of model cards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from rmplug import Artifact, PlanView, Report, Reporter


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
