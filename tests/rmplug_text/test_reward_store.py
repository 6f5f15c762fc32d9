"""What `reward` keeps of what it gives."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from rmplug import DataError, Known, Pairs, Responses, RewardModel
from rmplug.testing import LengthModel, check_step, small_pairs, small_responses
from rmplug_text.queries import Reward


class Verdict(RewardModel):
    """Compares, and does not score."""

    def score(self, responses):
        return np.full(responses.num_rows, np.nan)

    def compare(self, pairs):
        return np.arange(pairs.num_rows, dtype=np.float64)


def known(data, **model):
    return {"model": [Known(step="model", **model)], "data": [Known((data,), step="data")]}


def test_it_conforms_with_a_choice_of_columns():
    check_step(Reward, {"store": ["margin", "chosen"]}, {"data": small_pairs()})


def test_only_what_is_named_is_kept_and_it_is_the_same_as_without():
    whole = Reward().query(LengthModel(), small_pairs()).table
    kept = Reward(store="loss").query(LengthModel(), small_pairs()).table
    assert kept.column_names == ["id", "group", "loss"]
    assert kept["loss"].equals(whole["loss"])


def test_the_columns_kept_are_foreseen_for_each_output():
    asked = known(Pairs, outputs=("reward", "brevity"))
    assert list(Reward(store=["rejected", "loss"]).foresee(asked).columns) == [
        *("rejected", "loss", "rejected.brevity", "loss.brevity")
    ]


@pytest.mark.parametrize(
    ("store", "sentence"),
    [
        ("chosen_end_scores", "'chosen_end_scores' is called chosen here; write that"),
        ("hidden_states", "use the query hidden-state with layers: all"),
        ("margins", "no column 'margins'; did you mean 'margin'?"),
    ],
)
def test_a_name_of_another_tool_is_told_the_one_here(store, sentence):
    with pytest.raises(ValidationError, match=sentence.replace("?", r"\?")):
        Reward(store=[store])


def test_a_check_knows_what_the_data_or_the_model_does_not_give():
    def faults(store, *of, **model):
        return list(Reward(store=store).mistakes(known(*of, **model)))

    assert faults("reward", Pairs) == [
        ("store", "of pairs the query gives no reward; it gives chosen, rejected, margin, "
                  "probability, loss")
    ]  # fmt: skip
    assert faults("chosen", Responses)[0][1].startswith("of responses the query gives no chosen")
    assert "a model that compares gives no chosen" in faults("chosen", Pairs, compares=True)[0][1]
    assert faults("margin", Pairs, outputs=("reward",)) == []


def test_what_only_a_run_knows_is_refused_there():
    with pytest.raises(DataError, match="store names chosen, but of responses there is reward"):
        Reward(store="chosen").query(LengthModel(), small_responses()).table  # noqa: B018
    with pytest.raises(DataError, match="store names chosen, but of pairs there is margin, prob"):
        Reward(store="chosen").query(Verdict(), small_pairs()).table  # noqa: B018
