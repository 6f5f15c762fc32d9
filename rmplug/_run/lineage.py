"""The training data of the models behind an artifact, and the rows of it that they have seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rmplug.artifacts import Features, Identified, Pairs, Responses
from rmplug.families import Estimator, ModelLoader, Step, Trainer
from rmplug.known import Ref
from rmplug.notices import MOST_IDS, Notice
from rmplug.records import SeenRows

from .results import Results
from .scope import Handle, Training

if TYPE_CHECKING:
    import pyarrow as pa

UNKNOWN = Training(())
"""Of a model that was made elsewhere, nothing is known."""


def trainings_of(step: Step, inputs: Mapping[str, Sequence[Handle]]) -> tuple[Training, ...]:
    """List the trainings of the models and fits behind a step's result, from those known of its
    inputs. The result of a trainer or an estimator has seen its data, and all of its tables where
    it takes no data: features beside data are looked up for the rows of the data."""
    handles = [handle for listed in inputs.values() for handle in listed]
    inherited = tuple(dict.fromkeys(t for handle in handles for t in handle.trainings))
    if isinstance(step, ModelLoader):
        return inherited or (UNKNOWN,)
    if not isinstance(step, Trainer | Estimator):
        return inherited
    data = [handle for handle in handles if issubclass(handle.type, Pairs | Responses)]
    tables = {h.key for h in data or handles if issubclass(h.type, Identified)}
    tables.update(table for training in inherited for table in training.tables)
    return (Training(tuple(sorted(tables))),) if tables else ()


def trainings_of_parts(parts: Iterable[tuple[str, Handle]]) -> tuple[Training, ...]:
    """List the trainings of each result of a loop: each part only by the trainings of its own
    models."""
    return tuple(
        Training(training.tables, training.rows_of or handle.key, training.prefix or f"{item}/")
        for item, handle in parts
        for training in handle.trainings
    )


@dataclass
class SeenCounter:
    """A counter of rows that models have seen; it keeps the ids and groups of tables it has
    read."""

    results: Results
    notices: list[Notice] = field(default_factory=list)
    """One for each reward with rows that are in-sample."""
    _keys: dict[str, pa.Table] = field(default_factory=dict)

    def count(
        self, inputs: Mapping[str, Sequence[Handle]], refs: Mapping[str, Sequence[Ref]]
    ) -> dict[str, SeenRows]:
        """Count, for each features input of an evaluator that has a model behind it, the evaluated
        rows on which its models were trained, by id or by group (same prompt)."""
        handles = [
            (handle, ref)
            for name, listed in inputs.items()
            for handle, ref in zip(listed, refs[name], strict=True)
        ]
        evaluated = [handle for handle, _ in handles if issubclass(handle.type, Pairs | Responses)]
        return {
            name: self._seen(name, handle, evaluated)
            for name, handle in ((_name_of(handle, ref), handle) for handle, ref in handles)
            if issubclass(handle.type, Features) and handle.trainings
        }

    def _seen(self, name: str, handle: Handle, evaluated: Sequence[Handle]) -> SeenRows:
        rows = self._evaluated_rows(self._read(handle.key), evaluated)
        tables = {key for t in handle.trainings for key in (*t.tables, t.rows_of) if key}
        gone = [key for key in tables if self.results.store.find(key) is None]
        complete = UNKNOWN not in handle.trainings and not gone
        ids = _whole(rows, "id").filter(self._mask(rows, handle.trainings))
        if len(ids):
            notice = Notice(f"{name} is in-sample: its model was trained on the row or its prompt")
            notice.add(len(ids), ids[:MOST_IDS].to_pylist())
            self.notices.append(notice)
        return SeenRows(rows.num_rows, len(ids), complete)

    def _evaluated_rows(self, rows: pa.Table, evaluated: Sequence[Handle]) -> pa.Table:
        """Return the rows of features that are rows of the data as well, if any are."""
        import pyarrow.compute as pc

        for handle in evaluated:
            ids = _whole(self._read(handle.key), "id")
            chosen = rows.filter(pc.is_in(_whole(rows, "id"), value_set=ids))
            if chosen.num_rows:
                return chosen
        return rows

    def _mask(self, rows: pa.Table, trainings: Sequence[Training]) -> pa.Array:
        """Return the mask of the rows on which a model was trained."""
        import pyarrow as pa
        import pyarrow.compute as pc

        mask = pa.repeat(pa.scalar(False), rows.num_rows)
        for training in trainings:
            tables = [table for table in training.tables if self.results.store.find(table)]
            seen = self._among(rows, [self._read(table) for table in tables])
            if training.rows_of and self.results.store.find(training.rows_of) is None:
                continue
            if training.rows_of:
                ids = _whole(self._read(training.rows_of), "id")
                own = pc.is_in(_whole(rows, "id"), value_set=ids)
                named = pc.binary_join_element_wise(training.prefix, ids, "")
                own = pc.or_(own, pc.is_in(_whole(rows, "id"), value_set=named))
                seen = pc.and_(seen, own)
            mask = pc.or_(mask, seen)
        return mask

    def _among(self, rows: pa.Table, tables: Sequence[pa.Table]) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        mask = pa.repeat(pa.scalar(False), rows.num_rows)
        for table in tables:
            for column in sorted({*rows.column_names} & {*table.column_names}):
                shared = pc.is_in(_whole(rows, column), value_set=_whole(table, column))
                mask = pc.or_(mask, shared)
        return mask

    def _read(self, key: str) -> pa.Table:
        """Read the ids, and the groups if any, of a table in the store."""
        import pyarrow as pa

        if key not in self._keys:
            artifact = self.results.load(self.results.handle_of(key), Ref(key))
            assert isinstance(artifact, Identified)
            names = [name for name in ("id", "group") if name in artifact.columns]
            self._keys[key] = pa.table({name: artifact.column(name) for name in names})
        return self._keys[key]


def _name_of(handle: Handle, ref: Ref) -> str:
    """Return the name by which an evaluator calls the features of a reference."""
    return ref.step if not ref.column or handle.column else str(ref)


def _whole(table: pa.Table, column: str) -> pa.Array:
    return table[column].combine_chunks()
