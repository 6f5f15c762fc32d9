"""Pairs decided by a fast model, and by an exact one where the fast one cannot tell."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import rmplug
from rmplug import DataError, RewardModel
from rmplug.checks import collect_checks
from rmplug.data.rows import one_batch
from rmplug.notices import collect_notices
from rmplug.testing import LengthModel, check_step, small_pairs, small_responses
from rmplug_hf import Ensemble, ExactDecisions, SequenceClassifier
from rmplug_text.queries import Reward

ROWS = 400


class Exact(RewardModel):
    """Scores drawn for each id, some of pairs the same; it counts the rows that it is asked for."""

    def __init__(self):
        self.asked = 0

    def score(self, responses):
        self.asked += responses.num_rows
        return np.array([_drawn(name, 1) for name in responses.column("id").to_pylist()])


class Fast(Exact):
    """The same with an error of .05, and one score that is none."""

    def score(self, responses):
        names = responses.column("id").to_pylist()
        errors = np.array([0.05 * _drawn(name, 2) for name in names])
        errors[[name == "pair-7/chosen" for name in names]] = np.nan
        return super().score(responses) + errors


def _drawn(name, seed):
    return np.random.default_rng([seed, *name.encode()]).normal()


def ensemble(*members):
    return Ensemble().load(members)


def asked(exact, fast, **params):
    pairs = small_pairs(ROWS)
    with collect_checks() as checks:
        model = ExactDecisions(**params).load(exact, fast)
        table = Reward(on_missing="keep").query(model, pairs).table
    return table, checks


def test_it_conforms():
    check_step(ExactDecisions, {}, {"exact": LengthModel(), "fast": LengthModel()})


def test_every_pair_is_decided_as_the_exact_model_does_and_few_are_scored_by_it():
    exact, fast = Exact(), Fast()
    true = Reward().query(exact, small_pairs(ROWS)).table["margin"].to_numpy()
    quick = Reward(on_missing="keep").query(fast, small_pairs(ROWS)).table["margin"].to_numpy()
    wrong = np.sign(quick) != np.sign(true)
    assert wrong.sum() > 3
    exact.asked = 0
    table, checks = asked(exact, fast)
    margins = table["margin"].to_numpy()
    assert np.array_equal(np.sign(margins), np.sign(true))
    again = margins == true
    assert exact.asked == 2 * again.sum()
    assert 0.1 < again.mean() < 0.35
    assert np.array_equal(margins[~again], quick[~again])
    assert np.abs(margins[again]).max() < 0.5
    [check] = checks.values()
    assert (check.pairs, check.rows) == (again.sum(), 2 * again.sum() - 1)
    assert check.flipped == wrong.sum()
    assert check.largest == pytest.approx(0.05 * 3, abs=0.08)
    assert check.sentence.startswith("scores by the fast model of ")
    assert f"{check.flipped} of {check.pairs} pairs flipped" in check.sentence


class Odd(Exact):
    """Scores of which some are infinite or none, the same each time; ``off`` is added to them."""

    def __init__(self, off):
        super().__init__()
        self.off = off

    def score(self, responses):
        odd = {"pair-3/chosen": np.nan, "pair-4/chosen": np.inf, "pair-5/rejected": -np.inf}
        odd |= {"pair-6/chosen": np.inf, "pair-6/rejected": np.inf}
        given = super().score(responses) + self.off
        names = responses.column("id").to_pylist()
        return np.array([odd.get(name, one) for name, one in zip(names, given, strict=True)])


def test_scores_that_are_no_numbers_in_both_ways_are_not_turned():
    table, checks = asked(Odd(0.0), Odd(0.125))
    margins = table["margin"].to_numpy()
    assert np.isnan(margins[[3, 6]]).all() and np.isposinf(margins[[4, 5]]).all()
    [check] = checks.values()
    assert check.pairs >= 16 and check.flipped == 0
    assert check.largest == pytest.approx(0.125)


class Silent(RewardModel):
    """A model, but 20 pairs have no score at all, and 20 have the same one twice."""

    def __init__(self, model):
        self.model = model

    def score(self, responses):
        names = responses.column("id").to_pylist()
        number = np.array([int(n.partition("/")[0].removeprefix("pair-")) for n in names])
        scores = np.where(number < 40, 1.0, self.model.score(responses))
        return np.where(number < 20, np.nan, scores)


def test_pairs_that_tell_nothing_of_the_error_do_not_stand_for_it():
    exact, fast = Silent(Exact()), Silent(Fast())
    true = Reward(on_missing="keep").query(exact, small_pairs(ROWS)).table["margin"].to_numpy()
    table, checks = asked(exact, fast)
    assert np.array_equal(np.sign(table["margin"].to_numpy()), np.sign(true), equal_nan=True)
    [check] = checks.values()
    assert check.pairs > 80


def test_a_smaller_bound_asks_less_and_responses_are_scored_exactly():
    few, many = Exact(), Exact()
    asked(few, Fast(), bound=1.0)
    asked(many, Fast(), bound=8.0)
    assert few.asked < 0.5 * many.asked
    model = ExactDecisions().load(Exact(), Fast())
    batch = one_batch(small_responses(9).table)
    assert np.array_equal(model.score(batch)[:, 0], Exact().score(batch))


def test_bfloat16_decides_as_float32_does(tiny):
    folder = tiny("llama")
    exact, fast = (
        SequenceClassifier(path=folder, dtype=dtype, device="cpu").load()
        for dtype in ("float32", "bfloat16")
    )
    model = ExactDecisions().load(exact, fast)
    pairs = small_pairs(120)
    wanted, found = (Reward().query(one, pairs).table for one in (exact, model))
    signs = [np.sign(table["margin"].to_numpy()) for table in (wanted, found)]
    assert np.array_equal(*signs)
    fast_rows = found["chosen"].to_numpy() != wanted["chosen"].to_numpy()
    assert 0 < np.abs(found["chosen"].to_numpy() - wanted["chosen"].to_numpy()).max() < 0.2
    assert fast_rows.mean() > 0.3


def cut_rows(model, pairs):
    """How often each row was counted because it was cut."""
    with collect_notices() as notices:
        assert len(Reward().query(model, pairs).table) == len(pairs)
    cut = [entry for (what, _), entry in notices.items() if "cut to fit" in what]
    assert all(entry.count == len(entry.ids) for entry in cut)
    return Counter(name for entry in cut for name in entry.ids)


@pytest.mark.parametrize("combined", [lambda *both: ExactDecisions().load(*both), ensemble])
def test_a_row_that_several_models_cut_is_counted_once(tiny, combined):
    both = [
        SequenceClassifier(path=tiny("llama"), dtype=dtype, max_length=12, device="cpu").load()
        for dtype in ("float32", "bfloat16")
    ]
    both[0].name, both[1].name = "precise", "quick"
    alone = cut_rows(both[0], small_pairs(30))
    assert len(alone) > 20 and {*alone.values()} == {1}
    assert cut_rows(combined(*both), small_pairs(30)) == alone


def test_a_run_records_what_the_fast_model_would_have_turned(tmp_path, tiny):
    params = {"path": str(tiny("llama")), "device": "cpu"}
    steps = {
        "pairs": {"kind": "synthetic", "params": {"size": 300}},
        "precise": {"kind": "sequence-classifier", "params": {**params, "dtype": "float32"}},
        "quick": {"kind": "sequence-classifier", "params": {**params, "dtype": "bfloat16"}},
        "both": {"kind": "exact-decisions", "inputs": {"exact": "precise", "fast": "quick"}},
        "reward": {"kind": "reward", "inputs": {"model": "both", "data": "pairs"}},
    }
    done = rmplug.run({"name": "both", "steps": steps}, store=tmp_path)
    checks = {check["what"]: check for check in done.record.steps["reward"].checks}
    assert checks["scores by quick"]["exactly"] == "precise"
    assert checks["scores by quick"]["pairs"] >= 16
    assert checks["scores"]["flipped"] == 0
    # before several workers are started, some rows are computed to tell how long all will take
    spec = {"name": "both", "engine": {"kind": "local", "params": {"workers": 1}}, "steps": steps}
    again = rmplug.run(spec, store=tmp_path / "alone")
    assert again.record.steps["reward"].checks == done.record.steps["reward"].checks


def test_other_outputs_are_refused():
    class Two(LengthModel):
        outputs = ("reward", "other")

    with pytest.raises(DataError, match="the same outputs; the exact model has reward and the fas"):
        ExactDecisions().load(LengthModel(), Two())
    steps = {
        "judge": {"kind": "generative-judge", "params": {"name": "someone/judge"}},
        "quick": {"kind": "ngram-head", "inputs": "pairs"},
        "pairs": {"kind": "synthetic", "params": {"size": 60}},
        "both": {"kind": "exact-decisions", "inputs": {"exact": "judge", "fast": "quick"}},
    }
    messages = [problem.message for problem in rmplug.check({"name": "both", "steps": steps})]
    assert any("judge gives no scores of responses" in message for message in messages)
