"""One spec from ratings and preferences to a reward model that explains itself."""

from __future__ import annotations

import json

import numpy as np
import pytest
from assembled_cases import WORDS, talk_pairs

import rmplug
from rmplug.testing.tiny_models import tiny_model


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spec")
    rng = np.random.default_rng(2)
    rated = [
        {
            "id": f"r{n}",
            "prompt": f"Say {WORDS[n // 2 % 10]}",
            "response": " ".join(rng.choice(WORDS, int(rng.integers(1, 7)))),
            "ratings.helpful": float(rng.integers(0, 5)),
            "ratings.verbose": float(rng.integers(0, 5)),
        }
        for n in range(60)
    ]
    pairs = [
        {key: row[key] for key in ("id", "prompt", "chosen", "rejected", "subset")}
        for row in talk_pairs(60).table.to_pylist()
    ]
    for name, rows in (("rated", rated), ("pairs", pairs)):
        text = "\n".join(json.dumps(row) for row in rows)
        (folder / f"{name}.jsonl").write_text(text + "\n")
    encoder = str(tiny_model("llama", folder, head="none"))
    attribute = {"low": 0, "high": 4}
    steps = {
        "pairs": {"kind": "pairs-file", "params": {"path": str(folder / "pairs.jsonl")}},
        "rated": {"kind": "responses-file", "params": {"path": str(folder / "rated.jsonl")}},
        "encoder": {
            "kind": "encoder",
            "params": {"path": encoder, "template": "chat", "pooling": "last", "device": "cpu"},
        },
        "seen": {"kind": "hidden-state", "inputs": {"model": "encoder", "data": "rated"}},
        "states": {
            "kind": "hidden-state",
            "inputs": {"model": "encoder", "data": "pairs"},
            "params": {"part": "both"},
        },
        "heads": {
            "kind": "multi-objective-ridge",
            "inputs": {"states": ["seen"], "data": ["rated"]},
            "params": {
                "attributes": {
                    name: {"column": f"ratings.{name}", **attribute}
                    for name in ("helpful", "verbose")
                }
            },
        },
        "rewards": {"kind": "predict", "inputs": {"fit": "heads", "features": ["seen"]}},
        "words": {"kind": "lexical", "inputs": "rated"},
        "debias": {
            "kind": "debias",
            "inputs": {"rewards": "rewards", "measures": ["words"]},
            "params": {"against": ["verbose", "words.response.characters"]},
        },
        "gate": {
            "kind": "gate",
            "inputs": {"heads": "heads", "states": "states", "data": "pairs", "debias": "debias"},
            "params": {"steps": 20, "hidden": 8, "batch": 16, "check_every": 5},
        },
        "model": {
            "kind": "assemble",
            "inputs": {
                "encoder": "encoder", "heads": "heads", "gate": "gate", "debias": "debias",
            },
        },
        "reward": {"kind": "reward", "inputs": {"model": "model", "data": "pairs"}},
        "why": {"kind": "contributions", "inputs": {"model": "model", "data": "pairs"}},
        "which": {"kind": "attributes", "inputs": {"data": "pairs", "contributions": "why"}},
    }  # fmt: skip
    spec = {"name": "interpretable", "seed": 3, "steps": steps}
    return rmplug.run(spec, store=folder / "store")


def test_rewards_and_explanations_agree(finished):
    reward, why = finished["reward"], finished["why"]
    names = [c.removeprefix("weight.") for c in why.columns if c.startswith("weight.")]
    assert names == ["helpful", "verbose", "words.response.characters"]
    total = sum(np.asarray(why[f"chosen.contribution.{name}"]) for name in names)
    np.testing.assert_allclose(total, np.asarray(reward["chosen"]), atol=1e-6)
    assert {"margin", "margin.helpful", "margin.verbose"} <= set(reward.columns)


def test_attributes_are_measured_where_the_heat_map_needs_them(finished):
    rows = finished["which"].table.to_pylist()
    cells = {(r["row"], r["column"]) for r in rows if r["metric"] == "accuracy"}
    assert {("helpful", "all"), ("helpful", "odd"), ("verbose", "even")} <= cells


def test_the_checkpoint_of_the_run_scores_from_python(finished):
    scorer = rmplug.load(finished["model"].directory)
    found = scorer.rank("Say egg 0", ["great egg", "no"])
    assert [entry.rank for entry in found] == [1, 2]
