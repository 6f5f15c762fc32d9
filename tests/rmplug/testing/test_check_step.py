"""The conformance suite finds what it promises to find."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from rmplug import FeatureComputer, Features, Known, Pairs, Responses, text_of
from rmplug.errors import RmplugError
from rmplug.testing import check_step, registry_of, small_features, small_pairs, small_responses


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
        (ByBatch, "differs by shard size, workers or run"),
        (Unrepeatable, "differs by shard size, workers or run"),
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
