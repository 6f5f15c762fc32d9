"""The section of what explains a reward: shares of families, a sparse sum, surprises."""

from __future__ import annotations

from collections.abc import Iterator

from rmplug import Fit
from rmplug_report.figures import _shares
from rmplug_report.figures._render import Drawing, Numbers
from rmplug_report.findings._shares import explained_sentences
from rmplug_report.inputs._hidden import NOT_SHOWN, is_hidden
from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.inputs._row_texts import texts_of
from rmplug_report.inputs._shares import PARTS, has_shares, parts_of, share_rows, sparse_rows
from rmplug_report.inputs._wording import interval, label, percent

from ._section import Fact, Section, Table

WIDTH = 160
"""Most characters of a prompt or a response in the table of surprises."""


def explained_shares(inputs: Inputs, _: MetricLookup) -> Section | None:
    """Return the section with a part for each fit that has shares."""
    fits = [fit for fit in inputs.fits if has_shares(fit)]
    made = [_of_fit(inputs, fit, index + 1) for index, fit in enumerate(fits)]
    if not made:
        return None
    lead = [
        "The share of the reward's variance that families of features predict on prompts that the "
        "fit has not seen: alone, together, and what only one of them knows. What permuted rewards "
        "give stands beside it."
    ]
    return Section("explained", "What explains the reward", lead, parts=made)


def _of_fit(inputs: Inputs, fit: Fit, tag: int) -> Section:
    drawings: list[Drawing] = []
    for part in parts_of(fit):
        title = f"Explained {PARTS[part]}: {label(fit.name)}"
        drawings.append(_shares.shares(f"shares-{tag}-{part}", title, share_rows(fit, part)))
    for part in parts_of(fit):
        if rows := sparse_rows(fit, part, stable=False):
            title = f"Few features {PARTS[part]}: {label(fit.name)}"
            drawings.append(_shares.sparse(f"sparse-{tag}-{part}", title, rows))
    lead = list(explained_sentences(inputs, fit))
    if parts_of(fit) == ["within"]:
        lead.append(
            "The target is a margin, a difference within a prompt: nothing of it lies between "
            "prompts."
        )
    return Section(f"explained-{tag}", label(fit.name or "fit"), lead, list(_facts(fit)), drawings,
                   list(_surprises(inputs, fit)))  # fmt: skip


FACTS = (
    ("variance-between", "of the variance lies between prompts"),
    ("variance-within", "of the variance lies within prompts"),
    ("intraclass-correlation", "intraclass correlation"),
    ("r2", "explained by all families"),
)


def _facts(fit: Fit) -> Iterator[Fact]:
    rows = {str(row["metric"]): row for row in fit.numbers if str(row.get("subset")) == "all"}
    for metric, title in FACTS:
        row = rows.get(metric)
        if row is not None and row.get("value") is not None:
            yield Fact(title, percent(row["value"]), interval(row.get("low"), row.get("high")))


def _surprises(inputs: Inputs, fit: Fit) -> Iterator[Table]:
    """Yield the table of the largest residuals, each with the rows that are most like it."""
    if "surprises" not in fit.tables or not fit.tables["surprises"].num_rows:
        return
    rows: list[Row] = fit.tables["surprises"].to_pylist()
    ids = {str(row[key]) for row in rows for key in ("id", "neighbour")}
    texts = texts_of(inputs.data, ids, WIDTH)
    texts |= {one: NOT_SHOWN for one in texts if is_hidden(one, inputs.hidden)}
    body: list[tuple[object, ...]] = []
    for row in rows:
        if not body or row["rank"] != body[-1][0]:
            own = (row["target"], row["prediction"], row["residual"])
            body.append((row["rank"], "missed", row["id"], *own, texts.get(row["id"], "–")))
        other = (row["neighbour_target"], row["neighbour_prediction"])
        left = row["neighbour_target"] - row["neighbour_prediction"]
        text = texts.get(row["neighbour"], "–")
        body.append((row["rank"], "alike", row["neighbour"], *other, left, text))
    columns = ("rank", "row", "id", "target", "prediction", "residual", "text")
    caption = "The largest residuals, and below each the most similar rows of other prompts"
    yield Table(caption, Numbers(columns, body), folded=True)
