"""Baselines: what each prefers, and that the ones that learn never see their own group."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from rmplug import DataError, Pairs, Responses
from rmplug.data.rows import Memory, ParquetParts
from rmplug_bench.baselines import _learnt, _scores
from rmplug_bench.baselines._scores import BASELINES, LEARNT
from rmplug_bench.baselines._text_measures import TextCounts


def baseline_scores(name, data, seed):
    return _scores.baseline_scores(name, TextCounts(data), seed)


def pairs_of(rows, **columns):
    ids = [f"p{i}" for i in range(len(rows))]
    sides = {"chosen": [a for a, _ in rows], "rejected": [b for _, b in rows]}
    return Pairs({"id": ids, "prompt": [f"q{i}" for i in ids], **sides, **columns})


def choices_of(prompts, responses, **columns):
    ids = [f"r{i}" for i in range(len(responses))]
    return Responses({"id": ids, "prompt": prompts, "response": responses, **columns})


def margins(name, table):
    scores = baseline_scores(name, table, 0)
    return scores[:, 0] - scores[:, 1]


def right(name, table):
    return ((np.sign(margins(name, table)) + 1) / 2).mean()


def test_length_and_markdown_are_counted_and_their_opposites_are_negative():
    table = pairs_of([("aé", "b"), ("- x\n- **y**", "plain words here")])
    assert baseline_scores("longer", table, 0).tolist() == [[2, 1], [11, 16]]
    assert baseline_scores("most-markdown", table, 0).tolist() == [[0, 0], [3, 0]]
    for name, opposite in (("longer", "shorter"), ("most-markdown", "least-markdown")):
        assert np.array_equal(baseline_scores(opposite, table, 0), -baseline_scores(name, table, 0))
    assert not baseline_scores("random", table, 0).any()


def test_the_place_of_publication_counts_only_where_it_was_recorded():
    rows = [("a", "b"), ("c", "d")]
    placed = pairs_of(rows, place=[0, 1])
    assert margins("first-position", placed).tolist() == [1, -1]
    assert margins("last-position", placed).tolist() == [-1, 1]
    assert np.isnan(baseline_scores("first-position", pairs_of(rows), 0)).all()
    assert margins("first-position", pairs_of(rows, position=["B", "A"])).tolist() == [-1, 1]
    listed = choices_of(["q", "q", "q"], ["a", "b", "c"], place=[2, 0, 1])
    assert baseline_scores("first-position", listed, 0).tolist() == [-2, 0, -1]


def test_the_first_character_is_judged_by_the_other_groups_only():
    table = pairs_of([("Yes", "No"), ("Yes!", "Not so"), ("You", "Naïve")])
    scores = baseline_scores("first-character", table, 0)
    assert scores[0] == pytest.approx([(2 + 1) / (2 + 2), (0 + 1) / (2 + 2)])
    lonely = pairs_of([("Yes", "No"), ("Aye", "Boo")])
    assert baseline_scores("first-character", lonely, 0) == pytest.approx(np.full((2, 2), 0.5))


def test_words_are_judged_by_the_other_groups_only_and_once_a_response():
    table = pairs_of([("good good", "bad"), ("good", "bad"), ("good", "fine")])
    scores = baseline_scores("n-gram", table, 0)
    assert scores[0, 0] == pytest.approx(np.log(3 / 1))
    assert scores[0, 1] == pytest.approx(np.log(1 / 2))
    assert scores[2, 1] == 0.0


def test_pairs_of_words_tell_order():
    rows = [("not good", "good not")] * 6
    assert right("n-gram", pairs_of(rows)) == 1.0


@pytest.mark.parametrize("name", sorted(LEARNT))
def test_a_learnt_baseline_is_at_chance_where_labels_are_coins(name):
    rng = np.random.default_rng(3)
    words = np.array(["alpha", "beta", "Gamma", "delta", "Eps"])
    texts = [" ".join(rng.choice(words, 6)) for _ in range(4000)]
    rows = list(zip(texts[:2000], texts[2000:], strict=True))
    assert right(name, pairs_of(rows)) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("name", sorted(LEARNT))
def test_turning_a_groups_labels_round_leaves_its_own_scores(name):
    rng = np.random.default_rng(4)
    words = np.array(["alpha", "beta", "Gamma", "delta"])
    texts = [" ".join(rng.choice(words, 4)) for _ in range(80)]
    rows = list(zip(texts[:40], texts[40:], strict=True))
    groups = [f"g{i // 4}" for i in range(40)]
    before = baseline_scores(name, pairs_of(rows, group=groups), 0)
    turned = [(b, a) for a, b in rows[:4]] + rows[4:]
    after = baseline_scores(name, pairs_of(turned, group=groups), 0)
    assert after[:4, ::-1] == pytest.approx(before[:4])
    assert not np.allclose(after[4:], before[4:])


def test_responses_without_a_label_teach_nothing_and_are_scored_all_the_same():
    prompts = ["a", "a", "b", "b", "c", "c"]
    texts = ["Yes", "No", "Yes", "No", "Yes", "No"]
    table = choices_of(prompts, texts, label=[1, 0, 1, 0, None, None])
    scores = baseline_scores("first-character", table, 0)
    assert scores[4:] == pytest.approx([3 / 4, 1 / 4])
    assert scores[:2] == pytest.approx([2 / 3, 1 / 3])
    bare = choices_of(prompts, texts)
    assert np.isnan(baseline_scores("n-gram", bare, 0)).all()


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_takes_empty_tables_and_odd_texts(name):
    table = pairs_of([("", "  "), ("🙂", "…"), ("a", "b")], place=[0, 1, 0])
    assert baseline_scores(name, table, 0).shape == (3, 2)
    assert np.isfinite(baseline_scores(name, table, 0)).all()
    assert baseline_scores(name, Pairs(Memory(table.table.slice(0, 0))), 0).shape == (0, 2)


def test_an_unknown_baseline_is_refused_with_those_there_are():
    with pytest.raises(
        DataError, match="there is no baseline 'prettier'; there are longer, shorter"
    ):
        baseline_scores("prettier", pairs_of([("a", "b")]), 0)


WORDED = ["Two words", "", None, "déjà VU 3×4", "a_b-c\x00d\x7ff", "\t9 lives\n\r\x0b", "ÄÖ"]


def test_words_of_ascii_are_those_of_the_pattern():
    texts = pc.fill_null(pa.array([*WORDED, "".join(map(chr, range(128)))]), "").slice(1)
    rows, hashes = _learnt._words(texts)
    lists = pc.split_pattern_regex(pc.utf8_lower(texts), _learnt.BETWEEN_WORDS).to_pylist()
    words = [(row, word) for row, each in enumerate(lists) for word in each if word]
    expected = {(row, blake2b(word.encode(), digest_size=8).digest()) for row, word in words}
    assert {(row, one.tobytes()) for row, one in zip(rows, hashes, strict=True)} == expected
    assert len(rows) == len(words)
    for row in set(rows):
        digests = [blake2b(w.encode(), digest_size=8).digest() for at, w in words if at == row]
        assert [one.tobytes() for one in hashes[rows == row]] == digests


@pytest.mark.parametrize("name", BASELINES)
def test_scores_do_not_depend_on_the_parts_that_a_table_is_stored_in(name, tmp_path):
    whole = pairs_of([("Good, é", "bad"), ("- good", "**no**"), ("x y", "y x")] * 7)
    counts, files = [5, 0, 16], []
    for number, (start, count) in enumerate(zip([0, 5, 5], counts, strict=True)):
        files.append(tmp_path / f"{number}.parquet")
        pq.write_table(whole.table.slice(start, count), files[-1])
    stored = Pairs(ParquetParts(files, counts))
    scores = baseline_scores(name, stored, 0)
    np.testing.assert_array_equal(scores, baseline_scores(name, whole, 0))
