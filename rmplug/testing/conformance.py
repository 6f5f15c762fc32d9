"""The conformance suite: every promise of rmplug about a step, checked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rmplug._kinds.field_docs import field_docs
from rmplug._kinds.registry import Provider, missing_libraries
from rmplug._kinds.signatures import Input, check_class, signature_of
from rmplug._run.local_engine import Local
from rmplug.artifacts import (
    Artifact,
    Checkpoint,
    Features,
    Fit,
    Folder,
    Metrics,
    Pairs,
    Responses,
    RewardModel,
    Tabular,
)
from rmplug.data.messages import text_of
from rmplug.errors import DataError, RmplugError
from rmplug.families import DatasetLoader, Engine, FeatureComputer, ModelLoader, Observer, Step
from rmplug.known import Known, known_of

from .main_guard import refuse_unguarded
from .opened import Given, check_files, check_fit, check_model
from .sameness import difference
from .single_step import as_named, run_step
from .small_data import LengthModel, small_features, small_pairs, small_responses

HEAVY = [
    "torch",
    "transformers",
    "trl",
    "peft",
    "datasets",
    "sklearn",
    "lightgbm",
    "sentence_transformers",
    "wandb",
    "ray",
    "matplotlib",
    "pandas",
    "numpy",
    "pyarrow",
    "scipy",
    "rich",
]


def check_step(
    cls: type[Step],
    params: Mapping[str, Any] | None = None,
    inputs: Given | None = None,
    tolerance: float = 0.0,
) -> None:
    """Assert all that rmplug promises of a step: documentation, JSON round trip, declared
    requirements, light import, the promised output, only the foreseen results, ids and order kept,
    the same result for any shard size and number of workers, the same result for the same seed, and
    that a table of one row or none is either handled or refused with a message. Files hold no
    pickle, and a report's entry is among them. A model, also one that was trained, is opened and
    scores a few rows, a fit predicts rows that it was fitted on: a finite number or NaN for each,
    the same when asked again, in another order and in batches of other sizes. Of an engine: the
    same bytes as the engine ``local``, and an exception of the work raised on.

    Inputs are made from small data unless given by name. ``tolerance`` is how far numbers may
    differ between shard sizes, and scores and predictions between batches: 0 unless a library in
    between rounds differently for batches of different sizes, as matrix products do. With the same
    shard size they must be the same.
    """
    check_class(
        cls,
        next(base for base in cls.__mro__ if base.__bases__ == (Step,) or Step in base.__bases__),
    )
    check_documentation(cls)
    step = cls.model_validate(dict(params or {}))
    assert cls.model_validate(step.model_dump(mode="json")) == step, "does not survive JSON"
    assert not missing_libraries(Provider(cls.kind, "", "", "", cls)), "a requirement is missing"
    check_light_import(cls.__module__)
    if isinstance(step, Engine):
        check_engine(step)
    if isinstance(step, Engine | Observer):
        return
    all_inputs = small_inputs(cls, inputs or {})
    with TemporaryDirectory() as folder:
        _check_results(step, all_inputs, Path(folder), tolerance)


def check_engine(engine: Engine) -> None:
    """Assert that an engine gives what ``local`` gives, for many tasks, one and none, and again
    after work that failed."""
    for count in (0, 1, 25):
        assert sorted(engine.map(_square, range(count))) == [(n, n * n) for n in range(count)]
    try:
        list(engine.map(_refuse, range(3)))
    except DataError as error:
        assert str(error) == "refused", "an exception of the work was changed"
    else:
        raise AssertionError("an exception of the work was lost")
    assert dict(engine.map(_square, [3, 4])) == {3: 9, 4: 16}, "it cannot be used again"
    with TemporaryDirectory() as folder:
        sums = []
        for name, used in (("local", Local(workers=1, shard_rows=2)), ("own", engine)):
            pairs = small_pairs()
            made = run_step(_Lengths(), {"data": pairs}, Path(folder, name), engine=used)
            assert isinstance(made, Tabular)
            sums.append(made.table)
        assert sums[0].equals(sums[1]), "its results differ from those of local"
    engine.close()


def _square(number: int) -> int:
    return number * number


def _refuse(_: int) -> int:
    raise DataError("refused")


class _Lengths(FeatureComputer):
    """Count the characters of both responses."""

    kind = "lengths-of-an-engine"

    def compute(self, data: Pairs) -> Features:
        return data.map(_lengths)


def _lengths(batch: Any) -> dict[str, Any]:
    import pyarrow.compute as pc

    texts = {side: text_of(batch.column(side)) for side in ("chosen", "rejected")}
    return {side: pc.cast(pc.utf8_length(column), "float64") for side, column in texts.items()}


def check_documentation(cls: type[Step]) -> None:
    """Check that every class and every parameter has a description."""
    summary = (cls.__doc__ or "").strip().partition("\n")[0]
    assert summary, f"{cls.__name__} has no docstring"
    docs = field_docs(cls)
    for name in cls.model_fields:
        assert docs.get(name), f"{cls.__name__}.{name} has no docstring below it"


@lru_cache
def check_light_import(*modules: str) -> None:
    """Check that importing these menus, in a process of their own, loads no heavy library; what is
    light stays so, and is not imported again."""
    code = (
        f"import importlib, sys; sys.path[:0] = {sys.path!r}; "
        f"heavy = lambda: [name for name in {HEAVY!r} if name in sys.modules]\n"
        f"for menu in {modules!r}:\n"
        "    importlib.import_module(menu)\n"
        "    if heavy(): sys.exit(f'importing {menu} loads {heavy()}')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


def small_inputs(cls: type[Step], given: Given) -> dict[str, Artifact | Sequence[Artifact]]:
    """Return the inputs of the caller, and small inputs for every other input of a step that is not
    optional."""
    pairs = small_pairs()
    filled = dict(given)
    for entry in signature_of(cls).inputs:
        if entry.optional or entry.name in given:
            continue
        made = _small(entry, pairs)
        filled[entry.name] = [made] if entry.many else made
    return filled


def _small(entry: Input, pairs: Pairs) -> Artifact:
    if entry.takes(Pairs):
        return pairs
    if entry.takes(Responses):
        return small_responses()
    if RewardModel in entry.types:
        return LengthModel()
    if Features in entry.types:
        features = small_features(pairs, entry.name)
        return features if entry.many else Features(features.select("margin").table, entry.name)
    raise AssertionError(f"give an input {entry.name}: {entry}; none can be made up")


def _check_results(step: Step, inputs: Given, folder: Path, tolerance: float) -> None:
    run = partial(run_step, step, inputs, seed=1)
    first = run(folder=folder / "first")
    assert isinstance(first, signature_of(type(step)).gives), "gives what it did not promise"
    foreseen = check_foreseen(step, inputs, first)
    if isinstance(step, ModelLoader):
        assert isinstance(first, RewardModel)
        check_model(first.reload().open(), foreseen, inputs, tolerance)
        return
    refuse_unguarded("check_step")
    _check_repeats(run, folder, first, tolerance)
    data = next((a for a in inputs.values() if isinstance(a, Pairs | Responses)), None)
    if data is not None and isinstance(first, Features):
        assert first["id"].equals(data["id"]), "ids or their order changed"
    if isinstance(first, Folder):
        check_files(first)
    if isinstance(first, Checkpoint):
        check_model(first.open().open(), foreseen, inputs, tolerance)
    if isinstance(first, Fit):
        check_fit(first, step, foreseen, inputs, tolerance)
    if not isinstance(step, DatasetLoader):
        _check_few_rows(step, inputs, folder)


def _check_repeats(
    run: Callable[..., Artifact], folder: Path, first: Artifact, tolerance: float
) -> None:
    """Check that a result does not depend on shards, workers or the run, or tell on which."""
    again = run(folder=folder / "again", workers=2, shard_rows=2)
    found = difference(first, again, tolerance)
    rounded = bool(tolerance) and isinstance(first, Tabular)
    if found is None and not rounded:
        return
    if found and (told := difference(first, run(folder=folder / "repeated"))):
        raise AssertionError(f"{told}, in two runs that are the same, seed included")
    alone = run(folder=folder / "alone", shard_rows=2)
    if found and (told := difference(first, alone, tolerance)):
        raise AssertionError(f"{told}, with shards of 8,192 and of 2 rows (tolerance: {tolerance})")
    told = difference(alone, again)
    assert told is None, f"{told}, with 1 worker and with 2"
    assert found is None, f"{found}, in some runs and not in others"


def _check_few_rows(step: Step, inputs: Given, folder: Path) -> None:
    """Check that tables of one row and of none are handled, or refused with a message."""
    for rows in (1, 0):
        cut = {name: _cut(value, rows) for name, value in inputs.items()}
        try:
            run_step(step, cut, folder / f"rows-{rows}", seed=1)
        except RmplugError as error:
            assert str(error), "refuses few rows without saying why"


def check_foreseen(step: Step, given: Given, result: Artifact) -> Known:
    """Check that a step's result for inputs like these is as foreseen, which is returned: columns,
    metrics, outputs."""
    known = {
        name: [known_of(artifact, named) for named, artifact in as_named(name, artifacts)]
        for name, artifacts in given.items()
    }
    foreseen = step.foresee(known)
    real = known_of(result.open() if isinstance(result, Checkpoint) else result)
    if foreseen.types != (Artifact,):
        assert isinstance(result, foreseen.types), "gives another type than it foresees"
    if foreseen.columns is not None:
        assert set(foreseen.columns) == set(real.columns or ()), "has other columns than foreseen"
        for name in foreseen.columns:
            foretold = foreseen.type_of(name)
            assert foretold in (None, real.type_of(name)), f"column {name} is {real.type_of(name)}"
    if foreseen.metrics is not None and isinstance(result, Metrics):
        unforeseen = set(result["metric"].to_pylist()) - set(foreseen.metrics)
        assert not unforeseen, f"gives metrics that it does not foresee: {unforeseen}"
    # what a fit predicts needs data; none are foreseen of a model that has no scores
    if foreseen.outputs and real.outputs is not None:
        assert list(foreseen.outputs) == list(real.outputs), "has other outputs than foreseen"
    return foreseen


def _cut(value: Artifact | Sequence[Artifact], rows: int) -> Artifact | Sequence[Artifact]:
    if isinstance(value, Tabular):
        return type(value)(value.table.slice(0, rows), value.name)
    return value if isinstance(value, Artifact) else [_cut(entry, rows) for entry in value]  # type: ignore[misc]
