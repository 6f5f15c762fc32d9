"""The reporters keep what rmplug promises of every step."""

from __future__ import annotations

import pytest
from audit_inputs import audited
from report_inputs import ACCURACY, metrics_of, reward_of

from rmplug.testing import check_step, small_pairs
from rmplug_report import AuditCard, Figures, Html, ModelCard, ScoresFile, rmplug_reporters


def test_the_plugin_gives_its_five_reporters():
    assert rmplug_reporters() == [Html, Figures, ModelCard, AuditCard, ScoresFile]


@pytest.mark.parametrize("reporter", [Html, Figures])
def test_the_reporters_pass_the_checks_of_every_step(reporter):
    check_step(reporter)


def test_the_card_of_an_audit_passes_them_too():
    check_step(AuditCard, {}, {"items": audited()})


def test_the_card_and_the_scores_file_pass_them_too():
    check_step(ModelCard, {}, {"items": [metrics_of(*ACCURACY)]})
    pairs = small_pairs()
    check_step(ScoresFile, {"layout": "rewardbench"}, {"items": [pairs, reward_of(pairs)]})
