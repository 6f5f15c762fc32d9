"""Candidates: one row each, counted."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hybrid_data import case, closed_membership, labelled, made_up, matrix_of
from pydantic import ValidationError

from rmplug import DataError, Features, Pairs, Tabular
from rmplug.notices import collect_notices
from rmplug.testing import check_step, run_step
from rmplug_hybrid import Candidates, HybridFile
from rmplug_hybrid.candidates._candidates import TOTALS, SetCounter, _find_ranked_lengths
from rmplug_hybrid.candidates._labels import read_sources
from rmplug_hybrid.membership._matrix import read_matrix


def counted(file, chosen):
    """The counts of a given set by the published rules."""
    membership, scores = closed_membership(file)
    names, members = read_matrix(membership)
    ids = membership["id"].combine_chunks()
    ranked = _find_ranked_lengths(names, ids, scores)
    counter = SetCounter(members, read_sources(ids, None, None), None, ranked)
    inside = np.isin(np.array(ids.to_pylist()), list(chosen))
    counts, _ = counter(inside[None], np.zeros(1))
    return dict(zip(names, counts[0, len(TOTALS) :].astype(int).tolist(), strict=True))


def test_counts_of_a_set_are_the_published_ones_lengths_ranked_inside_it():
    folder = case("02_hand12")
    wanted = json.loads((folder / "train_time_counts_of_subset.json").read_text())
    assert counted(folder / "features.jsonl", wanted["subset"]) == wanted["counts"]


def test_counts_of_published_training_files_are_those_of_their_count_files():
    folder = case("08_chain60")
    files = sorted((folder / "swaps").iterdir())
    for file in files:
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        bought = [row["id"] for row in rows if row["is_swapped"]]
        tag = file.stem.partition("ID__")[2]
        wanted = json.loads((folder / f"counts/regressor_feats_ID__{tag}.json").read_text())
        assert counted(folder / "features.jsonl", bought) == wanted
    assert files


@pytest.mark.parametrize("model", ["linear", "quadratic"])
def test_counts_of_published_selections_are_theirs(model):
    folder = case("08_chain60")
    chosen = json.loads((folder / f"{model}_topk_selection.json").read_text())
    for entry in chosen.values():
        found = counted(folder / "features.jsonl", entry["is_swapped_in_output"])
        wanted = entry["counts"]
        listed = list(wanted.values()) if isinstance(wanted, dict) else wanted
        assert list(found.values()) == listed


def test_candidates_by_the_published_rules_have_each_number_of_labels_once():
    folder = case("08_chain60")
    membership, scores = closed_membership(folder / "features.jsonl")
    human, ai = (
        HybridFile(path=folder / "features.jsonl", label=label).load()
        for label in ("pref_human", "pref_gpt4")
    )
    made = Candidates(n=60, design="fill", compat="original").sample(
        membership, human, ai, scores, seed=3
    )
    assert sorted(made["budget"].to_pylist()) == list(range(1, 61))
    bought = np.asarray(made["size"]) + np.asarray(made["ties"])
    assert np.array_equal(bought, np.asarray(made["budget"]))
    assert np.asarray(made["ties"]).max() == 4
    by_rank = [matrix_of(made, f"count.{name}") for name in ("prompt_len", "len_longer")]
    assert all((counts.sum(axis=1) >= np.asarray(made["size"])).all() for counts in by_rank)


def test_what_a_candidate_counts_is_what_is_in_its_set():
    membership = Features(
        {"id": list("abcdef"), "x": [1, 1, 0, 0, 1, 0], "y": [0, 1, 1, 0, 0, 0]}, "membership"
    )

    def pairs(name, **first):
        columns = {"prompt": "q", "chosen": "A", "rejected": "B"}
        rows = {key: [value] * len(first) for key, value in columns.items()}
        rows["chosen"] = list(first.values())
        rows["rejected"] = ["B" if one == "A" else "A" for one in first.values()]
        return Pairs({"id": list(first), **rows}, name)

    human = pairs("human", a="A", b="B", c="A", d="A", e="B")
    ai = pairs("ai", a="A", b="A", c="B", d="A", f="A")
    made = Candidates(n=1, budgets=(1,), design="uniform").sample(membership, human, ai, seed=0)
    row = made.table.to_pylist()[0]
    assert {name: row[name] for name in ("budget", "size", "agree", "ties", "rows")} == {
        "budget": 6,  # all six are bought
        "size": 5,  # f is a tie for the human
        "agree": 2,  # a and d
        "ties": 1,
        "rows": 5,
    }
    assert (row["count.x"], row["count.y"]) == (3, 2)
    assert (row["id"], row["item"], row["design"]) == ("candidate-1", "candidate-1", "uniform")


def test_rows_bound_what_is_trained_on_and_counted():
    human, ai = labelled(400)
    made = Candidates(n=20, rows=100, design="uniform").sample(made_up(400), human, ai, seed=1)
    assert made["rows"].to_pylist() == [100] * 20
    size, english = np.asarray(made["size"]), matrix_of(made, "count.analyzer_closed_set::fe")
    assert (size <= 100).all()
    assert (english.max(axis=1) <= size).all()
    assert np.corrcoef(np.asarray(made["budget"]), size)[0, 1] > 0.95


def test_every_design_buys_its_budget_and_tells_no_ids():
    membership = made_up(300)
    for design in ("space-filling", "stratified", "uniform", "fill"):
        made = Candidates(n=30, design=design).sample(membership, seed=2)
        assert np.array_equal(np.asarray(made["size"]), np.asarray(made["budget"])), design
        assert len(set(made["budget"].to_pylist())) == 30
        further = set(made.columns) - {f"count.{name}" for name in membership.values}
        assert further - {"tilt"} == {
            *("id", "item", "design", "seed", "budget", "size", "agree", "ties", "rows")
        }


def test_the_same_seed_gives_the_same_candidates_and_another_seed_others():
    membership = made_up(200)
    one, same, other = (Candidates(n=9).sample(membership, seed=s) for s in (1, 1, 2))
    assert one.table.equals(same.table)
    assert not one.table.equals(other.table)


def test_candidates_are_the_same_for_any_size_of_blocks(monkeypatch):
    membership = made_up(200)
    human, ai = labelled(200)
    step = Candidates(n=23, rows=120)
    whole = step.sample(membership, human, ai, seed=1)
    monkeypatch.setattr("rmplug_hybrid.candidates._designs.BLOCK", 1000)
    assert step.sample(membership, human, ai, seed=1).table.equals(whole.table)


def test_labels_that_are_missing_are_counted_and_named():
    human, ai = labelled(60, ties=0.2)
    more = Pairs({"id": ["x"], "prompt": ["q"], "chosen": ["a"], "rejected": ["b"]})
    ai = Pairs({n: [*ai[n].to_pylist(), *more[n].to_pylist()] for n in ai.columns}, "ai")
    with collect_notices() as found:
        Candidates(n=2).sample(made_up(60), human, ai, seed=0)
    told = {notice.what: notice for notice in found.values()}
    assert told["no human label: a tie, or missing"].count == 60 - len(human)
    assert told["labelled in ai, and without features"].ids == ["x"]


def test_sources_with_other_responses_are_refused_by_id():
    human, ai = labelled(20, ties=0)
    texts = ai["chosen"].to_pylist()
    texts[3] = [{"role": "assistant", "content": "something else"}]
    wrong = Pairs({**{n: ai[n] for n in ("id", "prompt", "rejected")}, "chosen": texts}, "ai")
    sentence = r"human and ai have different responses for 1 pairs \(p3\); give the same pairs, lab"
    with pytest.raises(DataError, match=sentence):
        Candidates(n=2).sample(made_up(20), human, wrong, seed=0)


def test_ranks_within_sets_need_the_lengths():
    membership = made_up(30)
    step = Candidates(n=3, compat="original")
    sentence = (
        "compat: original ranks lengths anew in every candidate; give the input scores, with the "
        "columns len_longer, len_shorter, prompt_len, token_len_diff"
    )
    with pytest.raises(DataError, match=sentence):
        step.sample(membership, seed=0)
    few = Features({"id": membership["id"], "len_longer": np.arange(30.0)}, "scores")
    with pytest.raises(DataError, match="scores has no column 'len_shorter', to rank lengths by"):
        step.sample(membership, None, None, few, seed=0)


def test_budgets_are_checked_before_anything_runs():
    with pytest.raises(ValidationError, match="a budget is a share up to 1 or a whole number"):
        Candidates(budgets=(2.5,))


def test_candidates_conform(tmp_path):
    human, ai = labelled(40)
    inputs = {"membership": made_up(40), "human": human, "ai": ai}
    membership = Features(inputs["membership"].table, "membership")
    inputs["membership"] = membership
    made = run_step(Candidates(n=5), inputs, tmp_path)
    assert made["item"].to_pylist() == [f"candidate-{n}" for n in range(1, 6)]
    assert isinstance(made, Tabular)
    check_step(Candidates, {"n": 5}, {"membership": membership})
