"""Rewards whose models were trained on the rows that are shown: their figures are in-sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rmplug.records import SeenRows
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.inputs._wording import count, label, listed, percent, strong, with_interval

from ._finding import Finding


def in_sample_headline(lookup: MetricLookup, model: str) -> str:
    """Return the headline for a model that was trained on rows it is measured on."""
    seen, row = lookup.in_sample[model], lookup.row(model, "accuracy")
    assert row is not None
    if seen.seen < seen.rows:
        share = strong(percent(seen.share))
        return (
            f"No held-out accuracy: {label(model, 40)} was trained on {share} of the rows that it "
            "is measured on, or on their prompts."
        )
    accuracy = with_interval(row["value"], row["low"], row["high"])
    return (
        f"In-sample accuracy {accuracy}: {label(model, 40)} was trained on all of these pairs, "
        "or on their prompts."
    )


def in_sample_finding(seen: Mapping[str, SeenRows]) -> Finding | None:
    """Return the rewards that are in-sample, with the counts of those rows."""
    clauses = list(_clauses(seen))
    if not clauses:
        return None
    text = listed(clauses)
    text = f"{text[:1].upper()}{text[1:]} were in the training of the models behind them, or their "
    return Finding(
        "In-sample", text + "prompts were: figures on these rows say nothing of new ones."
    )


def _clauses(seen: Mapping[str, SeenRows]) -> Iterator[str]:
    """Yield a clause for the rewards that have seen equally many rows."""
    models: dict[tuple[int, int], list[str]] = {}
    for model, rows in seen.items():
        if rows.seen:
            models.setdefault((rows.seen, rows.rows), []).append(label(model, 40))
    for (known, every), names in models.items():
        some = "all" if known == every else f"{known:,} of"
        yield f"{some} {count(every, 'row')} of {listed(names)}"
