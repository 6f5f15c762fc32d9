from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import log_loss, r2_score, roc_auc_score

from rmplug_tabular._accuracy import auc, of_classes, r2, spearman, weighted_mean
from rmplug_tabular._grouped_intervals import measured

RNG = np.random.default_rng(0)
TARGET = RNG.integers(0, 6, 80).astype(float)
GUESS = np.round(TARGET + RNG.normal(size=80), 1)
TIMES = RNG.integers(0, 4, 80)
AGAIN = np.repeat(np.arange(80), TIMES)


def test_weights_count_like_repeated_rows():
    weights = TIMES.astype(float)
    assert r2(TARGET, GUESS, weights) == pytest.approx(r2_score(TARGET[AGAIN], GUESS[AGAIN]))
    assert spearman(TARGET, GUESS)(weights) == pytest.approx(
        spearmanr(TARGET[AGAIN], GUESS[AGAIN]).statistic
    )
    higher = TARGET > 2
    assert auc(higher, GUESS)(weights) == pytest.approx(roc_auc_score(higher[AGAIN], GUESS[AGAIN]))


def test_log_loss_of_classes_is_that_of_scikit_learn():
    classes = RNG.integers(0, 3, 40)
    chances = RNG.dirichlet(np.ones(3), 40)
    found = of_classes(classes, chances, np.full((40, 3), 1 / 3), True)
    assert found["log-loss"](np.ones(40)) == pytest.approx(log_loss(classes, chances))
    assert found["log-loss-of-base-rate"](np.ones(40)) == pytest.approx(np.log(3))


def test_an_interval_is_wider_when_rows_come_in_groups():
    hits = np.repeat(RNG.integers(0, 2, 50), 8).astype(float)
    statistics = {"accuracy": lambda weights: weighted_mean(hits, weights)}
    alone = measured(statistics, np.arange(400), 0)[0]
    grouped = measured(statistics, np.repeat(np.arange(50), 8), 0)[0]
    widths = [number["high"] - number["low"] for number in (alone, grouped)]
    assert widths[1] / widths[0] == pytest.approx(8**0.5, rel=0.2)
    assert widths[1] == pytest.approx(2 * 1.96 * hits.std() / 50**0.5, rel=0.15)


def test_a_value_that_cannot_be_computed_is_null():
    number = measured({"auc": auc(np.ones(4), np.arange(4.0))}, np.arange(4), 0)[0]
    assert (number["value"], number["low"], number["high"], number["n"]) == (None, None, None, 4)
