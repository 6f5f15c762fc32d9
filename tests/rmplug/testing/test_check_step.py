"""The conformance suite finds what it promises to find."""

from __future__ import annotations

import itertools
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from rmplug import (
    Artifact,
    Checkpoint,
    Estimator,
    FeatureComputer,
    Features,
    Fit,
    Known,
    ModelLoader,
    Pairs,
    Predictor,
    Report,
    Reporter,
    Responses,
    RewardModel,
    Trainer,
    text_of,
)
from rmplug.errors import RmplugError
from rmplug.testing import (
    LengthModel,
    assert_same,
    check_step,
    registry_of,
    small_features,
    small_pairs,
    small_responses,
)


class Lengths(FeatureComputer):
    """Characters of each chosen response."""

    kind = "lengths"

    def compute(self, data: Pairs) -> Features:
        """What the suite must accept."""
        return data.map(self.measure)

    def measure(self, batch: Any) -> dict[str, list[int]]:
        return {"n": [len(text) for text in text_of(batch.column("chosen")).to_pylist()]}


class Unexplained(Lengths):
    """A parameter without a docstring."""

    kind = "unexplained"
    width: int = 3


class Shuffled(Lengths):
    """Gives rows in another order."""

    kind = "shuffled"

    def compute(self, data: Pairs) -> Features:
        return Features(super().compute(data).table.take([1, 0, *range(2, len(data))]))


class ByBatch(Lengths):
    """Depends on the batch, not only on the row."""

    kind = "by-batch"

    def measure(self, batch: Any) -> dict[str, list[int]]:
        return {"n": list(range(batch.num_rows))}


class Careless(Lengths):
    """Cannot take a table without rows."""

    kind = "careless"

    def compute(self, data: Pairs) -> Features:
        first = data["id"][0]
        assert first is not None
        return super().compute(data)


class Unrepeatable(Lengths):
    """Draws from an unseeded generator."""

    kind = "unrepeatable"

    def measure(self, batch: Any) -> dict[str, list[float]]:
        return {"n": [random.random() for _ in range(batch.num_rows)]}


class ByProcess(Lengths):
    """Depends on the process that does the work."""

    kind = "by-process"

    def measure(self, batch: Any) -> dict[str, list[float]]:
        import multiprocessing

        return {"n": [float(multiprocessing.parent_process() is not None)] * batch.num_rows}


class Misforeseen(Lengths):
    """Foresees a column that it does not give."""

    kind = "misforeseen"

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(columns=("m",))


class Mistyped(Lengths):
    """Foresees numbers as vectors."""

    kind = "mistyped"

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(columns={"n": "vector"})


class Foreseen(Lengths):
    """Foresees what it gives, for what it takes."""

    kind = "foreseen"

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        assert inputs["data"][0].type_of("chosen") == "messages"
        return Known((Features,), {"n": "number"})


def test_a_good_step_passes() -> None:
    check_step(Lengths)
    check_step(Foreseen)


@pytest.mark.parametrize(
    ("cls", "complaint"),
    [
        (Unexplained, "Unexplained.width has no docstring below it"),
        (Shuffled, "ids or their order changed"),
        (ByBatch, r"column n of row 2 \(pair-2\) is 2.0 and 0.0, with shards of 8,192 and of 2"),
        (Unrepeatable, r"column n of row 0 \(pair-0\) is 0.* in two runs that are the same, seed"),
        (ByProcess, r"column n of row 0 \(pair-0\) is 0.0 and 1.0, with 1 worker and with 2"),
        (Misforeseen, "has other columns than foreseen"),
        (Mistyped, "column n is number"),
    ],
)
def test_a_faulty_step_is_told_what_is_wrong(cls: type[Lengths], complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_step(cls)


def test_a_step_that_breaks_on_an_empty_table_is_found() -> None:
    with pytest.raises(IndexError):
        check_step(Careless)


def test_a_registry_for_tests_tells_of_a_fault_at_once() -> None:
    with pytest.raises(RmplugError, match="it gives no kinds"):
        registry_of(object())


def test_small_data_has_what_steps_stumble_over() -> None:
    pairs, responses = small_pairs(), small_responses()
    assert isinstance(responses, Responses)
    assert len(set(pairs["group"].to_pylist())) < len(pairs)
    assert responses["ratings.helpfulness"].null_count == 1
    assert small_features(pairs).values == ["first", "last", "margin"]


class FaultyModel(RewardModel):
    """The length of each response, but for one fault."""

    calls = itertools.count()

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def score(self, responses: Any) -> Any:
        import numpy as np

        scores = LengthModel().score(responses)
        rows = np.arange(len(scores))
        faulty = {
            "one": scores[:1],
            "again": scores + next(self.calls),
            "batch": scores + len(scores),
            "place": scores + np.where(rows == 0, 0, 1e-6),
            "infinite": np.where(rows == 1, np.inf, scores),
            "text": np.array(["a"] * len(scores)),
            "missing": np.where(scores > 0.2, np.nan, scores),
        }
        return faulty.get(self.fault, scores)

    def compare(self, pairs: Any) -> Any:
        if self.fault != "compare":
            return None
        import numpy as np

        return np.arange(pairs.num_rows, dtype=float)


class FaultyLoader(ModelLoader):
    """Load a model with a fault."""

    kind = "faulty-loader"

    fault: str = ""
    """The fault."""

    def load(self) -> RewardModel:
        return FaultyModel(self.fault)


class ForeseenLoader(FaultyLoader):
    """Foresees another output."""

    kind = "foreseen-loader"

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=("quality",))


class FaultyTrainer(Trainer):
    """Train a model with a fault, and remember it in a file."""

    kind = "faulty-trainer"

    fault: str = ""
    """The fault."""

    def train(self, data: Pairs, *, directory: Path) -> Checkpoint:
        (directory / "fault.txt").write_text(self.fault)
        return Checkpoint(directory, type(self))

    @classmethod
    def open(cls, directory: Path) -> RewardModel:
        return FaultyModel((directory / "fault.txt").read_text())


class FaultyPredictor(Predictor):
    """A number for each row, but for one fault."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def predict(self, features: Any) -> Mapping[str, Any]:
        first = features["features.first"].to_numpy()
        faulty = {"one": first[:1], "batch": first - first.mean()}
        return {"other" if self.fault == "name" else "prediction": faulty.get(self.fault, first)}


class FaultyFit(Estimator):
    """Fit a predictor with a fault, and remember it in a file."""

    kind = "faulty-fit"

    fault: str = ""
    """The fault."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=("prediction",))

    def fit(self, features: Sequence[Features], target: Features, *, directory: Path) -> Fit:
        (directory / "fault.txt").write_text(self.fault)
        return Fit(directory, type(self))

    @classmethod
    def open(cls, directory: Path) -> Predictor:
        return FaultyPredictor((directory / "fault.txt").read_text())


class FaultyReport(Reporter):
    """Write a page, and a file that is named in a parameter."""

    kind = "faulty-report"

    file: str = "more.txt"
    """The file, with a pickle in it if it ends so."""
    entry: str = "index.html"
    """The page."""

    def report(self, items: Sequence[Artifact], *, directory: Path) -> Report:
        (directory / "index.html").write_text("a page")
        content = b"text" if self.file.endswith(".txt") else pickle.dumps({"a": 1})
        (directory / self.file).write_bytes(content)
        return Report(directory, self.entry)


@pytest.mark.parametrize("cls", [FaultyLoader, FaultyTrainer])
def test_a_model_without_fault_and_one_with_missing_scores_pass(cls: type[ModelLoader]) -> None:
    check_step(cls)
    check_step(cls, {"fault": "missing"})
    check_step(cls, {"fault": "place"}, tolerance=1e-5)


@pytest.mark.parametrize("cls", [FaultyLoader, FaultyTrainer])
@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("one", r"FaultyModel.score gives shape \(1,\) for 8 rows and the outputs reward; give"),
        ("again", r"gives the row pair-0/chosen reward .* asked again: it may depend on nothing"),
        ("batch", r"reward 8.09 among 8 rows, and 3.09 in batches of 3 rows"),
        ("place", r"pair-0/chosen reward 0.09 among 8 rows, and 0.09000.* in reverse order"),
        ("infinite", "gives an infinite reward for the row pair-0/rejected; one that is missing"),
        ("text", "gives reward as <U1 of shape .* give a number for each row"),
        ("compare", "FaultyModel.compare gives the row pair-0 margin 0.0 among 4 rows, and 3.0"),
    ],
)
def test_a_model_whose_scores_depend_on_more_than_the_row_is_found(
    cls: type[ModelLoader], fault: str, complaint: str
) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_step(cls, {"fault": fault})


def test_another_output_than_foreseen_is_found() -> None:
    with pytest.raises(AssertionError, match="has other outputs than foreseen"):
        check_step(ForeseenLoader)


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("one", r"FaultyPredictor.predict gives prediction as .* of shape \(1,\) for 7 rows"),
        ("batch", "gives the row pair-0 prediction .* in batches of 3 rows"),
        ("name", "predicts other columns than foreseen: other, prediction"),
    ],
)
def test_a_fit_whose_predictions_depend_on_more_than_the_row_is_found(
    fault: str, complaint: str
) -> None:
    check_step(FaultyFit)
    with pytest.raises(AssertionError, match=complaint):
        check_step(FaultyFit, {"fault": fault})


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"file": "fit.pkl"}, "the file fit.pkl is a pickle, which can run any code"),
        ({"file": "fit.bin"}, "the file fit.bin is a pickle"),
        ({"entry": "nothere.html"}, "the entry nothere.html is no file of the report"),
    ],
)
def test_a_pickle_and_a_report_without_its_entry_are_found(
    params: dict[str, str], complaint: str
) -> None:
    check_step(FaultyReport)
    with pytest.raises(AssertionError, match=complaint):
        check_step(FaultyReport, params)


def test_a_difference_is_told_by_column_and_row() -> None:
    import numpy as np

    first = Features({"id": ["a", "b"], "v": np.array([[1.0, 2.0], [3.0, np.nan]])})
    other = Features({"id": ["a", "b"], "v": np.array([[1.0, 2.0], [3.5, np.nan]])})
    assert_same(first, other, tolerance=0.5)
    with pytest.raises(AssertionError, match=r"column v of row 1 \(b\) is 3.0 and 3.5 at place 0"):
        assert_same(first, other)


SCRIPT = """
from test_check_step import Lengths
from rmplug.testing import check_step
GUARD check_step(Lengths)
"""


@pytest.mark.parametrize("guard", ["", "if __name__ == '__main__':"])
def test_a_script_without_its_guard_is_told_in_a_sentence(tmp_path: Path, guard: str) -> None:
    script = tmp_path / "checking.py"
    script.write_text(SCRIPT.replace("GUARD ", guard))
    places = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode == 0) is bool(guard), done.stderr
    told = done.stderr.strip().splitlines()[-1:]
    assert bool(guard) or told == [
        "rmplug.errors.RmplugError: check_step starts worker processes, which read the script that "
        'calls it: in checking.py, put the call below if __name__ == "__main__":'
    ]
