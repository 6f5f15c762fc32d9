"""The conformance suite: every promise of rmplug about a step, checked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rmplug._kinds.field_docs import field_docs
from rmplug._kinds.registry import Provider, missing_libraries
from rmplug._kinds.signatures import Input, check_class, signature_of
from rmplug._run.local_engine import Local
from rmplug._store.files import checksum
from rmplug.artifacts import (
    Artifact,
    Checkpoint,
    Features,
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
from rmplug.known import known_of

from .single_step import run_step
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
    inputs: Mapping[str, Artifact | Sequence[Artifact]] | None = None,
    tolerance: float = 0.0,
) -> None:
    """Assert all that rmplug promises of a step: documentation, JSON round trip, declared
    requirements, light import, the promised output, only the foreseen results, ids and order kept,
    the same result for any shard size and number of workers, the same result for the same seed, and
    that a table of one row or none is either handled or refused with a message. Of an engine: the
    same bytes as the engine ``local``, and an exception of the work raised on.

    Inputs are made from small data unless given by name. ``tolerance`` is how far numbers may
    differ between shard sizes: 0 unless a library in between rounds differently for batches of
    different sizes, as matrix products do. With the same shard size they must be the same.
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


def small_inputs(
    cls: type[Step], given: Mapping[str, Artifact | Sequence[Artifact]]
) -> dict[str, Artifact | Sequence[Artifact]]:
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


def _check_results(
    step: Step,
    inputs: dict[str, Artifact | Sequence[Artifact]],
    folder: Path,
    tolerance: float,
) -> None:
    if isinstance(step, ModelLoader):
        return
    first = run_step(step, inputs, folder / "first", seed=1)
    again = run_step(step, inputs, folder / "again", seed=1, workers=2, shard_rows=2)
    assert isinstance(first, signature_of(type(step)).gives), "gives what it did not promise"
    check_foreseen(step, inputs, first)
    assert_same(first, again, tolerance)
    if tolerance:
        alone = run_step(step, inputs, folder / "alone", seed=1, workers=1, shard_rows=2)
        assert_same(again, alone)
    data = next((a for a in inputs.values() if isinstance(a, Pairs | Responses)), None)
    if data is not None and isinstance(first, Features):
        assert first["id"].equals(data["id"]), "ids or their order changed"
    if isinstance(step, DatasetLoader):
        return
    for rows in (1, 0):
        cut = {name: _cut(value, rows) for name, value in inputs.items()}
        try:
            run_step(step, cut, folder / f"rows-{rows}", seed=1)
        except RmplugError as error:
            assert str(error), "refuses few rows without saying why"


def check_foreseen(
    step: Step, given: Mapping[str, Artifact | Sequence[Artifact]], result: Artifact
) -> None:
    """Check that a step's result for inputs like these is as foreseen: columns, metrics,
    outputs."""
    listed = {n: [a] if isinstance(a, Artifact) else a for n, a in given.items()}
    foreseen = step.foresee({n: [known_of(a, n) for a in each] for n, each in listed.items()})
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
    if foreseen.outputs is not None and real.outputs is not None:  # what a fit predicts needs data
        assert list(foreseen.outputs) == list(real.outputs), "has other outputs than foreseen"


def assert_same(first: Artifact, second: Artifact, tolerance: float = 0.0) -> None:
    """Check that two artifacts hold the same: equal tables (numbers up to ``tolerance``), or files
    with equal bytes."""
    if isinstance(first, Tabular):
        assert isinstance(second, Tabular)
        assert _close(first, second, tolerance), "differs by shard size, workers or run"
    elif isinstance(first, Folder):
        assert isinstance(second, Folder)
        assert _sums(first) == _sums(second), "files differ between two runs with the same seed"


def _close(first: Tabular, second: Tabular, tolerance: float) -> bool:
    """Check whether floating-point numbers, alone or in vectors and lists, are close, and all other
    columns equal."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not first.table.schema.equals(second.table.schema):
        return False
    for one, two in zip(first.table.columns, second.table.columns, strict=True):
        if pa.types.is_list(one.type):
            if not pc.list_value_length(one).equals(pc.list_value_length(two)):
                return False
            one, two = (pc.list_flatten(c) for c in (one, two))
        elif pa.types.is_fixed_size_list(one.type):
            one, two = (pa.concat_arrays(c.chunks).flatten() for c in (one, two))
        if not pa.types.is_floating(one.type):
            if not one.equals(two):
                return False
        elif not np.allclose(one, two, rtol=0, atol=tolerance, equal_nan=True):
            return False
    return True


def _sums(artifact: Folder) -> dict[str, str]:
    root = artifact.directory
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): checksum(path) for path in files}


def _cut(value: Artifact | Sequence[Artifact], rows: int) -> Artifact | Sequence[Artifact]:
    if isinstance(value, Tabular):
        return type(value)(value.table.slice(0, rows), value.name)
    return value if isinstance(value, Artifact) else [_cut(entry, rows) for entry in value]  # type: ignore[misc]
