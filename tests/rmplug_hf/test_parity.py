"""Certificates: two ways that are the same are said to be, and a planted fault is named."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from planted_faults import FAULTS, NAMED, faulty_scores, planted_pairs

from rmplug import DataError, Features, Known, Pairs, Responses
from rmplug.notices import collect_notices
from rmplug.testing import LengthModel, check_step, run_step
from rmplug_hf import Encoder, Parity, SequenceClassifier

PAIRS = planted_pairs(18)
ONE_OF_EACH = {
    "none": "gpt2",
    "template": "qwen2",
    "special tokens twice": "bert",
    "no end": "llama",
    "pad token": "gpt2",
    "cut on the right": "bert",
    "cut on the left": "llama",
    "sigmoid": "gpt2",
    "left padding": "bert",
    "padding is read": "gpt2",
    "system prompt": "qwen2",
    "bfloat16": "llama",
    "generation prompt": "gpt2",
    "exchanged": "llama",
}


@pytest.fixture(scope="module")
def loaded(tiny):
    return cache(lambda architecture: SequenceClassifier(path=tiny(architecture)).load())


def certified(model, other, data=PAIRS, **params):
    """The values of a certificate by metric, and its sentences."""
    step = Parity(**{"rows": len(data), **params})
    rows = step.evaluate(model, other, data, seed=0).table.to_pylist()
    values = {row["metric"]: row["value"] for row in rows if row["setting"] is None}
    return values, [row["sentence"] for row in rows if row["sentence"]]


def test_every_sort_of_fault_is_tried():
    assert ONE_OF_EACH.keys() == FAULTS.keys() == {"none", *NAMED}


@pytest.mark.parametrize(("fault", "architecture"), ONE_OF_EACH.items())
def test_the_fault_of_a_loop_is_named(tiny, loaded, fault, architecture):
    recorded = faulty_scores(fault, tiny(architecture), PAIRS)
    values, told = certified(loaded(architecture), recorded)
    if fault == "none":
        assert len(told) == 1 and "are the same up to rounding" in told[0]
        assert values["largest-difference"] < 1e-5 and values["correlation"] > 0.999999
        assert values["flipped"] == 0
    else:
        assert "differ: largest difference" in told[0]
        assert NAMED[fault] in told[1] and "explain" in told[1]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"template": "{prompt} {response}"}, "template: '{prompt} {response}' instead of chat"),
        ({"max_length": 30}, "max_length: 30 instead of none"),
        ({"dtype": "bfloat16", "batch_tokens": 64}, "dtype: bfloat16 instead of auto"),
        ({"pad_token": "<|eot_id|>", "attention": "eager"}, "pad_token: '<|eot_id|>' instead of"),
    ],
)
def test_of_two_loaders_the_setting_that_differs_is_named(tiny, loaded, changed, named):
    other = SequenceClassifier(path=tiny("llama", pad="none"), **changed).load()
    model = SequenceClassifier(path=tiny("llama", pad="none")).load()
    values, told = certified(model, other)
    assert named in told[2] and "explains the difference" in told[2]
    if "template" in changed:
        assert values["different-tokens"] == 1
        assert "in 36 of 36 texts, first in p0/chosen at token 1: " in told[1]
        assert told[1].rpartition(": ")[2].startswith("'<|start_header_id|>' and '")
    elif "max_length" in changed:
        assert 0.5 < values["different-tokens"] < 1 and "read different tokens in " in told[1]
    else:
        assert values["different-tokens"] == 0 and "read the same tokens in all 36" in told[1]


def test_batches_and_attention_make_no_difference(tiny, loaded):
    other = SequenceClassifier(path=tiny("llama"), batch_tokens=1, attention="eager").load()
    values, told = certified(loaded("llama"), other)
    assert len(told) == 2 and "are the same up to rounding" in told[0]
    assert 0 < values["largest-difference"] < 1e-4


def test_of_two_models_the_files_that_differ_are_named(tiny, loaded):
    other = SequenceClassifier(path=tiny("llama", seed=1)).load()
    values, told = certified(loaded("llama"), other, rows=4)
    assert values["different-files"] == 2
    assert told[2] == "The files of the model and the other differ: made.json, model.safetensors."
    assert told[3].startswith("Nothing that was tried explains")


def test_margins_alone_are_enough(tiny, loaded):
    recorded = faulty_scores("cut on the right", tiny("llama"), PAIRS).table
    margin = np.subtract(recorded["chosen"].to_numpy(), recorded["rejected"].to_numpy())
    margins = Features({"id": recorded["id"], "margin": margin}, "recorded")
    _, told = certified(loaded("llama"), margins)
    assert told[0].startswith("The margins of") and NAMED["cut on the right"] in told[1]


def test_rounded_numbers_are_the_same(tiny, loaded):
    exact = faulty_scores("none", tiny("llama"), PAIRS).table
    sides = {side: np.round(exact[side].to_numpy(), 2) for side in ("chosen", "rejected")}
    rounded = Features({"id": exact["id"], **sides}, "recorded")
    assert "are the same up to rounding" in certified(loaded("llama"), rounded)[1][0]


def test_a_scale_is_named_and_what_nothing_explains_is_said(tiny, loaded):
    exact = faulty_scores("none", tiny("llama"), PAIRS).table
    both = ("chosen", "rejected")
    scaled = {side: exact[side].to_numpy() * 2.5 - 1 for side in both}
    _, told = certified(loaded("llama"), Features({"id": exact["id"], **scaled}, "recorded"))
    assert told[1].startswith("scores times 2.5 plus -1 explains the difference")
    chance = np.random.default_rng(0)
    drawn = {side: chance.normal(size=len(PAIRS)) for side in both}
    _, told = certified(loaded("llama"), Features({"id": exact["id"], **drawn}, "recorded"))
    assert told[1].startswith("Nothing that was tried explains the difference of the model and")


def test_responses_are_compared_within_prompts_and_rows_without_a_score_are_named(tiny, loaded):
    table = PAIRS.table
    rows = [
        {"id": f"{n}-{side}", "prompt": row["prompt"], "response": row[side]}
        for n, row in enumerate(table.slice(0, 6).to_pylist())
        for side in ("chosen", "rejected")
    ]
    data = Responses({name: [row[name] for row in rows] for name in rows[0]})
    scores = loaded("llama").score(data.table.combine_chunks().to_batches()[0])[:, 0]
    scores[3] = np.nan
    recorded = Features({"id": data["id"].to_pylist(), "reward": -scores}, "recorded")
    with collect_notices() as notices:
        values, told = certified(loaded("llama"), recorded, data)
    [lost] = [notice for notice in notices.values() if notice.what == "no score by the other way"]
    assert lost.ids == ["1-rejected"]
    assert values["flipped"] == 1 and values["correlation"] == pytest.approx(-1)
    assert "scores with their sign changed explains" in told[1]


def test_nothing_is_taken_from_the_store(tiny, tmp_path):
    """Two models that differ in batches alone have kept values in common: each is asked anew."""
    steps = {"path": str(tiny("llama"))}
    one = SequenceClassifier(**steps)
    two = SequenceClassifier(**steps, batch_tokens=1)
    given = {"model": one.load(), "other": two.load(), "data": PAIRS}
    table = run_step(Parity(rows=8), given, tmp_path).table
    values = dict(zip(table["metric"].to_pylist(), table["value"].to_pylist(), strict=True))
    assert 0 < values["largest-difference"] < 1e-4


def test_what_cannot_be_compared_is_refused(tiny, loaded):
    model = loaded("llama")
    with pytest.raises(DataError, match="parity asks a model of transformers in several ways"):
        certified(LengthModel(), model)
    with pytest.raises(DataError, match="recorded has no column chosen, rejected; give the scores"):
        certified(model, Features({"id": PAIRS["id"].to_pylist(), "x": np.zeros(18)}, "recorded"))
    few = Features({"id": ["p0"], "chosen": [1.0], "rejected": [2.0]}, "recorded")
    with pytest.raises(DataError, match="only 1 of the first 18 rows have scores by both ways"):
        certified(model, few)


def test_a_check_knows_what_has_no_scores_and_what_is_the_same():
    data = [Known(Pairs)]
    scored = Known(LengthModel, step="scorer", outputs=("reward",))
    encoder = Known(LengthModel, step="states", outputs=Encoder(name="minilm").foresee({}).outputs)
    told = list(Parity().mistakes({"model": [scored], "other": [encoder], "data": data}))
    assert told == [("other", "states gives no scores; name a reward model")]
    told = list(Parity().mistakes({"model": [scored], "other": [scored], "data": data}))
    assert told == [("other", "scorer is compared with itself; name another model, or scores")]


def test_it_keeps_the_promises_of_a_step(tiny, loaded):
    recorded = faulty_scores("none", tiny("llama"), PAIRS)
    check_step(
        Parity,
        {"rows": 4},
        {"model": loaded("llama"), "other": recorded, "data": PAIRS},
        tolerance=1e-5,
    )
