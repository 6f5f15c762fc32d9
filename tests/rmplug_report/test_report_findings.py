"""Findings of one page never contradict each other, and claim no more than was tested."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from benchmark_inputs import metrics, row
from report_inputs import ACCURACY, Lines, fit_of, metrics_of, pairs_of, report
from test_report_words import NOTHING, page_of, said, titles

from rmplug import Fit
from rmplug_report.figures._feature_effects import features
from rmplug_report.findings._fits import is_chance, strongest


def rewards(**values):
    """Accuracies whose intervals are four points to either side."""
    return metrics_of(*(
        (model, "model", "accuracy", "all", value, value - 0.04, value + 0.04, 600)
        for model, value in values.items()
    ))  # fmt: skip


def compared(model, other, value, p, half=0.03):
    told = {"model": model, "other": other, "kind": "model"}
    return row("difference", value, half, p=p / 2, p_holm=p, n=600, **told)


def findings(directory, *items):
    report(list(items), directory, NOTHING)
    return said(directory)


def test_a_paired_test_decides_though_the_intervals_overlap(tmp_path):
    tested = metrics([compared("a", "b", 0.031, 0.047, 0.0305)], "compare")
    found = findings(tmp_path / "report", rewards(a=0.65, b=0.619), tested)
    assert found["Accuracy"] == (
        "a has accuracy 65.0 % on 600 pairs (95 % CI 61.0–69.0). Paired difference to b: "
        "+3.1 points (95 % CI 0.1–6.2; Holm-corrected p = 0.047)."
    )
    assert not re.search("overlap|hardly", page_of(tmp_path / "report"))


def test_a_paired_test_decides_though_the_intervals_lie_apart(tmp_path):
    tested = metrics([compared("b", "a", -0.09, 0.2)], "compare")
    found = findings(tmp_path / "report", rewards(a=0.70, b=0.61), tested)
    assert found["Accuracy"].endswith(
        "Paired difference to b: +9.0 points (95 % CI 6.0–12.0; Holm-corrected p = 0.200), "
        "not significant."
    )


def test_of_several_rewards_those_that_do_not_differ_are_named(tmp_path):
    rows = [compared("a", "b", 0.01, 0.4), compared("a", "c", 0.1, 0.001)]
    found = findings(tmp_path / "report", rewards(a=0.70, b=0.69, c=0.60), metrics(rows, "compare"))
    assert found["Accuracy"].endswith(
        "It is better than 1 of 2 others in paired comparison, and not significantly different "
        "from b."
    )


def test_a_reward_that_is_better_than_no_other_is_not_said_to_be_better_than_0(tmp_path):
    rows = [compared("a", "b", 0.01, 0.4), compared("a", "c", 0.02, 0.3)]
    found = findings(tmp_path / "report", rewards(a=0.70, b=0.69, c=0.68), metrics(rows, "compare"))
    assert found["Accuracy"].endswith(
        "In paired comparison it is not significantly different from b and c."
    )


def test_the_test_of_a_baseline_comes_before_the_interval_of_its_difference(tmp_path):
    tested = metrics([compared("reward", "longer", 0.075, 0.08)], "compare")
    found = findings(tmp_path / "report", metrics_of(*ACCURACY), tested)
    assert found["headline"] == (
        "Accuracy 61.3 % (95 % CI 57.9–64.6); not significantly different from the longer "
        "baseline, 53.8 %."
    )
    assert "(95 % CI 4.5–10.5; Holm-corrected p = 0.080), not significant." in found["Accuracy"]


@pytest.mark.parametrize(
    ("bins", "words"),
    [
        ([(0.57, 0.45, 0.60), (0.95, 0.80, 0.99)],
         "no significant difference of confidence and accuracy in any of 2 bins"),
        ([(0.57, 0.58, 0.70), (0.95, 0.60, 0.80)],
         "over-confident in 1 of 2 bins and under-confident in 1 of 2 bins"),
        ([(0.57, 0.40, 0.56), (0.95, 0.60, 0.80)], "over-confident in 2 of 2 bins"),
    ],
)  # fmt: skip
def test_calibration_is_told_by_its_error_and_by_the_bins_that_are_off(tmp_path, bins, words):
    rows = [("reward", "model", "accuracy", "all", 0.6, 0.5, 0.7, 60),
            ("reward", "model", "ece", "all", 0.212, None, None, 60)]  # fmt: skip
    for place, (confidence, low, high) in enumerate(bins):
        told = ("reward", "model")
        value = (low + high) / 2
        rows.append((*told, "reliability", f"bin-{place:02d}", value, low, high, 30))
        rows.append((*told, "confidence", f"bin-{place:02d}", confidence, None, None, 30))
    found = findings(tmp_path / "report", metrics_of(*rows))
    error = "The reward has ECE (expected calibration error) 0.212"
    assert found["Calibration"].startswith(f"{error}; {words}. In the bin")
    assert "as it should be" not in found["Calibration"]


def test_calibration_is_told_beside_what_exact_calibration_reads_by_chance(tmp_path):
    told = ("reward", "model")
    rows = [(*told, "accuracy", "all", 0.6, 0.5, 0.7, 60),
            (*told, "ece", "all", 0.061, 0.0, 0.2, 60),
            (*told, "ece-by-chance", "all", 0.055, None, None, 60),
            (*told, "reliability", "bin-01", 0.55, 0.45, 0.65, 30),
            (*told, "confidence", "bin-01", 0.57, None, None, 30)]  # fmt: skip
    found = findings(tmp_path / "report", metrics_of(*rows))
    assert ", where exact calibration reads 0.055 by chance; no sig" in found["Calibration"]


def numbers(fit, **rows):
    """The fit with these held-out numbers, each (value, low, high)."""
    fit.numbers[:] = [
        {"metric": metric, "subset": "all", "value": value, "low": low, "high": high, "n": 300}
        for metric, (value, low, high) in rows.items()
    ]
    return fit


def test_ranks_may_be_predicted_where_sizes_are_not(tmp_path):
    fit = numbers(
        fit_of(tmp_path, pairs_of(30)), r2=(0.03, -0.02, 0.08), spearman=(0.28, 0.18, 0.38)
    )
    report([fit], tmp_path / "report")
    assert said(tmp_path / "report")["Explanation"] == (
        "On held-out prompts the features predict the ranks of reward.margin (Spearman 0.28, "
        "95 % CI 0.18–0.38), but not its size (R² 3.0 %, 95 % CI −2 to 8). Most important: "
        "words.difference.characters and words.difference.hedges."
    )


def test_nothing_is_predicted_where_neither_ranks_nor_sizes_are(tmp_path):
    fit = numbers(fit_of(tmp_path, pairs_of(30)), r2=(0.0, -0.1, 0.1), spearman=(0.1, -0.1, 0.3))
    report([fit], tmp_path / "report")
    assert said(tmp_path / "report")["Explanation"] == (
        "On held-out prompts the features do not predict reward.margin beyond chance (R² 0.0 %, "
        "95 % CI −10 to 10; Spearman 0.10, 95 % CI −0.10 to 0.30)."
    )


def test_attributes_of_which_only_ranks_are_predicted_are_named(tmp_path):
    told = {"n": 90, "subset": "safety"}
    other = {"n": 90, "subset": "verbosity"}
    rows = [
        {"metric": "r2", "value": 0.02, "low": -0.03, "high": 0.05, **told},
        {"metric": "spearman", "value": 0.3, "low": 0.1, "high": 0.5, **told},
        {"metric": "r2", "value": 0.2, "low": 0.1, "high": 0.3, **other},
    ]
    report([Fit(tmp_path, Lines, rows, name="heads")], tmp_path / "report", NOTHING)
    assert said(tmp_path / "report")["Explanation"] == (
        "On held-out rows heads explains 20.0 % of the variance of verbosity. "
        "Only the ranks, not the size, are predicted of safety."
    )


def shap(directory, **rows):
    """A fit whose importance is a mean of sizes, with what shuffling costs beside it."""
    fit = numbers(fit_of(directory, pairs_of(30)), **rows)
    importance = fit.tables["importance"].set_column(2, "low", pa.array([0.3, 0.05, 0.01]))
    fit.tables["importance"] = importance.append_column("permutation", pa.array([0.1, -0.02, 0.0]))
    return fit


def test_sizes_of_contributions_are_no_finding_where_nothing_is_predicted(tmp_path):
    chance = shap(tmp_path, r2=(-0.05, -0.2, 0.04), spearman=(0.02, -0.1, 0.14))
    assert is_chance(chance)
    report([chance], tmp_path / "chance")
    assert not [one for one in titles(tmp_path / "chance") if one.startswith("Importance")]
    text = page_of(tmp_path / "chance")
    assert "Mean |SHAP| is above zero whatever a fit explains; it is not shown" in text
    assert "Most important" not in said(tmp_path / "chance")["Explanation"]
    report([shap(tmp_path, r2=(0.2, 0.1, 0.3))], tmp_path / "found")
    assert "Importance in why" in titles(tmp_path / "found")


def test_no_dot_of_an_importance_is_cut_at_the_edge(tmp_path):
    rows = [{"feature": f"f{i}", "importance": 0.1 * i} for i in range(3)]
    drawn = features("t", "file", rows, "importance", "n").draw(760)
    low, high = drawn.axes[0].get_ylim()
    assert low < -2.4 and high > 0.4


def test_a_feature_that_helps_nothing_held_out_is_not_called_important(tmp_path):
    assert strongest(shap(tmp_path, r2=(0.2, 0.1, 0.3))) == ["words.difference.characters"]


def test_a_classifier_is_held_against_the_majority(tmp_path):
    floor = {"accuracy-of-majority": (0.5, 0.45, 0.55)}
    assert is_chance(numbers(fit_of(tmp_path, pairs_of(30)), accuracy=(0.52, 0.48, 0.56), **floor))
    better = numbers(fit_of(tmp_path, pairs_of(30)), accuracy=(0.62, 0.58, 0.66), **floor)
    assert not is_chance(better)


def test_one_of_several_is_told_in_the_singular(tmp_path):
    rows = [row("accuracy", 0.5, model="m", kind="model", subset=f"s{i:02d}") for i in range(41)]
    whole = [row("accuracy", 0.5, model="m", kind="model")]
    report([metrics(whole + rows, "accuracy")], tmp_path / "report", NOTHING)
    assert "1 smaller subset left out of the figure." in page_of(tmp_path / "report")


def test_the_baseline_that_reads_the_first_character_is_explained_once(tmp_path):
    rows = (
        *ACCURACY,
        ("first-character", "baseline", "accuracy", "all", 0.70, 0.65, 0.75, 300),
        ("reward", "model", "accuracy-over-first-character", "all", -0.09, -0.15, -0.02, 300),
    )
    told = findings(tmp_path / "report", metrics_of(*rows))["Accuracy"]
    assert told.count("whose first character was more often that of a chosen response") == 1
    plain = findings(tmp_path / "plain", metrics_of(*ACCURACY))["Accuracy"]
    assert "first character" not in plain


def test_subsets_of_the_same_size_are_in_the_order_of_their_names(tmp_path):
    rows = [("reward", "model", "accuracy", one, 0.6, 0.5, 0.7, 40) for one in ("tone", "code")]
    report([metrics_of(*ACCURACY[:1], *rows)], tmp_path / "report", NOTHING)
    page = page_of(tmp_path / "report")
    drawn = page.split("Sorted by size, then by name.")[1].split("</svg>")[0]
    assert 0 < drawn.index(">code<") < drawn.index(">tone<")
