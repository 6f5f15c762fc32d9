"""Models that only compare are searched by their verdicts, whatever their taste for positions."""

from __future__ import annotations

import json

import numpy as np
import pytest
from planted_rewards import (
    PREFERENCES,
    Planted,
    bold_and_because,
    noise,
    preferences,
    search,
    searched_again,
    value,
)

import rmplug
from rmplug import Fit, Pairs, Responses, text_of
from rmplug.data.rows import one_batch
from rmplug_audit.search._cases import read_cases
from rmplug_audit.search._journal import Journal
from rmplug_audit.search._scoring import scoring_of
from rmplug_hf import GenerativeJudge, SmallModel


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return preferences(tmp_path_factory.mktemp("pairs"))


class Comparing(Planted):
    """Compares by a planted reward, with a taste for the response that stands first, and scores
    nothing."""

    def __init__(self, reward=lambda text: 0.0, first=0.0, antisymmetric=False):
        super().__init__(reward)
        self.first, self.antisymmetric = first, antisymmetric

    def score(self, responses):
        return np.full(responses.num_rows, np.nan)

    def compare(self, batch):
        sides = [text_of(batch.column(side)).to_pylist() for side in ("chosen", "rejected")]
        prompts = text_of(batch.column("prompt")).to_pylist()
        self.asked += zip(prompts, *sides, strict=True)
        one, other = (np.array([self.reward(t) + noise(t) for t in texts]) for texts in sides)
        return one - other + self.first


def confirmed(fit):
    return [row for row in fit.tables["exploits"].to_pylist() if row["confirmed"]]


def test_what_a_model_prefers_is_found_and_confirmed(pairs, tmp_path):
    model = Comparing(bold_and_because, antisymmetric=True)
    fit = search(model, pairs, tmp_path, budget=4000)
    steps = [json.loads(row["steps"]) for row in confirmed(fit) if "; then" not in row["words"]]
    assert "bold" in {step[0]["perturbation"] for step in steps}
    assert any("because" in step[0]["params"].get("text", "") for step in steps)
    for row in fit.tables["examples"].to_pylist():
        margin = bold_and_because(row["after"]) + noise(row["after"])
        margin -= bold_and_because(row["before"]) + noise(row["before"])
        assert row["reward_before"] == 0
        assert row["reward_after"] == pytest.approx(margin)


def test_a_taste_for_what_stands_first_changes_nothing(pairs, tmp_path):
    fits = [
        search(Comparing(bold_and_because, first), pairs, tmp_path / str(first), budget=2400)
        for first in (0.0, 5.0)
    ]
    assert confirmed(fits[0])
    fair, biased = (fit.tables["exploits"].to_pylist() for fit in fits)
    assert [row["words"] for row in fair] == [row["words"] for row in biased]
    for row, same in zip(fair, biased, strict=True):
        assert same["lift"] == pytest.approx(row["lift"])
        assert same["wins"] == row["wins"]


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_confirmed_of_a_model_without_preferences(pairs, tmp_path, seed):
    fit = search(Comparing(first=2.0), pairs, tmp_path, seed, budget=1600)
    assert value(fit, "confirmed") == 0


@pytest.mark.parametrize("budget", [50, 130, 600])
def test_each_comparison_is_a_scoring_and_none_is_asked_twice(pairs, tmp_path, budget):
    for antisymmetric in (True, False):
        model = Comparing(bold_and_because, antisymmetric=antisymmetric)
        fit = search(model, pairs, tmp_path / str(antisymmetric), budget=budget)
        assert len(model.asked) == len(set(model.asked)) == value(fit, "scorings") <= budget
        assert value(fit, "scorings") > 0.4 * budget
        turned = {(prompt, other, one) for prompt, one, other in model.asked}
        both = len(turned & set(model.asked))
        assert both == (0 if antisymmetric else len(model.asked))


class Killed(Comparing):
    """A model whose process ends after some questions."""

    def compare(self, batch):
        if len(self.asked) >= 200:
            raise KeyboardInterrupt
        return super().compare(batch)


def test_a_search_that_was_killed_asks_nothing_again(pairs, tmp_path):
    whole, killed, again = (cls(bold_and_because) for cls in (Comparing, Killed, Comparing))
    searched_again(whole, killed, again, pairs, tmp_path)


VERDICTS = '''
"""A judge that has a favourite phrase."""

import numpy as np

from rmplug import RewardModel, text_of


class Judge(RewardModel):
    antisymmetric = True

    def score(self, responses):
        return np.full(responses.num_rows, np.nan)

    def compare(self, pairs):
        chosen, rejected = (
            np.array([self.worth(text) for text in text_of(pairs.column(side)).to_pylist()])
            for side in ("chosen", "rejected")
        )
        return chosen - rejected

    def worth(self, text):
        return 3.0 * ("as an expert" in text.lower()) + len(text) % 7 / 7
'''


def test_a_spec_searches_a_judge_and_applies_what_is_found(tmp_path):
    (tmp_path / "judge.py").write_text(VERDICTS)
    phrase = {"name": "phrase", "text": "As an expert I say so.", "place": "end"}
    steps = {
        "pairs": {"kind": "pairs-file", "params": {"path": str(PREFERENCES)}},
        "judge": {
            "kind": "custom",
            "params": {"file": str(tmp_path / "judge.py"), "class": "Judge", "allow_code": True},
        },
        "search": {
            "kind": "find-exploits",
            "inputs": {"model": "judge", "data": "pairs"},
            "params": {"budget": 1000, "perturbations": ["typos", "closing", phrase]},
        },
        "copies": {
            "kind": "perturb",
            "inputs": {"data": "pairs", "exploits": "search"},
            "params": {"perturbations": [], "prompts": 5},
        },
    }
    spec = {"name": "judged", "seed": 1, "steps": steps}
    run = rmplug.run(spec, store=tmp_path / "store", quiet=True)
    fit, copies = run["search"], run["copies"]
    assert isinstance(fit, Fit)
    assert isinstance(copies, Responses)
    [best] = [row for row in confirmed(fit) if row["exploit"] == "exploit-1"]
    assert "“As an expert I say so.”" in best["words"]
    assert best["wins"] > 0.9
    table = copies.table.to_pylist()
    changed = [row["response"] for row in table if row["perturbation"] == "exploit-1"]
    assert len(changed) > 8
    assert all("As an expert I say so." in text[-1]["content"] for text in changed)


def test_a_language_model_that_judges_is_asked_for_its_verdicts(pairs, tmp_path):
    size = {"max_position_embeddings": 2048, "hidden_size": 32, "num_hidden_layers": 2}
    small = SmallModel(architecture="llama", opens_as="causal-lm", **size)
    small.train(None, seed=0, directory=tmp_path)
    question = "Which is better?\n{prompt}\nA: {a}\nB: {b}\nAnswer:"
    judge = GenerativeJudge(path=tmp_path, device="cpu", pairwise=question).load()
    cases = read_cases(pairs, "bad", 8, 0.5, seed=0).search
    changed = [(case, f"**{case.bad.text}** It is so.") for case in cases]
    with Journal(tmp_path / "journal.jsonl") as journal:
        scoring = scoring_of(judge, cases[0], journal, 50, lambda spent: None)
        good, bad = scoring.standing(cases)
        rises, leads = scoring.effects(changed)
    assert scoring.spent == 3 * len(cases)
    texts = [text for _, text in changed]
    worse, better = ([getattr(c, side).text for c in cases] for side in ("bad", "good"))
    for found, one, other in ((good - bad, better, worse), (rises, texts, worse),
                              (leads, texts, better)):  # fmt: skip
        columns = {"id": [c.id for c in cases], "prompt": [c.prompt for c in cases]}
        table = Pairs({**columns, "chosen": one, "rejected": other}).table
        margins = judge.compare(one_batch(table))
        assert np.abs(margins).max() > 1e-4
        assert found == pytest.approx(margins, abs=3e-6)
