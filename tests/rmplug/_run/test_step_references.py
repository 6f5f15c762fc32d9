"""Results of a run by name, those inside loops too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from run_specs import go, spec_of

import rmplug
from rmplug._run.finished import Run
from rmplug._run.step_references import key_of_step, stored_result
from rmplug._store.run_records import write_record
from rmplug._store.store import Store
from rmplug.errors import RmplugError

STEPS: dict[str, Any] = {
    "pairs": {"kind": "made-pairs"},
    "model": {"kind": "character-model"},
    "head": {"kind": "character-head", "inputs": "pairs"},
    "folds": {
        "kind": "for-each",
        "params": {
            "values": ["a", "b"],
            "steps": {
                "words": {"kind": "lengths", "inputs": "pairs"},
                "mean": {"kind": "mean", "inputs": ["words"]},
            },
            "collect": ["mean"],
        },
    },
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def finished(store: Store) -> Run:
    return go(spec_of(STEPS), store.root)


def test_a_step_is_named_by_its_run_and_id(finished: Run, store: Store) -> None:
    for run in ("last", "tested", finished.record.id, finished.record.id[:8]):
        assert stored_result(f"{run}:head", store) == finished.path("head")


def test_a_result_of_a_loop_and_of_one_of_its_items_are_named(finished: Run, store: Store) -> None:
    collected = stored_result("tested:folds.mean", store)
    one = stored_result("tested:folds.mean[b]", store)
    assert collected == finished.path("folds.mean") and one != collected
    mean = finished["folds.mean[b]"]
    assert isinstance(mean, rmplug.Metrics) and "item" not in mean.columns
    head = finished["folds.words[a]"]
    assert isinstance(head, rmplug.Features) and len(head) == 40


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("tested:haed", "has no step 'haed'; did you mean 'head'?"),
        ("tested:model", "'model' loads a model and keeps none; name that model itself"),
        ("tested:head[1]", "'head' is no loop; leave out [1]"),
        ("tested:folds", "folds is a loop: name a step and an item, as in folds.words[a]"),
        ("tested:folds.words", "as in folds.words[a] (steps: words, mean; items: a, b)"),
        ("tested:folds.head[c]", "folds has no item 'c' (items: a, b)"),
        ("tested:folds.wrods[a]", "no result 'wrods' of folds[a]; did you mean 'words'?"),
        ("tset:head", "no run 'tset'"),
    ],
)
def test_a_reference_to_what_is_not_there_says_what_is(
    finished: Run, store: Store, reference: str, sentence: str
) -> None:
    with pytest.raises(RmplugError) as caught:
        stored_result(reference, store)
    assert sentence in str(caught.value)
    with pytest.raises(KeyError, match="folds has no item 'c'"):
        finished["folds.head[c]"]


def test_a_record_from_before_items_told_their_steps_says_to_run_again(tmp_path: Path) -> None:
    finished = go(spec_of(STEPS), tmp_path)
    for entry in finished.record.steps["folds"].items:
        del entry["steps"]
    write_record(Store(tmp_path), finished.record)
    with pytest.raises(RmplugError, match="run the spec again, all is reused"):
        key_of_step(finished.record, "folds.head[a]")
    again = go(spec_of(STEPS), tmp_path)
    assert stored_result("tested:folds.words[a]", Store(tmp_path)) == again.path("folds.words[a]")
