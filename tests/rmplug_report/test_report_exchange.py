"""The model card, the figures alone, and scores in other tools' layouts."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pyarrow as pa
import pytest
import yaml
from benchmark_inputs import benchmark, comparison
from report_inputs import ACCURACY, PLAN, everything, metrics_of, pairs_of, reward_of

from rmplug import Checkpoint, DataError, Features, Pairs, PlanView
from rmplug.families import PlanStep
from rmplug.notices import collect_notices
from rmplug.stats.metric_rows import number
from rmplug_report import Figures, ModelCard, ScoresFile
from rmplug_text.recorded import Recorded
from rmplug_trl.reward_models.reward_model import RewardModelTrainer

NOTHING = PlanView("card", 13, [])


def made(reporter, items, directory, plan=NOTHING):
    directory.mkdir()
    return reporter.report(items, directory=directory, plan=plan)


def card(items, directory, plan=NOTHING, **params):
    made(ModelCard(**params), items, directory, plan)
    return (directory / "README.md").read_text(encoding="utf-8")


def test_a_card_has_values_intervals_n_rules_sentences_and_data_facts(tmp_path):
    items = [pairs_of(30), benchmark(), comparison()]
    text = card(items, tmp_path / "card", PLAN, model="InternLM2-20B")
    assert text.startswith("## Evaluation of InternLM2-20B\n")
    assert "| Score | all | 63.4 % | 58–68 | 350 | longer 52.0 % |" in text
    assert "- Skywork-27B and InternLM2-20B cannot be told apart here" in text
    assert "Skywork-27B and GRM-Gemma-2B" not in text
    assert "- On coding the rule longer is right on 73.8 % of 42 items" in text
    assert "- pairs: 30 rows, 30 distinct prompts" in text
    assert "- pairs: 6 rows kept: empty response" in text
    assert "Seed 13." in text and "why (sklearn)" in text


def test_a_card_has_the_numbers_of_the_training_and_the_spec(tmp_path):
    numbers = [
        {**number("accuracy", 0.9, 24, 0.8, 0.95)},
        {**number("accuracy-of-longer", 0.5, 24, 0.4, 0.6)},
        {**number("log-loss", 0.7, 0, subset="training"), "step": 10},
    ]
    items = [metrics_of(*ACCURACY), Checkpoint(tmp_path, RewardModelTrainer, numbers, "trained")]
    odd = {"template": "```\n{prompt}\u202e", "lora": {"r": 8}}
    step = PlanStep(
        "trained", "reward-model", "trainer", "", {"data": ["pairs"]}, odd, "", None, []
    )
    text = card(items, tmp_path / "card", PlanView("card", 13, [step]))
    trained = text.partition("### Training of trained")[2].partition("###")[0]
    assert "count as seen by the model" in trained
    assert "| Accuracy | all | 90.0 % | 80–95 | 24 |" in trained
    assert "50.0 %" in trained and "training |" not in trained
    spec = text.partition("### Spec\n\n````yaml\n")[2]
    assert spec.endswith("````\n")
    assert yaml.safe_load(spec.removesuffix("````\n")) == {
        "seed": 13,
        "steps": {
            "trained": {"kind": "reward-model", "inputs": {"data": ["pairs"]}, "params": odd}
        },
    }
    assert spec.isascii()


def test_the_model_of_a_card_is_the_one_most_numbers_are_of(tmp_path):
    text = card([metrics_of(*ACCURACY)], tmp_path / "card")
    assert text.startswith("## Evaluation of reward\n")
    assert "| Accuracy | code | 50.0 % | 41–59 | 100 | longer 55.0 % |" in text


def test_front_matter_is_a_model_index(tmp_path):
    params = {"front_matter": True, "name": "org/reward", "dataset": "org/pairs"}
    text = card([metrics_of(*ACCURACY)], tmp_path / "card", **params)
    front = yaml.safe_load(text.split("---\n")[1])
    (model,) = front["model-index"]
    assert model["name"] == "org/reward"
    (result,) = model["results"]
    assert result["dataset"]["type"] == "org/pairs"
    assert result["metrics"][0] == {
        "type": "accuracy",
        "value": 0.613,
        "name": "accuracy, the whole (95 % CI 57.9–64.6)",
    }


@pytest.mark.skipif(
    importlib.util.find_spec("huggingface_hub") is None, reason="huggingface_hub is not installed"
)
def test_the_hub_reads_the_front_matter(tmp_path):
    from huggingface_hub import ModelCard as HubCard

    text = card([benchmark()], tmp_path / "card", front_matter=True, model="GRM-Gemma-2B")
    found = HubCard(text).data
    assert found.model_name == "GRM-Gemma-2B"
    values = {one.metric_name.split(" (")[0]: one.metric_value for one in found.eval_results}
    assert values["score, the whole"] == 0.594


def test_texts_cannot_break_the_tables_of_a_card(tmp_path):
    name = "a|b <script> [x](y)"
    rows = [(name, "model", "accuracy", "all", 0.5, 0.4, 0.6, 10)]
    text = card([metrics_of(*rows)], tmp_path / "card")
    assert "<script>" not in text.replace("\\<script\\>", "")
    assert "a\\|b" in text


def test_an_unknown_model_is_named_with_those_that_are_known(tmp_path):
    with pytest.raises(DataError) as error:
        card([benchmark()], tmp_path / "card", model="Skywork")
    assert str(error.value).startswith("no metrics of the model 'Skywork'; set model to one of")
    with pytest.raises(DataError) as error:
        card([pairs_of(3)], tmp_path / "none")
    assert "needs metrics with the column model" in str(error.value)


def test_figures_are_those_of_the_page(page, tmp_path):
    found = made(Figures(), everything(tmp_path), tmp_path / "figures", PLAN)
    files = {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (page / "figures").iterdir()}
    assert found.entry == "lengths.svg"


def test_figures_of_nothing_are_an_error(tmp_path):
    with pytest.raises(DataError) as error:
        made(Figures(), [], tmp_path / "figures")
    assert str(error.value).startswith("figures has nothing to draw")


def responses_of(pairs):
    """A batch of all responses of the pairs, as a reward model is asked."""
    rows = [
        (f"{row['id']}/{side}", row["prompt"], row[side])
        for row in pairs.table.to_pylist()
        for side in ("chosen", "rejected")
    ]
    ids, prompts, texts = zip(*rows, strict=True)
    kind = pairs["prompt"].type
    return pa.record_batch({
        "id": pa.array(ids), "prompt": pa.array(prompts, kind), "response": pa.array(texts, kind)
    })  # fmt: skip


@pytest.mark.parametrize("layout", ["rewardbench", "judgebench"])
@pytest.mark.parametrize("by", ["id", "text"])
def test_scores_survive_the_way_out_and_back(tmp_path, layout, by):
    pairs = pairs_of(40)
    places = pairs.table.append_column("place", pa.array([i % 2 for i in range(40)]))
    pairs = Pairs(places, "pairs")
    reward = reward_of(pairs)
    found = made(ScoresFile(layout=layout, model="org/reward"), [pairs, reward], tmp_path / "out")
    again = Recorded(path=(tmp_path / "out" / found.entry,), by=by).load().score(
        responses_of(pairs)
    )  # fmt: skip
    expected = np.stack([reward[side].to_numpy() for side in ("chosen", "rejected")], axis=1)
    np.testing.assert_array_equal(again, expected.ravel())


def test_rewardbench_files_count_a_tie_as_lost(tmp_path):
    pairs = pairs_of(4)
    scores = {"chosen": [2.0, 1.0, 0.0, 5.0], "rejected": [1.0, 1.0, 3.0, 4.0]}
    margin = np.subtract(scores["chosen"], scores["rejected"])
    reward = Features({"id": pairs["id"], **scores, "margin": margin}, "m/r")
    made(ScoresFile(layout="rewardbench"), [pairs, reward], tmp_path / "out")
    rows = [
        json.loads(line)
        for line in (tmp_path / "out/m_r_outputs.jsonl").read_text("utf-8").splitlines()
    ]
    assert [row["results"] for row in rows] == [1, 0, 0, 1]
    assert rows[0]["text_chosen"][-1]["content"] == rows[0]["chosen"]
    summary = json.loads((tmp_path / "out/m_r.json").read_text())
    assert (summary["accuracy"], summary["num_prompts"]) == (0.5, 4)
    assert summary["extra_results"] == {"facts": 1.0, "code": 0.0, "tone": 0.0}


def test_judgebench_files_have_two_mirrored_games(tmp_path):
    pairs = Pairs(pairs_of(2).table.append_column("place", pa.array([0, 1])))
    reward = Features({"id": pairs["id"], "chosen": [3.0, 1.0], "rejected": [1.0, 1.0],
                       "margin": [2.0, 0.0]}, "r")  # fmt: skip
    found = made(ScoresFile(layout="judgebench"), [pairs, reward], tmp_path / "out")
    first, second = (
        json.loads(line) for line in (tmp_path / "out" / found.entry).read_text().splitlines()
    )
    games = [one["judgment"]["scores"] for one in first["judgments"]]
    assert (first["label"], games) == ("A>B", [[3.0, 1.0], [1.0, 3.0]])
    assert [one["decision"] for one in first["judgments"]] == ["A>B", "B>A"]
    assert second["label"] == "B>A"
    assert [one["decision"] for one in second["judgments"]] == ["B>A", "B>A"]


def test_missing_scores_are_null_and_named(tmp_path):
    pairs = pairs_of(2)
    reward = Features({"id": pairs["id"], "chosen": [np.nan, 1.0], "rejected": [1.0, 0.0],
                       "margin": [np.nan, 1.0]}, "r")  # fmt: skip
    with collect_notices() as notices:
        made(ScoresFile(layout="rewardbench"), [pairs, reward], tmp_path / "out")
    row = json.loads((tmp_path / "out/r_outputs.jsonl").read_text().splitlines()[0])
    assert (row["scores_chosen"], row["results"]) == (None, 0)
    assert [(one.count, one.ids) for one in notices.values()] == [(1, ["pair-00000"])]


def test_margins_alone_cannot_be_written(tmp_path):
    pairs = pairs_of(2)
    reward = Features({"id": pairs["id"], "margin": [1.0, 2.0]}, "r")
    with pytest.raises(DataError) as error:
        made(ScoresFile(layout="rewardbench"), [pairs, reward], tmp_path / "out")
    assert str(error.value) == (
        "scores-file needs the scores of both responses; r has only margins"
    )
