"""Features, queries and samplers keep the promises of every step."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rmplug.testing import check_step
from rmplug_text.features import Bins, Lexical, Rouge
from rmplug_text.queries import Reward
from rmplug_text.samplers import Balanced, Filter, Random, Split, Stratified, ToPairs, ToResponses

STEPS = [
    (Lexical, {}),
    (Lexical, {"measures": ["compression", "overlap"], "sides": ["difference"]}),
    (Rouge, {"scores": ["f", "recall"]}),
    (Bins, {"count": 3}),
    (Bins, {"edges": [-1000, 3, 1000]}),
    (Reward, {}),
    (Random, {"n": 3}),
    (Stratified, {"by": "group", "fraction": 0.5}),
    (Balanced, {"by": "group"}),
    (Balanced, {"length": "words"}),
    (Filter, {"where": "len(prompt) > 3"}),
    (Split, {}),
    (ToPairs, {"by": "label"}),
    (ToResponses, {}),
]


@pytest.mark.parametrize(("step", "params"), STEPS)
def test_a_step_keeps_its_promises(step, params):
    check_step(step, params)


def test_an_expression_is_read_without_loading_arrow():
    program = (
        "import sys; from rmplug_text.samplers import Filter; Filter(where='n > 1'); "
        "sys.exit('pyarrow' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
