from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from plain_quality import jaccard, pairs_of, shingles

from rmplug import Features
from rmplug.testing import check_step, run_step, small_pairs, small_responses
from rmplug_quality.leakage import Leakage

BOOK = "It was a bright cold day in April and the clocks were striking thirteen all over town"


@pytest.fixture
def find(tmp_path) -> Callable[..., dict[str, list[float]]]:
    def run(data, references, **params) -> dict[str, list[float]]:
        inputs = {"data": data, "references": references}
        made = run_step(Leakage.model_validate(params), inputs, tmp_path)
        assert isinstance(made, Features)
        return {name: made.table[name].to_pylist() for name in made.values}

    return run


def test_it_keeps_its_promises():
    inputs = {"references": [small_pairs(), small_responses()]}
    check_step(Leakage, {"sides": ["prompt", "response"], "ngram": 2}, inputs)


def test_a_prompt_of_the_benchmark_is_leaked_and_another_one_is_not(find):
    data = pairs_of(
        [(BOOK.upper(), "a", "b"), ("What is the capital of France?", "c", "d"), ("", "", "")]
    )
    bench = pairs_of([("Another question", "x", "y"), (f"{BOOK}!", "x", "y")])
    found = find(data, [small_pairs(), bench])
    assert found["leaked"] == [True, False, False]
    assert found["prompt.overlap"] == [1, 0, 0]
    assert found["prompt.similarity"] == [1, 0, 0]
    assert found["prompt.partner"][0] == len(small_pairs()) + 1
    assert np.isnan(found["prompt.partner"][1:]).all()


def test_a_short_prompt_is_leaked_only_as_a_whole(find):
    data = pairs_of([("Capital of France?", "", ""), ("capital of", "", "")])
    found = find(data, [pairs_of([("capital of France", "", "")])])
    assert found["leaked"] == [True, False]


def test_the_share_of_n_grams_is_that_of_plain_counting(find):
    rng = np.random.default_rng(3)
    texts = [" ".join(f"w{word}" for word in rng.integers(0, 6, 30)) for _ in range(30)]
    data, bench = pairs_of([(t, "", "") for t in texts[:20]]), [(t, "", "") for t in texts[20:]]
    found = find(data, [pairs_of(bench[:4]), pairs_of(bench[4:])], ngram=4, threshold=0.3)
    known = set().union(*(shingles(text, 4) for text in texts[20:]))
    for row, text in enumerate(texts[:20]):
        run = text.split()
        ngrams = [tuple(run[start : start + 4]) for start in range(len(run) - 3)]
        share = sum(one in known for one in ngrams) / len(ngrams)
        assert found["prompt.overlap"][row] == pytest.approx(share)
        best = max(jaccard(shingles(text, 3), shingles(other, 3)) for other in texts[20:])
        assert found["prompt.similarity"][row] == pytest.approx(best if best >= 0.3 else 0)


def test_responses_are_compared_with_the_responses_of_both_sides(find):
    data = pairs_of([("p", BOOK, "short"), ("q", "no", BOOK)])
    found = find(data, [pairs_of([(BOOK, "x", f"{BOOK} too")])], sides=["response"], threshold=0.7)
    assert found["leaked"] == [True, True]
    assert found["chosen.overlap"] == [1, 0] and found["rejected.overlap"] == [0, 1]
    assert found["chosen.similarity"][0] == pytest.approx(15 / 16)


def test_without_references_nothing_is_leaked(find):
    none = pairs_of([("x", "y", "z")]).take([])
    assert find(pairs_of([(BOOK, "a", "b")]), [none])["leaked"] == [False]
