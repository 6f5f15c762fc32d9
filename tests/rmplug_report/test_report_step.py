"""The reporter keeps what rmplug promises of every step."""

from __future__ import annotations

from rmplug.testing import check_step
from rmplug_report import Html, rmplug_reporters


def test_the_reporter_passes_the_checks_of_every_step():
    assert rmplug_reporters() == [Html]
    check_step(Html)
