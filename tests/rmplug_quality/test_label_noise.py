from __future__ import annotations

import numpy as np
import pytest

from rmplug import Known, Pairs, StepError
from rmplug.data.rows import Memory
from rmplug.data.sides import exchange_sides
from rmplug.notices import collect_notices
from rmplug.stats.estimates import area_under_curve
from rmplug.testing import check_step, run_step, small_features, small_pairs
from rmplug_quality._label_noise import CANNOT_BE_TOLD
from rmplug_quality._wrong_labels import estimate_share
from rmplug_quality.label_noise import LabelNoise
from rmplug_text.features import Lexical
from rmplug_text.loaders import Synthetic
from rmplug_text.samplers import Filter


def test_it_keeps_its_promises():
    check_step(LabelNoise, {"folds": 2, "strengths": [1.0]}, {"features": []})


def margins_with(share: float, count: int, seed: int) -> np.ndarray:
    """Margins whose labels follow sigmoid(m), and are exchanged in a share of the rows."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 3, count)
    label = rng.random(count) < 1 / (1 + np.exp(-true))
    return np.where(label ^ (rng.random(count) < share), true, -true) * 0.7


@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 0.3])
def test_the_share_of_exchanged_labels_is_estimated_within_its_interval(share):
    found = estimate_share(margins_with(share, 4000, 3), np.arange(4000))
    low, high = found.bounds
    assert low <= share <= high and high - low < 0.12
    assert found.slope == pytest.approx(1 / 0.7, rel=0.5)


def test_margins_that_say_nothing_leave_the_share_open():
    rng = np.random.default_rng(2)
    found = [estimate_share(rng.normal(0, 1, 600), np.arange(600) // 2).bounds for _ in range(40)]
    # whatever the share is, most intervals hold it
    for share in (0.0, 0.1, 0.2, 0.5):
        assert sum(low <= share <= high for low, high in found) >= 36


def test_labels_that_are_wrong_by_prompt_are_counted_by_prompt():
    rng = np.random.default_rng(3)
    groups, held = np.repeat(np.arange(80), 10), 0
    for seed in range(20):
        margins = np.abs(margins_with(0, 800, seed)) * 5
        wrong = (rng.random(80) < 0.1)[groups]
        low, high = estimate_share(np.where(wrong, -margins, margins), groups).bounds
        held += low <= 0.1 <= high
    assert held >= 17


def test_a_wrong_label_is_as_likely_as_bayes_says():
    found = estimate_share(margins_with(0.2, 4000, 5), np.arange(4000))
    margins = np.array([-10.0, 0.0, 10.0])
    assert found.probabilities(margins) == pytest.approx([1, found.share, 0], abs=0.02)


@pytest.fixture(scope="module")
def flipped(tmp_path_factory) -> tuple[Pairs, np.ndarray]:
    params = {"size": 500, "length": 4.0, "markdown": 2.0, "flattery": -2.0, "noise": 0.0}
    made = run_step(Synthetic.model_validate(params), {}, tmp_path_factory.mktemp("data"), seed=4)
    turn = np.random.default_rng(1).random(500) < 0.15
    table = made.table.select(["id", "group", "prompt", "chosen", "rejected"])
    return Pairs(Memory(exchange_sides(table, turn)), "pairs"), turn


def test_exchanged_labels_of_real_texts_are_found(flipped, tmp_path):
    pairs, turn = flipped
    lexical = Lexical.model_validate({"measures": ["words", "markdown", "flattery"]})
    words = run_step(lexical, {"data": pairs}, tmp_path)
    words.name = "words"
    step = LabelNoise.model_validate({"ngrams": False})
    made = run_step(step, {"data": pairs, "features": [words]}, tmp_path).table
    support, wrong = made["support"].to_numpy(), made["wrong"].to_numpy()
    assert area_under_curve(turn, wrong).value > 0.9
    low, high = estimate_share(support, np.arange(500)).bounds
    assert low <= turn.mean() <= high
    assert made["disagrees"].to_pylist() == (support < 0).tolist()


def test_n_grams_alone_learn_what_texts_say(tmp_path):
    rng = np.random.default_rng(1)
    rows = range(120)
    good = [f"w{rng.integers(9)} right w{rng.integers(9)}" for _ in rows]
    bad = [f"w{rng.integers(9)} mistaken w{rng.integers(9)}" for _ in rows]
    turn = np.arange(120) % 8 == 0
    sides = [np.where(turn, bad, good), np.where(turn, good, bad)]
    names = [f"p{row}" for row in rows]
    pairs = Pairs({"id": names, "prompt": names, "chosen": sides[0], "rejected": sides[1]})
    wrong = run_step(LabelNoise(), {"data": pairs}, tmp_path).table["wrong"].to_numpy()
    assert (wrong[turn] > 0.9).all() and (wrong[~turn] < 0.1).all()


def test_where_texts_say_nothing_of_labels_wrong_is_missing_and_a_filter_drops_nothing(tmp_path):
    rng = np.random.default_rng(1)
    sides = [[f"w{a} w{b}" for a, b in rng.integers(9, size=(200, 2))] for _ in range(2)]
    names = [f"p{row}" for row in range(200)]
    pairs = Pairs({"id": names, "prompt": names, "chosen": sides[0], "rejected": sides[1]})
    with collect_notices() as notices:
        made = LabelNoise().compute(pairs, seed=0)
    assert np.isnan(made["wrong"].to_numpy()).all()
    assert np.isfinite(made["support"].to_numpy()).all()
    assert notices[CANNOT_BE_TOLD, "kept"].count == 200
    made.name = "noise"
    keep = Filter(where="noise.wrong is null or noise.wrong < 0.8")
    assert len(run_step(keep, {"data": pairs, "features": [made]}, tmp_path / "kept")) == 200


def test_one_prompt_alone_is_not_judged(tmp_path):
    pairs = small_pairs().take([0])
    made = run_step(LabelNoise(), {"data": pairs}, tmp_path).table
    assert made["support"].to_pylist() == [0.0] and np.isnan(made["wrong"].to_numpy()).all()


def test_features_without_two_sides_are_refused(tmp_path):
    step = LabelNoise.model_validate({"ngrams": False})
    assert list(step.mistakes({"data": [Known()]})) == [
        ("ngrams", "there is nothing to learn from: set ngrams: true or give features")
    ]
    prompts = Known(columns=["prompt.words"], step="words")
    assert list(LabelNoise().mistakes({"features": [prompts]})) == [
        (
            "features",
            "words gives no columns difference.x or margin, nor chosen.x and rejected.x, to "
            "compare the two responses by",
        )
    ]
    pairs = small_pairs()
    alien = small_features(pairs.take([1, 0]), "reward")
    with pytest.raises(StepError, match="the features are not of these pairs"):
        run_step(step, {"data": pairs, "features": [alien]}, tmp_path)
