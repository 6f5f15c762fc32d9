"""The reference of metrics: each in words, with the definition that the kind gives it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence

from rmplug._kinds.registry import Provider, Registry
from rmplug.families import Estimator, Evaluator, Trainer, family_of
from rmplug_report.inputs._metric_names import TITLES, is_points, is_share, metric_title

from .kinds import page_of
from .markdown import bullets, docstring, table

MEASURE = (Evaluator, Estimator, Trainer)
_SENTENCE = re.compile(r"(?<=[.:]) (?=[A-Z`])")
_RUN = re.compile(r"(?:``[^`]+``(?: \([^)]*\))?(?:, | and )?)+(?=:)")
_NAMED = re.compile(r"``([a-z][a-z0-9-]*(?:-<[a-z]+>)?)``")


def write_metrics(registry: Registry) -> str:
    """Write the page: the words of all metrics, then the definitions of each kind."""
    kinds = [p for p in registry.all() if issubclass(p.cls, MEASURE)]
    lead = (
        "What the numbers mean. The first table has the words that reports use and the kinds that "
        "define a metric; below it are the definitions, with formula and source, as each kind "
        "gives them. How the intervals are made is told in "
        "[Statistics and intervals](../understand/statistics.md)."
    )
    rows = [
        (f"`{metric}`", docstring(metric_title(metric)), _unit(metric), _places(metric, kinds))
        for metric in sorted(_all_metrics(kinds))
    ]
    words = table(("metric", "in words", "unit", "defined by"), rows)
    parts = ["# Metrics", lead, words, "## Definitions"]
    parts += [_definitions(p) for p in kinds if _sentences(p)]
    return "\n\n".join(parts) + "\n"


def _all_metrics(kinds: Sequence[Provider]) -> set[str]:
    """Collect the metrics that have words of their own, or a definition that opens with them."""
    lines = [line for p in kinds for line in bullets(p.cls.__doc__ or "")]
    return {*TITLES, *(name for line in lines for name in _opening(line))}


def _opening(line: str) -> list[str]:
    """Return the names that a definition, or a part of it after a semicolon, opens with."""
    runs = (_RUN.match(part) for part in line.split("; "))
    return [name for run in runs if run for name in _NAMED.findall(run.group())]


def _sentences(provider: Provider) -> list[str]:
    """Return the parts of a kind's documentation that define metrics: bullets that open with names,
    and sentences beside them that name metrics which reports have words for."""
    doc = inspect.getdoc(provider.cls) or ""
    prose = [part for part in doc.split("\n\n") if not part.startswith("- ")]
    sentences = [line for part in prose for line in _SENTENCE.split(" ".join(part.split()))]
    named = [line for line in sentences if any(name in TITLES for name in _NAMED.findall(line))]
    return [*(line for line in bullets(doc) if line.startswith("``")), *named]


def _places(metric: str, kinds: Sequence[Provider]) -> str:
    found = [p for p in kinds if f"``{metric}``" in (p.cls.__doc__ or "")]
    return ", ".join(f"[`{p.kind}`](#{p.kind})" if _sentences(p) else f"`{p.kind}`" for p in found)


def _unit(metric: str) -> str:
    if is_share(metric):
        return "points" if is_points(metric) else "share"
    return ""


def _definitions(provider: Provider) -> str:
    family = page_of(family_of(provider.cls))
    whole = f"All of it: [`{provider.kind}`](kinds/{family}.md#{provider.kind})."
    lines = "\n".join(f"- {docstring(line)}" for line in _sentences(provider))
    return f"### {provider.kind}\n\n{lines}\n\n{whole}"


def defined_metrics(registry: Registry) -> Iterator[str]:
    """Yield every metric that the page has a line for."""
    yield from _all_metrics([p for p in registry.all() if issubclass(p.cls, MEASURE)])
