"""Phrases come from texts that are valued, and from a proposer."""

from __future__ import annotations

import pyarrow as pa
import pytest
from planted_rewards import Planted, bold_and_because, preferences

from rmplug import DataError, Features
from rmplug.testing import run_step
from rmplug_audit import FindExploits
from rmplug_audit.search._cases import read_cases
from rmplug_audit.search._journal import Journal
from rmplug_audit.search._phrases import frame_sentences, is_like, mine_phrases, valued_by_residual
from rmplug_audit.search._proposals import proposed_phrases
from rmplug_audit.search._racing import Race
from rmplug_audit.search._scoring import Rewards
from rmplug_hf import SmallModel


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return preferences(tmp_path_factory.mktemp("pairs"))


def cases_of(pairs, count=12):
    return read_cases(pairs, "bad", count, 0.5, seed=0)


def test_cases_of_both_halves_have_other_prompts(pairs):
    table = pairs.table
    groups = pa.array([f"topic-{row % 20}" for row in range(len(pairs))])
    column = table.schema.get_field_index("group")
    few = type(pairs)(table.set_column(column, "group", groups), "pairs")
    cases = read_cases(few, "bad", 80, 0.5, seed=0)
    searched, confirming = ({case.group for case in part} for part in (cases.search, cases.confirm))
    assert len(cases.search) == len(searched) == len(cases.confirm) == len(confirming) == 10
    assert not searched & confirming
    assert not {case.group for case in cases.readable} & confirming
    assert len(cases.readable) > 100


def test_responses_to_other_prompts_are_offered(pairs):
    cases = cases_of(pairs).search
    for case in cases:
        assert len(case.others) == 4
        assert case.good.text not in case.others


def test_phrases_are_those_of_valued_texts_and_unlike_each_other():
    good = [f"Certainly, my friend, it is {word}." for word in ("one", "two", "three", "four")]
    bad = [f"Perhaps it is {word}." for word in ("one", "two", "three", "four")]
    valued = [(text, 1.0) for text in good] + [(text, -1.0) for text in bad]
    phrases = mine_phrases(valued, 5)
    assert phrases[0] == "Certainly, my friend, it is"
    assert not any("Perhaps" in phrase for phrase in phrases)
    assert not any(is_like(one, two) for one in phrases for two in phrases if one != two)
    assert frame_sentences(valued, 1) == ["Certainly, my friend, it is four."]


def test_texts_without_differences_give_no_phrases():
    assert mine_phrases([("the same words here", 1.0)] * 9, 5) == []


def test_a_residual_of_a_margin_counts_for_chosen_and_against_rejected(pairs):
    case = cases_of(pairs).search[0]
    left = Features({"id": [case.id], "residual": [-3.0]}, "why")
    assert valued_by_residual([case], left) == [(case.good.text, -1.5), (case.bad.text, 1.5)]
    left = Features({"id": [f"{case.id}/rejected"], "residual": [2.0]}, "why")
    assert valued_by_residual([case], left) == [(case.bad.text, 2.0)]


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    step = SmallModel(architecture="llama", opens_as="causal-lm", max_position_embeddings=2048)
    folder = tmp_path_factory.mktemp("small")
    return step.train(None, seed=0, directory=folder).open()


def test_a_language_model_proposes_phrases(writer, pairs, tmp_path):
    with Journal(tmp_path / "journal.jsonl") as journal:
        scoring = Rewards(Planted(bold_and_because), journal, 500)
        race = Race(cases_of(pairs).search, scoring, 0)
        phrases = proposed_phrases(writer, race, journal)
        assert phrases
        assert all("\n" not in phrase and 0 < len(phrase) <= 160 for phrase in phrases)
        assert proposed_phrases(writer, race, journal) == phrases
        assert proposed_phrases(None, race, journal) == []
        with pytest.raises(DataError, match="Planted generates no text and cannot propose"):
            proposed_phrases(Planted(), Race(race.cases[:3], scoring, 0), journal)


def test_a_search_takes_a_proposer(writer, pairs, tmp_path):
    inputs = {"model": Planted(bold_and_because), "data": pairs, "proposer": writer}
    fit = run_step(FindExploits(budget=400), inputs, tmp_path)
    assert fit.tables["exploits"].num_rows
