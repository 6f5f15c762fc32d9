"""The parameter ``plots`` of reporters that draw: any column against any others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pydantic import Field

from rmplug import Artifact, Fit, Known, Reporter
from rmplug.artifacts import Identified
from rmplug.errors import did_you_mean, some
from rmplug.families import Names
from rmplug.known import ColumnType

TARGET: tuple[ColumnType, ...] = ("number", "boolean")
BY: tuple[ColumnType, ...] = ("number", "boolean", "text")
"""The types of columns that can be drawn: numbers upwards, numbers or categories across."""


class PlotReporter(Reporter):
    """A reporter that draws plots by the names of columns."""

    plots: Mapping[str, Names] = Field(
        default_factory=dict,
        examples=[{"reward.loss": ["words.prompt.characters", "pairs.subset"]}],
    )
    """Columns to draw against others: a target, and the column or columns to draw it by, each
    ``<input>.<column>`` of any data, features, or fit (its held-out rows) among the inputs. A
    target holds numbers. By a number: points, or hexagons where there are 500 or more, with the
    mean in parts of equally many rows, its 95 % band, and Spearman's correlation; by a text or a
    truth value: the mean of each of the twelve most frequent values. Bands and intervals
    follow from the variance over groups (prompts). Rows are joined by id; ``chosen`` and
    ``rejected`` columns of pairs also join rows ``<id>/chosen`` and ``<id>/rejected`` of
    responses."""

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        items = inputs.get("items", ())
        for target, columns in self.plots.items():
            asked = [(f"plots.{target}", target, TARGET)]
            asked += [(f"plots.{target}.{i}", name, BY) for i, name in enumerate(columns)]
            for where, name, types in asked:
                if fault := _fault(name, items, types):
                    yield where, fault


def _fault(name: str, items: Sequence[Known], types: Sequence[ColumnType]) -> str | None:
    """Explain that no input can have such a column; None where one may."""
    around = [item for item in items if name.startswith(f"{item.step}.")]
    if not around:
        names = list(dict.fromkeys(item.step for item in items))
        hint = did_you_mean(name.partition(".")[0], names)
        return (
            f"no input of this report has {name!r}: write <input>.<column> of one of its inputs "
            f"({some(names, 8)}){hint}"
        )
    faults = [_lacks(item, name.removeprefix(f"{item.step}."), types) for item in around]
    return None if None in faults else faults[0]


def _lacks(item: Known, column: str, types: Sequence[ColumnType]) -> str | None:
    if item.types != (Artifact,) and not item.is_a(Identified, Fit):
        return f"{item.step} gives {item.types[0].__name__}, which has no columns"
    if item.is_a(Fit):
        return item.lacks(column)
    return item.lacks_type(column, *types)
