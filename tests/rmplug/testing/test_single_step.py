"""One step run by itself, more than once in the same folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rmplug import Features, Pairs, QueryStrategy, RewardModel, Sampler
from rmplug.testing import LengthModel, run_step, small_pairs


class Halve(Sampler):
    """Take every other row."""

    kind = "halve"

    def sample(self, data: Pairs) -> Pairs:
        return data.take([*range(0, len(data), 2)])


class Ask(QueryStrategy):
    """Give the scores of the chosen responses."""

    kind = "ask"

    def query(self, model: RewardModel, data: Pairs) -> Features:
        asked = data.table.rename_columns({"chosen": "response"})
        return Features(
            {"id": data["id"], "x": model.score(asked.combine_chunks().to_batches()[0])}
        )


class Doubled(LengthModel):
    """Twice the length."""

    def score(self, responses: pa.RecordBatch) -> np.ndarray:
        return 2 * super().score(responses)


def ids(data: Pairs) -> Sequence[str]:
    return list(data["id"].to_pylist())


@pytest.mark.parametrize("workers", [1, 2])
def test_other_rows_in_the_same_folder_give_their_own_result(tmp_path: Path, workers: int) -> None:
    pairs = small_pairs(12)
    for data in (pairs, pairs.take([*range(6)]), pairs.take([*range(6, 12)]), pairs):
        made = run_step(Halve(), {"data": data}, tmp_path, workers=workers)
        assert isinstance(made, Pairs)
        assert ids(made) == ids(data)[::2]
    made_once = [path for path in (tmp_path / "artifacts").iterdir() if path.name.startswith("hal")]
    assert len(made_once) == 3


def test_another_model_in_the_same_folder_gives_its_own_scores(tmp_path: Path) -> None:
    pairs = small_pairs(4)
    one, two = (
        run_step(Ask(), {"model": model, "data": pairs}, tmp_path)
        for model in (LengthModel(), Doubled())
    )
    assert isinstance(one, Features)
    assert isinstance(two, Features)
    assert two["x"].to_pylist() == [2 * value for value in one["x"].to_pylist()]
