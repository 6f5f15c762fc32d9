"""Tests and intervals of confirmed exploits hold what they promise; what was found is data."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rmplug import DataError
from rmplug_audit import FindExploits
from rmplug_audit.search._confirming import measure_lift
from rmplug_audit.search._journal import Journal
from rmplug_audit.search._racing import Race, Trial, squares_within


def race_of(good, bad):
    race = object.__new__(Race)
    race.squares = squares_within(good, bad)
    race.unit = float(np.sqrt(race.squares.mean()))
    return race


def lift_of(changes, good, bad):
    race = race_of(good, bad)
    return measure_lift(Trial((), lifts=list(changes / race.unit)), race)


def test_intervals_of_lifts_hold_the_truth_though_the_unit_is_estimated():
    rng = np.random.default_rng(1)
    held, truth = 0, 1.5 / 2.0
    for _ in range(400):
        low, high = lift_of(rng.normal(1.5, 1, 40), *rng.normal(0, 2, (2, 40))).interval
        held += low <= truth <= high
    assert 0.92 <= held / 400 <= 0.98


def test_the_p_of_a_program_that_does_nothing_is_uniform():
    rng = np.random.default_rng(2)
    ps = np.sort([lift_of(*rng.normal(0, 1, (3, 30))).p for _ in range(400)])
    assert np.abs(ps - np.arange(1, 401) / 400).max() < 0.08


def test_few_that_move_or_none_are_no_proof():
    good, bad = np.random.default_rng(3).normal(0, 1, (2, 30))
    assert lift_of(np.zeros(30), good, bad).p == 1.0
    assert lift_of(np.where(np.arange(30) < 3, 5.0, 0.0), good, bad).p >= 0.25
    assert lift_of(np.where(np.arange(30) < 3, 5.0, np.nan), good, bad).p >= 0.25


def test_without_differences_a_lift_is_in_the_unit_of_the_reward():
    same = np.ones(20)
    assert lift_of(np.full(20, 0.3), same, same).value == pytest.approx(0.3)


def test_a_journal_forgets_what_was_half_written(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.put("a", [1.5, float("nan")])
        journal.put("b", [2.5])
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    with Journal(path) as journal:
        assert journal.get("a")[0] == 1.5
        assert journal.get("b") is None
        journal.put("b", [2.5])
    assert path.read_bytes() == whole


STEP = {"perturbation": "phrase", "dose": 1, "params": {"text": "Yes.", "place": "end"}}


def exploits(folder, steps, name="exploit-1"):
    entry = {"name": name, "words": "put “Yes.” at the end", "steps": steps}
    (folder / "exploits.json").write_text(json.dumps({"exploits": [entry]}))
    return FindExploits.open(folder)


def test_what_was_found_opens_as_changes(tmp_path):
    opened = exploits(tmp_path, [STEP])
    assert [change.name for change in opened.changes] == ["exploit-1"]
    with pytest.raises(DataError, match="predict nothing; use them in perturb"):
        opened.predict(None)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({**STEP, "perturbation": "os.system"}, "no perturbation 'os.system'"),
        ({**STEP, "params": {"text": "x" * 20_000}}, "at most 10000 characters"),
        ({**STEP, "params": {"text": 3}}, "should be a valid string"),
        ({**STEP, "dose": 10**9}, "less than or equal to 64"),
        ({**STEP, "dose": "1"}, "valid integer"),
        ({**STEP, "code": "import os"}, "Extra inputs are not permitted"),
    ],
)
def test_a_strangers_file_is_refused_in_one_sentence(tmp_path, step, message):
    with pytest.raises(DataError, match=message) as caught:
        exploits(tmp_path, [step])
    assert len(str(caught.value)) < 1500
