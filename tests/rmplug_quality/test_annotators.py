from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rmplug import DataError, Features, Known, Metrics, Responses
from rmplug.notices import collect_notices
from rmplug.testing import check_step, run_step
from rmplug_quality._annotators import measure
from rmplug_quality._dawid_skene import fit_dawid_skene
from rmplug_quality.annotators import Annotators, Consensus
from rmplug_text.loaders import ABFile, PairsFile, ResponsesFile

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def labelled(rows: list[list[Any]], **more: Any) -> Responses:
    """Responses with a column of labels for each annotator, `a`, `b` and so on."""
    names = [f"r{number}" for number in range(len(rows))]
    columns = {chr(97 + place): [row[place] for row in rows] for place in range(len(rows[0]))}
    return Responses({"id": names, "prompt": names, "response": names, **columns, **more})


def measured(data: Any, folder: Path, **params: Any) -> dict[str, dict[str, Any]]:
    """The rows of the whole that are not of two annotators, by metric (and annotator)."""
    made = run_step(Annotators.model_validate(params), {"data": data}, folder, seed=1)
    assert isinstance(made, Metrics)
    rows = [row for row in made.table.to_pylist() if row["subset"] == "all" and not row["row"]]
    return {" ".join(filter(None, (row["metric"], row["model"]))): row for row in rows}


def plain_alpha(rows: list[list[Any]], level: str) -> float:
    """Krippendorff's alpha by its definition: pairs of labels, one after another."""
    units = [[one for one in row if one is not None] for row in rows]
    units = [unit for unit in units if len(unit) > 1]
    values = [one for unit in units for one in unit]

    def distance(one: float, two: float) -> float:
        if level == "nominal":
            return float(one != two)
        if level == "interval":
            return (one - two) ** 2
        low, high = sorted((one, two))
        between = sum(values.count(v) for v in set(values) if low <= v <= high)
        return (between - (values.count(low) + values.count(high)) / 2) ** 2 * (one != two)

    within = sum(
        sum(distance(a, b) for a, b in permutations(unit, 2)) / (len(unit) - 1) for unit in units
    )
    across = sum(distance(a, b) for a, b in permutations(values, 2)) / (len(values) - 1)
    return 1 - within / across


def test_they_keep_their_promises():
    data = labelled([[1, 2, 1], [2, 2, None], [3, 1, 3], [1, 1, 1]])
    params = {"labels": ["a", "b", "c"]}
    check_step(Annotators, {**params, "resamples": 100}, {"data": data})
    check_step(Consensus, params, {"data": data})


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_alpha_is_that_of_its_definition_with_labels_missing(level, tmp_path):
    rng = np.random.default_rng(4)
    true = rng.integers(1, 5, 40)
    rows = [
        [int(np.clip(one + rng.integers(-1, 2), 1, 4)) if rng.random() < 0.8 else None
         for _ in range(3)]
        for one in true
    ]  # fmt: skip
    found = measured(labelled(rows), tmp_path, labels=list("abc"), level=level, resamples=200)
    row = found[f"krippendorff-alpha-{level}"]
    assert row["value"] == pytest.approx(plain_alpha(rows, level))
    assert row["low"] < row["value"] < row["high"]
    assert row["n"] == sum(sum(one is not None for one in r) > 1 for r in rows)


def test_fleiss_kappa_is_that_of_the_published_example(tmp_path):
    counts = [[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0],
              [2, 2, 8, 1, 1], [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2],
              [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]]  # fmt: skip
    lists = [json.dumps([c for c, number in enumerate(r) for _ in range(number)]) for r in counts]
    data = labelled([[one] for one in lists])
    found = measured(data, tmp_path, labels="a", resamples=100)
    assert round(found["fleiss-kappa"]["value"], 3) == 0.210


def test_cohen_kappa_of_two_annotators(tmp_path):
    rows = [["y", "y"]] * 20 + [["y", "n"]] * 5 + [["n", "y"]] * 10 + [["n", "n"]] * 15
    step = Annotators.model_validate({"labels": ["a", "b"], "resamples": 100})
    made = run_step(step, {"data": labelled(rows)}, tmp_path).table.to_pylist()
    cells = [row for row in made if row["metric"] == "cohen-kappa"]
    assert {(row["row"], row["column"]) for row in cells} == {("a", "b"), ("b", "a")}
    assert cells[0]["value"] == pytest.approx(0.4) and cells[0]["n"] == 50


def test_of_many_annotators_the_pairs_that_share_most_have_a_kappa_and_others_are_named():
    rng = np.random.default_rng(5)
    # the last ones have labelled all rows, the first ones fewer
    rows = [[int(rng.integers(0, 2)) if row < 10 + place else None for place in range(26)]
            for row in range(40)]  # fmt: skip
    names = [chr(97 + place) for place in range(26)]
    step = Annotators.model_validate({"labels": names, "least": 2, "resamples": 100})
    with collect_notices() as found:
        made = measure(labelled(rows), step, 1).table.to_pylist()
    cells = {(row["row"], row["column"]) for row in made if row["metric"] == "cohen-kappa"}
    assert len(cells) == 400 and ("y", "z") in cells and ("a", "b") not in cells
    [told] = [one for one in found.values() if one.of == "pairs of annotators"]
    assert told.count == 25 * 26 // 2 - 200 and "a and b" in told.ids


def test_a_crowd_that_does_not_fit_into_memory_is_refused():
    names = [f"r{number}" for number in range(8000)]
    keys = {"id": names, "prompt": names, "response": names}
    data = Responses({**keys, "who": names, "label": [number % 2 for number in range(8000)]})
    step = Consensus.model_validate({"labels": "label", "annotator": "who"})
    with pytest.raises(DataError, match="8,000 annotators of 8,000 items are too many .* filter"):
        step.compute(data)


def plain_em(rows: list[list[int | None]], labels: int, rounds: int) -> list[list[float]]:
    """Dawid and Skene's EM, one number after another."""
    posterior = [
        [row.count(c) / sum(x is not None for x in row) for c in range(labels)] for row in rows
    ]
    people = range(len(rows[0]))
    for _ in range(rounds):
        prior = [sum(one[c] for one in posterior) + 0.01 for c in range(labels)]
        prior = [one / sum(prior) for one in prior]
        table = {}
        for a in people:
            for c in range(labels):
                found = [0.01 + sum(p[c] for p, row in zip(posterior, rows, strict=True)
                                    if row[a] == label) for label in range(labels)]  # fmt: skip
                table[a, c] = [one / sum(found) for one in found]
        for number, row in enumerate(rows):
            weights = [
                prior[c] * np.prod([table[a, c][row[a]] for a in people if row[a] is not None])
                for c in range(labels)
            ]
            posterior[number] = [one / sum(weights) for one in weights]
    return posterior


def made_labels(
    seed: int, rates: list[float], count: int
) -> tuple[list[list[int | None]], np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 3, count)
    rows = [
        [None if rng.random() < 0.1 else int(one if rng.random() < rate else rng.integers(0, 3))
         for rate in rates]
        for one in true
    ]  # fmt: skip
    return [row if any(x is not None for x in row) else [0] * len(rates) for row in rows], true


def test_the_posterior_is_that_of_plain_em():
    rows, _ = made_labels(1, [0.9, 0.7, 0.5], 30)
    codes = np.array([[-1 if one is None else one for one in row] for row in rows])
    made = fit_dawid_skene(codes, 3)
    assert np.allclose(made.posterior, plain_em(rows, 3, 200), atol=1e-3)


def test_a_careless_annotator_is_found_and_outvoted(tmp_path):
    rows, true = made_labels(2, [0.95, 0.9, 0.85, 0.2], 400)
    data = labelled(rows)
    found = measured(data, tmp_path, labels=list("abcd"), resamples=100)
    kept = [found[f"reliability-of-annotator {name}"]["value"] for name in "abcd"]
    assert kept == sorted(kept, reverse=True) and kept[3] < 0.6 < 0.85 < kept[2]
    consensus = Consensus.model_validate({"labels": list("abcd")})
    made = run_step(consensus, {"data": data}, tmp_path)
    assert isinstance(made, Features)
    label, sure = (made.table[name].to_numpy() for name in ("label", "posterior"))
    assert (label == true).mean() > 0.93
    assert sure.mean() == pytest.approx((label == true).mean(), abs=0.04)


def test_labels_with_a_row_each_are_gathered_by_item(tmp_path):
    data = Responses({
        "id": list("abcdef"), "prompt": ["p"] * 6, "response": ["x", "x", "y", "y", "z", "z"],
        "who": ["ann", "bob", "ann", "bob", "ann", None],
        "verdict": ["good", "bad", "good", "good", "bad", "bad"],
    })  # fmt: skip
    params = {"labels": "verdict", "annotator": "who"}
    found = measured(data, tmp_path, **params, resamples=100)
    assert found["raw-agreement"]["value"] == 0.5 and found["raw-agreement"]["n"] == 2
    made = run_step(Consensus.model_validate(params), {"data": data}, tmp_path).table
    assert made["labels"].to_pylist() == [2, 2, 2, 2, 1, 1]
    assert made["label"].to_pylist()[2:4] == [1, 1]


def test_columns_that_are_not_there_are_named_by_check():
    step = Annotators.model_validate({"labels": ["a", "z"], "item": "id"})
    found = list(step.mistakes({"data": [Known(columns=["id", "a", "b"], step="data")]}))
    assert [where for where, _ in found] == ["labels", "item"]
    assert "data gives no column 'z'" in found[0][1]


def needs(name: str) -> str:
    if not (SHARED / name).exists():
        pytest.skip("needs ../shared/data")
    return str(SHARED / name)


def test_pandalm_has_the_published_agreement(tmp_path):
    labels = {"A": "A", "B": "B", "tie": "tie"}
    step = ABFile.model_validate(
        {"path": needs("pandalm/ab.jsonl.gz"), "labels": labels, "ties": "both"}
    )
    data = run_step(step, {}, tmp_path)
    once = data.take(
        [n for n, name in enumerate(data["id"].to_pylist()) if not name.endswith("/b")]
    )
    found = measured(once, tmp_path, labels="meta.annotators", resamples=100)
    assert len(once) == 571
    assert round(found["fleiss-kappa"]["value"], 2) == 0.85
    assert round(found["unanimous"]["value"], 2) == 0.87


@pytest.mark.parametrize(
    ("who", "attribute", "alpha"),
    [("expert", "coherence", 0.57), ("expert", "consistency", 0.91), ("expert", "fluency", 0.77),
     ("expert", "relevance", 0.49), ("crowd", "coherence", 0.44), ("crowd", "consistency", 0.46),
     ("crowd", "fluency", 0.45), ("crowd", "relevance", 0.44)],
)  # fmt: skip
def test_summeval_has_the_published_alpha(summeval, tmp_path, who, attribute, alpha):
    params = {"labels": f"meta.{who}", "entry": attribute, "level": "interval", "resamples": 100}
    found = measured(summeval, tmp_path, **params)
    assert round(found["krippendorff-alpha-interval"]["value"], 2) == alpha


@pytest.fixture(scope="module")
def summeval(tmp_path_factory) -> Responses:
    step = ResponsesFile.model_validate({"path": needs("summeval/ratings.jsonl.gz")})
    return run_step(step, {}, tmp_path_factory.mktemp("summeval"))


def test_tulu_evaluators_are_told_apart_by_their_names(tmp_path):
    step = PairsFile.model_validate({"path": needs("tulu_human_eval/pairs.jsonl.gz")})
    data = run_step(step, {}, tmp_path)
    params = {"labels": "meta.strength", "annotator": "meta.evaluator", "resamples": 100}
    assert measured(data, tmp_path, **params)["raw-agreement"]["n"] > 20
