"""p-values of several tests at once."""

from __future__ import annotations

import pytest

from rmplug.stats.several_tests import adjust_holm


def test_holm_multiplies_the_smallest_by_their_number_and_never_goes_down():
    assert adjust_holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert adjust_holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert adjust_holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    assert adjust_holm([]).tolist() == []
