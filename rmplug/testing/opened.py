"""The check of what a result is opened for: scores of a model, predictions of a fit, files."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmplug._kinds.signatures import signature_of
from rmplug.artifacts import (
    Artifact,
    Features,
    Fit,
    Folder,
    Pairs,
    Predictor,
    Report,
    Responses,
    RewardModel,
    join,
)
from rmplug.data.rows import one_batch
from rmplug.data.sides import responses_of
from rmplug.errors import RmplugError
from rmplug.families import Step
from rmplug.known import Known

from .sameness import alike
from .single_step import as_named
from .small_data import small_pairs

if TYPE_CHECKING:
    import pyarrow as pa

    from rmplug.arrays import Array

ROWS = 8
"""Rows that are scored or predicted at most: each is so in four ways."""
PICKLED = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt")

Answers = Mapping[str, "Array"]
Given = Mapping[str, Artifact | Sequence[Artifact]]


def check_model(model: RewardModel, foreseen: Known, given: Given, tolerance: float) -> None:
    """Check that an open model gives each row a score (and each pair a margin, if it compares)
    which depends on that row alone; the rows are of the data given, or small."""
    data = next((a for a in given.values() if isinstance(a, Pairs | Responses)), small_pairs())
    name = type(model).__name__
    if isinstance(data, Pairs):
        pairs = data.table.slice(0, ROWS // 2)
        compares = model.compare(one_batch(pairs)) is not None
        told = foreseen.outputs is None or compares == foreseen.compares
        assert told, f"{name} compares pairs: {compares}, but foresees {foreseen.compares}"
        if compares:
            check_answers(f"{name}.compare", lambda rows: _margins(model, rows), pairs, tolerance)
        responses = responses_of(pairs)
    else:
        responses = data.table.slice(0, ROWS)
    if len(model.outputs) and foreseen.outputs != ():
        check_answers(f"{name}.score", lambda rows: _scores(model, rows), responses, tolerance)


def _margins(model: RewardModel, pairs: pa.Table) -> Answers:
    import numpy as np

    return {"margin": np.asarray(model.compare(one_batch(pairs)))}


def _scores(model: RewardModel, responses: pa.Table) -> Answers:
    import numpy as np

    scores = np.asarray(model.score(one_batch(responses)))
    rows, width = len(responses), len(model.outputs)
    shapes = [(rows, width)] if width > 1 else [(rows,), (rows, 1)]
    assert scores.shape in shapes, (
        f"{type(model).__name__}.score gives shape {scores.shape} for {rows} rows and the outputs "
        f"{', '.join(model.outputs)}; give {' or '.join(map(str, shapes))}"
    )
    return dict(zip(model.outputs, scores.reshape(rows, width).T, strict=True))


def check_fit(fit: Fit, step: Step, foreseen: Known, given: Given, tolerance: float) -> None:
    """Check that an open fit predicts each row of the features that it was fitted on from that row
    alone, or refuses them with a message; of a fit without features only that it opens."""
    predictor, features = fit.open(), _features(step, given)
    if features is None:
        return
    rows = features.table.slice(0, ROWS)
    try:
        found = predictor.predict(rows)
    except RmplugError as error:
        assert str(error), "refuses features without saying why"
        return
    wrong = set(found) ^ set(found if foreseen.outputs is None else foreseen.outputs)
    assert not wrong, f"predicts other columns than foreseen: {', '.join(sorted(wrong))}"
    name = f"{type(predictor).__name__}.predict"
    check_answers(name, lambda table: _predicted(predictor, table), rows, tolerance)


def _predicted(predictor: Predictor, rows: pa.Table) -> Answers:
    import numpy as np

    return {name: np.asarray(values) for name, values in predictor.predict(rows).items()}


def _features(step: Step, given: Given) -> Features | None:
    """Return what an estimator's first input of features was given, joined and named as in a
    run."""
    for entry in signature_of(type(step)).inputs:
        tables = [
            Features(table.table, name)
            for name, table in as_named(entry.name, given.get(entry.name, ()))
            if isinstance(table, Features)
        ]
        if tables:
            return join(tables)
    return None


def check_answers(
    what: str, ask: Callable[[pa.Table], Answers], rows: pa.Table, tolerance: float
) -> None:
    """Check that ``ask`` gives one finite or missing number for each row, and the same one when it
    is asked again, in another order, and in batches of other sizes."""
    import numpy as np

    forward = np.arange(len(rows))
    backward = forward[::-1].copy()
    first = _asked(what, ask, rows, [forward])
    for how, batches, allowed in (
        ("asked again", [forward], 0.0),
        ("in reverse order", [backward], tolerance),
        ("in batches of 3 rows", [forward[n : n + 3] for n in range(0, len(rows), 3)], tolerance),
        ("alone", np.split(forward, len(rows)), tolerance),
    ):
        again = _asked(what, ask, rows, batches)
        assert set(again) == set(first), f"{what} gives other columns {how}"
        for name, values in first.items():
            for row, (one, two) in enumerate(zip(values, again[name], strict=True)):
                assert alike(float(one), float(two), allowed), (
                    f"{what} gives the row {rows['id'][row]} {name} {float(one)!r} among "
                    f"{len(rows)} rows, and {float(two)!r} {how}: it may depend on nothing but the "
                    f"row (tolerance: {allowed})"
                )


def _asked(
    what: str, ask: Callable[[pa.Table], Answers], rows: pa.Table, batches: Sequence[Any]
) -> dict[str, Array]:
    """Ask for the rows at the places in each batch; return the answers in the order of all rows."""
    import numpy as np

    found: dict[str, Array] = {}
    for places in batches:
        for name, values in ask(rows.take(places)).items():
            assert values.shape == (len(places),) and values.dtype.kind in "fiub", (
                f"{what} gives {name} as {values.dtype} of shape {values.shape} for "
                f"{len(places)} rows; give a number for each row"
            )
            odd = np.flatnonzero(np.isinf(values))
            assert not len(odd), (
                f"{what} gives an infinite {name} for the row {rows['id'][int(places[odd[0]])]}; "
                "one that is missing is NaN"
            )
            found.setdefault(name, np.full(len(rows), np.nan))[places] = values
    return found


def check_files(result: Folder) -> None:
    """Check that a result's files are no pickles, and that a report's entry is among them."""
    for path in sorted(p for p in result.directory.rglob("*") if p.is_file()):
        name = path.relative_to(result.directory)
        assert not _is_pickle(path), f"the file {name} is a pickle, which can run any code"
    if isinstance(result, Report):
        there = (result.directory / result.entry).is_file()
        assert there, f"the entry {result.entry} is no file of the report"


def _is_pickle(path: Path) -> bool:
    """Recognise a pickle by its ending, its first and last bytes, or as a member of an archive."""
    content = path.read_bytes()
    begins = content[:1] == b"\x80" and content[1:2] in (b"\2", b"\3", b"\4", b"\5")
    if path.suffix.lower() in PICKLED or (begins and content[-1:] == b"."):
        return True
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith(PICKLED) for name in archive.namelist())
