"""The evaluator keeps what rmplug promises of every step."""

from __future__ import annotations

from rmplug.testing import check_step
from rmplug_bench import Pairwise, rmplug_evaluators


def test_the_evaluator_passes_the_checks_of_every_step():
    assert Pairwise in rmplug_evaluators()
    check_step(Pairwise, {"resamples": 200})
