"""The section of audits: what was found in the data, how sure that is, and examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import Features, Pairs, text_of
from rmplug_report.figures._quality import shares
from rmplug_report.figures._render import Drawing, Numbers
from rmplug_report.findings._quality import audited, quality_sentences
from rmplug_report.inputs._hidden import NOT_SHOWN, is_hidden
from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.inputs._row_forms import by
from rmplug_report.inputs._wording import between, label, percent

from ._section import Section, Table

MOST_EXAMPLES = 5
LETTERS = 160
FAULTS = ("found", "wrong-labels")
RANKED_BY = {"disagrees": "wrong", "near.copy": "near.similarity", "leaked": "prompt.overlap"}
"""Columns by whose size the rows of a finding are ordered, where it is only true or false."""
LIKE = {"near.copy": "near.partner"}
"""Columns that name the row which a row is like."""


def quality(inputs: Inputs, _: MetricLookup) -> Section | None:
    """Return the section of findings about the data; none without an audit."""
    rows = [row for row in audited(inputs) if row["value"] is not None]
    if not rows:
        return None
    notes = quality_sentences(inputs)
    lead = [] if notes else ["Nothing was found in the data by the steps that looked."]
    examples = [*_examples(inputs, rows)]
    tables = [*_tables(rows), *examples]
    return Section(
        "quality", "Data quality", lead, drawings=_drawings(rows), tables=tables, notes=notes
    )


def _drawings(rows: Sequence[Row]) -> list[Drawing]:
    whole = [row for row in rows if row["subset"] == "all"]
    faults = [row for row in whole if row["metric"] in FAULTS and row["value"] > 0]
    sides = [row for row in whole if row["metric"] == "more-in-chosen"]
    drawings = []
    if faults:
        note = (
            "Number and share of the rows in which each was found, with 95 % CIs that count "
            "prompts. The share of wrong labels is an estimate."
        )
        drawings.append(shares("quality", "What was found", note, faults, None))
    if sides:
        note = (
            "Share of the pairs, of those whose responses differ in the measure, in which the "
            "chosen response has more. The dashed line is chance; hollow: the interval holds it."
        )
        drawings.append(shares("imbalance", "What chosen responses have more of", note, sides, 0.5))
    return drawings


def _tables(rows: Sequence[Row]) -> Iterator[Table]:
    """Yield the numbers by subset."""
    body = [
        (str(row["finding"]), str(row["subset"]), row.get("count"), percent(row["value"]),
         between(row["low"], row["high"]), row["n"])
        for row in sorted(rows, key=lambda row: str(row["finding"]))
        if row["subset"] != "all" and row.get("count") != 0
    ]  # fmt: skip
    columns = ("finding", "subset", "rows", "share", "95 % CI", "of")
    if body:
        yield Table("Findings by subset", Numbers(columns, body), folded=True)


def _examples(inputs: Inputs, rows: Sequence[Row]) -> Iterator[Table]:
    """Yield a table of examples of each finding whose features the report has."""
    pairs = inputs.pairs
    measures = {one.name: one for one in inputs.measures}
    faults = [r for r in rows if r["subset"] == "all" and r["metric"] == "found" and r["count"]]
    for (finding,), _ in by(faults, "finding").items():
        step, _, column = finding.partition(".")
        if pairs is None or step not in measures or column not in measures[step].values:
            continue
        body = list(_example_rows(inputs, pairs, measures[step], column))
        columns = ("row", "by how much", "like", "prompt", "chosen", "rejected")
        kept = [place for place in range(6) if any(row[place] != "" for row in body)]
        if body:
            yield Table(
                f"Examples of {label(finding)}",
                Numbers(
                    [columns[place] for place in kept],
                    [[row[place] for place in kept] for row in body],
                ),
                folded=True,
            )


def _example_rows(
    inputs: Inputs, pairs: Pairs, features: Features, column: str
) -> Iterator[tuple[object, ...]]:
    """Yield the rows in which a column is greatest, without the texts that may not be shown."""
    table = features.table
    found = np.flatnonzero(_numbers(table[column]) > 0)
    by_what = RANKED_BY.get(column, column)
    sizes = _numbers(table[by_what if by_what in features.values else column])[found]
    chosen = found[np.argsort(-sizes, kind="stable")][:MOST_EXAMPLES]
    places = pc.index_in(table["id"].take(pa.array(chosen)), value_set=pairs["id"])
    partners = _numbers(table[LIKE[column]]) if LIKE.get(column) in features.values else None
    for row, place in zip(chosen.tolist(), places.to_pylist(), strict=True):
        if place is None:
            continue
        name = str(table["id"][row].as_py())
        like = "" if partners is None or np.isnan(partners[row]) else int(partners[row])
        other = "" if like == "" else label(table["id"][like].as_py(), 40)
        texts = _texts(pairs, place, is_hidden(name, inputs.hidden))
        size = _numbers(table[by_what].slice(row, 1))[0] if by_what in features.values else ""
        yield label(name, 40), size, other, *texts


def _texts(pairs: Pairs, place: int, hidden: bool) -> list[str]:
    if hidden:
        return [NOT_SHOWN, "", ""]
    row = pairs.rows.read(place, place + 1)
    names = ("prompt", "chosen", "rejected")
    return [label(text_of(row[name])[0].as_py() or "", LETTERS) for name in names]


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    kind = pa.float32() if pa.types.is_boolean(column.type) else column.type
    return np.asarray(column.cast(kind).to_numpy(), dtype=np.float64)
