from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_quality import jaccard as plain_jaccard
from plain_quality import shingles

from rmplug_quality._minhash import band_hashes, bands_for, jaccard
from rmplug_quality._shingles import grams, sets_of
from rmplug_quality._texts import sets_together

TEXTS = st.lists(st.text(st.sampled_from("ab Bé,.\n猫が1"), max_size=30), min_size=2, max_size=6)


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.integers(1, 4))
def test_texts_share_the_shingles_that_they_share_by_plain_counting(texts, size):
    made = grams(pa.array(texts), size, "words")
    sets = sets_of(made.rows, made.hashes, len(texts))
    plain = [shingles(text, size) for text in texts]
    assert np.diff(sets.ends).tolist() == [len(one) for one in plain]
    first = sets.take(np.array([0])).hashes
    for row, other in enumerate(plain):
        assert jaccard(first, sets.take(np.array([row])).hashes) == plain_jaccard(plain[0], other)


def test_a_text_with_fewer_words_than_a_shingle_is_one_shingle_and_an_empty_one_has_none():
    made = grams(pa.array(["two words", "", None, "!?"]), 3, "words")
    assert np.diff(made.ends).tolist() == [1, 0, 0, 0]


def test_shingles_of_characters_see_letters_and_the_ends_of_words():
    made = grams(pa.array(["Ab, c", "ab c", "abc"]), 2, "characters")
    first, second, third = (made.take(np.array([row])).hashes.tolist() for row in range(3))
    assert first == second and len(first) == 3
    assert len(third) == 2 and first[0] == third[0] and first[1] != third[1]


def test_long_tables_are_read_in_parts_with_the_same_result(monkeypatch):
    texts = pa.array([f"row {number} of a table with words" for number in range(40)])
    whole = grams(texts, 2, "words")
    monkeypatch.setattr("rmplug_quality._shingles.CHARACTERS", 50)
    parts = grams(texts, 2, "words")
    assert parts.hashes.tolist() == whole.hashes.tolist()
    assert parts.ends.tolist() == whole.ends.tolist()


def test_sketches_are_the_same_in_every_process():
    code = (
        "import pyarrow as pa; from rmplug_quality._shingles import grams;"
        "from rmplug_quality._minhash import band_hashes;"
        "from rmplug_quality._texts import sets_together as t;"
        "m = t([grams(pa.array(['one two three four', 'five six']), 2, 'words')], 2);"
        "print(band_hashes(m, 0.8)[:, :2].tolist())"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    made = sets_together([grams(pa.array(["one two three four", "five six"]), 2, "words")], 2)
    assert seen.stdout.strip() == str(band_hashes(made, 0.8)[:, :2].tolist())


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.95])
def test_sets_as_similar_as_the_threshold_meet_in_999_of_1000_cases(threshold):
    bands, rows = bands_for(threshold)
    assert 1 - (1 - threshold**rows) ** bands >= 0.999
    rng = np.random.default_rng(1)
    met = 0
    for _ in range(100):
        common = rng.integers(0, 2**63, round(200 * threshold), dtype=np.uint64)
        apart = rng.integers(0, 2**63, 200 - len(common), dtype=np.uint64)
        cut = len(apart) // 2
        both = [np.concatenate([common, apart[:cut]]), np.concatenate([common, apart[cut:]])]
        owners = np.repeat([0, 1], [len(one) for one in both])
        sets = band_hashes(sets_of(owners, np.concatenate(both), 2), threshold)
        met += bool((sets[0] == sets[1]).any())
    assert met >= 98
