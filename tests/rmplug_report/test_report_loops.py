"""Metrics that a loop collected, on the page: what each round and item measured, told apart."""

from __future__ import annotations

import json
import re

import pyarrow as pa
from report_inputs import report

from rmplug import Metrics, PlanView
from rmplug.records import SeenRows

NOTHING = PlanView("empty", 1, [])


def collected(column, **values):
    """Metrics as a loop collects them: of each item the accuracy of a model and of a baseline, and
    a curve of the model's accuracy."""
    same = {"subset": "all", "n": 60}
    rows = [
        {"model": model, "kind": kind, "metric": "accuracy", "value": value, "low": value - 0.1,
         "high": value + 0.1, "axis": axis, "at": at, **same, column: item}
        for item, (reward, longer) in values.items()
        for model, kind, value, axis, at in (
            ("reward", "model", reward, None, None),
            ("longer", "baseline", longer, None, None),
            *(("reward", "model", reward - 0.1 * at, "length gap", at) for at in (0.0, 1.0)),
        )
    ]  # fmt: skip
    return Metrics(pa.Table.from_pylist(rows), "rounds.accuracy")


def written(metrics, folder, plan=NOTHING):
    report(metrics, folder, plan)
    found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return found, (folder / "index.html").read_text(encoding="utf-8")


def test_each_round_is_a_model_of_its_own_beside_the_baselines_of_all(tmp_path):
    rounds = collected("round", **{"1": (0.7, 0.5), "2": (0.8, 0.5)})
    found, _ = written([rounds], tmp_path / "report")
    assert found["headline"].startswith("Best of 2 rewards, reward (round 2): accuracy 80.0")
    named = {(row["model"], row["value"]) for row in found["metrics"] if row["at"] is None}
    assert named == {("reward (round 1)", 0.7), ("reward (round 2)", 0.8), ("longer", 0.5)}
    drawn = (tmp_path / "report/figures/curve-1-1.svg").read_text(encoding="utf-8")
    assert re.findall(r">(reward[^<]*)<", drawn) == ["reward (round 2)", "reward (round 1)"]


def test_items_on_other_data_do_not_stand_for_the_model_beside_them(tmp_path):
    seeds = collected("item", **{"1": (0.9, 0.4), "2": (0.8, 0.6)})
    own = collected("none", only=(0.7, 0.5))
    found, _ = written([own, seeds], tmp_path / "report")
    assert re.match(r"Accuracy 70\.0\s% \(.*\); longer baseline 50\.0", found["headline"])
    baselines = {row["model"] for row in found["metrics"] if row["kind"] == "baseline"}
    assert baselines == {"longer", "longer (item 1)", "longer (item 2)"}


def test_models_that_are_not_the_same_in_two_items_keep_their_names(tmp_path):
    rows = collected("item", **{"1": (0.9, 0.5), "2": (0.8, 0.5)}).table.to_pylist()
    rows = [{**row, "model": f"{row['model']}-{row['item']}"} for row in rows]
    found, _ = written([Metrics(pa.Table.from_pylist(rows), "each")], tmp_path / "report")
    assert {row["model"] for row in found["metrics"]} == {
        "reward-1", "reward-2", "longer-1", "longer-2",
    }  # fmt: skip


def test_what_a_model_of_a_loop_has_seen_is_known_of_its_rounds(tmp_path):
    plan = PlanView("seen", 1, [], seen={"reward": SeenRows(60, 60)})
    rounds = collected("round", **{"1": (0.7, 0.5), "2": (0.8, 0.5)})
    found, _ = written([rounds], tmp_path / "report", plan)
    assert "in-sample accuracy" in json.dumps(found["findings"])
