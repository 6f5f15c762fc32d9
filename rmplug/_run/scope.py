"""The objects behind the names of a spec while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from rmplug.artifacts import Artifact, RewardModel, Value
from rmplug.families import ModelLoader, PlanStep
from rmplug.known import Named, Ref
from rmplug.notices import Found, collect_notices, tell_again


@dataclass(frozen=True)
class Training:
    """Tables that a model was trained on; it concerns the rows of one table, or all rows."""

    tables: tuple[str, ...]
    """Keys of the tables; none of a model that was made elsewhere, of which nothing is known."""
    rows_of: str = ""
    """The key of the table whose rows the model has scored; of all rows if empty."""
    prefix: str = ""
    """A prefix that the ids of those rows may have: results of a loop whose ids clash have it."""


@dataclass(frozen=True)
class Handle(Named):
    """An object that steps can take: a stored artifact, a live one, or the results of a loop."""

    key: str
    type: type[Artifact]
    live: Artifact | None = None
    results: Mapping[str, Handle] = field(default_factory=dict)
    column: str = ""
    trainings: tuple[Training, ...] = ()
    """The trainings of the models and fits behind the artifact."""
    loader: ModelLoader | None = None
    """The step of the spec that loads the model, or the model that a checkpoint was trained on."""

    def part(self, name: str) -> Handle:
        if isinstance(self.live, Value):
            return Handle(f"{self.key}.{name}", Value, Value(self.live.value[name]))
        return replace(self, column=name)

    @property
    def name(self) -> str:
        """The key, and the column if only one is meant: its name in a fingerprint."""
        return f"{self.key}.{self.column}" if self.column else self.key


class ModelHandle(RewardModel):
    """A model that is loaded where it is used, once per process."""

    _opened: ClassVar[dict[str, RewardModel]] = {}
    _noticed: ClassVar[dict[str, Found]] = {}
    """What was noticed when they were loaded, which belongs to each step that uses them."""

    def __init__(self, key: str, load: Callable[[], RewardModel], name: str) -> None:
        self.key = key
        self.load = load
        self.name = name

    def open(self) -> RewardModel:
        if self.key not in self._opened:
            with collect_notices() as self._noticed[self.key]:
                self._opened[self.key] = self.load()
        tell_again(self._noticed[self.key])
        return self._opened[self.key]

    def reload(self) -> RewardModel:
        self._opened.pop(self.key, None)  # it may be large, and two of them too much
        return self.load()

    @property
    def outputs(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.open().outputs

    def score(self, responses: Any) -> Any:
        return self.open().score(responses)

    def score_sides(self, responses: Any) -> Any:
        return self.open().score_sides(responses)

    def compare(self, pairs: Any) -> Any:
        return self.open().compare(pairs)

    @classmethod
    def forget(cls, handles: Iterable[Handle]) -> None:
        """Release models that are no longer needed in this process."""
        for handle in handles:
            cls._opened.pop(handle.key, None)


@dataclass
class Scope:
    """The names that steps can use, with their handles and records."""

    handles: dict[str, Handle] = field(default_factory=dict)
    plan: dict[str, PlanStep] = field(default_factory=dict)
    before: set[str] = field(default_factory=set)
    """The artifacts of all steps that have ended: what a later step sees of kept values."""

    def at(self, ref: Ref) -> Handle:
        """Return the handle of a reference."""
        return ref.resolve(self.handles)

    def result(self, name: str) -> Handle:
        """Return the handle of what a loop takes from a step inside, or from a loop inside."""
        return self.at(Ref.parse(name)).at("")

    def knows(self, names: Iterable[str]) -> bool:
        """Check whether the steps of all these results have a handle."""
        return all(Ref.parse(name).step in self.handles for name in names)

    def named(self, names: Iterable[str]) -> list[Handle]:
        """Return the handles of those names that have one."""
        return [self.handles[name] for name in names if name in self.handles]

    def inner(self, refs: Sequence[Ref], more: Mapping[str, Handle]) -> Scope:
        """Return the scope of the steps inside a loop: the names they mention, and ``more``."""
        named = {ref.step: self.handles[ref.step] for ref in refs if ref.step in self.handles}
        return Scope({**named, **more}, dict(self.plan), set(self.before))
