"""Markdown for a model card, from metrics and from the steps that led to them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from rmplug import Artifact, DataError, PlanView
from rmplug.errors import some
from rmplug.models.training_examples import FILE, MOST_EXAMPLES

from ._markdown import markdown_table, safe
from .audit._read import Limits, read_audit
from .audit._summary import summary
from .inputs._inputs import Inputs, Row, gather
from .inputs._metric_lookup import seen_of
from .inputs._metric_names import PUBLISHED, metric_title, span_of, titled, value_of
from .inputs._row_forms import (
    LEVELS,
    by,
    distinct,
    is_comparison,
    is_level,
    is_plain,
    sentences,
)
from .inputs._wording import count

MAIN = ("score", "accuracy")
SAME = ("metric", "subset", "level", "n")
SEEN_IN_TRAINING = (
    "As the training measured them; rows that decide when it stops, or which weights are kept, "
    "count as seen by the model."
)
HAS_EXAMPLES = (
    f"The file `{FILE}` beside the weights holds texts of up to {MOST_EXAMPLES} training examples: "
    "delete it before you share the checkpoint if they are not to be shared."
)


@dataclass(frozen=True)
class CardSettings:
    """The settings of a model card."""

    model: str
    name: str
    front_matter: bool
    dataset: str
    most_parts: int


def card(items: Sequence[Artifact], plan: PlanView, asked: CardSettings) -> str:
    """Return the card as Markdown."""
    inputs = gather(items, plan)
    rows = [row for row in inputs.metrics if row.get("value") is not None]
    model = asked.model or _most_measured(rows) or _most_measured(inputs.audit)
    names = distinct(
        [row for row in (*rows, *inputs.audit) if row.get("kind") != "baseline"], "model"
    )
    if model not in names:
        raise DataError(
            f"no metrics of the model {model!r}; set model to one of {some(names, 10)}"
            if names
            else "model-card needs metrics with the column model; give it an evaluator's"
        )
    shown = [row for row in rows if is_level(row) or is_plain(row)]
    shown = [
        row for row in shown if _of_whole(row) or row["metric"].removesuffix(PUBLISHED) in MAIN
    ]
    of_model = _ordered(_once([row for row in shown if row.get("model") == model]))
    blocks = [
        f"## Evaluation of {safe(asked.name or model)}",
        *_tables(of_model, shown, asked.most_parts),
        *_seen(model, plan),
        *_sentences(model, rows),
        *_audited(inputs, model),
        *_trained(inputs),
        *_data(inputs),
        _how(plan),
        *_spec(plan),
    ]
    front = _front_matter(asked, model, of_model) if asked.front_matter else ""
    return front + "\n\n".join(blocks) + "\n"


def _most_measured(rows: Sequence[Row]) -> str:
    models = [str(r["model"]) for r in rows if r.get("model") and r.get("kind") != "baseline"]
    return Counter(models).most_common(1)[0][0] if models else ""


def _of_whole(row: Row) -> bool:
    return str(row.get("subset") or "all") == "all"


def _ordered(rows: Sequence[Row]) -> list[Row]:
    """Sort rows: the whole, then sections, then subsets; the main metrics before all others."""
    levels = (*LEVELS, None)

    def key(row: Row) -> tuple[int, int, int]:
        level = row.get("level") if row.get("level") in levels else None
        return (0 if row["metric"] in MAIN else 1, levels.index(level), 0 if _of_whole(row) else 1)

    return sorted(rows, key=key)


def _once(rows: Sequence[Row]) -> list[Row]:
    """Drop numbers that another evaluator also reports, keeping those of the one with more rows."""
    seen: set[tuple[Any, ...]] = set()
    unique = []
    for inside in sorted(by(rows, "step").values(), key=lambda step: -len(step)):
        new = [(row, (round(row["value"], 9), *map(row.get, SAME))) for row in inside]
        unique += [row for row, key in new if key not in seen]
        seen |= {key for _, key in new}
    kept = {id(row) for row in unique}
    return [row for row in rows if id(row) in kept]


def _tables(rows: Sequence[Row], every: Sequence[Row], most: int) -> Iterator[str]:
    """Yield a table for each evaluator."""
    baselines = [row for row in every if row.get("kind") == "baseline" and row["metric"] in MAIN]
    for (step,), inside in by(rows, "step").items():
        shown = inside[:most]
        heads = ("metric", "part", "value", "95 % CI", "n", "strongest baseline")
        lines = [_line(row, baselines) for row in shown]
        left = len(inside) - len(shown)
        more = f"\n\n{count(left, 'more number')} left out." if left else ""
        yield f"### {safe(step or 'Results')}\n\n" + markdown_table(heads, lines) + more


def _line(row: Row, baselines: Sequence[Row]) -> tuple[str, ...]:
    stem = str(row["metric"]).removesuffix(PUBLISHED)
    same = [
        one
        for one in baselines
        if (one.get("step"), one["metric"], one["subset"]) == (row.get("step"), stem, row["subset"])
    ]
    best = max(same, key=lambda one: float(one["value"]), default=None)
    baseline = "" if best is None else f"{best['model']} {value_of(best)}"
    sizes = f"{row['n']:,}" if row.get("n") is not None else ""
    return (titled(str(row["metric"])), str(row.get("subset") or "all"), value_of(row),
            span_of(row), sizes, baseline)  # fmt: skip


def _sentences(model: str, rows: Sequence[Row]) -> Iterator[str]:
    """Yield the sentences of evaluators about this model and about the benchmark itself."""
    about = [
        row
        for row in rows
        if row.get("kind") == "baseline" or model in (row.get("model"), row.get("other"))
    ]
    for title, group in (
        ("### Compared with other models", [row for row in about if is_comparison(row)]),
        ("### Notes", [row for row in about if not is_comparison(row)]),
    ):
        lines = sentences(group)
        if lines:
            yield title + "\n\n" + "\n".join(f"- {safe(one)}" for one in lines)


def _audited(inputs: Inputs, model: str) -> Iterator[str]:
    """Yield the section of an audit of the model, where one was made."""
    if any(row.get("model") == model for row in inputs.audit):
        audit, _ = read_audit(inputs, (), Limits(0, 100), model)
        yield summary(audit, "###").rstrip("\n")


def _trained(inputs: Inputs) -> Iterator[str]:
    """Yield a table for each training, the numbers of it that are not of one step of many, and what
    else its checkpoint holds."""
    heads = ("metric", "part", "value", "95 % CI", "n")
    for one in inputs.checkpoints:
        rows = [r for r in one.numbers if r.get("step") is None and r.get("value") is not None]
        lines = [
            (titled(str(r["metric"])), str(r.get("subset") or "all"), value_of(r), span_of(r),
             f"{r['n']:,}" if r.get("n") else "")
            for r in rows
        ]  # fmt: skip
        blocks = [SEEN_IN_TRAINING, markdown_table(heads, lines)] if lines else []
        if (one.directory / FILE).is_file():
            blocks.append(HAS_EXAMPLES)
        if blocks:
            title = f"### Training of {safe(one.name or 'the model')}"
            yield "\n\n".join([title, *blocks])


def _seen(model: str, plan: PlanView) -> Iterator[str]:
    """Yield a sentence on whether the numbers are held out, as far as that is known."""
    rows = seen_of(model, plan.seen)
    if rows is None:
        return
    if rows.seen:
        yield (
            f"**In-sample:** {rows.seen:,} of {count(rows.rows, 'row')} were in the training data "
            "of the model, or have a prompt that was."
        )
    elif rows.known:
        yield f"Held out: none of {count(rows.rows, 'row')} or prompts was in the training data."
    else:
        yield "What the model was trained on is not known."


def _data(inputs: Inputs) -> Iterator[str]:
    """Yield the number of rows of each data set, and the notices about them."""
    lines = []
    for one in inputs.data:
        text = f"- {safe(one.name or type(one).__name__)}: {len(one):,} rows"
        if "group" in one.columns:
            text += f", {count(len(one['group'].unique()), 'distinct prompt')}"
        lines.append(text)
    for step in inputs.plan.steps:
        lines += [
            f"- {safe(step.id)}: {count(one.count, one.of.removesuffix('s'))} {one.action}: "
            f"{safe(one.what)}"
            for one in step.notices
        ]
    if lines:
        yield "### Data\n\n" + "\n".join(lines)


def _how(plan: PlanView) -> str:
    steps = ", ".join(f"{step.id} ({step.kind})" for step in plan.steps)
    text = f"Seed {plan.seed}. Intervals are 95 % CIs that take the rows of a prompt together."
    return "### How it was measured\n\n" + text + (f" Steps: {safe(steps)}." if steps else "")


def _spec(plan: PlanView) -> Iterator[str]:
    """Yield the steps with their inputs and parameters, as a spec has them."""
    if not plan.steps:
        return
    steps = {
        step.id: {
            "kind": step.kind,
            **{n: v for n, v in (("inputs", step.inputs), ("params", step.params)) if v},
        }
        for step in plan.steps
    }
    # through JSON: nothing but plain values; ASCII, so that no character is unseen
    plain = json.loads(json.dumps({"seed": plan.seed, "steps": steps}, default=str))
    text = yaml.safe_dump(plain, sort_keys=False, width=100)
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text) or [""]))
    yield f"### Spec\n\n{fence}yaml\n{text}{fence}"


def _front_matter(asked: CardSettings, model: str, rows: Sequence[Row]) -> str:
    """Return a ``model-index`` with each evaluator's main metric, overall and by section."""
    results = []
    for (step,), inside in by(rows, "step").items():
        whole = [r for r in inside if r.get("level") in ("overall", "section") or _is_whole(r)]
        if not whole:
            continue
        data = {"name": step or "data", "type": asked.dataset or step or "data"}
        metrics = [
            {"type": str(row["metric"]), "value": round(float(row["value"]), 6),
             "name": _metric_name(row)}
            for row in whole
        ]  # fmt: skip
        task = {"type": "text-classification", "name": "reward modelling"}
        results.append({"task": task, "dataset": data, "metrics": metrics})
    if not results:
        raise DataError(f"the metrics have no number of {model!r} on the whole of the data")
    index = {"model-index": [{"name": asked.name or model, "results": results}]}
    text = yaml.safe_dump(index, sort_keys=False, allow_unicode=True)
    return f"---\n{text}---\n\n"


def _is_whole(row: Row) -> bool:
    return is_plain(row) and str(row.get("subset") or "all") == "all" and row["metric"] in MAIN


def _metric_name(row: Row) -> str:
    part = str(row.get("subset") or "all")
    text = f"{metric_title(str(row['metric']))}, {'the whole' if part == 'all' else part}"
    interval = span_of(row)
    return text + (f" (95 % CI {interval})" if interval else "")
