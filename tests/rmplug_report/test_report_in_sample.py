"""A page never headlines an in-sample figure as if it were held out."""

from __future__ import annotations

from dataclasses import replace

from report_inputs import metrics_of, report
from test_report_words import NOTHING, page_of, said

from rmplug.records import SeenRows
from rmplug_report import ModelCard
from rmplug_report.findings._in_sample import in_sample_finding


def rewards(**values):
    return metrics_of(*(
        (model, "model", "accuracy", "all", value, value - 0.04, value + 0.04, 600)
        for model, value in values.items()
    ))  # fmt: skip


def headline(directory, seen, **values):
    report([rewards(**values)], directory, replace(NOTHING, seen=seen))
    page = page_of(directory)
    return page[page.index("<h1") : page.index("</h1>")]


def test_a_reward_on_its_training_rows_is_called_in_sample(tmp_path):
    words = headline(tmp_path / "report", {"own": SeenRows(600, 600)}, own=0.99)
    assert "In-sample accuracy" in words
    assert said(tmp_path / "report")["In-sample"].startswith("All 600 rows of own were in the ")


def test_rewards_with_equally_many_seen_rows_share_a_clause():
    seen = {"a": SeenRows(216, 216), "b": SeenRows(216, 30), "c": SeenRows(216, 216)}
    finding = in_sample_finding({**seen, "d": SeenRows(216, 0)})
    assert finding.text.startswith(
        "All 216 rows of a and c and 30 of 216 rows of b were in the training of the models behind"
    )
    assert in_sample_finding({"d": SeenRows(216, 0)}) is None


def test_a_mixture_has_no_accuracy_in_the_headline(tmp_path):
    words = headline(tmp_path / "report", {"own": SeenRows(600, 150)}, own=0.9)
    assert "No held-out accuracy" in words
    assert "25.0" in words
    assert "90.0" not in words


def test_a_held_out_reward_comes_before_a_better_one_that_is_in_sample(tmp_path):
    words = headline(tmp_path / "report", {"own": SeenRows(600, 600)}, own=0.99, new=0.6)
    assert "60.0" in words
    assert "99.0" not in words


def test_a_model_card_says_what_is_known_of_the_training_data(tmp_path):
    texts = {}
    for name, seen in {
        "own": SeenRows(600, 600), "new": SeenRows(600, 0), "far": SeenRows(600, 0, known=False)
    }.items():  # fmt: skip
        directory = tmp_path / name
        directory.mkdir()
        plan = replace(NOTHING, seen={name: seen})
        made = ModelCard(model=name).report(
            [rewards(**{name: 0.7})], directory=directory, plan=plan
        )
        texts[name] = (directory / made.entry).read_text()
    assert "**In-sample:** 600 of 600 rows were in the training data" in texts["own"]
    assert "Held out: none of 600 rows or prompts was in the training data." in texts["new"]
    assert "What the model was trained on is not known." in texts["far"]
