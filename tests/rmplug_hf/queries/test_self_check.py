"""A query checks a few rows by itself: each alone, without padding, in float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from direct import Unopened

from rmplug import Responses
from rmplug._store.store import Store
from rmplug.checks import Check, collect_checks, merged_checks
from rmplug.data.rows import one_batch
from rmplug.notices import collect_notices
from rmplug.testing import run_step, small_pairs
from rmplug_hf import CausalLM, HiddenState, LogProb, SequenceClassifier
from rmplug_text import Reward


def checked(step, model, data):
    with collect_checks() as checks, collect_notices() as notices:
        table = step.query(model, data).table
    return table, list(checks.values()), list(notices.values())


def test_a_check_tells_how_far_scores_are_from_those_of_each_row_alone(tiny):
    pairs = small_pairs(20)
    model = SequenceClassifier(path=tiny("llama"), device="cpu").load()
    table, [check], notices = checked(Reward(), model, pairs)
    assert (check.what, check.exactly, check.rows, check.pairs) == ("scores", "float32", 8, 4)
    assert 0 <= check.mean <= check.largest < 1e-5
    assert check.flipped == 0
    scores = np.concatenate([table["chosen"], table["rejected"]])
    assert check.spread == pytest.approx(scores.std())
    assert not notices
    assert checked(Reward(self_check=0), model, pairs)[1:] == ([], [])


@pytest.mark.parametrize(
    ("query", "loader", "head"),
    [
        (Reward, SequenceClassifier, "score"),
        (LogProb, CausalLM, "lm"),
        (HiddenState, SequenceClassifier, "score"),
    ],
)
def test_what_is_noticed_of_a_row_is_not_counted_once_more_where_it_is_checked(
    tiny, query, loader, head
):
    model = loader(path=tiny("llama", head=head), device="cpu", max_length=40).load()
    pairs = small_pairs(7)
    _, checks, notices = checked(query(self_check=14), model, pairs)
    assert sum(check.rows for check in checks) >= 7
    alone = checked(query(self_check=0), model, pairs)[2]
    assert notices == alone
    cut = [notice for notice in notices if "cut to fit" in notice.what]
    assert cut and all(notice.count == len(set(notice.ids)) for notice in cut)


def test_the_check_of_half_precision_is_against_float32_and_leaves_the_weights(tiny, talks):
    folder = tiny("llama")
    model = SequenceClassifier(path=folder, dtype="bfloat16", device="cpu").load()
    before = {name: p.detach().clone() for name, p in model.network.named_parameters()}
    batch = one_batch(talks.table)
    own = model.score(batch)
    with model.exactly() as formats:
        exact = model.score(batch)
    assert formats == ("bfloat16", "float32")
    rounded = SequenceClassifier(path=folder, dtype="float32", device="cpu").load()
    for name, parameter in rounded.network.named_parameters():
        parameter.data = before[name].float()
    np.testing.assert_allclose(exact, rounded.score(batch), rtol=0, atol=1e-5)
    assert np.abs(own - exact).max() > 1e-3
    for name, parameter in model.network.named_parameters():
        assert parameter.dtype == torch.bfloat16
        assert torch.equal(parameter, before[name])
    np.testing.assert_array_equal(model.score(batch), own)
    _, [check], _ = checked(Reward(), model, Responses(talks.table))
    assert 1e-4 < check.largest <= np.abs(own - exact).max() + 1e-6


def test_a_model_whose_scores_depend_on_the_batch_is_told(tiny, monkeypatch):
    model = SequenceClassifier(path=tiny("bert"), device="cpu").load()
    forward = model._logits

    def leaking(batch):
        return forward(batch) + (batch.mask == 0).any(1, keepdim=True) * 3.0

    monkeypatch.setattr(model, "_logits", leaking)
    _, [check], [notice] = checked(Reward(), model, small_pairs(20))
    assert check.largest == pytest.approx(3, abs=1e-3)
    assert "scores differ from those of each row alone in float32 by up to 3" in notice.what
    assert 0 < notice.count <= 8


def test_scores_that_are_lost_in_a_batch_are_told_and_not_taken_for_the_same(tiny, monkeypatch):
    model = SequenceClassifier(path=tiny("bert"), device="cpu").load()
    forward, lost = model._logits, float("nan")

    def losing(batch):
        logits = forward(batch)
        return logits.masked_fill((batch.mask == 0).any(1, keepdim=True), lost)

    monkeypatch.setattr(model, "_logits", losing)
    _, [check], notices = checked(Reward(on_missing="keep"), model, small_pairs(20))
    [noticed] = [n for n in notices if "but not both" in n.what]
    assert 0 < noticed.count == 8 - check.rows
    assert check.largest < 1e-5 and check.flipped == 0 and check.pairs < 4
    monkeypatch.setattr(model, "_logits", lambda batch: forward(batch) * lost)
    _, nothing, notices = checked(Reward(on_missing="keep"), model, small_pairs(20))
    assert nothing == [] and not [n for n in notices if "but not both" in n.what]


def test_checks_are_recorded_and_the_same_for_any_number_of_workers(tiny, tmp_path):
    pairs, step = small_pairs(12), Reward()
    loader = SequenceClassifier(path=tiny("gpt2"), device="cpu")
    found = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        inputs = {"model": Unopened(loader), "data": pairs}
        run_step(step, inputs, folder, workers=workers, shard_rows=4)
        store = Store(folder)
        manifests = [store.manifest(path.name) for path in store.artifacts.iterdir()]
        found.append([m["checks"] for m in manifests if m.get("checks")])
    [[one]], [[two]] = found
    assert one == two
    assert (one["rows"], one["pairs"], one["what"]) == (8, 4, "scores")


def test_checks_of_parts_of_the_rows_add_up():
    parts = [
        Check("scores", "float32", 2, 0.5, 0.25, 1.0, 1, 1),
        Check("scores", "float32", 6, 0.1, 0.05, 2.0, 3),
    ]
    [whole] = merged_checks(parts)
    assert (whole.rows, whole.largest, whole.spread, whole.pairs, whole.flipped) == (
        8,
        0.5,
        2,
        4,
        1,
    )
    assert whole.mean == pytest.approx(0.1)
    assert whole.sentence == (
        "scores of 8 rows differ from those of each row alone in float32 by at most 5.0e-01 "
        "(standard deviation 2); 1 of 4 pairs flipped"
    )
