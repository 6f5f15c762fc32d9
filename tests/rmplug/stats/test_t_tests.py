"""Student's t test, and its power."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rmplug.stats.t_tests import t_critical, t_detectable, t_p_value, t_power


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 7, 29, 1000])
def test_p_is_the_chance_of_both_tails(freedom):
    for t in (0.0, 0.01, 0.3, 1.0, 2.0, 3.5, 6.0, 20.0):
        expected = 2 * stats.t.sf(t, freedom)
        assert t_p_value(t, freedom) == pytest.approx(expected, rel=2e-3, abs=1e-15)
        assert t_p_value(-t, freedom) == t_p_value(t, freedom)
    assert np.isnan(t_p_value(float("nan"), 5)) and np.isnan(t_p_value(1.0, 0))
    assert 0 < t_p_value(float("inf"), 5) < 1e-200


@pytest.mark.parametrize("freedom", [2, 5, 30, 500])
def test_the_critical_value_is_the_inverse_of_p(freedom):
    for level in (0.05, 0.00125, 1e-6):
        assert t_critical(level, freedom) == pytest.approx(
            stats.t.isf(level / 2, freedom), rel=1e-3
        )
    assert t_critical(0.0, freedom) == float("inf") and t_critical(1.0, freedom) == 0


@pytest.mark.parametrize(("freedom", "level"), [(9, 0.05), (29, 0.05), (29, 0.00125), (300, 0.001)])
def test_power_is_that_of_the_non_central_t(freedom, level):
    critical = stats.t.isf(level / 2, freedom)
    for shift in (0.0, 1.0, 2.0, 3.0, 4.5):
        exact = stats.nct.sf(critical, freedom, shift) + stats.nct.cdf(-critical, freedom, shift)
        assert t_power(shift, level, freedom) == pytest.approx(exact, abs=0.01)
        assert t_power(-shift, level, freedom) == t_power(shift, level, freedom)
    found = t_detectable(0.8, level, freedom)
    assert t_power(found, level, freedom) == pytest.approx(0.8, abs=1e-4)
    assert t_power(1.0, 0.0, freedom) == 0 and t_power(float("inf"), level, freedom) == 1
