"""The section of what explains a reward says no more than its numbers allow."""

from __future__ import annotations

import numpy as np
import pytest
from report_inputs import report

from rmplug import Features, PlanView, Responses
from rmplug_report.findings._findings import findings
from rmplug_report.inputs._hidden import NOT_SHOWN
from rmplug_report.inputs._inputs import gather
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.inputs._wording import plain
from rmplug_report.sections._explained import explained_shares
from rmplug_tabular import Explain

GROUP = np.repeat(np.arange(60), 2)
KEYS = {"id": [f"r{i}" for i in range(120)], "group": [f"p{i}" for i in GROUP]}
PLAN = PlanView("explained", 1, ())


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """The fit of a reward that goes with length, the fit of one that goes with nothing, and the
    responses."""
    rng = np.random.default_rng(0)
    length, tone = rng.normal(size=(2, 120))
    words = Features({**KEYS, "length": length}, "words")
    mood = Features({**KEYS, "tone": tone}, "mood")
    fits = []
    for name, effect in (("why", 1.0), ("why-not", 0.0)):
        reward = Features({**KEYS, "reward": effect * length + rng.normal(size=120)}, "reward")
        step = Explain(folds=4, permutations=39, resamples=20, strengths=(1e-3, 1.0, 30.0))
        fit = step.fit([words, mood], reward, seed=2, directory=tmp_path_factory.mktemp(name))
        fit.name = name
        fits.append(fit)
    texts = {"prompt": [f"Question {i}?" for i in GROUP], "response": [f"<b>{i}" for i in GROUP]}
    return [*fits, Responses({**KEYS, **texts}, "data")]


def test_sentences_name_what_is_beyond_chance_and_nothing_else(explained):
    inputs = gather(explained, PLAN)
    texts = [plain(one.text) for one in findings(inputs, MetricLookup([]))]
    texts = [one for one in texts if "features explain" in one or "goes stably" in one]
    assert texts[0].startswith("Within prompts the features explain ")
    assert "To what the others explain, a family adds: words" in texts[0]
    assert "Nothing beyond chance is added by mood." in texts[0]
    assert "words.length (+" in texts[1]
    assert "explain nothing of the target of why-not beyond chance (R²" in texts[2]
    assert len(texts) == 3


def test_the_section_draws_each_part_and_shows_the_texts_of_surprises(explained):
    section = explained_shares(gather(explained, PLAN), MetricLookup([]))
    first, _ = section.parts
    names = [drawing.name for drawing in first.drawings]
    assert names[:3] == ["shares-1-within", "shares-1-between", "shares-1-all"]
    shown = first.drawings[0].numbers.rows
    assert {(row[0], row[1]) for row in shown} >= {("alone", "words"), ("unique", "mood")}
    (table,) = first.tables
    texts = [row[-1] for row in table.numbers.rows]
    assert all(text.startswith("Question ") and "? → <b>" in text for text in texts)
    assert [row[1] for row in table.numbers.rows[:4]] == ["missed", "alike", "alike", "alike"]


def test_texts_of_surprises_with_personal_data_are_not_shown(explained):
    ids = explained[0].tables["surprises"]["id"].to_pylist()
    private = Features({"id": [ids[0]], "personal": [1]}, "private")
    section = explained_shares(gather([*explained, private], PLAN), MetricLookup([]))
    rows = section.parts[0].tables[0].numbers.rows
    assert {row[-1] for row in rows if row[2] == ids[0]} == {NOT_SHOWN}
    assert all(row[-1] != NOT_SHOWN for row in rows if row[2] != ids[0])


def test_the_page_holds_the_section_and_escapes_its_texts(explained, tmp_path):
    report(explained, tmp_path / "r", PLAN)
    page = (tmp_path / "r/index.html").read_text(encoding="utf-8")
    assert "What explains the reward" in page and "all families together" in page
    assert "→ &lt;b&gt;" in page and "→ <b>" not in page
    assert '"shares"' in (tmp_path / "r/metrics.json").read_text(encoding="utf-8")
