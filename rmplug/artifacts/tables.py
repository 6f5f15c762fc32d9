"""Artifacts that are tables or one plain value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from rmplug.data.rows import (
    BATCH_ROWS,
    Joined,
    Mapped,
    Memory,
    Rows,
    Stream,
    as_column,
    feature_names,
    feature_table,
)
from rmplug.descriptions import describe
from rmplug.errors import DataError, some
from rmplug.stats.numbers import Numbers, named_numbers

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from rmplug.data.rows import ColumnsLike

Self = TypeVar("Self", bound="Identified")
AnyTabular = TypeVar("AnyTabular", bound="Tabular")


class Artifact:
    """The result of a step. ``name`` is the id of that step in the spec."""

    name: str = ""

    def __repr__(self) -> str:
        return describe(self)


class Tabular(Artifact):
    """A table; read whole (``table``) or a batch at a time (``batches``)."""

    required: ClassVar[tuple[str, ...]] = ()

    def __init__(self, rows: Rows | ColumnsLike, name: str = "") -> None:
        self.rows = rows if isinstance(rows, Rows) else Memory(self.normalise(rows))
        self.name = name
        self._table: pa.Table | None = None

    @classmethod
    def normalise(cls, columns: ColumnsLike) -> pa.Table:
        """Return the columns as an Arrow table with the columns that this artifact promises."""
        import pyarrow as pa

        if isinstance(columns, pa.RecordBatch):
            columns = pa.Table.from_batches([columns])
        if not isinstance(columns, pa.Table):
            columns = pa.table({name: as_column(values) for name, values in columns.items()})
        table = columns
        missing = [name for name in cls.required if name not in table.column_names]
        if missing:
            raise DataError(
                f"{cls.__name__} need the columns {', '.join(cls.required)}; "
                f"missing: {', '.join(missing)}; found: {some(table.column_names, 12)}"
            )
        return table

    @classmethod
    def stream(cls: type[AnyTabular], batches: Iterable[ColumnsLike], name: str = "") -> AnyTabular:
        """Return rows made a batch at a time, so that memory stays bounded: at least one batch,
        each with the same columns (one without rows, for no rows at all); used once, by the
        core."""
        return cls(Stream(cls.normalise(batch) for batch in batches), name)

    @property
    def table(self) -> pa.Table:
        """The whole table, in memory."""
        if self._table is None:
            self._table = self.rows.read(0, len(self.rows))
        return self._table

    @property
    def columns(self) -> list[str]:
        return list(self.rows.schema.names)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, column: str) -> pa.ChunkedArray:
        values = self.rows.stored(column) if self._table is None else None
        return self.table[column] if values is None else values

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a whole column, without holding the others."""
        import pyarrow as pa

        values = self.rows.stored(name)
        if values is None:
            kind = self.rows.schema.field(name).type
            values = pa.chunked_array([batch.column(name) for batch in self.batches()], kind)
        return values

    def chunks(self, name: str) -> Iterator[pa.Array]:
        """Yield a column in order, some thousand rows at a time: memory stays bounded."""
        return iter(self._table[name].chunks) if self._table is not None else self.rows.chunks(name)

    def batches(self, size: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yield all rows in order, ``size`` at a time: memory stays bounded."""
        return self.rows.batches(size)

    def to_pandas(self) -> pd.DataFrame:
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def _repr_html_(self) -> str:
        shown = self.rows.read(0, min(5, len(self))).to_pandas().to_html(max_cols=12)
        return f"<p><b>{type(self).__name__}</b> {self.name}: {len(self):,} rows</p>{shown}"


class Identified(Tabular):
    """A table whose rows have a string ``id``; tables join by it."""

    required: ClassVar[tuple[str, ...]] = ("id",)

    def map(
        self,
        function: Callable[..., ColumnsLike],
        *,
        open: Callable[[], Any] | None = None,
        wide: bool = False,
    ) -> Features:
        """Declare row-wise work: ``function(batch)`` returns numeric columns for the batch's rows.

        The core runs it over shards, in one process or many, and resumes it after a kill, so it
        must depend on nothing but the rows it gets. With ``open``, called once per process, the
        function is called as ``function(opened, batch)``, and batches are as large as memory and
        progress allow: texts of like length can go through a model together. ``wide`` keeps them
        small, for results of many thousand numbers per row. Both must be picklable.
        """
        return Features(Mapped(self.rows, function, open, wide), self.name)

    def select(self, *columns: str) -> Features:
        """Return some numeric columns as features of the same rows."""
        missing = [name for name in columns if name not in self.columns]
        if missing:
            raise DataError(
                f"{self.name or type(self).__name__} has no column {missing[0]!r}; "
                f"it has {some(self.columns, 20)}"
            )
        return self.map(Columns(columns))

    def take(self: Self, indices: Any) -> Self:
        """Return the rows at ``indices`` (integers, in the order given), as the same kind of
        artifact."""
        import pyarrow as pa

        rows = indices if len(indices) else pa.array([], type=pa.int64())
        # what is there has the form of this artifact already, the labels of a loop's items too
        return type(self)(Memory(self.table.take(rows)), self.name)


@dataclass(frozen=True)
class Columns:
    """A row-wise function: some columns of a batch as they are."""

    names: tuple[str, ...]

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.select(list(self.names))


class Pairs(Identified):
    """Preference pairs: ``id, prompt, chosen, rejected`` as chat messages, ``group``, and more.

    ``prompt``, ``chosen`` and ``rejected`` are lists of ``{role, content}``; plain strings are
    wrapped. ``group`` is a hash of the prompt unless given. Optional: ``margin``, ``weight``,
    ``subset``; further columns are kept."""

    required: ClassVar[tuple[str, ...]] = ("id", "prompt", "chosen", "rejected")

    @classmethod
    def normalise(cls, columns: ColumnsLike) -> pa.Table:
        from rmplug.data.messages import conversational

        return conversational(super().normalise(columns), ("chosen", "rejected"))


class Responses(Identified):
    """One row per response: ``id, group, prompt, response``; optional ``label``, ``model``,
    ``subset``, ``ratings.<name>``. Of pairs, ids are ``<id>/chosen`` and ``<id>/rejected``."""

    required: ClassVar[tuple[str, ...]] = ("id", "prompt", "response")

    @classmethod
    def normalise(cls, columns: ColumnsLike) -> pa.Table:
        from rmplug.data.messages import conversational

        return conversational(super().normalise(columns), ("response",))


class Features(Identified):
    """Numbers (float64 or float32), booleans for 0 and 1, and vectors aligned to a data set by
    ``id``; NaN is missing. Never text: a column of text is refused, at ``check`` too. Lists of each
    row's own length (a reward for each token) are kept in the table and are no features: they are
    not among ``values``, and are not joined."""

    @classmethod
    def normalise(cls, columns: ColumnsLike) -> pa.Table:
        table = super().normalise(columns)
        numbers = feature_table(table)
        for position, key in enumerate(
            name for name in ("id", "group") if name in table.column_names
        ):
            numbers = numbers.add_column(position, key, table[key])
        return numbers

    @property
    def values(self) -> list[str]:
        """The feature columns: all but ``id`` and ``group``, the labels of a loop's items, and
        lists."""
        return feature_names(self.rows.schema)

    def only(self) -> pa.ChunkedArray:
        """The one feature column, where a step needs exactly one (a target)."""
        if len(self.values) != 1:
            raise DataError(
                f"{self.name} has {len(self.values)} columns where one is needed; "
                f"name one: {some((f'{self.name}.{column}' for column in self.values), 12)}"
            )
        return self.table[self.values[0]]


class Selection(Identified):
    """Chosen ids in order of choice, with ``gain`` (number) and ``reason`` (text) where known."""


class Metrics(Tabular):
    """A tidy table: ``metric, subset, value, low, high, n`` and more, such as ``model``; ``low``
    and ``high`` bound a 95 % interval, null where there is none."""

    required: ClassVar[tuple[str, ...]] = ("metric", "subset", "value", "low", "high", "n")

    @property
    def numbers(self) -> Numbers:
        """The numbers with their intervals, by ``step / model / metric / subset``."""
        return Numbers(named_numbers(self.name, self.table.to_pylist()))


class Value(Artifact):
    """One plain value: an item of a loop."""

    def __init__(self, value: Any, name: str = "") -> None:
        self.value = value
        self.name = name


def join(features: Sequence[Features]) -> Features:
    """Return features of the same rows side by side, columns named ``<step>.<column>``; read
    lazily."""
    if not features:
        raise DataError("at least one table of features is needed")
    names = [table.name for table in features]
    if len(set(names)) < len(names):
        raise DataError(f"the same step is joined twice: {', '.join(names)}")
    return Features(Joined({table.name: table.rows for table in features}), "+".join(names))
