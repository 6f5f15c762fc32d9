"""Optional columns of metrics are drawn by what they tell, whatever step they come from."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from benchmark_inputs import (
    ATTRIBUTES,
    MODELS,
    benchmark,
    best_of,
    budget,
    comparison,
    gated,
    metrics,
    ridge,
    row,
    styles,
)
from report_inputs import ACCURACY, metrics_of, pairs_of, report

from rmplug import PlanView
from rmplug_report.figures._curves import is_logarithmic
from rmplug_report.figures._heat_maps import DEEPEST, Matrix, middle_of
from rmplug_report.figures._palette import COLOURS
from rmplug_report.inputs._contributions import contributions
from rmplug_report.inputs._inputs import gather
from rmplug_report.inputs._paired import is_significant
from rmplug_report.sections._benchmarks import matrices
from rmplug_report.sections._comparison import compared

NOTHING = PlanView("compare-models", 13, [])


def text_of(directory):
    text = (directory / "index.html").read_text(encoding="utf-8")
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{WORD JOINER}", "")


def sections(directory):
    return re.findall(r'<section id="([a-z]+)"', text_of(directory))


def figures(directory):
    return sorted(path.stem for path in (directory / "figures").glob("*.svg"))


def told(directory):
    return json.loads((directory / "metrics.json").read_text(encoding="utf-8"))


def table(directory, caption):
    """The cells of a table of the page, row by row."""
    found = re.search(rf'aria-label="{caption}".*?</table>', text_of(directory), re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", found.group(), re.DOTALL)
    return [
        [re.sub(r"<.*?>", "", cell).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", one, re.S)]
        for one in rows
    ]


def test_each_form_has_its_section_in_the_order_of_the_page(benchmarks):
    assert sections(benchmarks) == [
        "data", "rewards", "benchmark", "compared", "matrices", "curves", "length", "attributes",
        "changes", "gate", "training", "pairs",
    ]  # fmt: skip


def test_each_form_has_its_figures(benchmarks):
    assert set(figures(benchmarks)) >= {
        "levels-1", "parts-1", "differences-1", "ranks-1", "matrix-1", "matrix-2", "matrix-3",
        "matrix-4", "curve-1-1", "curve-2-1", "curve-3-1", "attribute-1", "change-1",
        "gate-by-subset",
    }  # fmt: skip


def test_one_form_alone_gives_one_section(tmp_path):
    for name, item, section in (
        ("a", benchmark(), "benchmark"),
        ("b", comparison(), "compared"),
        ("c", styles(), "matrices"),
        ("d", best_of(), "curves"),
    ):
        report([item], tmp_path / name, NOTHING)
        assert sections(tmp_path / name) == [section]


def test_a_part_shows_value_interval_strongest_baseline_and_the_published_number(tmp_path):
    report([benchmark()], tmp_path / "report", NOTHING)
    rows = table(tmp_path / "report", "Each part with its 95 % CI")
    assert rows[0] == ["part", "level", *MODELS, "strongest baseline", "n"]
    assert rows[1] == [
        "the whole", "overall", "64.3 % (59–69); published rule 63.7 %", "63.4 % (58–68)",
        "59.4 % (54–64)", "52.0 % (longer)", "350",
    ]  # fmt: skip
    assert [one[1] for one in rows[2:4]] == ["section", "section"]


def test_a_published_number_that_does_not_differ_is_not_shown(tmp_path):
    told = {"model": "m", "kind": "model", "level": "overall"}
    rows = [row("score", 0.6, **told), row("score-published", 0.6, None, **told)]
    report([metrics(rows, "step")], tmp_path / "report", NOTHING)
    assert "published rule" not in text_of(tmp_path / "report")


def test_sentences_are_printed_in_the_section_they_belong_to(benchmarks):
    text = text_of(benchmarks)
    for section, words in (
        ("benchmark", "the rule longer is right on 73.8 % of 42 items"),
        ("compared", "Skywork-27B and InternLM2-20B cannot be told apart here"),
        ("curves", "Routing half of the pairs to people is worth 5.7 points"),
    ):
        part = re.search(rf'<section id="{section}".*?</section>', text, re.DOTALL).group()
        assert words in part


def test_the_headline_names_the_best_of_the_benchmark_and_the_strongest_baseline(benchmarks):
    said = told(benchmarks)["headline"].replace("\N{NO-BREAK SPACE}", " ")
    assert said == (
        "Best of 3 rewards: Skywork-27B, score 64.3 % (95 % CI 59–69; n = 350) on judgebench; "
        "longer baseline 52.0 %."
    )


def test_rows_of_other_forms_are_not_taken_for_accuracy(tmp_path):
    told = {"model": "reward", "kind": "model"}
    others = [
        row("accuracy", 0.11, at=1, axis="length-gap decile", **told),
        row("accuracy", 0.12, other="another", **told),
        row("accuracy", 0.13, row="plain", column="markdown", **told),
        row("accuracy", 0.14, level="overall", **told),
        row("accuracy-before", 0.15, **told),
    ]
    report([metrics(others, "others"), metrics_of(*ACCURACY)], tmp_path / "report", NOTHING)
    said = told_headline(tmp_path / "report")
    assert said.startswith("Accuracy 61.3 %")
    board = table(tmp_path / "report", "Rewards at a glance")
    assert board[1][:2] == ["reward", "61.3 %"]


def told_headline(directory):
    return told(directory)["headline"].replace("\N{NO-BREAK SPACE}", " ")


def test_a_difference_is_significant_by_holm_first_and_by_its_interval_otherwise():
    assert is_significant({"p_holm": 0.012, "low": -0.1, "high": 0.2})
    assert not is_significant({"p_holm": 0.41, "low": 0.01, "high": 0.2})
    assert is_significant({"low": 0.01, "high": 0.2}) and is_significant(
        {"low": -0.2, "high": -0.01}
    )
    assert not is_significant({"low": -0.01, "high": 0.2}) and not is_significant(
        {"low": None, "high": None}
    )


def test_the_table_of_differences_has_p_and_holms_p(benchmarks):
    rows = table(benchmarks, "Differences")
    assert rows[0] == [
        "model",
        "minus",
        "difference, points",
        "95 % CI",
        "p",
        "p (Holm)",
        "n",
    ]
    found = {(one[0], one[1]): one[2:] for one in rows[1:]}
    assert found["InternLM2-20B", "GRM-Gemma-2B"] == ["+4.0", "1.0–9.0", "0.004", "0.012", "350"]


def test_counts_over_more_than_a_decade_have_a_logarithmic_axis():
    assert is_logarithmic([1, 2, 4, 64])
    assert not is_logarithmic([1, 10]) and not is_logarithmic([0, 16, 64])
    assert not is_logarithmic([0.05, 0.5, 1.0])


def test_subsets_that_only_name_points_make_one_curve(tmp_path):
    told = {"model": "m", "kind": "model", "axis": "length-gap decile"}
    rows = [row("accuracy", 0.5 + at / 50, subset=f"decile-{at:02d}", at=at, **told)
            for at in range(1, 11)]  # fmt: skip
    report([metrics(rows, "one")], tmp_path / "one", NOTHING)
    assert figures(tmp_path / "one") == ["curve-1-1"]
    rows = [row("accuracy", 0.5, subset=one, at=at, **told) for one in ("all", "code")
            for at in (1, 2)]  # fmt: skip
    report([metrics(rows, "two")], tmp_path / "two", NOTHING)
    assert figures(tmp_path / "two") == ["curve-1-1", "curve-1-2"]


def test_only_accuracies_of_right_against_wrong_are_said_to_be(tmp_path):
    note = "Down: the right response. Across: the wrong one."
    cells = [row("same-decision", 0.6, row=a, column=b) for a in "ab" for b in "ab"]
    report([metrics(cells, "alike")], tmp_path / "alike", NOTHING)
    report([styles()], tmp_path / "styles", NOTHING)
    assert note in text_of(tmp_path / "styles")
    assert note not in text_of(tmp_path / "alike")


def test_a_matrix_that_is_wider_than_tall_is_turned(tmp_path):
    cells = {("a", str(i)): {"value": 0.1 * i} for i in range(9)}
    wide = Matrix(["a"], [str(i) for i in range(9)], cells, False, None, "model", "subset")
    turned = wide.longer_side_down()
    assert (list(turned.columns), turned.row_title) == (["a"], "subset")
    assert turned.cells["3", "a"] is cells["a", "3"]
    narrow = Matrix(["a"], ["x", "y"], {}, False)
    assert narrow.longer_side_down() is narrow


def test_colours_go_two_ways_from_chance_or_from_zero():
    assert middle_of([{"value": 0.4, "chance": 0.25}, {"value": 0.6, "chance": 0.25}], True) == 0.25
    assert middle_of([{"value": 0.4}], True) == 0.5
    assert middle_of([{"value": -0.4}, {"value": 0.4}], False) == 0.0
    assert middle_of([{"value": 0.2}, {"value": 0.4}], False) is None
    cells = {("a", "b"): {"value": 0.7}, ("a", "c"): {"value": 0.2}}
    assert Matrix(["a"], ["b", "c"], cells, True, 0.5).scale == pytest.approx((0.2, 0.8))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("hue", ["m1", "m2"])
def test_numbers_are_readable_on_the_deepest_cell(hue, dark):
    def channels(name):
        code = COLOURS[name][dark]
        return np.array([int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)])

    def luminance(rgb):
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    cell = DEEPEST * channels(hue) + (1 - DEEPEST) * channels("card")
    a, b = sorted((luminance(cell), luminance(channels("ink"))))
    assert (b + 0.05) / (a + 0.05) >= 4.0


def test_cells_tell_interval_and_n_to_those_who_point_at_them(benchmarks):
    assert "concise, markdown: 46.0 %, 95 % CI 42.0–50.0, n = 798" in text_of(benchmarks)


def test_only_one_cell_of_a_figure_is_a_stop_of_the_tab_key(benchmarks):
    for svg in re.findall(r"<svg.*?</svg>", text_of(benchmarks), re.DOTALL):
        if "data-hint" in svg:
            assert svg.count('tabindex="0"') == 1


def test_before_and_after_are_joined_by_part_and_a_missing_end_is_left_out(tmp_path):
    rows = [
        row("correlation-before", 0.5, subset="help"), row("correlation-after", 0.1, subset="help"),
        row("correlation-before", 0.4, subset="alone"),
    ]  # fmt: skip
    report([metrics(rows, "debias")], tmp_path / "report", NOTHING)
    assert sections(tmp_path / "report") == ["changes"]
    found = table(tmp_path / "report", "Correlation, before and after debias")
    assert found[1:] == [["help", "0.500", "0.45–0.55", "0.100", "0.05–0.15", "350"]]


def test_errors_are_told_attribute_by_attribute(tmp_path):
    report([ridge(tmp_path)], tmp_path / "report", NOTHING)
    assert sections(tmp_path / "report") == ["attributes", "changes", "training"]
    found = table(tmp_path / "report", r"Mean squared error \(MSE\): heads")
    assert [one[0] for one in found[1:]] == list(ATTRIBUTES)


def test_contributions_are_aligned_to_the_pairs_and_add_up_to_the_scores():
    pairs = pairs_of(40)
    features = gated(pairs)
    shuffled = features.take(np.random.default_rng(0).permutation(40))
    found = contributions([shuffled], pairs)
    assert list(found.attributes) == list(ATTRIBUTES)
    np.testing.assert_allclose(sum(found.chosen), features["chosen"].to_numpy(), atol=1e-12)
    np.testing.assert_allclose(sum(found.rejected), features["rejected"].to_numpy(), atol=1e-12)


def test_the_gate_shows_the_mean_weight_of_each_subset(tmp_path):
    pairs = pairs_of(90)
    features = gated(pairs)
    report([pairs, features], tmp_path / "report", NOTHING)
    rows = table(tmp_path / "report", "Mean gate weight by subset")
    values = {(one[0], one[1]): one[2] for one in rows[1:]}
    code = np.array(pairs["subset"].to_pylist()) == "code"
    mean = features["weight.safety"].to_numpy()[code].mean()
    assert values["safety", "code"] == f"{mean:.2f}"
    assert len(values) == len(ATTRIBUTES) * 4


def test_many_models_on_many_subsets_stay_within_the_page(tmp_path):
    models = {f"a-reward-model-with-a-long-name-{i:02d}": 0.5 + i / 60 for i in range(12)}
    subsets = [f"llmbar-adversarial-{i:02d}" for i in range(23)]
    report([benchmark(models, subsets), comparison(models)], tmp_path / "report", NOTHING)
    text = text_of(tmp_path / "report")
    assert "The 36 smallest are only in the numbers." in text
    assert re.search(r"<summary>\d+ more</summary>", text)


def test_the_same_metrics_give_the_same_page(tmp_path):
    items = [benchmark(), comparison(), budget()]
    for place in ("once", "again"):
        report(items, tmp_path / place, NOTHING)
    once, again = ((tmp_path / one / "index.html").read_bytes() for one in ("once", "again"))
    assert once == again


def test_figures_that_several_steps_give_alike_name_their_step():
    told = {"model": "a", "other": "b", "p_holm": 0.2}
    cells = [row("kappa", 0.6, row=a, column=b) for a in "ab" for b in "ab"]
    both = [
        metrics([row("difference", 0.1, 0.05, **told), row("rank", 1.0, 0.5, model="a"), *cells], n)
        for n in ("first", "second")
    ]
    titles = [
        [drawing.title for drawing in section(gather(both[:steps], NOTHING), None).drawings]
        for section in (compared, matrices)
        for steps in (1, 2)
    ]
    assert titles[0] == ["Differences", "Rank"]
    assert titles[1] == ["Differences, by first", "Differences, by second", "Rank, by first",
                         "Rank, by second"]  # fmt: skip
    assert titles[2:] == [["Cohen’s κ"], ["Cohen’s κ, by first", "Cohen’s κ, by second"]]


def test_heat_maps_of_the_whole_are_all_there_before_those_of_subsets():
    cells = [
        row(f"metric-{k}", 0.6, subset=subset, row=a, column=b)
        for subset in ("code", "all")
        for k in range(10)
        for a, b in ("ab", "ba")
    ]
    drawings = matrices(gather([metrics(cells, "alike")], NOTHING), None).drawings
    assert [drawing.title for drawing in drawings] == [f"Metric {k}" for k in range(10)]
