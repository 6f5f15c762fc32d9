"""What the page says and which files stand beside it."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from report_inputs import (
    ACCURACY,
    HOSTILE,
    PLAN,
    everything,
    fit_of,
    hostile,
    metrics_of,
    pairs_of,
    report,
    reward_of,
)

from rmplug import Features, Pairs, PlanView, Responses

NOTHING = PlanView("empty", 1, [])


def headings(directory):
    text = (directory / "index.html").read_text(encoding="utf-8")
    return re.findall(r'<section id="([a-z]+)"', text)


def told(directory):
    return json.loads((directory / "metrics.json").read_text(encoding="utf-8"))


def test_one_of_everything_gives_every_section_in_order(page):
    assert headings(page) == [
        "data", "rewards", "accuracy", "length", "why", "calibration", "training", "numbers",
        "plan", "pairs",
    ]  # fmt: skip


def test_every_section_opens_with_what_it_shows(page):
    text = (page / "index.html").read_text(encoding="utf-8")
    opened = re.findall(
        r'<section id="[a-z]+".*?</h2>\s*<p class="lead">(.*?)</p>', text, re.DOTALL
    )
    assert len(opened) == len(headings(page))
    assert len(set(opened)) == len(opened)


def test_a_section_is_there_only_when_its_input_is(tmp_path):
    pairs = pairs_of(30)
    report([pairs], tmp_path / "pairs", NOTHING)
    assert headings(tmp_path / "pairs") == ["data", "pairs"]
    report([pairs, reward_of(pairs)], tmp_path / "reward", NOTHING)
    assert headings(tmp_path / "reward") == ["data", "rewards", "accuracy", "length", "pairs"]
    report([metrics_of(*ACCURACY)], tmp_path / "metrics", NOTHING)
    assert headings(tmp_path / "metrics") == ["accuracy", "calibration", "numbers"]
    report([], tmp_path / "none", NOTHING)
    assert headings(tmp_path / "none") == []


def test_coefficients_say_what_they_are_per(page):
    text = (page / "index.html").read_text(encoding="utf-8")
    assert "Change of the prediction per ten characters." in text


def test_the_findings_are_computed_from_the_numbers(page):
    found = told(page)
    said = {
        one["about"]: one["text"].replace("\N{NO-BREAK SPACE}", " ") for one in found["findings"]
    }
    assert found["headline"].replace("\N{NO-BREAK SPACE}", " ") == (
        "Accuracy 61.3 % (95 % CI 57.9–64.6); longer baseline 53.8 %."
    )
    assert said["Accuracy"] == (
        "The reward has accuracy 61.3 % on 300 pairs (95 % CI 57.9–64.6). Paired difference to the "
        "longer baseline, the strongest baseline: +7.5 points (95 % CI 2–13)."
    )
    assert said["Subsets"] == (
        "The reward has its lowest accuracy on code: 50.0 % on 100 pairs (95 % CI 41–59); "
        "longer baseline 55.0 %."
    )
    assert said["Calibration"] == (
        "The reward has ECE (expected calibration error) 0.120; over-confident in 1 of 2 bins. "
        "In the bin of highest confidence "
        "(mean 97 %) accuracy is 80 % on 100 pairs (95 % CI 71–88)."
    )
    assert said["Explanation"] == (
        "On held-out prompts the features explain 28.3 % of the variance of reward.margin "
        "(R² 28.3 %, 95 % CI 22–33). Most important: words.difference.characters and "
        "words.difference.hedges."
    )
    assert said["Data"] == (
        "Steps have notices about at least 6 different rows: empty response (6). None was dropped."
    )


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (0.01, -0.02, 0.04, "; not significantly different from the longer baseline, 53.8 %."),
        (-0.05, -0.08, -0.02, "; below the longer baseline, 53.8 %."),
    ],
)
def test_the_headline_claims_no_more_than_the_interval_allows(tmp_path, value, low, high, words):
    rows = [row for row in ACCURACY if row[2] != "accuracy-over-longer"]
    over = ("reward", "model", "accuracy-over-longer", "all", value, low, high, 300)
    report([metrics_of(*rows, over)], tmp_path / "report", NOTHING)
    assert words in told(tmp_path / "report")["headline"].replace("\N{NO-BREAK SPACE}", " ")


def test_an_explanation_that_could_be_chance_is_not_claimed(tmp_path):
    fit = fit_of(tmp_path, pairs_of(30))
    fit.numbers[0] |= {"value": 0.01, "low": -0.05, "high": 0.07}
    report([fit], tmp_path / "report")
    (said,) = [
        one for one in told(tmp_path / "report")["findings"] if one["about"] == "Explanation"
    ]
    assert said["text"].replace("\N{NO-BREAK SPACE}", " ") == (
        "On held-out prompts the features do not predict reward.margin beyond chance (R² 1.0 %, "
        "95 % CI −5 to 7)."
    )


def test_several_rewards_without_a_paired_test_are_not_said_to_differ(tmp_path):
    pairs = pairs_of(60)
    rows = [
        (model, "model", "accuracy", "all", value, value - 0.05, value + 0.05, 60)
        for model, value in (("a", 0.60), ("b", 0.62), ("c", 0.40))
    ]
    items = [pairs, *(reward_of(pairs, name, seed) for seed, name in enumerate("abc"))]
    report([*items, metrics_of(*rows)], tmp_path / "report", NOTHING)
    found = told(tmp_path / "report")
    assert found["headline"].startswith("Best of 3 rewards, b: accuracy 62.0")
    assert found["findings"][0]["text"].endswith(
        "Whether it is better than another reward is not tested; the kind compare tests it."
    )


def test_no_more_than_eight_rewards_are_drawn_and_the_rest_is_said(tmp_path):
    pairs = pairs_of(20)
    rewards = [reward_of(pairs, f"reward-{i}", i) for i in range(10)]
    report([pairs, *rewards], tmp_path / "report", NOTHING)
    text = (tmp_path / "report/index.html").read_text(encoding="utf-8")
    assert "The first 8 rewards are shown, 2 left out." in text


def test_each_figure_is_also_an_svg_and_a_png_file(page):
    files = sorted(path.name for path in (page / "figures").iterdir())
    names = [
        "accuracy", "accuracy-by-subset", "calibration", "coefficients-1", "dependence-1",
        "importance-1", "lengths", "margin-by-length-gap", "margins", "plan",
        "reward-by-length-raw", "rewards", "training",
    ]  # fmt: skip
    assert files == sorted(f"{name}.{kind}" for name in names for kind in ("svg", "png"))
    for name in names:
        root = ElementTree.parse(page / "figures" / f"{name}.svg").getroot()
        assert root.findall(".//{http://www.w3.org/2000/svg}text"), name
        assert (page / "figures" / f"{name}.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_same_inputs_give_the_same_bytes(page, tmp_path):
    report(everything(tmp_path), tmp_path / "again")
    files = sorted(path.relative_to(page) for path in page.rglob("*") if path.is_file())
    for file in files:
        assert (page / file).read_bytes() == (tmp_path / "again" / file).read_bytes(), file


def test_all_numbers_are_in_metrics_json(page):
    found = told(page)
    rows = {(row["model"], row["metric"], row["subset"]): row["value"] for row in found["metrics"]}
    assert rows["reward", "accuracy", "code"] == 0.50
    assert found["fits"][0]["numbers"][0]["value"] == 0.283
    assert found["fits"][0]["importance"][0]["feature"] == "words.difference.characters"
    assert found["notices"] == [
        {"step": "pairs", "what": "empty response", "action": "kept", "count": 6,
         "ids": ["pair-00001", "pair-00007"], "of": "rows"}
    ]  # fmt: skip


def test_the_page_loads_nothing_from_anywhere(page):
    text = (page / "index.html").read_text(encoding="utf-8")
    links = re.findall(r'(?:src|href)="([^"#][^"]*)"', text)
    assert all(
        re.match(r"figures/[a-z0-9-]+\.(svg|png)$|metrics\.json$|data:,$", one) for one in links
    )
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_figures_follow_the_theme(page):
    text = (page / "index.html").read_text(encoding="utf-8")
    drawn = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert not re.findall(r"#[0-9a-f]{6}\b", drawn)
    assert "var(--m1)" in drawn


def test_hostile_text_cannot_end_a_script_or_begin_one(tmp_path):
    pairs = hostile()
    report([pairs, reward_of(pairs, "</script><i>")], tmp_path / "report")
    text = (tmp_path / "report/index.html").read_text(encoding="utf-8")
    assert "hacked" not in text
    assert "<i>" not in text.replace('<i class="dot"', "")
    assert text.count("<script") == text.count("</script>")
    assert "\x00" not in text and "\u202e" not in text


def test_long_texts_are_cut_and_the_number_is_said(tmp_path):
    pairs = hostile()
    report([pairs], tmp_path / "report", text_limit=500)
    page = tmp_path / "report/index.html"
    assert "3 texts are longer than 500 characters and cut there" in page.read_text("utf-8")
    assert page.stat().st_size < 400_000
    assert len(HOSTILE["endless"]) == 1_000_000


def test_texts_are_cut_further_until_they_fit_and_rows_are_limited(tmp_path):
    pairs = pairs_of(3000, words=120)
    report([pairs], tmp_path / "report", NOTHING, megabytes=0.6, rows=2000)
    page = (tmp_path / "report/index.html").read_text("utf-8")
    assert re.search(r"The first <strong>2,000</strong> of 3,000 pairs\.", page)
    (limit,) = re.findall(r"texts are longer than ([\d,]+) characters", page)
    assert 200 <= int(limit.replace(",", "")) < 4000
    packed = sum(map(len, re.findall(r'class="pairs-texts">"([^"]*)"', page)))
    assert packed < 0.65e6


def test_odd_inputs_end_in_a_page_too(tmp_path):
    one, few = pairs_of(1), pairs_of(3)
    none = Pairs(one.table.slice(0, 0))
    missing = Features({"id": few["id"], "margin": np.full(3, np.nan)}, "reward")
    same = Pairs(
        {"id": ["a", "b"], "prompt": ["p", "q"], "chosen": ["", "x"], "rejected": ["", "x"]}
    )
    for place, items in enumerate(
        (
            [none],
            [none, reward_of(none)],
            [one, reward_of(one)],
            [few, missing],
            [same, reward_of(same)],
        )
    ):
        report(items, tmp_path / str(place), NOTHING)
        assert headings(tmp_path / str(place))[0] == "data"


def test_rewards_of_single_responses_and_of_several_outputs_are_shown(tmp_path):
    responses = Responses(
        {"id": [f"r{i}" for i in range(40)], "prompt": ["p"] * 40, "response": ["words"] * 40}
    )
    scores = Features({"id": responses["id"], "reward": np.arange(40.0)}, "scores")
    report([responses, scores], tmp_path / "one", NOTHING)
    assert headings(tmp_path / "one") == ["data", "rewards"]
    pairs = pairs_of(40)
    ids = {"id": pairs["id"]}
    two = Features({**ids, "margin.help": np.ones(40), "margin.harm": -np.ones(40)}, "reward")
    report([pairs, two], tmp_path / "two", NOTHING)
    values = {
        row["model"]: row["value"]
        for row in told(tmp_path / "two")["metrics"]
        if row["subset"] == "all" and row["kind"] == "model"
    }
    assert values == {"reward.help": 1.0, "reward.harm": 0.0}


def test_long_edges_of_the_plan_pass_every_layer_between():
    from rmplug.plan_layout import arranged, nodes

    found = nodes(PLAN.steps)
    layers = {key: node.layer for key, node in found.items() if node.step}
    assert layers == {"pairs": 0, "train": 1, "reward": 2, "words": 1, "why": 3, "accuracy": 3}
    between = [node for node in found.values() if node.step is None]
    assert sorted(node.layer for node in between) == [1, 1, 2, 2]
    assert sum(len(layer) for layer in arranged(found)) == len(found)


def test_subsets_whose_names_differ_in_a_nul_at_their_end_are_told_apart(tmp_path):
    pairs = pairs_of(60)
    names = [("a", "a\0")[i % 3 == 2] for i in range(60)]
    data = pairs.table.set_column(pairs.table.schema.get_field_index("subset"), "subset", [names])
    report([Pairs(data, "pairs"), reward_of(pairs)], tmp_path / "report")
    metrics = told(tmp_path / "report")["metrics"]
    rows = {row["subset"]: row["n"] for row in metrics if row["model"] == "reward"}
    assert rows == {"all": 60, "a": 40, "a\0": 20}
