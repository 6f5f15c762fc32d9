"""Reports: a self-contained page and its figures, a model card, files for other tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from rmplug import Artifact, PlanView, Report, Reporter, hookimpl

from .cards import AuditCard, ModelCard
from .exchange import ScoresFile
from .plots import PlotReporter


class Html(PlotReporter):
    """Write one page that opens in a browser, with every number it shows beside it.

    Takes anything; a section appears when its input is there. Pairs give the data facts and the
    browsable table; rewards (features with ``margin``, and ``chosen`` and ``rejected`` if present)
    the distributions and reward against length; the metrics of ``pairwise`` accuracy with
    baselines, and calibration; fits what explains the margin; fits with the tables ``shares``,
    ``sparse`` and ``surprises`` what explains the reward, family by family, beside what permuted
    targets give; checkpoints how training went. Up to eight rewards are shown side by side.

    Metrics with further columns are drawn by them, whatever step they come from: ``level``
    (subsets, sections and the whole of a benchmark, with its baselines), ``other`` (paired
    differences with p-values), the metric ``rank``, ``at`` and ``axis`` (curves with bands),
    ``row`` and ``column`` (heat maps), ``place`` (the layers of a model), ``sentence`` (printed as
    it is); numbers called ``<name>-before`` and ``<name>-after`` as changes, numbers that a fit has
    for several subsets part by part, and ``<name>-of-mean``, ``-of-length``, ``-of-majority`` as
    marks beside ``<name>``. A metric without a display name keeps its own name.
    Features with ``chosen.contribution.<attribute>``, ``rejected.contribution.<attribute>`` and
    ``weight.<attribute>`` show each pair's contributions, and the mean weights by subset. Those of
    ``token-rewards`` show the text of a few responses with the change that each token makes. With
    ``plots`` any column is drawn against any others.

    Gives ``index.html``, which needs no network and no other file, ``figures/<name>.svg`` and
    ``.png``, and ``metrics.json`` with all numbers. The same inputs give the same bytes.
    """

    kind = "html"
    requires = ("jinja2", "matplotlib")
    extra = "report"

    title: str = ""
    """Title above the findings; the name of the run where empty."""
    rows: int = Field(default=50_000, ge=0)
    """Most pairs in the browsable table: the first ones; the page says how many are left out."""
    text_limit: int = Field(default=4_000, ge=100)
    """Most characters of a prompt (its end is kept) or a response (its beginning is kept) in the
    page; the page says how many texts are cut."""
    megabytes: float = Field(default=20.0, gt=0)
    """Most megabytes that the compressed texts may take in the page. Where they would take more,
    ``text_limit`` is lowered until they fit, and the page says the limit it ended at."""
    responses: int = Field(default=10, ge=1, le=200)
    """Most responses of a ``token-rewards`` whose text is shown with the reward of each token: the
    first ones."""

    def report(self, items: Sequence[Artifact], *, directory: Path, plan: PlanView) -> Report:
        from ._page import Limits, write

        limits = Limits(self.rows, self.text_limit, self.megabytes, self.responses)
        write(items, plan, directory, self.title, self.plots, limits)
        return Report(directory, "index.html")


class Figures(PlotReporter):
    """Write only the figures of the page of ``html``, each as SVG and as PNG.

    Takes what ``html`` takes and draws the same figures: ``<name>.svg`` and ``<name>.png``, for a
    paper or slides. The same inputs give the same bytes.
    """

    kind = "figures"
    requires = ("jinja2", "matplotlib")
    extra = "report"

    def report(self, items: Sequence[Artifact], *, directory: Path, plan: PlanView) -> Report:
        from ._page import write_figures

        return Report(directory, write_figures(items, plan, directory, self.plots))


@hookimpl
def rmplug_reporters() -> list[type[Reporter]]:
    return [Html, Figures, ModelCard, AuditCard, ScoresFile]
