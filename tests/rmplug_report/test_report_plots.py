"""Plots of any column against any other: their rows, their statistics, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from report_inputs import fit_of, pairs_of, report, reward_of
from scipy import stats

from rmplug import DataError, Features, PlanView, Responses, SpecError
from rmplug._kinds.registry import discover
from rmplug._spec.check import load_spec
from rmplug._spec.source import parse_source
from rmplug_report.inputs._plotted import Plotted, plotted
from rmplug_report.inputs._trends import parts_of

PLAN = PlanView("plots", 13, [])
PAIRS = pairs_of(240)
REWARD = reward_of(PAIRS)


def words_of(ids, name="words", seed=3, **columns):
    rng = np.random.default_rng(seed)
    numbers = {
        "prompt.words": rng.integers(1, 90, len(ids)),
        "chosen.words": rng.normal(size=len(ids)),
    }
    return Features({"id": ids, **numbers, **columns}, name)


WORDS = words_of(PAIRS["id"].to_pylist()[::-1])


def told(folder, items, plots):
    report(items, folder, PLAN, plots=plots)
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["plots"]


def test_a_plot_tells_the_rank_correlation_of_all_and_of_each_subset(tmp_path):
    plots = {"reward.margin": "words.prompt.words"}
    rows = {row["subset"]: row for row in told(tmp_path / "page", [PAIRS, REWARD, WORDS], plots)}
    x, y = WORDS["prompt.words"].to_numpy()[::-1], REWARD["margin"].to_numpy()
    assert rows["all"]["value"] == pytest.approx(stats.spearmanr(x, y).statistic)
    assert rows["all"]["low"] < rows["all"]["value"] < rows["all"]["high"]
    assert (rows["all"]["n"], rows["all"]["groups"]) == (240, len(PAIRS["group"].unique()))
    facts = np.array(PAIRS["subset"].to_pylist()) == "facts"
    assert rows["facts"]["value"] == pytest.approx(stats.spearmanr(x[facts], y[facts]).statistic)
    text = (tmp_path / "page/index.html").read_text(encoding="utf-8")
    assert 'id="plots"' in text and "reward.margin by words.prompt.words" in text
    assert (tmp_path / "page/figures/plot-1.png").is_file()


def test_the_trend_is_the_mean_of_parts_with_equally_many_rows():
    (plot,) = plotted([PAIRS, REWARD, WORDS], {"reward.margin": ["words.prompt.words"]})
    parts = parts_of(plot)
    assert sum(part.rows for part in parts) == 240 and len(parts) == 12
    for part in parts:
        inside = (plot.x >= part.lowest) & (plot.x <= part.highest)
        assert (part.rows, part.value) == (inside.sum(), pytest.approx(plot.y[inside].mean()))
        assert part.low < part.value < part.high


def test_the_band_holds_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    group = np.repeat(np.arange(40), 6).astype(str)
    held = []
    for _ in range(60):
        effect = np.repeat(rng.normal(size=40), 6)
        x, y = rng.integers(0, 3, 240), effect + rng.normal(size=240)
        ids = [str(i) for i in range(240)]
        table = Features({"id": ids, "group": group, "x": x, "y": y}, "t")
        (plot,) = plotted([table], {"t.y": ["t.x"]})
        held += [part.low <= 0 <= part.high for part in parts_of(plot)]
    assert 0.88 < np.mean(held) <= 1


def test_a_category_of_few_prompts_is_as_unsure_as_its_prompts_and_one_prompt_has_no_interval():
    rng = np.random.default_rng(6)
    group = np.array([*range(50), *np.repeat([50, 51, 52], 8), *[60] * 8])
    kinds = np.array(["many"] * 50 + ["three"] * 24 + ["one"] * 8, dtype=object)
    held = 0
    for _ in range(60):
        y = rng.normal(size=61)[group] + 0.3 * rng.normal(size=82)
        _, one, three = parts_of(Plotted("t.y", "t.kind", None, kinds, y, group, None, 82))
        held += three.low <= 0 <= three.high
        assert (one.low, one.high) == (None, None) and one.rows == 8
    assert held >= 54


def test_texts_and_truth_values_are_categories_and_the_rarest_are_others():
    ids = PAIRS["id"].to_pylist()
    table = words_of(ids, long=np.arange(240) % 3 == 0)
    by_subset, by_truth = plotted(
        [PAIRS, REWARD, table], {"reward.margin": ["pairs.subset", "words.long"]}
    )
    assert [part.name for part in parts_of(by_subset)] == ["code", "facts", "tone"]
    assert [(part.name, part.rows) for part in parts_of(by_truth)] == [
        ("false", 160),
        ("true", 80),
    ]
    margin = REWARD["margin"].to_numpy()
    assert parts_of(by_truth)[1].value == pytest.approx(margin[::3].mean())
    sources = Responses(
        {"id": ids, "prompt": ["?"] * 240, "response": ["!"] * 240,
         "source": [f"s{min(i, 14)}" for i in range(240)]}, "given",
    )  # fmt: skip
    (many,) = plotted([sources, REWARD], {"reward.margin": ["given.source"]})
    assert len(set(many.categories)) == 13 and "others" in many.categories


def test_a_column_of_chosen_responses_joins_features_of_responses():
    ids = [f"{id}/{side}" for id in PAIRS["id"].to_pylist() for side in ("chosen", "rejected")]
    each = words_of(ids, "each")
    (plot,) = plotted([PAIRS, REWARD, each], {"reward.rejected": ["each.prompt.words"]})
    assert plot.x.tolist() == each["prompt.words"].to_pylist()[1::2]
    assert plot.y.tolist() == REWARD["rejected"].to_pylist()
    assert set(plot.subsets) == {"facts", "code", "tone"}
    with pytest.raises(DataError, match="no row in common.*with per-response"):
        plotted([REWARD, each], {"reward.margin": ["each.prompt.words"]})


def test_held_out_rows_of_a_fit_can_be_drawn(tmp_path):
    (plot,) = plotted([fit_of(tmp_path, PAIRS), WORDS], {"why.residual": ["words.prompt.words"]})
    assert len(plot.y) == 240


def test_rows_without_a_value_are_counted_and_many_rows_are_hexagons(tmp_path):
    pairs = pairs_of(900)
    reward = reward_of(pairs)
    x = np.where(np.arange(900) < 50, np.nan, np.arange(900))
    sparse = Features({"id": pairs["id"], "x": x, "none": np.full(900, np.nan)}, "sparse")
    plots = {"reward.margin": ["sparse.x", "sparse.none"]}
    rows = told(tmp_path / "page", [pairs, reward, sparse], plots)
    assert {(row["by"], row["n"]) for row in rows if row["subset"] == "all"} == {
        ("sparse.x", 850), ("sparse.none", 0)
    }  # fmt: skip
    text = (tmp_path / "page/index.html").read_text(encoding="utf-8")
    assert "50 rows without a value left out." in text
    assert "reward.margin by sparse.none: no row has both values." in text
    assert "Subsets are in the table of rank correlations." in text


def test_what_cannot_be_drawn_is_said_in_a_sentence():
    twice = words_of([*PAIRS["id"].to_pylist(), PAIRS["id"][0].as_py()], "twice")
    items = [PAIRS, REWARD, WORDS, twice]
    for plots, sentence in (
        ({"pairs.subset": ["reward.margin"]}, "pairs.subset holds texts; the target of a plot"),
        ({"reward.margin": ["pairs.prompt"]}, "pairs.prompt holds list.*takes numbers or texts"),
        ({"reward.margn": ["words.prompt.words"]}, "no column 'margn'; did you mean 'margin'"),
        ({"reward.margin": ["word.prompt.words"]}, "no input has 'word.prompt.words'; did you"),
        ({"reward.margin": ["twice.prompt.words"]}, "ids of twice.prompt.words repeat"),
    ):
        with pytest.raises(DataError, match=sentence):
            plotted(items, plots)


SPEC = """
steps:
  pairs: {kind: synthetic, params: {size: 50}}
  words: {kind: lexical, inputs: pairs, params: {measures: [words]}}
  model: {kind: ngram-head, inputs: pairs}
  reward: {kind: reward, inputs: {model: model, data: pairs}}
  report:
    kind: html
    inputs: [pairs, words, reward, model]
    params:
      plots:
        reward.loss: [words.prompt.words, words.prompt.wrods]
        pairs.subset: words.prompt.words
        reward.margin: [pairs.prompt, wrds.prompt.words, model.x]
"""


def test_a_check_refuses_columns_that_cannot_be_there_where_they_are_written():
    with pytest.raises(SpecError) as caught:
        load_spec(parse_source(SPEC), discover())
    said = [(p.line, p.column, p.message.split(" (")[0]) for p in caught.value.problems]
    assert said == [
        (12, 43, "words gives no column 'prompt.wrods'; did you mean 'prompt.words'?"),
        (13, 23, "pairs.subset holds texts; name a number or a truth value"),
        (14, 25, "pairs.prompt holds chat messages; name a number or a truth value or a text"),
        (14, 39, "no input of this report has 'wrds.prompt.words': write <input>.<column> of one "
                 "of its inputs"),
        (14, 58, "model gives Checkpoint, which has no columns"),
    ]  # fmt: skip
    load_spec(parse_source(SPEC.partition("      plots:")[0]), discover())
