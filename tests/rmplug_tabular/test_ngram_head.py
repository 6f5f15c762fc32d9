from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.sparse import csr_array, csr_matrix, random_array, vstack
from sklearn.linear_model import LogisticRegression

from rmplug import DataError, Pairs, Responses
from rmplug.notices import collect_notices
from rmplug.testing import check_step, small_pairs
from rmplug_tabular import NgramHead
from rmplug_tabular._bradley_terry import Comparisons, fit_weights

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[2] / "../shared/data")
)
SMALL = {"dimensions": 4096}


def polite_pairs(rows: int = 60, **columns) -> Pairs:
    """The polite response is chosen; half of the time the longer one is."""
    filler = ["the bus leaves at nine", "two plus two", "a walk in the park"]
    texts = [f"{filler[i % 3]} and {filler[i % 2]}" for i in range(rows)]
    made = {
        "id": [f"pair-{i}" for i in range(rows)],
        "prompt": [f"question {i // 2}" for i in range(rows)],
        "chosen": [f"{text} please" for text in texts],
        "rejected": [f"{text} now" + "!!!!!" * (i % 2) for i, text in enumerate(texts)],
        **columns,
    }
    return Pairs(made, "pairs")


def train(pairs: Pairs, folder: Path, **params):
    checkpoint = NgramHead(**{**SMALL, **params}).train(pairs, seed=1, directory=folder)
    return checkpoint, {number["metric"]: number["value"] for number in checkpoint.numbers}


def score(model, *texts: str, prompt: str = "question") -> np.ndarray:
    ids = [str(i) for i in range(len(texts))]
    rows = Responses({"id": ids, "prompt": [prompt] * len(texts), "response": list(texts)})
    return model.score(next(rows.batches()))


def test_the_word_that_decides_is_found(tmp_path):
    checkpoint, numbers = train(polite_pairs(), tmp_path)
    assert numbers["accuracy"] == 1
    assert numbers["accuracy-of-longer"] == 0.5
    assert numbers["log-loss"] < 0.1
    please, now, empty = score(checkpoint.open(), "please", "now", "")
    assert please > 0 > now
    assert empty == 0


def test_scores_do_not_depend_on_the_rows_beside(tmp_path):
    model = train(polite_pairs(), tmp_path)[0].open()
    texts = ("please wait", "now", "the bus, please", "")
    alone = [score(model, text)[0] for text in texts]
    assert score(model, *texts).tolist() == alone


def test_numbers_and_files_are_the_same_again(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (train(polite_pairs(), tmp_path / name) for name in "ab")
    assert first[0].numbers == second[0].numbers
    for name in ("head.json", "weights.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(("ngrams", "by_pairs"), [(30, False), (900, True)])
@pytest.mark.parametrize("l2", [1.0, 0.01])
def test_the_optimum_is_that_of_logistic_regression_on_both_signs(l2, ngrams, by_pairs):
    differences = csr_array(random_array((80, ngrams), density=0.2, rng=np.random.default_rng(0)))
    weights = np.random.default_rng(1).integers(1, 4, 80).astype(float)
    pairs = Comparisons.of(differences, weights / weights.mean(), np.zeros(80))
    assert (pairs.gram is not None) == by_pairs
    found = pairs.weights_of(fit_weights(pairs, l2, pairs.start(), tolerance=1e-9))
    both = csr_matrix(vstack([differences, -differences]))
    strength = 1 / (l2 * 2 * weights.sum())
    plain = LogisticRegression(C=strength, fit_intercept=False, tol=1e-10, max_iter=5000)
    plain.fit(both, np.repeat([1, 0], 80), np.tile(weights, 2))
    np.testing.assert_allclose(found, plain.coef_[0], atol=1e-5)


def test_a_margin_asks_for_a_lead(tmp_path):
    leads = []
    for margin in (0.0, 3.0):
        folder = tmp_path / str(margin)
        folder.mkdir()
        pairs = polite_pairs(margin=[margin] * 60)
        model = train(pairs, folder, l2=[0.1])[0].open()
        leads.append(np.subtract(*score(model, "please", "now")))
    assert leads[1] > leads[0] + 1


def test_a_pair_without_weight_teaches_nothing(tmp_path):
    data = polite_pairs().table
    swapped = [i >= 40 for i in range(60)]
    sides = [data[side].to_pylist() for side in ("chosen", "rejected")]
    chosen = [sides[swap][i] for i, swap in enumerate(swapped)]
    rejected = [sides[not swap][i] for i, swap in enumerate(swapped)]
    weight = [0.0 if swap else 1.0 for swap in swapped]
    pairs = Pairs(
        {
            "id": data["id"],
            "prompt": data["prompt"],
            "chosen": chosen,
            "rejected": rejected,
            "weight": weight,
        }
    )
    checkpoint, numbers = train(pairs, tmp_path)
    assert numbers["accuracy"] == pytest.approx(2 / 3)
    assert score(checkpoint.open(), "please")[0] > 0


def test_prompt_words_can_turn_a_preference_round(tmp_path):
    rows = 80
    asked = ["short answers" if i % 2 else "detailed answers" for i in range(rows)]
    texts = [("yes", "elaborate") if i % 2 else ("elaborate", "yes") for i in range(rows)]
    pairs = Pairs(
        {
            "id": [str(i) for i in range(rows)],
            "prompt": asked,
            "chosen": [chosen for chosen, _ in texts],
            "rejected": [rejected for _, rejected in texts],
            "group": [str(i) for i in range(rows)],
        }
    )
    (tmp_path / "blind").mkdir()
    assert train(pairs, tmp_path / "blind")[1]["accuracy"] <= 0.6
    checkpoint, numbers = train(pairs, tmp_path, cross_prompt=True)
    assert numbers["accuracy"] == 1
    short = score(checkpoint.open(), "yes", "elaborate", prompt="short answers")
    assert short[0] > short[1]


def test_identical_texts_are_counted_as_ties_and_noticed(tmp_path):
    data = polite_pairs().table.to_pydict()
    data["rejected"][4] = data["chosen"][4]
    with collect_notices() as notices:
        numbers = train(Pairs(data), tmp_path)[1]
    assert notices["chosen and rejected have the same n-grams", "kept"].ids == ["pair-4"]
    assert numbers["identical"] == 1
    assert numbers["accuracy"] == pytest.approx(59.5 / 60)


def test_only_identical_texts_end_at_chance(tmp_path):
    data = polite_pairs().table.to_pydict()
    checkpoint, numbers = train(Pairs({**data, "rejected": data["chosen"]}), tmp_path)
    assert numbers["accuracy"] == 0.5
    assert numbers["log-loss"] == pytest.approx(np.log(2))
    assert score(checkpoint.open(), "please").tolist() == [0]


def test_a_strength_at_the_end_of_the_grid_is_told(tmp_path):
    assert train(polite_pairs(), tmp_path, l2=[10.0, 5.0])[1]["l2-at-edge"] == 1


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_pairs_are_refused(rows, tmp_path):
    with pytest.raises(DataError, match="needs pairs of at least 2 groups"):
        train(small_pairs(rows), tmp_path)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"words": None, "characters": None}, "ngram-head has nothing to count; set words"),
        ({"words": [2, 1]}, "words must be .shortest, longest. with 1 <= shortest <= longest"),
    ],
)
def test_impossible_ngrams_are_refused(params, message, tmp_path):
    with pytest.raises(DataError, match=message):
        train(polite_pairs(), tmp_path, **params)


def test_weights_must_be_numbers_from_0(tmp_path):
    with pytest.raises(DataError, match=r"1 rows have a weight below 0.*pair-7"):
        train(polite_pairs(weight=[-1.0 if i == 7 else 1.0 for i in range(60)]), tmp_path)
    with pytest.raises(DataError, match="the weights of all rows are 0"):
        train(polite_pairs(weight=[0.0] * 60), tmp_path)
    with pytest.raises(ValidationError):
        NgramHead(l2=[0.0])


def test_human_preferences_are_learned_a_little_better_than_chance(tmp_path):
    file = SHARED / "hh_rlhf" / "pairs.jsonl.gz"
    if not file.exists():
        pytest.skip(f"no {file}; set RMPLUG_SHARED_DATA")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    columns = {name: [row[name] for row in rows] for name in ("id", "prompt", "chosen", "rejected")}
    pairs = Pairs({**columns, "group": [row["meta"]["group"] for row in rows]})
    head = NgramHead(words=(1, 1), characters=None, l2=(0.3, 0.1))
    numbers = {n["metric"]: n for n in head.train(pairs, seed=1, directory=tmp_path).numbers}
    assert numbers["accuracy-of-longer"]["value"] == pytest.approx(0.5377, abs=5e-4)
    assert numbers["accuracy"]["low"] > 0.5
    assert numbers["log-loss"]["value"] < np.log(2)


def test_conforms():
    check_step(NgramHead, SMALL)
