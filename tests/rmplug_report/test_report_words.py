"""What the page calls things, and that its sentences claim what the numbers say."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from benchmark_inputs import ATTRIBUTES, budget, gated, metrics, row
from report_inputs import ACCURACY, PLAN, Lines, fit_of, metrics_of, pairs_of, report, step

from rmplug import Features, Fit, PlanView
from rmplug.notices import Notice
from rmplug_report import ModelCard
from rmplug_report.figures._plan_graph import FITTING, plan
from rmplug_report.inputs._metric_names import metric_title, titled, value_of
from rmplug_report.inputs._wording import decimal, left_out, number, rich, signed

NOTHING = PlanView("words", 13, [])


def said(directory):
    """The headline and the findings, by what they are about."""
    found = json.loads((directory / "metrics.json").read_text(encoding="utf-8"))
    told = {one["about"]: one["text"] for one in found["findings"]}
    told["headline"] = found["headline"]
    return {key: text.replace("\N{NO-BREAK SPACE}", " ") for key, text in told.items()}


def page_of(directory):
    text = (directory / "index.html").read_text(encoding="utf-8")
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{WORD JOINER}", "")


def titles(directory):
    return re.findall(r"<figcaption><b>(.*?)</b>", page_of(directory))


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("r2", "explained variance (R²)"),
        ("mse-of-mean", "mean squared error (MSE) by predicting the mean"),
        ("spearman-of-length", "rank correlation (Spearman) by length alone"),
        ("accuracy-over-longer", "accuracy over the longer baseline"),
        ("accuracy-over-her-own-rule", "accuracy over the her-own-rule baseline"),
        ("score-published", "score, as published"),
        ("her-own_kl-mse", "her own KL MSE"),
        ("ndcg-helpfulness", "NDCG helpfulness"),
        ("share-of-labels", "share of labels"),
        ("-of-mean", "of mean"),
        ("ece-plug-in", "calibration error without bias correction (plug-in ECE)"),
        ("accuracy-over-majority", "accuracy above always predicting the majority class"),
        ("better-than-chance", "better than chance (1: yes, 0: no)"),
    ],
)
def test_metrics_have_titles_and_strangers_metrics_are_their_own_words(metric, words):
    assert metric_title(metric) == words
    assert titled(metric)[1:] == words[1:] and titled(metric)[0] == words[0].upper()


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("accuracy", 0.821, "82.1 %"),
        ("accuracy-over-longer", 0.281, "+28.1 points"),
        ("accuracy-over-n-gram", -0.048, "−4.8 points"),
        ("score", 7.31, "7.31"),
        ("mse", 0.1494, "0.15"),
        ("share-of-labels", 0.5, "50.0 %"),
        ("missing", 0.0, "0"),
        ("not-significantly-different", 3.0, "3"),
        ("mae", 4.2e-05, "0.000042"),
        ("mae", 1e-17, "0"),
        ("drift", -0.0012, "−0.0012"),
    ],
)
def test_values_are_told_in_the_unit_of_their_metric(metric, value, text):
    assert value_of({"metric": metric, "value": value}).replace("\N{NO-BREAK SPACE}", " ") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5.13e-05, "0.000051"),
        (-5.13e-05, "−0.000051"),
        (0.0051, "0.0051"),
        (0.0123, "0.012"),
        (-2.5e-8, "−2.5 × 10⁻⁸"),
        (-1e-17, "0"),
        (0.0, "0"),
        (1234.5, "1,234.5"),
    ],
)
def test_small_numbers_have_the_digits_that_they_need(value, text):
    assert number(value) == text
    assert signed(value, False).lstrip("+−") == text.lstrip("−") or abs(value) >= 1e-4
    assert decimal(0.00004, 3) == "0.00004" and decimal(0.0, 3) == "0.000"


def test_the_error_of_small_margins_and_its_interval_have_the_same_digits(tmp_path):
    told = {"subset": "all", "n": 200}
    numbers = [{"metric": "mae", "value": 5.13e-05, "low": 4.49e-05, "high": 5.87e-05, **told}]
    numbers.append({"metric": "mae-of-mean", "value": 4.2e-05, "low": None, "high": None, **told})
    report([Fit(tmp_path, Lines, numbers, name="why")], tmp_path / "report", NOTHING)
    page = page_of(tmp_path / "report")
    assert "<dd>0.000051<small>95 % CI 0.000045–0.000059; 0.000042 by predicting" in page


def test_a_difference_below_a_baseline_is_not_said_to_reach_0(tmp_path):
    rows = (
        *ACCURACY,
        ("n-gram", "baseline", "accuracy", "all", 0.70, 0.65, 0.75, 300),
        ("reward", "model", "accuracy-over-n-gram", "all", -0.0925, -0.1825, -0.0025, 300),
    )
    report([metrics_of(*rows)], tmp_path / "report", NOTHING)
    assert said(tmp_path / "report")["headline"].endswith("below the n-gram baseline, 70.0 %.")
    assert "−9.2 points (95 % CI −18 to −0.2)" in said(tmp_path / "report")["Accuracy"]


def test_the_best_simple_rule_may_be_one_that_learnt_words(tmp_path):
    rows = (
        *ACCURACY,
        ("n-gram", "baseline", "accuracy", "all", 0.70, 0.65, 0.75, 300),
        ("reward", "model", "accuracy-over-n-gram", "all", -0.087, -0.15, -0.02, 300),
    )
    report([metrics_of(*rows)], tmp_path / "report", NOTHING)
    told = said(tmp_path / "report")
    assert told["headline"] == (
        "Accuracy 61.3 % (95 % CI 57.9–64.6); below the n-gram baseline, 70.0 %."
    )
    assert (
        "the n-gram baseline, the strongest baseline: −8.7 points (95 % CI −15 to −2)"
        in (told["Accuracy"])
    )
    assert not re.search(r"never read|reads nothing", page_of(tmp_path / "report"))


def heads(directory, *values):
    """A fit that tells R² of each attribute, its error, and the error by two floors."""
    numbers = []
    for attribute, (value, low) in zip(ATTRIBUTES, values, strict=False):
        told = {"subset": attribute, "n": 194}
        numbers += [
            {"metric": "r2", "value": value, "low": low, "high": value + 0.02, **told},
            {"metric": "mse", "value": 0.5, "low": 0.4, "high": 0.6, **told},
            {"metric": "mse-of-mean", "value": 0.52, "low": 0.42, "high": 0.62, **told},
            {"metric": "mse-of-length", "value": 0.51, "low": 0.41, "high": 0.61, **told},
        ]
    return Fit(directory, Lines, numbers, name="heads")


def test_attributes_of_which_nothing_is_found_beyond_chance_are_named(tmp_path):
    found = heads(tmp_path, (0.05, 0.01), (0.02, -0.01), (-0.03, -0.08))
    report([found], tmp_path / "report", NOTHING)
    sentence = (
        "On held-out rows heads explains 5.0 % of the variance of helpfulness. "
        "Nothing is predicted beyond chance of correctness and coherence."
    )
    assert said(tmp_path / "report")["Explanation"] == sentence
    part = page_of(tmp_path / "report").split('<section id="attributes"')[1]
    assert f"<li>{sentence}</li>" in part


def test_a_fit_that_finds_nothing_about_any_attribute_says_so(tmp_path):
    report([heads(tmp_path, (0.02, -0.01), (0.0, -0.08))], tmp_path / "report", NOTHING)
    assert said(tmp_path / "report")["Explanation"] == (
        "On held-out rows heads predicts nothing beyond chance of helpfulness and correctness."
    )


def test_floors_are_marks_beside_the_metric_they_are_floors_of(tmp_path):
    found = heads(tmp_path, (0.05, 0.01), (0.02, -0.01))
    report([found], tmp_path / "report", NOTHING)
    assert titles(tmp_path / "report") == [
        "Explained variance (R²): heads", "Mean squared error (MSE): heads",
    ]  # fmt: skip
    marks = "Upright marks: by predicting the mean (solid), by length alone (dotted)."
    assert marks in page_of(tmp_path / "report")


def test_a_fit_measured_beside_a_baseline_may_be_chance_too(tmp_path):
    told = {"metric": "r2", "subset": "all", "n": 36}
    numbers = [
        {**told, "value": 0.02, "low": -0.05, "high": 0.09, "kind": "model", "model": "ridge"},
        {**told, "value": 0.01, "low": -0.05, "high": 0.08, "kind": "baseline", "model": "count"},
    ]
    report([Fit(tmp_path, Lines, numbers, name="why")], tmp_path / "report", NOTHING)
    assert said(tmp_path / "report")["Explanation"] == (
        "On held-out rows why explains 2.0 % of the variance (R² 2.0 %, 95 % CI −5 to 9: not "
        "beyond chance); count baseline 1.0 %."
    )


def routes(clear=()):
    """A budget curve and its differences from random routes, one for each part."""
    rows = budget().table.to_pylist()
    for share in (25, 50, 75):
        apart = 0.03 if share in clear else 0.01
        rows.append(row("difference", apart, 0.02, f"routed at {share} %", 10, model="routed",
                        kind="model", other="random"))  # fmt: skip
    return metrics(rows, "budget")


@pytest.mark.parametrize(
    ("clear", "end"),
    [
        ((), "no significant difference from random in between."),
        ((25, 50), "significantly above at 2 of 3 points compared with random."),
    ],
)
def test_a_report_of_a_curve_opens_with_what_the_curve_says(tmp_path, clear, end):
    report([pairs_of(30), routes(clear)], tmp_path / "report", NOTHING)
    told = said(tmp_path / "report")
    assert told["headline"] == (
        "routed: score from 60.0 % to 68.0 % as the share of human labels goes from 0 % to "
        f"100 %; {end}"
    )
    assert told["Curve"] == "Routing half of the pairs to people is worth 5.7 points over none."


def test_differences_of_one_pair_of_models_on_several_parts_are_one_figure(tmp_path):
    report([routes((25,))], tmp_path / "report", NOTHING)
    assert titles(tmp_path / "report")[0] == "Differences"
    svg = (tmp_path / "report/figures/differences-1.svg").read_text(encoding="utf-8")
    assert "routed at 25 % − random" in svg and "routed at 75 % − random" in svg
    assert "difference, percentage points" in svg
    assert not (tmp_path / "report/figures/differences-2.svg").exists()


def test_a_difference_is_of_the_metric_that_its_step_tells_of_the_same_part(tmp_path):
    told = {"model": "a", "kind": "model"}
    for metric, value, label in (
        ("accuracy", 0.8, "difference in accuracy, percentage points"),
        ("rmse", 0.8, "difference in root mean squared error (RMSE)"),
    ):
        rows = [row(metric, value, **told), row("difference", 0.1, other="b", **told)]
        report([metrics(rows, "compare")], tmp_path / metric, NOTHING)
        svg = (tmp_path / metric / "figures/differences-1.svg").read_text(encoding="utf-8")
        assert f">{label}<" in svg


def test_a_curves_title_does_not_say_its_axis_twice(tmp_path):
    axis = "length gap, chosen minus rejected, in characters"
    told = {"model": "reward", "kind": "model", "axis": axis}
    rows = [row("accuracy-by-length-gap", 0.5, at=at, **told) for at in (-10.0, 10.0)]
    report([metrics(rows, "accuracy")], tmp_path / "report", NOTHING)
    assert titles(tmp_path / "report") == ["Accuracy against length gap"]


def test_no_line_ends_inside_an_interval(tmp_path):
    report([metrics_of(*ACCURACY)], tmp_path / "report", NOTHING)
    text = (tmp_path / "report/index.html").read_text(encoding="utf-8")
    assert "57.9\N{WORD JOINER}–\N{WORD JOINER}64.6" in text
    assert not re.search(r"CI [\d.]+–", text)


@pytest.mark.parametrize(
    ("n", "words"),
    [(0, []), (1, ["1 more part is only in metrics.json."]),
     (3, ["3 more parts are only in metrics.json."])],
)  # fmt: skip
def test_what_is_left_out_is_counted_in_singular_and_plural(n, words):
    assert left_out(n, "more part") == words


def noticed(*notices):
    steps = [step(f"step-{i}", "k", "sampler", notices=[one]) for i, one in enumerate(notices)]
    return PlanView("odd", 1, steps)


def test_a_row_that_several_steps_notice_counts_once(tmp_path):
    both = (
        Notice("no label", "kept", 3, ["a", "b", "c"]),
        Notice("empty", "dropped", 2, ["c", "d"]),
        Notice("one value", "kept", 9, ["x"], of="features"),
    )
    report([], tmp_path / "report", noticed(*both))
    assert said(tmp_path / "report")["Data"] == (
        "Steps have notices about 4 different rows: no label (3) and 1 other notice. "
        "Of them 2 were dropped."
    )


def test_rows_that_are_not_all_named_are_at_least_so_many(tmp_path):
    few = Notice("no label", "kept", 5000, [str(i) for i in range(1000)])
    report([], tmp_path / "report", noticed(few))
    assert said(tmp_path / "report")["Data"].startswith(
        "Steps have notices about at least 5,000 different rows: no label (5,000)."
    )


def chain(count):
    """Steps in a row, the last of which takes all of them."""
    names = [f"step-{i}" for i in range(count)]
    steps = [step(one, "k", "sampler", {"data": names[max(0, i - 1) : i]})
             for i, one in enumerate(names)]  # fmt: skip
    return PlanView("chain", 1, [*steps, step("last", "k", "evaluator", {"items": names})])


def test_a_plan_too_long_for_the_page_runs_from_top_to_bottom():
    short, long = plan(chain(3)), plan(chain(14))
    assert "from left to right" in short.note and "from top to bottom" in long.note
    assert short.width <= FITTING and long.width <= FITTING
    drawn = long.draw(long.width)
    across, down = drawn.bbox.width, drawn.bbox.height
    assert down > across
    left, right = drawn.axes[0].get_xlim()
    boxes = [patch.get_extents().bounds for patch in drawn.axes[0].patches]
    assert left == pytest.approx(-right)
    assert all(x >= 0 and x + wide <= across + 1 for x, _, wide, _ in boxes)


def card_of(items, directory, **params):
    directory.mkdir()
    ModelCard(**params).report(items, directory=directory, plan=NOTHING)
    return (directory / "README.md").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")


def test_a_card_tells_points_and_tells_no_number_twice(tmp_path):
    again = [one for one in ACCURACY if one[2] == "accuracy"]
    again += [("reward", "model", "not-significantly-different", "all", 1.0, None, None, 300)]
    items = [metrics_of(*again, name="compare"), metrics_of(*ACCURACY)]
    text = card_of(items, tmp_path / "card")
    line = "| Accuracy over the longer baseline | all | +7.5 points | 2–13 | 300 |  |"
    assert line in text
    assert text.count("| Accuracy | all |") == 1
    accuracy, compare = text.split("### accuracy")[1].split("### compare")
    assert "Accuracy" not in compare and "Models that do not differ significantly" in compare
    assert "| Accuracy | all |" in accuracy


def weighed(pairs, subsets=("all", "code")):
    """Mean weights as an evaluator tells them: the same that the section of the gate shows."""
    cells = [
        row("weight", 0.2, row=attribute, column=subset, subset=subset)
        for attribute in ATTRIBUTES
        for subset in subsets
    ]
    other = [row("accuracy", 0.6, row=ATTRIBUTES[0], column="all")]
    return metrics([*cells, *other], "attributes")


def test_the_weights_of_a_gate_are_shown_once(tmp_path):
    pairs = pairs_of(30)
    report([pairs, gated(pairs), weighed(pairs)], tmp_path / "both", NOTHING)
    assert titles(tmp_path / "both").count("Mean gate weight by subset") == 1
    assert not [one for one in titles(tmp_path / "both") if one.startswith("Weight")]
    report([weighed(pairs)], tmp_path / "alone", NOTHING)
    assert [one for one in titles(tmp_path / "alone") if one.startswith("Weight")]


def test_contributions_with_scores_are_a_reward_and_need_no_other(tmp_path):
    pairs = pairs_of(30)
    report([pairs, gated(pairs, "explained")], tmp_path / "report", NOTHING)
    assert said(tmp_path / "report")["headline"].startswith("Accuracy ")
    text = page_of(tmp_path / "report")
    head = json.loads(re.search(r'id="pairs-head">(.*?)</script>', text).group(1))
    assert [one["name"] for one in head["rewards"]] == ["explained"]
    assert head["parts"]["attributes"] == list(ATTRIBUTES)


def test_a_model_without_weights_has_contributions_but_no_gate(tmp_path):
    pairs = pairs_of(30)
    table = gated(pairs).table
    for attribute in ATTRIBUTES:
        place = table.column_names.index(f"weight.{attribute}")
        table = table.set_column(place, f"weight.{attribute}", [np.full(30, np.nan)])
    report([pairs, Features(table, "explained")], tmp_path / "report", NOTHING)
    text = page_of(tmp_path / "report")
    assert '<section id="gate"' not in text
    assert '"parts": {"attributes"' in text


def test_residuals_of_other_rows_are_no_column_of_the_pairs(tmp_path):
    pairs = pairs_of(30)
    own, other = fit_of(tmp_path, pairs, "own"), fit_of(tmp_path, pairs_of(30), "other")
    ids = [f"candidate-{i}" for i in range(30)]
    rows = other.tables["rows"]
    other.tables["rows"] = rows.set_column(0, "id", [ids])
    report([pairs, own, other], tmp_path / "report", NOTHING)
    head = re.search(r'id="pairs-head">(.*?)</script>', page_of(tmp_path / "report")).group(1)
    assert [one["name"] for one in json.loads(head)["fits"]] == ["own"]


def test_fits_of_something_else_are_not_said_to_explain_the_margin(tmp_path):
    fit = fit_of(tmp_path, pairs_of(30))
    for place, target in (("margin", "reward.margin"), ("else", "proxies.accuracy")):
        steps = [replace(one, inputs={"target": [target]}) if one.id == "why" else one
                 for one in PLAN.steps]  # fmt: skip
        report([fit], tmp_path / place, PlanView("p", 1, steps))
    assert "What explains the margin</h2>" in page_of(tmp_path / "margin")
    assert "What the fits explain</h2>" in page_of(tmp_path / "else")


def test_no_line_of_a_sentence_ends_in_a_single_letter_and_a_hyphen():
    assert rich("a well-kept n-gram baseline") == "a well-kept n-\N{WORD JOINER}gram baseline"
