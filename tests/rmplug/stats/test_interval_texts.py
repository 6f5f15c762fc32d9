"""Intervals are written with two significant digits of their width, and one minus sign."""

from __future__ import annotations

import pytest

from rmplug.stats.interval_texts import decimals, interval_text, number_text


@pytest.mark.parametrize(
    ("low", "high", "scale", "text"),
    [
        (0.7751, 0.8592, 100, "77.5–85.9"),
        (0.343, 0.742, 100, "34–74"),
        (0.49812, 0.50344, 100, "49.81–50.34"),
        (0.1804, 0.3788, 1, "0.18–0.38"),
        (-0.012, 0.034, 100, "−1.2 to 3.4"),
        (-0.00001, 0.9, 100, "−0.001 to 90"),
        (-1e-17, 0.9, 100, "0–90"),
        (-0.1825, -0.0025, 100, "−18 to −0.2"),
        (0.0004, 0.031, 100, "0.04–3.1"),
        (3.5e-5, 4.6e-5, 1, "0.000035–0.000046"),
        (1.2e-9, 3.4e-9, 1, "0.0000000012–0.0000000034"),
        (0.5, 0.5, 100, "50.0–50.0"),
        (2 / 3, 2 / 3 + 1e-15, 100, "66.7–66.7"),
        (1234.5, 5678.9, 1, "1234–5679"),
        (0.0, 0.0999, 100, "0–10"),
    ],
)
def test_an_interval_has_two_significant_digits_of_its_width(low, high, scale, text):
    assert interval_text(low, high, scale) == text


def test_decimal_places_have_bounds():
    assert decimals(0, 1e-12) == 10
    assert decimals(0, 1e9) == 0
    assert decimals(0, float("inf")) == decimals(0, float("nan")) == 1


@pytest.mark.parametrize(
    ("high", "text"), [(0.6996, "0.52–0.6996"), (0.7, "0.52–0.70"), (0.7004, "0.52–0.7004")]
)
def test_an_end_is_not_rounded_onto_a_mark_beside_it(high, text):
    assert interval_text(0.52, high, marks=(0.7,)) == text


def test_zero_has_no_sign_and_other_numbers_have_theirs():
    assert number_text(-0.01, 1) == number_text(0.01, 1, signed=True) == "0.0"
    assert number_text(-0.16, 1) == "−0.2"
    assert number_text(0.16, 1, signed=True) == "+0.2"
