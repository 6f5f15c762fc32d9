"""How `reward` asks a model and what it makes of the scores."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from rmplug import DataError, Pairs, Responses, RewardModel, text_of
from rmplug.notices import collect_notices
from rmplug_text.queries import Reward


class Length(RewardModel):
    """Scores a response by its characters; words that are numbers score as such."""

    def __init__(self):
        self.seen = []

    def score(self, responses):
        self.seen.append(responses)
        texts = text_of(responses.column("response")).to_pylist()
        return np.array([number(text) for text in texts])


class Two(RewardModel):
    """Characters, and their negative."""

    outputs = ("length", "brevity")

    def score(self, responses):
        lengths = Length().score(responses)
        return np.stack([lengths, -lengths], axis=1)


class Wrong(RewardModel):
    """Gives whatever it was made with."""

    def __init__(self, scores):
        self.scores = scores

    def score(self, responses):
        return self.scores


def number(text):
    try:
        return float(text)
    except ValueError:
        return float(len(text))


def pairs(chosen=("long answer", "a"), rejected=("short", "bb")):
    return Pairs(
        {
            "id": ["p", "q"],
            "prompt": ["one", "two"],
            "chosen": list(chosen),
            "rejected": list(rejected),
            "subset": ["s", "t"],
        }
    )


def test_pairs_get_scores_margin_probability_and_loss():
    table = Reward().query(Length(), pairs()).table
    assert table.column_names[:2] == ["id", "group"]
    assert table["chosen"].to_pylist() == [11, 1]
    assert table["rejected"].to_pylist() == [5, 2]
    assert table["margin"].to_pylist() == [6, -1]
    expected = [1 / (1 + math.exp(-6)), 1 / (1 + math.exp(1))]
    assert table["probability"].to_pylist() == pytest.approx(expected)
    assert table["loss"].to_pylist() == pytest.approx([-math.log(value) for value in expected])


def test_margins_of_any_size_give_finite_losses():
    table = Reward().query(Length(), pairs(("1000", "-1000"), ("-1000", "1000"))).table
    assert table["loss"].to_pylist() == [0, 2000]
    assert table["probability"].to_pylist() == [1, 0]


def test_the_model_is_asked_once_with_both_responses_and_the_other_columns():
    model = Length()
    _ = Reward().query(model, pairs()).table
    [batch] = model.seen
    assert batch.column("id").to_pylist() == ["p/chosen", "q/chosen", "p/rejected", "q/rejected"]
    assert batch.column("subset").to_pylist() == ["s", "t", "s", "t"]
    assert text_of(batch.column("prompt")).to_pylist() == ["one", "two", "one", "two"]
    assert text_of(batch.column("response")).to_pylist() == ["long answer", "a", "short", "bb"]
    assert batch.column("group").to_pylist() == pairs().table["group"].to_pylist() * 2


def test_responses_get_a_reward():
    data = Responses({"id": ["a", "b"], "prompt": ["x", "x"], "response": ["abc", ""]})
    assert Reward().query(Length(), data).table["reward"].to_pylist() == [3, 0]


def test_several_outputs_get_columns_of_their_own():
    table = Reward().query(Two(), pairs()).table
    assert table["margin.length"].to_pylist() == [6, -1]
    assert table["margin.brevity"].to_pylist() == [-6, 1]
    data = Responses({"id": ["a"], "prompt": ["x"], "response": ["abc"]})
    assert Reward().query(Two(), data).values == ["reward.length", "reward.brevity"]


def test_scores_that_are_not_finite_are_an_error_that_names_them():
    with pytest.raises(DataError) as error:
        _ = Reward().query(Length(), pairs(("nan", "1"), ("2", "inf"))).table
    assert str(error.value) == (
        "the model gave no finite score for 2 of 4 responses (p/chosen, q/rejected); "
        "set on_missing: keep to go on with what is missing"
    )


def test_scores_that_are_not_finite_can_be_kept_and_are_counted():
    with collect_notices() as notices:
        step = Reward(on_missing="keep")
        table = step.query(Length(), pairs(("nan", "1"), ("2", "inf"))).table
    assert math.isnan(table["margin"][0].as_py())
    assert table["margin"][1].as_py() == -math.inf
    assert notices["score is not a finite number", "kept"].ids == ["p/chosen", "q/rejected"]


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (np.zeros(3), "float64 of shape (3,) for 4 responses"),
        (np.zeros((4, 2)), "float64 of shape (4, 2) for 4 responses"),
        (np.array(["1"] * 4), "<U1 of shape (4,) for 4 responses"),
        (None, "object of shape () for 4 responses"),
    ],
)
def test_scores_of_another_shape_or_type_are_refused(scores, said):
    with pytest.raises(DataError) as error:
        _ = Reward().query(Wrong(scores), pairs()).table
    assert str(error.value) == (
        f"Wrong.score gave {said}; with the outputs reward it must give numbers of shape "
        "(4,) or (4, 1)"
    )


def test_scores_of_half_precision_and_one_column_are_taken():
    scores = np.array([[1], [2], [3], [4]], dtype=np.float16)
    assert Reward().query(Wrong(scores), pairs()).table["margin"].to_pylist() == [-2, -2]


def test_no_rows_give_the_columns_without_asking_the_model():
    table = Reward().query(Wrong(None), pairs().take(np.zeros(0, int))).table
    assert table.num_rows == 0
    assert "margin" in table.column_names


def test_the_question_can_be_sent_to_another_process():
    asked = Reward().query(Two(), pairs())
    assert pickle.loads(pickle.dumps(asked.rows)).read(0, 2).equals(asked.table)
