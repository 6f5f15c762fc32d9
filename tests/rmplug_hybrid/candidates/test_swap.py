"""Training sets with labels of two sources."""

from __future__ import annotations

import numpy as np
import pytest
from hybrid_data import labelled, made_up, matrix_of

import rmplug
import rmplug_hybrid
import rmplug_text
from rmplug import DataError, Features, Pairs, Selection, Tabular
from rmplug.notices import collect_notices
from rmplug.testing import check_step, registry_of
from rmplug_hybrid import Candidates, Relabel, Swap, TrainingFile


def pair(ids, chosen, **more):
    rejected = ["B" if one == "A" else "A" for one in chosen]
    columns = {"id": list(ids), "prompt": list(ids), "chosen": chosen, "rejected": rejected}
    return Pairs({**columns, **more})


def texts(pairs, side="chosen"):
    return [turns[0]["content"] for turns in pairs[side].to_pylist()]


def one_of(candidates, row):
    table = candidates.table.slice(row, 1).drop_columns(["item"])
    return Features(Tabular(table).rows, "item")


@pytest.fixture
def sources():
    human = pair("abde", ["A", "A", "A", "A"], margin=[3.0, None, 1.0, 2.0])
    ai = pair("abcef", ["B", "B", "B", "B", "B"], margin=[0.5, 0.25, 0.0, 1.5, 2.5])
    return human, ai


def test_chosen_ids_have_the_humans_label_and_all_others_the_ais(sources):
    made = Swap().sample(*sources, Selection({"id": ["e", "a"]}), seed=0)
    assert made["id"].to_pylist() == ["a", "b", "c", "e", "f"]
    assert texts(made) == ["A", "B", "B", "A", "B"]
    assert made["is_swapped"].to_pylist() == [True, False, False, True, False]
    assert made["margin"].to_pylist() == [3.0, 0.25, 0.0, 2.0, 2.5]


def test_ties_of_the_label_in_force_are_dropped_and_named(sources):
    with collect_notices() as found:
        made = Swap().sample(*sources, Selection({"id": ["c", "f", "b"]}), seed=0)
    assert made["id"].to_pylist() == ["a", "b", "e"]
    assert {(n.what, n.action, *n.ids) for n in found.values()} == {
        ("the human label is a tie, or missing", "dropped", "c", "f"),
        ("the AI label is a tie, or missing", "dropped", "d"),
    }


def test_both_ends_are_all_of_one_source(sources):
    nothing = Swap().sample(*sources, Selection({"id": [""], "item": ["all AI"]}), seed=0)
    assert texts(nothing) == ["B"] * 5
    everything = Swap().sample(*sources, Selection({"id": list("abcdef")}), seed=0)
    assert (texts(everything), everything["id"].to_pylist()) == (["A"] * 4, list("abde"))


def test_rows_are_drawn_after_ties_are_dropped(sources):
    chosen = Selection({"id": ["a"]})
    drawn = [Swap(rows=3).sample(*sources, chosen, seed=seed) for seed in range(9)]
    assert {len(made) for made in drawn} == {3}
    assert len({tuple(made["id"].to_pylist()) for made in drawn}) > 3


@pytest.mark.parametrize("design", ["space-filling", "stratified", "uniform", "fill"])
@pytest.mark.parametrize("rows", [None, 150])
def test_a_candidates_training_set_is_the_one_that_was_counted(design, rows):
    membership, (human, ai) = made_up(300), labelled(300)
    made = Candidates(n=8, design=design, rows=rows).sample(membership, human, ai, seed=4)
    members, ids = matrix_of(membership), membership["id"].to_pylist()
    for row, wanted in enumerate(made.table.to_pylist()):
        trained = Swap().sample(human, ai, one_of(made, row), membership, seed=row)
        swapped = trained["id"].filter(trained["is_swapped"]).to_pylist()
        counts = members[[ids.index(one) for one in swapped]].sum(axis=0)
        assert len(trained) == wanted["rows"]
        assert len(swapped) == wanted["size"]
        assert counts.tolist() == [wanted[f"count.{name}"] for name in membership.values]
        order = trained["id"].to_pylist()
        assert order == [one for one in ids if one in set(order)]
        agree = dict(zip(ai["id"].to_pylist(), texts(ai), strict=True))
        bought = zip(order, texts(trained), strict=True)
        same = [agree.get(one) == text for one, text in bought if one in set(swapped)]
        assert sum(same) == wanted["agree"]


def test_a_candidate_of_other_data_is_refused():
    membership, (human, ai) = made_up(300), labelled(300)
    made = one_of(Candidates(n=1, budgets=(0.5,)).sample(membership, human, ai, seed=0), 0)
    sentence = (
        r"candidate candidate-1 has \d+ human labels among \d+ pairs, and \d+ among \d+ when drawn "
        "again; give the membership, human and ai that the candidates were made of"
    )
    with pytest.raises(DataError, match=sentence):
        Swap().sample(human, ai.take(np.arange(200)), made, membership, seed=0)
    narrow = Features(membership.table.drop_columns([membership.values[0]]), "membership")
    with pytest.raises(DataError, match="was made of 90 features, membership has 89"):
        Swap().sample(human, ai, made, narrow, seed=0)
    with pytest.raises(DataError, match="give it the input membership, that the candidates were m"):
        Swap().sample(human, ai, made, seed=0)


def test_several_candidates_or_routes_at_once_are_refused(sources):
    membership, (human, ai) = made_up(50), labelled(50)
    made = Candidates(n=3).sample(membership, human, ai, seed=0)
    with pytest.raises(
        DataError, match="swap takes one candidate and got 3; put it into a for-each"
    ):
        Swap().sample(human, ai, made, membership, seed=0)
    routes = Selection({"id": ["a", "a"], "item": ["top-k 1", "random 1"]})
    with pytest.raises(
        DataError, match=r"one route and got 2 \(top-k 1, random 1\); put it into a"
    ):
        Swap().sample(*sources, routes, seed=0)


def test_ids_that_nobody_labelled_are_named_and_refused_if_they_are_all(sources):
    with collect_notices() as found:
        assert len(Swap().sample(*sources, Selection({"id": ["a", "z"]}), seed=0)) == 5
    told = {(n.what, *n.ids) for n in found.values()}
    assert ("chosen, and a tie or missing in both sources", "z") in told
    sentence = r"none of the chosen ids is in human or ai \(y, z\); give the pairs that they were"
    with pytest.raises(DataError, match=sentence):
        Swap().sample(*sources, Selection({"id": ["y", "z"]}), seed=0)


def test_features_that_are_no_candidate_are_refused(sources):
    words = Features({"id": ["a"], "x": [1.0]}, "words")
    with pytest.raises(
        DataError, match="words has no column 'design'; give a row of candidates, or"
    ):
        Swap().sample(*sources, words, words, seed=0)


def test_swap_conforms(sources):
    human, ai = sources
    check_step(Swap, {}, {"human": human, "ai": ai, "chosen": Selection({"id": ["a"]})})


def reward(ids, **columns):
    return Features({"id": list(ids), **columns}, "reward")


def test_the_response_with_the_higher_reward_becomes_the_chosen_one():
    data = pair(
        "abc", ["A", "A", "A"], chosen_model=["m", "m", "m"], rejected_model=["n", "n", "n"]
    )
    made = Relabel().sample(data, reward("cba", margin=[-0.5, -2.0, 1.0]))
    assert texts(made) == ["A", "B", "B"]
    assert texts(made, "rejected") == ["B", "A", "A"]
    assert made["chosen_model"].to_pylist() == ["m", "n", "n"]
    assert made["rejected_model"].to_pylist() == ["n", "m", "m"]
    assert made["lead"].to_pylist() == [1.0, 2.0, 0.5]
    assert "margin" not in made.columns
    assert made["relabelled"].to_pylist() == [False, True, True]


def test_ties_and_missing_margins_are_dropped_kept_or_refused():
    data = pair("abcd", ["A"] * 4)
    given = reward("abcd", margin=[-0.1, 0.0, np.nan, -3.0])
    with collect_notices() as found:
        assert Relabel(gap=0.1).sample(data, given)["id"].to_pylist() == ["d"]
    assert {(n.what, n.action, *n.ids) for n in found.values()} == {
        ("no margin", "dropped", "c"),
        ("a tie by margin", "dropped", "a", "b"),
    }
    kept = Relabel(gap=0.1, ties="keep").sample(data, given)
    assert texts(kept) == ["A", "A", "A", "B"]
    assert kept["lead"].to_pylist() == [0.1, 0.0, None, 3.0]
    with pytest.raises(DataError, match=r"1 pairs have no margin \(c\); set ties to drop or keep"):
        Relabel(ties="error").sample(data, given)


def test_a_reward_of_other_pairs_or_without_the_column_is_refused():
    data = pair("ab", ["A", "A"])
    with pytest.raises(
        DataError, match=r"reward lacks 1 of 2 pairs \(b\); ask the model about the"
    ):
        Relabel().sample(data, reward("a", margin=[1.0]))
    with pytest.raises(DataError, match="reward has no column 'helpful.margin'; it has margin"):
        Relabel(by="helpful.margin").sample(data, reward("ab", margin=[1.0, 1.0]))


def test_relabel_conforms():
    check_step(Relabel)


def test_a_loop_over_candidates_makes_a_training_set_of_each(tmp_path):
    human, ai = labelled(60)
    membership = made_up(60)
    for name, pairs in (("human", human), ("ai", ai)):
        TrainingFile().report(pairs, directory=tmp_path)
        (tmp_path / "training.jsonl").rename(tmp_path / f"{name}.jsonl")
    columns = [name for name in membership.values if "value=" in name]
    spec = {
        "name": "proxies",
        "engine": {"kind": "local", "params": {"workers": 1}},
        "steps": {
            "human": {"kind": "pairs-file", "params": {"path": str(tmp_path / "human.jsonl")}},
            "ai": {"kind": "pairs-file", "params": {"path": str(tmp_path / "ai.jsonl")}},
            "everything": {
                "kind": "results-file",
                "params": {"path": str(tmp_path / "members.csv"), "key": "id"},
            },
            "candidates": {
                "kind": "candidates",
                "inputs": {"membership": "everything", "human": "human", "ai": "ai"},
                "params": {"n": 4},
            },
            "proxies": {
                "kind": "for-each",
                "inputs": {"items": "candidates"},
                "params": {
                    "collect": ["trained"],
                    "steps": {
                        "trained": {
                            "kind": "swap",
                            "inputs": {
                                "human": "human",
                                "ai": "ai",
                                "chosen": "item",
                                "membership": "everything",
                            },
                        }
                    },
                },
            },
        },
    }
    lines = [",".join(["id", *columns])]
    values = np.column_stack([np.asarray(membership[name], dtype=int) for name in columns])
    for one, row in zip(membership["id"].to_pylist(), values, strict=True):
        lines.append(",".join([one, *map(str, row)]))
    (tmp_path / "members.csv").write_text("\n".join(lines) + "\n")
    registry = registry_of(rmplug_hybrid, rmplug_text)
    run = rmplug.run(spec, store=tmp_path / "store", registry=registry)
    made, trained = run["candidates"], run["proxies"].table
    for row in made.table.to_pylist():
        mine = trained.filter(np.asarray(trained["item"]) == row["item"])
        assert (mine.num_rows, sum(mine["is_swapped"].to_pylist())) == (row["rows"], row["size"])
