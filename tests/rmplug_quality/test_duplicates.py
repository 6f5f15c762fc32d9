from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from plain_quality import jaccard, pairs_of, shingles

from rmplug import Features, Responses
from rmplug.testing import check_step, run_step
from rmplug_quality.duplicates import Duplicates
from rmplug_text.loaders import PairsFile, ResponsesFile

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
LONG = "The river runs past the old mill and under a stone bridge before it meets the sea"


@pytest.fixture
def find(tmp_path) -> Callable[..., dict[str, list[float]]]:
    def run(data, **params) -> dict[str, list[float]]:
        made = run_step(Duplicates.model_validate(params), {"data": data}, tmp_path)
        assert isinstance(made, Features)
        return {name: made.table[name].to_pylist() for name in made.values}

    return run


def test_it_keeps_its_promises():
    check_step(Duplicates, {})


def test_copies_and_conflicts_of_pairs_are_counted(find):
    rows = [("p", "a", "b"), ("p", "b", "a"), ("p", "a", "b"), ("p", "c", "c"), ("q", "a", "b")]
    found = find(pairs_of(rows), near=False)
    assert found["copies"] == [1, 0, 1, 0, 0]
    assert found["copy"] == [False, False, True, False, False]
    assert found["conflicts"] == [1, 2, 1, 0, 0]
    assert found["contradicts"] == [False, True, True, False, False]
    assert found["identical"] == [False, False, False, True, False]


def test_the_same_response_with_another_label_is_a_conflict(find):
    labels = ["good", "bad", "good", None, "good"]
    data = Responses(
        {
            "id": list("abcde"),
            "prompt": ["p"] * 5,
            "response": ["x", "x", "x", "x", "y"],
            "label": labels,
        }
    )
    found = find(data, near=False)
    assert found["copies"] == [3, 3, 3, 3, 0]
    assert found["conflicts"] == [1, 2, 1, 0, 0]
    assert found["contradicts"] == [False, True, True, False, False]


def test_nearly_equal_rows_make_a_cluster_and_unlike_ones_do_not(find):
    rows = [
        ("p", LONG, "no"),
        ("q", "Something else altogether, of other words", "yes"),
        ("p", LONG.upper() + "!", "no"),
        ("p", LONG + " again", "no"),
    ]
    found = find(pairs_of(rows))
    assert found["near.cluster"] == [0, 1, 0, 0]
    assert found["near.copy"] == [False, False, True, True]
    assert found["near.size"] == [3, 1, 3, 3]
    assert found["near.similarity"][:3] == [1.0, 0.0, 1.0]
    assert found["near.similarity"][3] == pytest.approx(
        jaccard(shingles(LONG + " again", 3) | {("p",), ("no",)},
                shingles(LONG, 3) | {("p",), ("no",)})
    )  # fmt: skip
    assert found["near.partner"][0] == 2 and found["near.partner"][2:] == [0, 0]
    assert np.isnan(found["near.partner"][1])


def test_every_pair_above_the_threshold_is_found_and_none_below(find):
    rng = np.random.default_rng(5)
    texts = []
    for _ in range(25):
        text = [f"w{word}" for word in rng.integers(0, 5000, 40)]
        changed = list(text)
        for place in rng.choice(40, rng.integers(0, 8), replace=False):
            changed[place] = "x"
        texts += [" ".join(text), " ".join(changed)]
    data = pairs_of([(text, "", "") for text in texts])
    found = find(data, compare="prompt", shingle=1, threshold=0.7)
    sets = [shingles(text, 1) for text in texts]
    for row, one in enumerate(sets):
        best = max(jaccard(one, other) for place, other in enumerate(sets) if place != row)
        assert found["near.similarity"][row] == pytest.approx(best if best >= 0.7 else 0)


def test_rows_without_words_are_not_near_copies_of_each_other(find):
    rows = [("", LONG, "no"), ("", "yes", "never"), ("?!", "a", "b"), (LONG, "c", "d")]
    found = find(pairs_of(rows), compare="prompt")
    assert found["near.copy"] == [False] * 4 and found["near.similarity"] == [0] * 4
    assert found["near.cluster"] == [0, 1, 2, 3] and all(np.isnan(found["near.partner"]))


def test_the_order_of_the_responses_does_not_matter_to_near_copies(find):
    rows = [("p", LONG, "the other one is short"), ("p", "the other one is short", LONG)]
    assert find(pairs_of(rows))["near.similarity"] == [1.0, 1.0]


def test_many_rows_of_one_template_make_one_cluster(find):
    rows = [(f"{LONG}, {LONG.lower()} and {number}", "", "") for number in range(400)]
    found = find(pairs_of(rows), compare="prompt", shingle=2, threshold=0.6)
    assert set(found["near.cluster"]) == {0.0}


@pytest.mark.parametrize(
    ("name", "copies", "contradictions"),
    [("tulu_human_eval", 40, 17), ("pandalm", 78, 0), ("zh_en_demo", 12, 0)],
)
def test_published_pairs_have_the_known_oddities(find, tmp_path, name, copies, contradictions):
    file = SHARED / name / "pairs.jsonl.gz"
    if not file.exists():
        pytest.skip("needs ../shared/data")
    data = run_step(PairsFile.model_validate({"path": str(file)}), {}, tmp_path / "load")
    found = find(data, near=False)
    assert (sum(found["copy"]), sum(found["contradicts"])) == (copies, contradictions)


def test_published_ratings_have_the_known_repeats(find, tmp_path):
    file = SHARED / "autoj" / "ratings.jsonl.gz"
    if not file.exists():
        pytest.skip("needs ../shared/data")
    data = run_step(ResponsesFile.model_validate({"path": str(file)}), {}, tmp_path / "load")
    assert sum(find(data, near=False)["copy"]) == 2
