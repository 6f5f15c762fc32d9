"""Kinds for tests of runs: they log what they do and fail as they are told to."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rmplug import (
    Artifact,
    Checkpoint,
    DataError,
    DatasetLoader,
    Estimator,
    Evaluator,
    FeatureComputer,
    Features,
    Fit,
    Known,
    Metrics,
    ModelLoader,
    Observer,
    Pairs,
    PlanView,
    Predictor,
    QueryStrategy,
    Report,
    Reporter,
    Responses,
    RewardModel,
    Sampler,
    Trainer,
    join,
    notice,
    text_of,
)


def write_line(log: Path | None, *words: object) -> None:
    """Add a line to a log that processes share."""
    if log is not None:
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, (" ".join(map(str, words)) + "\n").encode())
        os.close(descriptor)


def pairs_table(start: int, stop: int, item_size: int = 0) -> Any:
    import pyarrow as pa

    numbers = range(start, stop)
    columns: dict[str, list[str]] = {
        "id": [f"p{number:07d}" for number in numbers],
        "prompt": [f"Question {number // 2}?" for number in numbers],
        "chosen": ["yes " * (number % 17 + 1) + str(number) for number in numbers],
        "rejected": ["no " * (number % 5 + 1) + str(number) for number in numbers],
    }
    if item_size:
        columns["item"] = [f"part-{number // item_size}" for number in numbers]
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


class MadePairs(DatasetLoader):
    """Pairs made on the fly."""

    kind = "made-pairs"
    neutral = frozenset({"log"})

    rows: int = 40
    """How many."""
    first: int = 0
    """The number of the first one."""
    item_size: int = 0
    """Rows that share an item; 0 for no items."""
    batch: int = 1000
    """Rows made at once."""
    log: Path | None = None
    """A file that gets a line per load."""

    def load(self) -> Pairs:
        write_line(self.log, "load")
        return Pairs.stream(self._tables())

    def _tables(self) -> Iterator[Any]:
        yield pairs_table(self.first, self.first, self.item_size)
        end = self.first + self.rows
        for start in range(self.first, end, self.batch):
            yield pairs_table(start, min(start + self.batch, end), self.item_size)


class Lengths(FeatureComputer):
    """Characters of both responses, row by row."""

    kind = "lengths"
    neutral = frozenset({"log", "pause"})

    scale: float = 1.0
    """A factor."""
    pause: float = 0.0
    """Seconds that a batch takes at least."""
    log: Path | None = None
    """A file that gets a line per batch."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(columns=("chosen", "rejected"))

    def compute(self, data: Pairs) -> Features:
        return data.map(self._measure)

    def _measure(self, batch: Any) -> dict[str, Any]:
        import numpy as np
        import pyarrow.compute as pc

        time.sleep(self.pause)
        names = batch.column("id").to_pylist()
        notice("number ends with 7", [name for name in names if name.endswith("7")])
        write_line(self.log, "shard", names[0] if names else "none", os.getpid())
        return {
            name: np.asarray(pc.utf8_length(text_of(batch.column(name)))) * self.scale
            for name in ("chosen", "rejected")
        }


class Rank(FeatureComputer):
    """The rank of the chosen response's length, which needs the whole table."""

    kind = "rank"

    def compute(self, data: Pairs) -> Features:
        import numpy as np
        import pyarrow.compute as pc

        lengths = np.asarray(pc.utf8_length(text_of(data["chosen"])))
        notice("longest", data["id"].filter(lengths == lengths.max()).to_pylist(), "changed")
        ranks = np.argsort(np.argsort(lengths, kind="stable"), kind="stable").astype(float)
        return Features({"id": data["id"], "group": data["group"], "rank": ranks})


class Slope(Predictor):
    """A line through the origin."""

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def predict(self, features: Any) -> Mapping[str, Any]:
        return {"prediction": features.column(2).to_numpy() * self.slope}


class Line(Estimator):
    """Fits a line through the origin to the first feature, plus a little noise."""

    kind = "line"
    neutral = frozenset({"log"})

    log: Path | None = None
    """A file that gets a line per fit."""

    def fit(
        self, features: Sequence[Features], target: Features, *, directory: Path, seed: int
    ) -> Fit:
        import numpy as np
        import pyarrow as pa

        write_line(self.log, "fit", seed)
        whole = join(features)
        x, y = whole.table.column(2).to_numpy(), target.only().to_numpy()
        slope = float(x @ y / (x @ x)) + float(np.random.default_rng(seed).normal()) / 1e6
        (directory / "line.json").write_text(json.dumps({"slope": slope}))
        number = {"metric": "slope", "subset": "all", "value": np.float32(slope)}
        rows = {"id": whole["id"], "group": whole["group"], "target": y, "prediction": x * slope}
        tables = {"rows": pa.table(rows)}
        return Fit(directory, type(self), [{**number, "low": None, "high": None, "n": 1}], tables)

    @classmethod
    def open(cls, directory: Path) -> Slope:
        return Slope(json.loads((directory / "line.json").read_text())["slope"])


class Predict(FeatureComputer):
    """What a fit predicts."""

    kind = "predict-line"

    def compute(self, fit: Fit, features: Sequence[Features]) -> Features:
        return join(features).map(_predict, open=fit.open)


def _predict(slope: Slope, batch: Any) -> Mapping[str, Any]:
    return slope.predict(batch)


class PerCharacter(RewardModel):
    """A reward for every character."""

    outputs = ("length",)

    def __init__(self, reward: float) -> None:
        self.reward = reward

    def score(self, responses: Any) -> Any:
        import numpy as np
        import pyarrow.compute as pc

        return np.asarray(pc.utf8_length(text_of(responses["response"]))) * self.reward


class CharacterModel(ModelLoader):
    """A reward for every character."""

    kind = "character-model"
    neutral = frozenset({"log"})

    reward: float = 1.0
    """The reward."""
    log: Path | None = None
    """A file that gets a line per load."""
    odd: tuple[str, ...] = ()
    """Rows of its own that are odd."""

    def load(self) -> RewardModel:
        write_line(self.log, "open", self.reward, os.getpid())
        notice("odd in the model", self.odd)
        return PerCharacter(self.reward)


class CharacterHead(Trainer):
    """Learns the reward of a character."""

    kind = "character-head"

    weights: int = 10
    """Bytes of weights."""

    def train(self, data: Pairs, *, directory: Path, seed: int) -> Checkpoint:
        (directory / "deep").mkdir()
        (directory / "deep" / "weights.bin").write_bytes(b"w" * self.weights)
        (directory / "manifest.json").write_text(json.dumps({"reward": seed + len(data)}))
        return Checkpoint(directory, type(self))

    @classmethod
    def open(cls, directory: Path) -> RewardModel:
        return PerCharacter(json.loads((directory / "manifest.json").read_text())["reward"])


class Ask(QueryStrategy):
    """The reward of each response, or of the chosen one of each pair."""

    kind = "ask"
    neutral = frozenset({"batch"})

    batch: int = 8
    """How many at once."""

    def query(self, model: RewardModel, data: Pairs | Responses) -> Features:
        side = "chosen" if isinstance(data, Pairs) else "response"
        return data.map(partial(self._ask, side), open=model.open)

    def _ask(self, side: str, model: RewardModel, batch: Any) -> dict[str, Any]:
        import numpy as np

        names = ["id", "group", "prompt", "response"]
        responses = batch.select([*names[:3], side]).rename_columns(names)
        starts = range(0, max(len(responses), 1), self.batch)
        scores = [model.score(responses.slice(start, self.batch)) for start in starts]
        return {model.outputs[0]: np.concatenate(scores)}


Failure = Literal["", "message", "bug", "die", "unsendable", "columns", "types", "rows", "lambda"]


class Unsendable(Exception):
    """An error that cannot be unpickled."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


class Fussy(FeatureComputer):
    """Fails as it is told to, from the second batch on or at one value."""

    kind = "fussy"

    how: Failure = ""
    """How to fail."""
    value: int = 0
    """A value, such as an item."""
    bad: int | None = None
    """Fail only if this is the value."""

    def compute(self, data: Pairs) -> Features:
        if self.how == "lambda":
            return data.map(lambda batch: {"x": [1.0] * batch.num_rows})
        return data.map(self._fuss)

    def _fuss(self, batch: Any) -> dict[str, Any]:
        first = batch.column("id")[0].as_py().endswith("0000000")
        columns = {"x": [float(self.value)] * batch.num_rows}
        if first if self.bad is None else self.value != self.bad:
            return columns
        match self.how:
            case "message":
                raise DataError(f"row {batch.column('id')[0]} is not to its taste; drop it")
            case "bug":
                raise ZeroDivisionError("a bug")
            case "die":
                os._exit(9)
            case "unsendable":
                raise Unsendable("cannot", " be sent")
            case "columns":
                return {"y": columns["x"]}
            case "types":
                import numpy as np

                return {"x": np.zeros((batch.num_rows, 2))}
            case "rows":
                return {"x": [1.0]}
        return columns


class Later(Sampler):
    """All rows but the first ones."""

    kind = "later"
    neutral = frozenset({"log"})

    skip: int = 1
    """How many rows to leave out."""
    log: Path | None = None
    """A file that gets a line per call."""

    def sample(self, data: Pairs) -> Pairs:
        write_line(self.log, "sample", len(data))
        return Pairs(data.table.slice(self.skip))


class Mean(Evaluator):
    """The mean of every column, or of one."""

    kind = "mean"
    neutral = frozenset({"log"})

    of: str | None = None
    """The column, as step.column; all of them unless given."""
    offset: float = 0.0
    """Added to the mean."""
    log: Path | None = None
    """A file that gets a line per call."""

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterator[tuple[str, str]]:
        step, _, column = (self.of or "").partition(".")
        lacking = [one.lacks(column) for one in inputs["features"] if one.step == step]
        yield from (("of", told) for told in lacking if told)

    def evaluate(self, features: Sequence[Features], data: Pairs | None = None) -> Metrics:
        import numpy as np
        import pyarrow as pa

        whole = join(features)
        write_line(self.log, "mean", self.offset)
        rows = [
            {"metric": f"mean {name}", "value": float(np.mean(whole[name])) + self.offset}
            for name in whole.values
            if self.of in (None, name)
        ]
        more = {"subset": "all", "low": None, "high": None, "n": len(whole)}
        return Metrics(pa.Table.from_pylist([{**row, **more} for row in rows]))


class Page(Reporter):
    """A page that tells the plan."""

    kind = "page"

    def report(self, items: Sequence[Artifact], *, directory: Path, plan: PlanView) -> Report:
        lines = [f"{s.id} {s.kind} {s.rows} {len(s.notices)} {dict(s.params)}" for s in plan.steps]
        (directory / "index.html").write_text("<pre>" + "\n".join(lines) + "</pre>")
        return Report(directory)


class Listener(Observer):
    """Writes down what it is told."""

    kind = "listener"

    file: Path
    """Where to."""

    def run_started(self, run: Any) -> None:
        write_line(self.file, "run_started", run.status)

    def step_started(self, step: Any) -> None:
        write_line(self.file, "step_started", step.id, step.status)

    def step_progress(self, step: Any, done: int, total: int | None) -> None:
        write_line(self.file, "step_progress", step.id, done, total)

    def step_finished(self, step: Any) -> None:
        write_line(self.file, "step_finished", step.id, step.status)

    def run_finished(self, run: Any) -> None:
        write_line(self.file, "run_finished", run.status)


class Broken(Observer):
    """Fails whenever it is told something."""

    kind = "broken"

    def run_started(self, run: Any) -> None:
        raise ConnectionError("no network")

    def step_finished(self, step: Any) -> None:
        raise ConnectionError("no network")
