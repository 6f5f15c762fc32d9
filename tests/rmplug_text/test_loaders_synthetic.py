"""The generator of pairs: the law that it states is the law that its pairs follow."""

from __future__ import annotations

import math
import re
import tracemalloc
from collections import Counter

import pytest
from pydantic import ValidationError

from rmplug import Pairs, text_of
from rmplug.data.odd_rows import OddRows, OddRowsFilter
from rmplug.testing import check_step
from rmplug_text._synthetic import OPENINGS
from rmplug_text.loaders import Synthetic


def made(size=4096, seed=5, **params):
    return Synthetic(size=size, **params).load(seed=seed).table


def worth(text, length=1.0, markdown=0.5, flattery=-0.5, interaction=0.3):
    """The docstring's formula, from nothing but the text."""
    opening = next((o.strip() for o in OPENINGS if text.startswith(o.strip())), "")
    body = text.removeprefix(opening).strip()
    listed = body.startswith("- ")
    words = len(re.sub(r"^- ", "", body, flags=re.MULTILINE).split())
    z = math.log2(words / 40)
    return length * z + markdown * listed + flattery * bool(opening) + interaction * z * listed


def test_the_probability_follows_from_the_texts_by_the_stated_formula():
    table = made(size=500)
    chosen, rejected = (text_of(table[side]).to_pylist() for side in ("chosen", "rejected"))
    for ours, theirs, told in zip(chosen, rejected, table["probability"].to_pylist(), strict=True):
        margin = worth(ours) - worth(theirs)
        assert told == pytest.approx(0.9 / (1 + math.exp(-margin)) + 0.05)


def test_preferences_come_out_as_often_as_their_probability_says():
    probabilities = made(size=30_000, length=0.6)["probability"].to_pylist()
    by_favourite = Counter()
    for p in probabilities:
        favourite = max(p, 1 - p)
        by_favourite[round(favourite, 1), "all"] += 1
        by_favourite[round(favourite, 1), "won"] += p >= 0.5
        by_favourite[round(favourite, 1), "expected"] += favourite
    for level in (0.6, 0.7, 0.8, 0.9):
        total = by_favourite[level, "all"]
        expected = by_favourite[level, "expected"] / total
        error = math.sqrt(expected * (1 - expected) / total)
        assert abs(by_favourite[level, "won"] / total - expected) < 4 * error, level


def test_pure_noise_is_a_coin():
    assert set(made(size=200, noise=1.0)["probability"].to_pylist()) == {0.5}


def test_each_side_is_listed_and_flattering_as_often_as_stated():
    table = made(size=8192, length=0, markdown=0, flattery=0, interaction=0)
    texts = text_of(table["chosen"]).to_pylist() + text_of(table["rejected"]).to_pylist()
    listed = sum("- " in text for text in texts) / len(texts)
    flattering = sum(text.startswith(tuple(o.strip() for o in OPENINGS)) for text in texts)
    assert listed == pytest.approx(0.4, abs=0.02)
    assert flattering / len(texts) == pytest.approx(0.3, abs=0.02)


def test_rows_depend_on_the_seed_and_not_on_the_size():
    few, many = made(size=1500), made(size=5000)
    assert few.equals(many.slice(0, 1500))
    assert not few.equals(made(size=1500, seed=6))
    assert few.num_rows == 1500


def test_effects_change_the_preferences_but_not_the_texts():
    plain, longer = made(size=300), made(size=300, length=3.0)
    for first, second in zip(plain.to_pylist(), longer.to_pylist(), strict=True):
        sides = [{str(row[s]) for s in ("chosen", "rejected")} for row in (first, second)]
        assert sides[0] == sides[1]
    assert not plain.equals(longer)


def test_pairs_are_odd_in_no_way_and_prompts_repeat_with_their_group():
    table = made(size=5000)
    strict = dict.fromkeys(OddRows.model_fields, "error")
    assert OddRowsFilter(OddRows(**strict), Pairs.required[1:])(table).num_rows == 5000
    prompts = {}
    for group, prompt in zip(
        table["group"].to_pylist(), text_of(table["prompt"]).to_pylist(), strict=True
    ):
        assert prompts.setdefault(group, prompt) == prompt
    assert len(prompts) < 5000
    assert set(table["subset"].to_pylist()) == {"advice", "facts", "planning", "writing"}


def test_columns_are_known_before_any_row_is_made():
    assert Synthetic(size=0).load(seed=1).table.column_names == list(
        Synthetic().foresee({}).columns
    )
    assert made(size=0).num_rows == 0


def test_memory_does_not_grow_with_the_size():
    def peak(size):
        tracemalloc.start()
        total = sum(batch.num_rows for batch in Synthetic(size=size).load(seed=1).rows.tables())
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert total == size
        return most

    peak(1024)
    assert peak(20_480) < 1.3 * peak(4096)


def test_a_negative_size_and_an_impossible_noise_are_refused():
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        Synthetic(size=-1)
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        Synthetic(noise=1.5)


def test_the_step_conforms():
    check_step(Synthetic, {"size": 40})
