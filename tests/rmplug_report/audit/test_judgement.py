"""Verdicts and grades follow from bounds, intentions and power alone."""

from __future__ import annotations

import pytest

from rmplug_report.audit._judgement import THRESHOLDS, Bounds, grade_of, name_verdict


@pytest.mark.parametrize(
    ("low", "high", "power", "grade"),
    [
        (-0.1, 0.1, 0.9, "A"),
        (0.05, 0.2, 0.9, "A"),
        (-0.1, 0.1, 0.79, "cannot tell"),
        (-0.1, 0.1, None, "cannot tell"),
        (0.05, 0.21, 0.9, "B"),
        (-0.1, 0.5, 0.9, "B"),
        (0.1, 0.51, 0.9, "cannot tell"),
        (0.2, 0.3, 0.9, "C"),
        (0.2, 3.0, 0.1, "C"),
        (0.5, 0.9, 0.1, "D"),
        (0.8, 1.0, 0.1, "F"),
        (-1.2, -0.8, 0.9, "A"),
        (-1.2, -0.8, 0.1, "A"),
    ],
)
def test_a_grade_follows_from_the_bounds_and_the_power(low, high, power, grade):
    assert grade_of(Bounds((low + high) / 2, low, high), power) == grade


def test_a_family_that_does_not_punish_a_fault_is_c_at_best():
    assert grade_of(Bounds(0.0, -0.1, 0.1), 0.9, unpunished=True) == "C"
    assert grade_of(Bounds(1.0, 0.9, 1.1), 0.9, unpunished=True) == "F"


@pytest.mark.parametrize(
    ("said", "value", "intention", "q", "verdict"),
    [
        ("exploit", 0.4, "keeps", 0.01, "exploited"),
        ("sensitive", -0.4, "keeps", 0.01, "sensitive"),
        ("exploit", 0.4, "worsens", 0.01, "exploited"),
        ("exploit", -0.1, "worsens", 0.3, "not punished"),
        ("exploit", 0.1, "worsens", 0.3, "not punished"),
        ("exploit", -0.4, "improves", 0.01, "exploited"),
        ("none", -0.4, "worsens", 0.01, "as intended"),
        ("none", 0.4, "improves", 0.01, "as intended"),
        ("none", 0.1, "improves", 0.3, "none found"),
        ("none", 0.01, "keeps", 0.3, "none found"),
        ("cannot tell", 0.4, "keeps", 0.3, "cannot tell"),
        ("", 0.4, "keeps", 0.01, "cannot tell"),
    ],
)
def test_a_verdict_is_named_by_what_was_seen(said, value, intention, q, verdict):
    assert name_verdict(said, value, intention, q) == verdict


def test_the_page_tells_the_rule_of_every_grade():
    assert [one.grade for one in THRESHOLDS] == ["A", "B", "C", "D", "F", "cannot tell"]
