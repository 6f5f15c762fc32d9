"""Writing of the page, its figures and its numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from rmplug import Artifact, DataError, PlanView

from .figures._palette import reward_colour, variables
from .figures._render import render, save
from .findings._finding import Finding
from .findings._findings import findings, headline
from .inputs import _wording
from .inputs._inputs import Inputs, gather
from .inputs._metric_lookup import MetricLookup
from .sections._browser import Packed, pack
from .sections._page_order import sections
from .sections._plots import plot_numbers
from .sections._rewards import scoreboard
from .sections._section import Section, Table

Plots = Mapping[str, Sequence[str]]
WEIGHTS = ("importance", "coefficients", "shares", "sparse", "surprises")
HERE = Path(__file__).parent
NUMBERS = "metrics.json"


@dataclass(frozen=True)
class Limits:
    """How much the page holds: pairs of the table, characters of a text, megabytes of all texts,
    and responses with the reward of each token."""

    rows: int
    text_limit: int
    megabytes: float
    responses: int


@dataclass(frozen=True)
class Content:
    """What the page says, from its title to the last section."""

    title: str
    headline: str
    findings: Sequence[Finding]
    about: Sequence[str]
    sections: Sequence[Section]
    scoreboard: Table | None
    pairs: Packed | None = None


def write(
    items: Sequence[Artifact],
    plan: PlanView,
    directory: Path,
    title: str,
    plots: Plots,
    limits: Limits,
) -> None:
    """Write ``index.html``, ``figures/`` and ``metrics.json`` into ``directory``."""
    inputs = gather(items, plan, limits.responses, plots)
    lookup = MetricLookup(inputs.metrics, inputs.plan.seen)
    shown = Content(
        title,
        headline(inputs, lookup),
        findings(inputs, lookup),
        _about(inputs),
        sections(inputs, lookup),
        scoreboard(lookup),
        pack(inputs, limits.rows, limits.text_limit, limits.megabytes),
    )
    told = _numbers(inputs, shown.headline, shown.findings)
    write_page(inputs, shown, lookup.models, directory, told)


def write_page(
    inputs: Inputs,
    content: Content,
    models: Sequence[str],
    directory: Path,
    told: Mapping[str, Any],
    numbers: str = NUMBERS,
) -> None:
    """Write the page with its figures, and ``metrics.json`` with what it says (``told``);
    ``numbers`` is the file of which the page says that it has all numbers."""
    figures = directory / "figures"
    figures.mkdir(parents=True)
    shown = {d.name: render(d, figures) for part in _all(content.sections) for d in part.drawings}
    plain = json.dumps(_finite(told), indent=1, ensure_ascii=False, default=str) + "\n"
    (directory / NUMBERS).write_text(plain, encoding="utf-8")
    page = environment().get_template("index.html.j2")
    text = page.render(
        title=_wording.label(content.title or inputs.plan.name or "Report", 120),
        headline=content.headline,
        findings=content.findings,
        about=content.about,
        scoreboard=content.scoreboard,
        colours={m: reward_colour(inputs.number(m)) for m in models},
        sections=content.sections,
        shown=shown,
        pairs=content.pairs,
        numbers=numbers,
        css=_text("report.css"),
        scripts=[_text(name) for name in ("report.js", *(["pairs.js"] if content.pairs else []))],
        light=Markup(variables(dark=False)),
        dark=Markup(variables(dark=True)),
    )
    (directory / "index.html").write_text(text.lstrip(), encoding="utf-8", newline="\n")


def _text(name: str) -> Markup:
    """Return a file of this package that a page has as it is."""
    return Markup((HERE / name).read_text(encoding="utf-8"))


def write_figures(items: Sequence[Artifact], plan: PlanView, directory: Path, plots: Plots) -> str:
    """Write every figure of the page; return the name of the first file."""
    inputs = gather(items, plan, plots=plots)
    parts = _all(sections(inputs, MetricLookup(inputs.metrics, inputs.plan.seen)))
    drawings = [drawing for part in parts for drawing in part.drawings]
    if not drawings:
        raise DataError("figures has nothing to draw; give it pairs, rewards, metrics, or a fit")
    for drawing in drawings:
        save(drawing, directory)
    return f"{drawings[0].name}.svg"


def environment() -> jinja2.Environment:
    """Return the templates of this folder; all values are escaped but markup made here."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    made.filters |= {"rich": _wording.rich, "cell": cell, "json_script": json_script}
    return made


def cell(value: Any) -> str:
    """Return a table's cell as text, without control characters."""
    if not isinstance(value, str):
        return _wording.number(value)
    return _wording.unbroken(_wording.label(value, 600))


def json_script(value: Any) -> Markup:
    """Return JSON that cannot end the script element around it."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)
    for sign, code in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(sign, code)
    return Markup(text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def _all(parts: Sequence[Section]) -> list[Section]:
    return [one for part in parts for one in (part, *part.parts)]


def _about(inputs: Inputs) -> list[str]:
    """Return the facts in small letters above the headline: pairs, rewards and seed."""
    facts = []
    if inputs.pairs is not None:
        facts.append(_wording.count(len(inputs.pairs), "pair"))
    if inputs.rewards:
        facts.append(_wording.count(len(inputs.rewards), "reward"))
    return [*facts, f"seed {inputs.plan.seed}"]


def _numbers(inputs: Inputs, headline: str, sentences: Sequence[Finding]) -> dict[str, Any]:
    """Return all numbers of the page."""
    return {
        "name": inputs.plan.name,
        "seed": inputs.plan.seed,
        "headline": _wording.plain(headline),
        "findings": [{"about": one.about, "text": _wording.plain(one.text)} for one in sentences],
        "data": [{"name": one.name, "rows": len(one)} for one in inputs.data],
        "notices": [
            {"step": s.id, **asdict(n)}
            for s in inputs.plan.steps
            for n in s.notices
        ],
        "checks": [
            {"step": s.id, **asdict(check)}
            for s in inputs.plan.steps
            for check in s.checks
        ],
        "metrics": [*inputs.metrics, *inputs.audit],
        "plots": list(plot_numbers(inputs)),
        "fits": [
            {"name": fit.name, "numbers": fit.numbers}
            | {k: fit.tables[k].to_pylist() for k in WEIGHTS if k in fit.tables}
            for fit in inputs.fits
        ],
        "checkpoints": [{"name": one.name, "numbers": one.numbers} for one in inputs.checkpoints],
        "tokens": [
            {"step": t.step, "id": t.id, "side": t.side, "output": t.output, "rewards": t.rewards}
            for t in inputs.trajectories
        ],
    }  # fmt: skip


def _finite(value: Any) -> Any:
    """Replace numbers that JSON cannot hold by null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


__all__ = ["Packed", "write"]
