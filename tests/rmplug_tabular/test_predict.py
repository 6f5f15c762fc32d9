from __future__ import annotations

import pickle

import numpy as np
import pytest
from tabular_data import keys

from rmplug import DataError, Features
from rmplug_tabular import Predict, Sklearn


@pytest.fixture
def fit(words, margin, tmp_path):
    return Sklearn(name="Ridge", refits=0).fit([words], margin, seed=1, directory=tmp_path)


def test_a_fit_applies_to_a_step_of_another_name(fit, words):
    again = Features(words.table, "words-of-test")
    expected = Predict().compute(fit, [words])["prediction"]
    assert Predict().compute(fit, [again])["prediction"].equals(expected)


def test_other_columns_and_another_order_do_not_matter(fit, words):
    extra = {"unseen": np.zeros(len(words))}
    columns = {name: words[name] for name in reversed(words.values)}
    wider = Features({**keys(), **extra, **columns}, "words")
    expected = Predict().compute(fit, [words])["prediction"]
    assert Predict().compute(fit, [wider])["prediction"].equals(expected)


def test_missing_columns_are_named(fit, words):
    with pytest.raises(DataError) as error:
        _ = Predict().compute(fit, [words.select("length")]).table
    assert str(error.value) == (
        "the fit needs 3 features and 2 are missing: words.flattery, words.noise; give the steps "
        "it was fitted on, in the same order (given: words.length)"
    )


def test_work_can_be_sent_to_another_process(fit, words):
    declared = pickle.loads(pickle.dumps(Predict().compute(fit, [words])))
    assert declared.columns == ["id", "group", "prediction"]
