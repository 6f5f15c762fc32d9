"""The rule of style matrices: right against wrong responses, each in several styles."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError
from rmplug.data.choices import choice_of_each
from rmplug.errors import some

from ._definitions import Definition
from ._rules import Figure, Floats, Ints, Mask, Outcomes, Rule, half_for_ties, right_responses


class StyleMatrix(Rule):
    """Rule of style matrices: all right responses of a case against all wrong ones, by style."""

    def __init__(self, data: pa.Table, definition: Definition) -> None:
        super().__init__(data, definition)
        if "style" not in data.column_names:
            raise DataError(
                f"{definition.name} needs the column 'style' ({some(definition.styles)}), which "
                "the loader rm-bench gives"
            )
        case = choice_of_each(data)
        self.items = np.unique(case, return_index=True)[1]
        self.chance = np.full(len(self.items), 0.5)
        self.rows = self._rows_of_cases(data, case, right_responses(data, definition))

    def _rows_of_cases(self, data: pa.Table, case: Ints, right: Mask) -> Ints:
        """Return the row of each case, side (right, wrong) and style."""
        styles = self.definition.styles
        style = np.asarray(pc.fill_null(pc.index_in(data["style"], pa.array(styles)), -1))
        rows = np.full((len(self.items), 2, len(styles)), -1)
        fits = style >= 0
        rows[case[fits], 1 - right[fits].astype(np.int64), style[fits]] = np.flatnonzero(fits)
        lacking = np.flatnonzero((rows < 0).any(axis=(1, 2)))
        if len(lacking) or not fits.all():
            ids = data["id"].take(pa.array(self.items[lacking])).to_pylist()
            ids = ids or data["id"].filter(pa.array(~fits)).to_pylist()
            raise DataError(
                f"{self.definition.name} compares right and wrong responses in the styles "
                f"{', '.join(styles)}; not all of them are there, or others ({some(ids)})"
            )
        return rows

    def outcomes(self, scores: Floats) -> Outcomes:
        margin = scores[self.rows[:, 0, :, None]] - scores[self.rows[:, 1, None, :]]
        whole = np.asarray(np.isfinite(margin).all(axis=(1, 2)))[:, None, None]
        outcomes = Outcomes()
        self._add(outcomes, "", np.where(whole, half_for_ties(margin), np.nan))
        if self.definition.published is not None:
            with np.errstate(invalid="ignore"):
                self._add(outcomes, "-published", (margin > 0).astype(np.float64))
        return outcomes

    def _add(self, outcomes: Outcomes, name: str, wins: Floats) -> None:
        styles = self.definition.styles
        cells = {(i, j): f"{i}>{j}{name}" for i in range(len(styles)) for j in range(len(styles))}
        outcomes.columns.update({cell: wins[:, i, j] for (i, j), cell in cells.items()})
        kinds = {
            "easy": _mean(cell for (i, j), cell in cells.items() if i > j),
            "normal": _mean(cell for (i, j), cell in cells.items() if i == j),
            "hard": _mean(cell for (i, j), cell in cells.items() if i < j),
        }
        mean = {cell: w / 3 for parts in kinds.values() for cell, w in parts.items()}
        outcomes.figures.append(Figure(f"accuracy{name}", f"score{name}", mean))
        for kind, parts in kinds.items():
            outcomes.figures.append(Figure(kind + name, kind + name, parts))
        for (i, j), cell in {} if name else cells.items():
            row, column = f"{styles[i]} right", f"{styles[j]} wrong"
            outcomes.figures.append(Figure("accuracy", "accuracy", {cell: 1.0}, row, column))


def _mean(names: Iterable[str]) -> dict[str, float]:
    listed = list(names)
    return {name: 1 / len(listed) for name in listed}
