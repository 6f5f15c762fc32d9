"""The base class of each family.

A step is one frozen pydantic class: its fields are its parameters, their docstrings the
descriptions, ``kind`` its name, and one method its work. The method's positional parameters are the
step's inputs, by name and type: an artifact type (``Pairs``), a union (``Pairs | Responses``), a
sequence (``Sequence[Features]``, a list of steps), or one of these with the default ``None``
(optional). Its return annotation is what the step gives. Keyword-only parameters are supplied by
the core when the method names them: ``seed`` (int), ``directory`` (an empty folder to write files
in), ``work`` (a folder that survives a kill: what an interrupted step left there is there again; it
is removed when the step has finished; with ``directory`` only), ``progress`` (a ``Progress`` that
tells how far the work is), ``plan`` (what led to the inputs), ``seen`` (the ``SeenRows`` of each
reward among the inputs, by name). A step that does not take ``seed`` is deterministic.

Before anything runs, a step can say what it will give (``foresee``) and what is wrong with what it
is asked for (``mistakes``); both get what is known of each input. Neither is needed.
"""

# without `from __future__ import annotations`: pydantic would read the annotations of a base class,
# as texts, once more for every step class that is defined
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from .artifacts import Artifact, Opens
from .checks import Check
from .data.odd_rows import OddRows
from .known import Known
from .notices import Notice

if TYPE_CHECKING:
    from .packed_work import SharedStore
    from .records import RunRecord, SeenRows, StepRecord


class Progress(Protocol):
    """A function that tells observers how far a step is."""

    def __call__(self, done: int, total: int | None = None, **numbers: float) -> None:
        """Tell that ``done`` units of ``total`` are done (steps of training, for instance), and
        numbers measured there, such as ``loss``."""


Task = TypeVar("Task")
Result = TypeVar("Result")


class Reads:
    """A mark of a field as the path of a file or folder that the step reads: it must exist, a
    relative path is relative to the spec's folder, and its content (not its path) is part of the
    fingerprint. One that is ``awaited`` need not exist: the step says what to do about it."""

    def __init__(self, awaited: bool = False) -> None:
        self.awaited = awaited


class _OneOrMore:
    """What ``OneOrMore`` does to a field, when it is read and in its JSON Schema."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(_as_tuple, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        several = handler(schema)
        return {"anyOf": [several["items"], several]}


def _as_tuple(value: Any) -> Any:
    return value if isinstance(value, list | tuple | set | frozenset | dict) else (value,)


OneOrMore = _OneOrMore()
"""A mark of a field of several values, behind bounds of their number: one needs no list."""
Names = Annotated[tuple[str, ...], OneOrMore]
"""One name, or a list of names."""
InputPath = Annotated[Path, Reads()]
"""One file or folder that the step reads."""
InputPaths = Annotated[tuple[Path, ...], Field(min_length=1), OneOrMore, Reads()]
"""Files that the step reads: a path, a list of them, or a pattern such as ``data/*.jsonl``."""
AwaitedPaths = Annotated[tuple[Path, ...], Field(min_length=1), OneOrMore, Reads(awaited=True)]
"""The same, of files that may not be there yet, such as what people will have written."""


def reads_files(info: FieldInfo) -> bool:
    """Check whether a field is marked as something the step reads."""
    return bool(_marks(info))


def written_name(name: str, info: FieldInfo) -> str:
    """Return the name by which a spec writes a parameter: its alias, of a field whose name would be
    a keyword of Python (``class``)."""
    return info.alias or name


def awaits_files(info: FieldInfo) -> bool:
    """Check whether a field is marked as something that may not be there yet."""
    return any(mark.awaited for mark in _marks(info))


def _marks(info: FieldInfo) -> list[Reads]:
    marks = list(info.metadata)
    for inner in getattr(info.annotation, "__args__", ()):
        marks.extend(getattr(inner, "__metadata__", ()))
    return [mark for mark in marks if isinstance(mark, Reads)]


class Step(BaseModel):
    """The base of every step."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    kind: ClassVar[str]
    """The name in a spec: lower case, digits and hyphens, unique over all families."""
    family: ClassVar[str]
    """The name of the family in messages."""
    method: ClassVar[str]
    """The method that does the work."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Distributions that must be installed; their versions are part of the fingerprint."""
    extra: ClassVar[str] = ""
    """The extra of the step's distribution that installs them."""
    neutral: ClassVar[frozenset[str]] = frozenset()
    """Parameters that cannot change the result (a batch size, a device)."""
    renamed: ClassVar[Mapping[str, str]] = {}
    """Names that a parameter has in other tools or had before, each with what to write instead,
    such as ``"epochs": "num_train_epochs"``."""

    former_kinds: ClassVar[Mapping[str, str]] = {}
    """Names of kinds that other tools have or that were there before, each with what to write
    instead of it, as a sentence."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        """Foresee the result of this step for inputs like these, as far as that is known, such as
        ``Known(columns=["first", "last"])``; the core adds the type and the step's id."""
        return Known()

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        """List the faults of the parameters for inputs like these, or of the inputs, as far as they
        are known before running: the parameter or input (``fields.chosen`` or ``rewards.1`` for a
        part of it), and a sentence, which is reported where that is written."""
        return ()

    def identity(self) -> Mapping[str, Any]:
        """Return what else determines the result and is known early, such as a hub revision."""
        return {}


class ModelLoader(Step):
    """A loader of a reward model: ``load(...) -> RewardModel``. Called where the model is used."""

    family = "model loader"
    method = "load"

    reopened_with: ClassVar[frozenset[str]] = frozenset()
    """The parameters that a checkpoint may record of a model it was trained on, which may come from
    a stranger: where the model is and how it is used, never what runs code, reads pickles or uses a
    network. A kind without any cannot be named by a checkpoint."""

    @classmethod
    def accepts(cls, source: str) -> Mapping[str, Any] | None:
        """Return the parameters with which this kind loads a path or name, if it recognises it."""
        return None

    def settings_to_reopen(self) -> Mapping[str, Any]:
        """Return what a spec with this step says of the model wherever a checkpoint in that spec
        opens it again: how it runs, and what it may do. A permission goes with the location that
        the spec gives, so that no record in a folder can move it to other files."""
        return {}


class DatasetLoader(Step):
    """A loader of data: ``load(...) -> Pairs`` or ``Responses``. Return ``Pairs.stream(batches)``
    to keep memory bounded; odd rows are counted and handled by the core, the same way for every
    loader."""

    family = "dataset loader"
    method = "load"

    odd_rows: OddRows = Field(default_factory=OddRows)
    """The policy for odd rows: ``keep`` and count them, ``drop`` and count them, or ``error``."""


class QueryStrategy(Step):
    """A way to ask a reward model: ``query(model: RewardModel, data) -> Features``."""

    family = "query strategy"
    method = "query"


class FeatureComputer(Step):
    """Numbers about data: ``compute(data) -> Features``."""

    family = "feature computer"
    method = "compute"


class Estimator(Step, Opens):
    """An explanation or a correction: ``fit(features, target, *, directory) -> Fit``; ``open``
    returns the ``Predictor`` from the directory."""

    family = "estimator"
    method = "fit"


class Sampler(Step):
    """A choice, a split or a conversion of rows: ``sample(data) -> data`` or ``Selection``."""

    family = "sampler"
    method = "sample"


class Trainer(Step, Opens):
    """A trainer of a reward model: ``train(data, *, directory) -> Checkpoint``; ``open`` returns
    the ``RewardModel`` from the directory."""

    family = "trainer"
    method = "train"
    trained_input: ClassVar[str] = ""
    """The input with the model that is trained, of a trainer that takes other models too; by
    default any. What a spec allows to that model, it allows to the checkpoint."""

    @classmethod
    def foresee_folder(cls, directory: Path) -> Known:
        """Foresee the model in a folder that this kind has written, perhaps a stranger's, from its
        settings alone."""
        return Known()


class Evaluator(Step):
    """A measurement: ``evaluate(data, rewards) -> Metrics``."""

    family = "evaluator"
    method = "evaluate"


class Reporter(Step):
    """A presentation of results: ``report(items, *, directory) -> Report``."""

    family = "reporter"
    method = "report"


class Composite(Step):
    """A step made of steps (``for-each``, ``repeat``): the core runs it."""

    family = "composite"
    method = "run"

    takes: ClassVar[Mapping[str, str]] = {}
    """The inputs by name, in words: what they may be depends on the steps inside."""
    results: ClassVar[str] = ""
    """The results of the step, in words."""


class Engine(Step):
    """An executor of row-wise work and of the items of loops."""

    family = "engine"
    method = "map"

    shard_rows: Annotated[int, Field(ge=1, le=10_000_000, strict=True)] = 8192
    """Rows per shard: what is committed at once, and what is repeated at most after a kill. Work
    that opens a model is cut into shards of at most 256 rows, since each row costs more; large
    tables are computed up to 8 of these at a time (an eighth of the table at most), so that the
    model gets texts of like length together, and a kill costs no more than that. A table of very
    many rows has larger shards, 16,384 at most."""
    keep_scores: bool = True
    """Keep in the store what models give for a text, and take it from there when a step of this or
    of a later run asks the same model for the same text. What is taken can differ from what would
    be computed by rounding, as if the rows beside it in a batch were others."""

    def prepare(self, store: "SharedStore") -> None:
        """Note the store of a run, once. What costs time waits for work: there may be none."""

    def map(
        self, work: Callable[[Task], Result], tasks: Sequence[Task]
    ) -> Iterator[tuple[Task, Result]]:
        """Yield each task with ``work(task)`` as they finish, in any order.

        ``work`` can be pickled. Hand out tasks as results are taken, a few ahead, so that memory
        stays bounded. An exception of ``work`` is raised on; tasks that wait are dropped, and the
        engine can be used again. Results must be the same bytes as those of ``local``:
        ``rmplug.testing.check_step`` compares them. ``rmplug.packed_work`` packs work for another
        process and does it there, as ``local`` does. Steps inside a loop's items run in the process
        of their item. ``Task`` and ``Result`` are type variables of this module.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Release the workers; called once, when the run has ended."""


class Observer(Step):
    """A witness of a run, named under ``track`` in a spec: override the methods of interest."""

    family = "observer"
    method = "step_finished"

    def prepare(self, store: Path) -> None:
        """Prepare for a run whose results are kept in this folder; called once, first."""

    def run_started(self, run: "RunRecord") -> None:
        """Handle the start of a run; called once, before the first step."""

    def step_started(self, step: "StepRecord") -> None:
        """Handle the start of a step."""

    def step_progress(self, step: "StepRecord", done: int, total: int | None) -> None:
        """Handle progress: ``done`` rows or items, of ``total`` where that is known."""

    def step_numbers(self, step: "StepRecord", done: int, numbers: Mapping[str, float]) -> None:
        """Handle numbers, such as a loss, measured at ``done`` units; after ``step_progress``."""

    def step_finished(self, step: "StepRecord") -> None:
        """Handle the end of a step: reused, done or failed."""

    def step_result(self, step: "StepRecord", result: Artifact) -> None:
        """Handle a result of a step in the store, reused ones too, named as a spec would name it;
        called after ``step_finished``, once per result. Tables are read only when they are used."""

    def run_finished(self, run: "RunRecord") -> None:
        """Handle the end of a run; called once, however the run ended."""


@dataclass(frozen=True)
class PlanStep:
    """One step that led to a report: its kind, parameters and result."""

    id: str
    """Its name in the spec."""
    kind: str
    family: str
    """The family of its kind, such as ``feature computer``."""
    summary: str
    """The first line of what is said about the kind."""
    inputs: Mapping[str, Sequence[str]]
    """The steps, or ``step.column``, behind each input."""
    params: Mapping[str, Any]
    """The parameters as in JSON; of a path on this machine only the name of the file."""
    gives: str
    """The type of the result, such as ``Features``."""
    rows: int | None
    """The rows of a table; None of other results."""
    notices: Sequence[Notice]
    """What was noticed of rows."""
    seen: "Mapping[str, SeenRows]" = field(default_factory=dict)
    """For an evaluator: the rows that the model behind each reward was trained on."""
    checks: Sequence[Check] = ()
    """How far numbers of its models are from more exact ones."""


@dataclass(frozen=True)
class PlanView:
    """The steps that led to a step's inputs, in the order of work."""

    name: str
    """The name of the run."""
    seed: int
    """The seed of the run."""
    steps: Sequence[PlanStep]
    seen: "Mapping[str, SeenRows]" = field(default_factory=dict)
    """For each reward or prediction among the inputs, or that an evaluator on the way measured,
    by name: the rows that the model behind it was trained on."""


FAMILIES: tuple[type[Step], ...] = (
    ModelLoader,
    DatasetLoader,
    QueryStrategy,
    FeatureComputer,
    Estimator,
    Sampler,
    Trainer,
    Evaluator,
    Reporter,
    Engine,
    Observer,
    Composite,
)


def family_of(cls: type[Step]) -> type[Step]:
    """Return the family of a step class."""
    return next(family for family in FAMILIES if issubclass(cls, family))


def hook_of(family: type[Step]) -> str:
    """Return the name of the hook that collects the family's kinds:
    ``rmplug_feature_computers``."""
    noun = family.family.replace(" ", "_")
    return f"rmplug_{noun[:-1] + 'ies' if noun.endswith('y') else noun + 's'}"


def all_hooks(families: Iterable[type[Step]] = FAMILIES) -> dict[str, type[Step]]:
    return {hook_of(family): family for family in families}
