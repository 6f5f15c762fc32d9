"""Facts about a result before anything runs, and the meaning of a reference such as
``step.column``: in a check, in a run, and in the results of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from .artifacts import Artifact, Features, Fit, Identified, Value
from .errors import DataError, RmplugError, did_you_mean, shown, some

if TYPE_CHECKING:
    import pyarrow as pa

ColumnType = Literal["number", "boolean", "text", "vector", "messages", "other"]
"""The type of a column's values: a vector is a list of numbers of one length, messages are a list
of ``{role, content}``."""
_VALUES: Mapping[ColumnType, tuple[str, str]] = {
    "number": ("a number", "numbers"),
    "boolean": ("a truth value", "truth values"),
    "text": ("a text", "texts"),
    "vector": ("a vector", "vectors"),
    "messages": ("chat messages", "chat messages"),
    "other": ("a value of another type", "values of another type"),
}
"""One value of a column and several, in words."""
Columns: TypeAlias = Mapping[str, ColumnType | None] | Sequence[str]
"""Columns by name, with their types where these are known too."""

AnyNamed = TypeVar("AnyNamed", bound="Named")


class UnknownName(RmplugError):
    """A reference to something that is not there."""


@dataclass(frozen=True, slots=True)
class Ref:
    """The reference of an input: a step, or one of its columns or results (``step.column``)."""

    step: str
    column: str = ""

    @classmethod
    def parse(cls, text: str) -> Ref:
        step, _, column = text.partition(".")
        return cls(step, column)

    def resolve(self, names: Mapping[str, AnyNamed]) -> AnyNamed:
        """Resolve the reference among the names that can be used; raise ``UnknownName``."""
        if self.step not in names:
            hint = did_you_mean(self.step, names)
            raise UnknownName(f"no step {shown(self.step)}{hint} (steps: {some(names, 8)})")
        try:
            return names[self.step].at(self.column)
        except UnknownName as error:
            raise UnknownName(f"{self}: {error}") from None

    def __str__(self) -> str:
        return f"{self.step}.{self.column}" if self.column else self.step


class Named:
    """An object that a step's id stands for; ``results`` are those of a loop, by name."""

    results: Mapping[str, Any]

    def at(self: AnyNamed, path: str) -> AnyNamed:
        """Resolve ``<id>.<path>``; the only result of a loop need not be named."""
        if not self.results:
            return self.part(path) if path else self
        results: Mapping[str, AnyNamed] = self.results
        for name, result in results.items():
            if path == name or path.startswith(f"{name}."):
                return result.at(path[len(name) + 1 :])
        if len(results) > 1:
            raise UnknownName(f"name one of its results: {', '.join(results)}")
        return next(iter(results.values())).at(path)

    def part(self: AnyNamed, name: str) -> AnyNamed:
        """Take one column of a table or of a fit's rows, or one entry of an item."""
        raise NotImplementedError


@dataclass(frozen=True)
class Known(Named):
    """The facts, before anything runs, about a step's result: None where only running decides."""

    types: tuple[type[Artifact], ...] = (Artifact,)
    """The possible types of the result; ``Artifact`` where they are not known."""
    columns: Columns | None = None
    """The columns of a table, without ``id`` and ``group`` for features."""
    metrics: Sequence[str] | None = None
    """Every metric that it may have."""
    outputs: Sequence[str] | None = None
    """The scores of a reward model (none for a model without), or what a fit predicts."""
    compares: bool = False
    """True of a reward model that compares the two responses of a pair at once: from pairs it gives
    a margin, and no scores."""
    step: str = ""
    """Its name where it is an input: the id of its step, or ``<loop>.<result>``."""
    column: str = field(default="", compare=False)
    """The one column that is meant, if only one is."""
    made_by: Any = None
    """The step itself with its parameters; None for a loop, and where an item sets parameters."""
    values: tuple[Any, ...] | None = None
    """The items of a loop, if they are plain values."""
    results: Mapping[str, Known] = field(default_factory=dict)
    uncollected: frozenset[str] = frozenset()
    """The steps inside a loop that are not among its results."""
    doubts: list[str] = field(default_factory=list, compare=False, repr=False)
    """Requirements that only running can check, such as ``column 'x' of words``: gathered here,
    also by copies, so that a check can say what it did not check."""

    def at(self, path: str) -> Known:
        name = path.partition(".")[0]
        if name in self.uncollected and not self._is_column(path):
            raise UnknownName(
                f"the step {name!r} inside the loop is not collected: add it to collect"
            )
        return super().at(path)

    def _is_column(self, path: str) -> bool:
        """Check whether a loop's only result is known to have a column of this name."""
        results = list(self.results.values())
        return len(results) == 1 and path in (results[0].columns or ())

    def is_a(self, *types: type[Artifact]) -> bool:
        """Check whether the result is known to be of one of these types."""
        return all(issubclass(type_, types) for type_ in self.types)

    def type_of(self, column: str) -> ColumnType | None:
        """Look up the type of a column; None where it is unknown."""
        return self.columns.get(column) if isinstance(self.columns, Mapping) else None

    def lacks(self, column: str) -> str | None:
        """Explain that a column is known not to exist; None where it may."""
        if self.columns is None:
            self.doubts.append(f"column {column!r} of {self.step}")
            return None
        if column in self.columns:
            return None
        return f"{self.step} gives {no_column(column, self.columns)}"

    def lacks_type(self, column: str, *types: ColumnType) -> str | None:
        """Explain that a column is known to be absent or of another type than these; None where it
        may be of one of them."""
        lacking, known = self.lacks(column), self.type_of(column)
        if lacking or known is None or known in types:
            return lacking
        wanted = " or ".join(_VALUES[each][0] for each in types)
        return f"{self.step}.{column} holds {_VALUES[known][1]}; name {wanted}"

    def lacks_metric(self, metric: str) -> str | None:
        """Explain that a metric is known never to be measured; None where it may be."""
        if self.metrics is None:
            self.doubts.append(f"metric {metric!r} of {self.step}")
            return None
        if metric in self.metrics:
            return None
        hint = did_you_mean(metric, self.metrics)
        return f"{self.step} gives no metric {metric!r}{hint} (it gives {some(self.metrics, 8)})"

    def part(self, name: str) -> Known:
        if all(issubclass(each, Value) for each in self.types):
            return _entries(self.values or (), name)
        if not all(issubclass(each, Identified | Fit) for each in self.types):
            raise UnknownName(f"{' | '.join(each.__name__ for each in self.types)} has no columns")
        if self.columns is None:
            self.doubts.append(f"column {name!r} of {self.step}")
        elif name not in self.columns:
            raise UnknownName(no_column(name, self.columns))
        one = self.type_of(name)
        if one in ("text", "messages"):
            raise UnknownName(f"column {name!r} holds {one}; as features, columns are numbers")
        columns: Columns = (name,) if one is None else {name: one}
        return Known((Features,), columns, step=self.step, column=name)

    @property
    def collected(self) -> Known:
        """The artifact of a loop that collects such results over its items."""
        if len(self.results) > 1:
            return Known(self.types)
        whole = self.at("")
        return Known(
            self.types, whole.columns if whole.is_a(Features) else None, metrics=whole.metrics
        )


def no_column(column: str, columns: Sequence[str] | Mapping[str, Any]) -> str:
    """Explain that a column does not exist, with the likely meant one and the existing ones."""
    return f"no column {column!r}{did_you_mean(column, columns)} (it gives {some(columns, 8)})"


def joined_twice(features: Sequence[Known]) -> str | None:
    """Explain that a step is twice among tables that are to be joined; None where none is."""
    steps = [result.step for result in features]
    twice = next((step for step in steps if steps.count(step) > 1), None)
    return None if twice is None else f"{twice} is named twice; name each step once, as a whole"


def _entries(values: Sequence[Any], name: str) -> Known:
    """Take one entry of each item of a loop."""
    for value in values:
        if not isinstance(value, Mapping):
            raise UnknownName(f"the item {value!r} has no entries")
        if name not in value:
            raise UnknownName(f"an item has no entry {name!r}{did_you_mean(name, value)}")
    return Known((Value,), values=tuple(value[name] for value in values))


def column_of(artifact: Artifact, column: str) -> Features:
    """Take one column of a table, or of a fit's rows, as features of the same rows."""
    if isinstance(artifact, Fit):
        table = artifact.tables.get("rows")
        if table is None:
            raise DataError(f"{artifact.name} keeps no predictions of its own rows")
        kept = ["id", "group", *([column] if column in table.column_names else [])]
        artifact = Features(table.select(kept), artifact.name)
    if not isinstance(artifact, Identified):
        raise DataError(f"{artifact.name} has no columns")
    return artifact.select(column)


def known_of(artifact: Artifact, step: str = "") -> Known:
    """Describe an existing artifact as a check would know it."""
    from .artifacts import RewardModel, Tabular

    facts = Known((type(artifact),), step=step or artifact.name)
    if isinstance(artifact, Tabular):
        names = artifact.values if isinstance(artifact, Features) else artifact.columns
        types = {name: column_type(artifact.rows.schema.field(name).type) for name in names}
        return replace(facts, columns=types)
    if isinstance(artifact, RewardModel):
        return replace(facts, outputs=artifact.outputs)
    return facts


def column_type(arrow: pa.DataType) -> ColumnType:
    """Name the type of a column by its Arrow type."""
    import pyarrow as pa

    tests: dict[ColumnType, Any] = {
        "boolean": pa.types.is_boolean,
        "text": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t),
        "number": lambda t: pa.types.is_floating(t) or pa.types.is_integer(t),
        "vector": pa.types.is_fixed_size_list,
        "messages": lambda t: pa.types.is_list(t) and pa.types.is_struct(t.value_type),
    }
    return next((name for name, fits in tests.items() if fits(arrow)), "other")
