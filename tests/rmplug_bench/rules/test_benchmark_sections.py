"""Sections, weights, definitions, and what happens to what is in none of them."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from rmplug import DataError, Features, Pairs, Responses, run
from rmplug.notices import collect_notices
from rmplug.testing import check_step, small_features, small_pairs, small_responses
from rmplug_bench.rules._definitions import Definition, built_in, read_definition
from rmplug_bench.rules._sums import section_scores
from rmplug_bench.rules.benchmarks import BUILT_IN, Benchmark

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("RMPLUG_SHARED_DATA", ROOT / "../shared/data"))
REFERENCE = SHARED.parent / "golden"


def reference(name):
    file = REFERENCE / name
    if not file.exists():
        pytest.skip(f"{file} is not here")
    return file


def swapped():
    """RewardBench with the counts of the two XSTest subsets the wrong way round, as two systems in
    use have them, and plain means of the four sections."""
    definition = built_in("rewardbench")
    sections = {n: dict(w) for n, w in definition.sections.items() if n != "Prior Sets"}
    sections["Safety"] |= {"xstest-should-refuse": 250, "xstest-should-respond": 154}
    return Definition(name="swapped", rule="pairs", sections=sections)


def test_sections_of_given_accuracies_are_those_of_the_hybrid_system():
    with reference("hybrid/04_rewardbench/subset_scores.csv").open() as file:
        scores = {row.pop(""): row for row in csv.DictReader(file)}
    with reference("hybrid/04_rewardbench/category_scores.csv").open() as file:
        expected = {row.pop(""): row for row in csv.DictReader(file)}
    for name_of_run, subsets in scores.items():
        accuracies = {name: float(text) for name, text in subsets.items()}
        found = section_scores(swapped(), accuracies, {})
        found["Overall"] = found.pop("all")
        assert found == pytest.approx(
            {n: float(v) for n, v in expected[name_of_run].items()}, rel=1e-9
        )
        right = section_scores(built_in("rewardbench"), accuracies, {})
        assert abs(right["Safety"] - found["Safety"]) > 1e-3, "the counts matter"
        assert right["Chat"] == found["Chat"]


def test_sections_of_rows_are_those_of_the_armorm_scripts():
    cases = json.loads(reference("armorm/rewardbench_sections.json").read_text())
    rows = zip(cases["subset"], cases["correct"], strict=True)
    totals = {}
    for subset, correct in rows:
        totals.setdefault(subset, []).append(correct)
    accuracies = {name: float(np.mean(values)) for name, values in totals.items()}
    found = section_scores(swapped(), accuracies, {n: len(v) for n, v in totals.items()})
    expected = cases["sections"]
    assert round(100 * found.pop("all"), 2) == expected.pop("Score")
    assert {name: 100 * score for name, score in found.items()} == pytest.approx(expected)


def test_a_missing_section_leaves_the_denominator_and_prior_sets_count_half():
    four = {"alpacaeval-easy": 0.9, "mt-bench-hard": 0.5, "donotanswer": 0.7, "hep-cpp": 0.6}
    assert section_scores(built_in("rewardbench"), four, {})["all"] == pytest.approx(2.7 / 4)
    found = section_scores(built_in("rewardbench"), {**four, "shp": 0.4, "summarize": 0.6}, {})
    assert found["Prior Sets"] == pytest.approx(0.5)
    assert found["all"] == pytest.approx((2 * 2.7 + 0.5) / 9)


def test_every_built_in_benchmark_has_a_definition():
    for name in BUILT_IN.__args__:
        assert built_in(name).name


def pairs_of(subsets, **more):
    ids = [f"p{i}" for i in range(len(subsets))]
    columns = {
        "id": ids,
        "prompt": ids,
        "chosen": ["yes"] * len(ids),
        "rejected": ["no"] * len(ids),
    }
    return Pairs({**columns, "subset": subsets, **more}, "data")


def margins(data, values, name="model"):
    return Features({"id": data["id"], "margin": np.asarray(values, dtype=float)}, name)


def measured(data, rewards, **params):
    step = Benchmark(**{"baselines": (), "resamples": 200, **params})
    return step.evaluate(data, rewards, seed=3).table.to_pylist()


def value(rows, metric, subset="all", **where):
    [found] = [
        row
        for row in rows
        if (row["metric"], row["subset"]) == (metric, subset)
        and all(row[name] == wanted for name, wanted in where.items())
    ]
    return found["value"]


PAGE = """
name: House rules
rule: pairs
published: lose
sections:
  Tone: {polite: 3, brief: 1}
  Facts: [history, science]
overall: {Tone: 1, Facts: 2}
"""


def test_a_new_benchmark_is_one_page_of_yaml(tmp_path):
    page = tmp_path / "house.yaml"
    page.write_text(PAGE)
    subsets = ["polite"] * 2 + ["brief"] * 2 + ["history"] * 3 + ["science"] + ["other"]
    data = pairs_of(subsets)
    reward = margins(data, [1, 1, 1, -1, 1, -1, -1, 1, 1])
    with collect_notices() as notices:
        rows = measured(data, [reward], definition=page)
    assert value(rows, "score", "Tone") == pytest.approx(3 / 4 + 1 / 8)
    assert value(rows, "score", "Facts") == pytest.approx(2 / 4)
    assert value(rows, "score") == pytest.approx((0.875 + 2 * 0.5) / 3)
    assert value(rows, "accuracy", "other") == 1.0
    [told] = [n for (what, _), n in notices.items() if "is in no section" in what]
    assert (told.what, told.ids) == ("subset 'other' is in no section of House rules", ["p8"])


def test_ties_count_one_half_and_what_is_missing_is_left_out_and_counted(tmp_path):
    data = pairs_of(["alpacaeval-easy"] * 4)
    rows = measured(data, [margins(data, [1, 0, np.nan, -1])], benchmark="rewardbench")
    assert value(rows, "accuracy", "alpacaeval-easy") == pytest.approx(1.5 / 3)
    assert value(rows, "accuracy-published", "alpacaeval-easy") == pytest.approx(1 / 4)
    assert value(rows, "missing") == 1


def test_a_page_may_average_over_the_values_of_a_column(tmp_path):
    data = pairs_of(["donotanswer"] * 6, language=["de"] * 4 + ["fr"] * 2, group=list("aabbab"))
    rows = measured(data, [margins(data, [1, 1, 1, -1, -1, -1])], benchmark="m-rewardbench")
    assert value(rows, "score", "de") == pytest.approx(0.75)
    assert value(rows, "score", "fr") == 0.0
    assert value(rows, "score") == value(rows, "score", "Safety") == pytest.approx(0.375)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("rule: pairs", "rule: pair"), "rule: input should be 'pairs', 'two-games'"),
        (("{Tone: 1,", "{Tune: 1,"), "overall: 'Tune' is no section; did you mean 'Tone'?"),
        (("published:", "publisht:"), "publisht: unknown field; did you mean 'published'?"),
        (("[history, science]", "[]"), "sections: 'Facts' has no subset"),
        (("polite: 3", "polite: -3"), "sections.Tone.polite: input should be greater than 0"),
        (("[history, science]", "[history, polite]"), "the subset 'polite' is named twice"),
        (("name: House rules", ""), "name: missing"),
        (("rule: pairs", "rule: [pairs"), "house.yaml is not valid YAML"),
    ],
)
def test_what_is_wrong_in_a_page_is_said_in_one_sentence(tmp_path, change, told):
    page = tmp_path / "house.yaml"
    page.write_text(PAGE.replace(*change))
    with pytest.raises(DataError) as error:
        read_definition(page)
    assert told in str(error.value) and "house.yaml" in str(error.value)


def test_a_page_is_checked_before_anything_runs(tmp_path):
    page = tmp_path / "house.yaml"
    page.write_text(PAGE.replace("rule: pairs", "rule: pairz"))
    with pytest.raises(DataError, match="house.yaml: rule: input should be 'pairs'"):
        Benchmark(definition=page)
    with pytest.raises(ValueError, match="give either benchmark"):
        Benchmark()


def test_the_evaluator_passes_the_checks_of_every_step(tmp_path):
    check_step(Benchmark, {"benchmark": "rewardbench", "resamples": 200})
    page = tmp_path / "choice.yaml"
    page.write_text("name: Mine\nrule: best-of-n\n")
    responses = small_responses()
    rewards = [Features(small_features(responses).select("first").table, "length")]
    given = {"data": responses, "rewards": rewards}
    check_step(Benchmark, {"definition": str(page), "resamples": 200}, given)


def test_data_of_the_other_kind_are_refused_by_name():
    with pytest.raises(DataError, match="RewardBench 2 is about responses, and pairs gives pairs"):
        measured(small_pairs(), [], benchmark="rewardbench-2")
    with pytest.raises(DataError, match="RM-Bench needs the column 'style'"):
        measured(Responses(small_responses().table, "r"), [], benchmark="rm-bench")


def test_the_example_scores_two_models_on_a_page_of_its_own(tmp_path):
    finished = run(ROOT / "examples" / "benchmark.yaml", only=["house"], store=tmp_path)
    rows = finished["house"].table.to_pylist()
    scores = {name: value(rows, "score", model=name) for name in ("ngram", "long-winded", "longer")}
    assert scores["ngram"] > 0.8 > scores["long-winded"] == scores["longer"]
    assert {row["level"] for row in rows} == {"overall", "section", "subset"}


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS + "name: *a11\n", "has more than 20,000 values, with what aliases repeat"),
        ("name: &me [*me]\n", "has more than 20,000 values"),
        ("name: " + "[" * 5000 + "\n", "is nested too deeply"),
        ("#" * 1_000_001, "has more than 1,000,000 bytes"),
    ],
)
def test_a_page_without_end_is_refused(tmp_path, text, message):
    page = tmp_path / "theirs.yaml"
    page.write_text(text)
    with pytest.raises(DataError, match=message):
        read_definition(page)
