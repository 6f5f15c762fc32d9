"""Heads from pairs alone: what is planted is found, and length is kept apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.optimize import approx_fprime

from rmplug import DataError, Features, Pairs, open_folder, text_of
from rmplug.testing import check_step, small_pairs
from rmplug_armorm.heads._heads_file import read_heads
from rmplug_armorm.heads._odin import OdinSettings, loss_of
from rmplug_armorm.heads._pair_differences import root_mean_squares
from rmplug_armorm.heads.pair_heads import OdinHead, PairwiseHeads
from rmplug_hf import Encoder, HiddenState

WIDTH = 12


def planted(pairs: int = 600, seed: int = 0, length_bias: float = 0.0) -> tuple[Pairs, Features]:
    """Pairs of two attributes, each preferred by a direction of its own; the last dimension of a
    state is the length of the text, which buys ``length_bias`` of the preference."""
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(pairs, 2, WIDTH))
    lengths = rng.integers(1, 60, size=(pairs, 2))
    states[:, :, -1] = (lengths - 30) / 17
    tall = np.arange(pairs) % 2 == 0
    truth = np.where(tall[:, None], states[:, :, 0], states[:, :, 1]) * 3
    utility = truth + length_bias * states[:, :, -1]
    gap = utility[:, 0] - utility[:, 1]
    first = rng.random(pairs) < 1 / (1 + np.exp(-gap))
    order = np.where(first[:, None], [0, 1], [1, 0])
    rows = np.arange(pairs)
    texts = [["x" * n for n in lengths[rows, order[:, side]]] for side in (0, 1)]
    names = [f"pair-{row}" for row in rows]
    data = Pairs(
        {
            "id": names,
            "prompt": [f"prompt {row // 2}" for row in rows],
            "chosen": texts[0],
            "rejected": texts[1],
            "subset": ["tall" if one else "wide" for one in tall],
        },
        "pairs",
    )
    vectors = {
        side: states[rows, order[:, at]].astype(np.float32)
        for at, side in enumerate(("chosen", "rejected"))
    }
    return data, Features({"id": names, **vectors}, "states")


def numbers_of(fit: object) -> dict[tuple[str, str], dict[str, float]]:
    return {(one["metric"], one["subset"]): one for one in fit.numbers}  # type: ignore[attr-defined]


def test_each_head_finds_the_direction_of_its_attribute(tmp_path: Path) -> None:
    data, states = planted()
    fit = PairwiseHeads().fit(states, data, seed=1, directory=tmp_path)
    heads = read_heads(tmp_path)
    assert heads.names == ("tall", "wide")
    assert np.abs(heads.weight).argmax(axis=1).tolist() == [0, 1]
    found = numbers_of(fit)
    for name in heads.names:
        row = found["accuracy", name]
        assert 0.8 < row["low"] < row["value"] < row["high"] < 1
        assert row["n"] == 300
        assert found["accuracy-of-longer", name]["value"] < 0.6
    rewards = PairwiseHeads.open(tmp_path).predict(
        pa.table({"states.response": states["chosen"].combine_chunks()})
    )
    rejected = heads.rewards(np.stack(states["rejected"].to_pylist()))
    ahead = rewards["tall"][::2] > rejected[::2, 0]
    assert ahead.mean() == pytest.approx(found["accuracy", "tall"]["value"], abs=0.05)


def test_heads_with_a_stronger_penalty_are_smaller(tmp_path: Path) -> None:
    data, states = planted()
    sizes = []
    for strength in (0.001, 1.0):
        folder = tmp_path / str(strength)
        folder.mkdir()
        PairwiseHeads(l2=(strength,)).fit(states, data, seed=1, directory=folder)
        sizes.append(np.linalg.norm(read_heads(folder).weight))
    assert sizes[1] < sizes[0] / 2


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (PairwiseHeads(by="aspect"), "no text column 'aspect' that names attributes; write by:"),
        (PairwiseHeads(attributes=("calm",)), "no pair has subset 'calm'; there are tall, wide"),
    ],
)
def test_an_attribute_that_is_not_there_is_named(
    step: PairwiseHeads, said: str, tmp_path: Path
) -> None:
    data, states = planted(40)
    with pytest.raises(DataError, match=said):
        step.fit(states, data, seed=1, directory=tmp_path)


def test_states_of_other_rows_are_refused(tmp_path: Path) -> None:
    data, states = planted(40)
    with pytest.raises(DataError, match="states and pairs are not of the same rows"):
        PairwiseHeads().fit(states.take(list(range(39, -1, -1))), data, seed=1, directory=tmp_path)


def test_the_slope_of_the_loss_is_that_of_its_differences() -> None:
    rng = np.random.default_rng(3)
    loss = loss_of(
        OdinSettings(**OdinHead().model_dump()), rng.normal(size=(30, 4)), rng.normal(size=30), 0.1
    )
    at = rng.normal(size=8)
    numeric = approx_fprime(at, lambda weights: loss(weights)[0], 1e-7)
    assert loss(at)[1] == pytest.approx(numeric, abs=2e-5)


@pytest.fixture
def encoder_states() -> tuple[Encoder, Pairs]:
    return Encoder(name="minilm", template="{response}", device="cpu"), small_pairs(7)


def test_quality_is_freed_of_length_and_the_length_head_follows_it(tmp_path: Path) -> None:
    data, states = planted(1200, length_bias=2.0)
    encoder = Encoder(name="minilm", device="cpu").load()
    wide = widened(states, encoder.width)  # type: ignore[attr-defined]
    result = OdinHead(l2=(0.01,)).train(encoder, data, wide, seed=1, directory=tmp_path)
    found = numbers_of(result)
    value = {name: row["value"] for (name, _), row in found.items()}
    assert value["length-correlation-with-length"] > 0.3
    assert abs(value["length-correlation"]) < 0.1
    assert value["length-correlation-of-length"] > 0.9
    assert value["accuracy-of-longer"] > 0.6
    assert value["accuracy-shorter-chosen"] > value["accuracy-with-length-shorter-chosen"] + 0.03
    row = found["length-correlation", "all"]
    assert row["low"] < row["value"] < row["high"]


def widened(states: Features, width: int) -> Features:
    """States with zeros in as many further dimensions as an encoder has."""
    columns = {}
    for side in ("chosen", "rejected"):
        values = np.stack(states[side].to_numpy())
        columns[side] = np.pad(values, ((0, 0), (0, width - values.shape[1])))
    return Features({"id": states["id"], **columns}, states.name)


def test_odin_refuses_states_of_another_width_than_its_encoder_gives(tmp_path: Path) -> None:
    data, states = planted(40)
    encoder = Encoder(name="minilm", device="cpu").load()
    with pytest.raises(DataError, match="^states are of 12 numbers, the encoder gives 384; ask"):
        OdinHead().train(encoder, data, states, seed=1, directory=tmp_path)


def test_odin_scores_text_again_from_its_folder(
    encoder_states: tuple[Encoder, Pairs], tmp_path: Path
) -> None:
    step, pairs = encoder_states
    model = step.load()
    OdinHead(folds=2, l2=(0.1,)).train(model, pairs, seed=1, directory=tmp_path)
    opened = open_folder(tmp_path, device="cpu")
    batch = pairs.table.select(["id", "group", "prompt", "chosen"]).rename_columns(
        ["id", "group", "prompt", "response"]
    )
    scores = opened.score(batch.combine_chunks().to_batches()[0])
    assert opened.outputs == ("reward", "length")
    assert scores.shape == (7, 2)
    lengths = np.array([len(text) for text in text_of(pairs["chosen"]).to_pylist()])
    assert np.corrcoef(scores[:, 1], lengths)[0, 1] > 0


def test_states_that_were_asked_for_give_the_same_heads(
    encoder_states: tuple[Encoder, Pairs], tmp_path: Path
) -> None:
    step, pairs = encoder_states
    model = step.load()
    states = Features(HiddenState().query(model, pairs).table, "states")
    folders = [tmp_path / name for name in ("asked", "given")]
    for folder, given in zip(folders, (None, states), strict=True):
        folder.mkdir()
        OdinHead(folds=2, l2=(0.1,)).train(model, pairs, given, seed=1, directory=folder)
    weights = [open_folder(folder).weight for folder in folders]  # type: ignore[attr-defined]
    assert weights[0] == pytest.approx(weights[1], abs=1e-4)


def test_heads_from_pairs_conform() -> None:
    data, states = planted(40)
    check_step(PairwiseHeads, {"folds": 2, "l2": [0.1]}, {"states": states, "data": data})
    model = Encoder(name="minilm", device="cpu").load()
    wide = {
        side: np.pad(np.stack(states[side].to_pylist()), ((0, 0), (0, model.width - WIDTH)))
        for side in ("chosen", "rejected")
    }
    check_step(
        OdinHead,
        {"folds": 2, "l2": [0.1]},
        {"model": model, "data": data, "states": Features({"id": data["id"], **wide}, "states")},
        tolerance=1e-6,
    )


def test_a_dimension_of_rounding_alone_gets_no_weight() -> None:
    differences = np.random.default_rng(0).normal(size=(50, 3)) * [1.0, 0.5, 1e-30]
    sizes = root_mean_squares(differences)
    assert sizes[2] == 1.0
    assert sizes[:2] == pytest.approx(np.sqrt(np.mean(differences[:, :2] ** 2, axis=0)))
