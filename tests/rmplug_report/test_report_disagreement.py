"""How far the rewards of a pair disagree."""

from __future__ import annotations

import numpy as np
import pytest
from report_inputs import pairs_of

from rmplug import Features, PlanView
from rmplug_report.inputs._disagreement import disagreement, unit_of
from rmplug_report.inputs._inputs import gather
from rmplug_report.sections._browser import _columns

NAN = float("nan")


def gathered(**margins):
    pairs = pairs_of(len(next(iter(margins.values()))))
    rewards = [Features({"id": pairs["id"], "margin": own}, name) for name, own in margins.items()]
    return gather([pairs, *rewards], PlanView("several", 1, []))


def test_rewards_are_compared_in_their_own_units_and_ties_stay_ties():
    inputs = gathered(one=[1.0, -1, 0, 2], ten=[10.0, 10, 0, -20])
    assert [unit_of(one) for one in inputs.rewards] == [np.sqrt(1.5), np.sqrt(150)]
    expected = np.array([0, 1, 0, 2]) / np.sqrt(1.5)
    assert disagreement(inputs) == pytest.approx(expected)


def test_a_missing_margin_does_not_count_and_one_alone_does_not_disagree():
    found = disagreement(gathered(a=[1.0, 1, NAN], b=[-1.0, NAN, NAN], c=[1.0, 1, -1]))
    assert found[:2] == pytest.approx([np.std([1, -1, 1]), 0])
    assert np.isnan(found[2])


def test_members_stand_for_their_combination_and_a_flat_reward_for_nothing():
    parts = {"both.member.a": [1.0, -1], "both.member.b": [1.0, 1]}
    members = disagreement(gathered(both=[1.0, 0], **parts))
    assert members == pytest.approx([0, 1])
    assert disagreement(gathered(a=[1.0, -1], flat=[0.0, 0])) is None
    assert disagreement(gathered(a=[1.0, -1])) is None


def test_the_page_has_the_column_only_where_there_are_several_rewards():
    columns, head = _columns(gathered(a=[1.0, -1], b=[1.0, NAN]), 2)
    assert columns["disagreement"] == [0.0, None]
    assert [reward["unit"] for reward in head["rewards"]] == [1.0, 1.0]
    assert "disagreement" not in _columns(gathered(a=[1.0, -1]), 2)[0]
