"""What counts as an odd row, that each is counted, and what each policy does."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmplug import DataError, Pairs, Responses
from rmplug.data.odd_rows import WORDS, OddRows, OddRowsFilter, find_oddities
from rmplug.data.seen_texts import SeenHashes
from rmplug.notices import collect_notices

PAIRS, RESPONSES = Pairs.required[1:], Responses.required[1:]
SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[3] / "../shared/data")
)
TURNS = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi"},
    {"role": "user", "content": "More"},
]


def pairs(*rows):
    """Pairs from (prompt, chosen, rejected), ids r0, r1, ..."""
    prompts = [[{"role": "user", "content": p}] if isinstance(p, str) else p for p, _, _ in rows]
    columns = {"id": [f"r{n}" for n in range(len(rows))], "prompt": prompts}
    for place, name in ((1, "chosen"), (2, "rejected")):
        columns[name] = [[{"role": "assistant", "content": row[place]}] for row in rows]
    return Pairs(columns).table


def noticed(table, policy=None, size=100):
    """Ids by oddity, and the rows that stay, for batches of ``size``."""
    texts = RESPONSES if "response" in table.column_names else PAIRS
    keep = OddRowsFilter(policy or OddRows(), texts)
    with collect_notices() as notices:
        parts = [keep(table.slice(start, size)) for start in range(0, len(table), size)]
    return {what: entry.ids for (what, _), entry in notices.items()}, pa.concat_tables(parts)


def only(name, *rows):
    """The ids that have one oddity, and no other."""
    found, _ = noticed(pairs(*rows))
    assert set(found) <= {WORDS[name]}, found
    return found.get(WORDS[name], [])


@pytest.mark.parametrize("blank", ["", " ", "\n\t\u00a0"])
def test_a_response_of_white_space_is_empty_on_either_side(blank):
    rows = [("q", "a", "b"), ("q", blank, "c"), ("q", "d", blank)]
    assert only("empty_response", *rows) == ["r1", "r2"]


def test_two_empty_responses_are_empty_and_identical():
    found, _ = noticed(pairs(("q", "", "")))
    assert found == {WORDS["empty_response"]: ["r0"], WORDS["identical"]: ["r0"]}


def test_identical_texts_and_texts_that_differ_by_outer_space_are_told_apart():
    found, _ = noticed(pairs(("q", "a", "a"), ("q", "b", " b\n"), ("q", "a b", "a  b")))
    assert found == {WORDS["identical"]: ["r0"], WORDS["differs_by_space"]: ["r1"]}


def test_prompts_without_text_are_empty_whether_they_have_turns_or_not():
    assert only("empty_prompt", ("", "a", "b"), ([], "c", "d"), ("q", "e", "f")) == ["r0", "r1"]


def test_a_blank_turn_among_others_is_an_empty_turn():
    blank = [TURNS[0], {"role": "assistant", "content": " "}, TURNS[2]]
    assert only("empty_turn", (TURNS, "a", "b"), (blank, "c", "d")) == ["r1"]


def test_two_user_turns_in_a_row_are_found_within_a_prompt_not_across_prompts():
    rows = [("one", "a", "b"), ("two", "c", "d"), ([TURNS[0], TURNS[2]], "e", "f")]
    assert only("repeated_role", *rows) == ["r2"]


def test_a_prompt_may_not_end_with_the_assistant():
    rows = [(TURNS, "a", "b"), (TURNS[:2], "c", "d"), (TURNS[:1], "e", "f")]
    assert only("prompt_ends_with_assistant", *rows) == ["r1"]


@pytest.mark.parametrize(
    ("name", "odd", "plain"),
    [
        ("control_characters", "\x00\x0b\x1b\x7f", "\t\n\r"),
        ("replacement_character", "\ufffd", "?"),
        ("invisible_characters", "\u200b\u200d\u202e\u2066\ufeff", "\u00a0\u2028é👋"),
    ],
)
def test_unusual_characters_are_found_in_prompt_chosen_and_rejected(name, odd, plain):
    for character in odd:
        mark = f"a{character}b"
        rows = [("q", "a", "b"), (mark, "c", "d"), ("q", mark, "e"), ("q", "f", mark)]
        assert only(name, *rows) == ["r1", "r2", "r3"], hex(ord(character))
    for character in plain:
        assert only(name, (f"a{character}b", f"c{character}d", "e")) == []


@pytest.mark.parametrize("size", [1, 2, 100])
def test_duplicates_and_contradictions_are_found_within_and_across_batches(size):
    rows = [("q", "a", "b"), ("q", "b", "a"), ("q", "a", "b"), ("other", "b", "a"), ("q", "a", "c")]
    found, _ = noticed(pairs(*rows), size=size)
    assert found[WORDS["contradiction"]] == ["r1", "r2"]
    assert found[WORDS["duplicate"]] == ["r2"]


def test_turns_are_not_confused_with_blank_lines_when_rows_are_compared():
    joined = [{"role": "user", "content": "Hello\n\nHi\n\nMore"}]
    assert only("duplicate", (TURNS, "a", "b"), (joined, "a", "b")) == []


def test_dropping_leaves_out_just_the_odd_rows_and_counts_them():
    table = pairs(("q", "a", "a"), ("q", "", "b"), ("q", "c", "d"))
    keep = OddRowsFilter(OddRows(identical="drop"), PAIRS)
    with collect_notices() as notices:
        kept = keep(table)
    assert kept["id"].to_pylist() == ["r1", "r2"]
    assert {key: entry.count for key, entry in notices.items()} == {
        ("chosen and rejected identical", "dropped"): 1,
        ("empty response", "kept"): 1,
    }


def test_an_error_names_the_rows_and_the_policy_that_goes_on():
    table = pairs(*(("q", str(n), str(n)) for n in range(7)))
    with pytest.raises(DataError) as error:
        OddRowsFilter(OddRows(identical="error"), PAIRS)(table)
    assert str(error.value) == (
        "chosen and rejected identical: 7 rows (r0, r1, r2, r3, r4 and 2 more); "
        "set odd_rows: {identical: drop} to leave such rows out"
    )


@pytest.mark.parametrize("size", [1, 100])
def test_ids_that_occur_twice_are_refused_by_name(size):
    table = pairs(("q", "a", "b"), ("q", "c", "d"))
    twice = pa.concat_tables([table, table.slice(1, 1)])
    with pytest.raises(DataError, match="ids must be unique, but 1 occur again: r1; name another"):
        noticed(twice, size=size)


def test_responses_of_different_models_are_no_duplicates():
    columns = {"id": list("abc"), "prompt": ["q"] * 3, "response": ["r"] * 3}
    found, _ = noticed(Responses({**columns, "model": ["x", "y", "x"]}).table)
    assert found == {WORDS["duplicate"]: ["c"]}
    found, _ = noticed(Responses(columns).table)
    assert found == {WORDS["duplicate"]: ["b", "c"]}


def test_further_columns_may_bear_any_name():
    columns = {"id": ["a", "b"], "prompt": ["q", "q"], "response": ["x", "x"], "model": [1, 1]}
    for name in ("chosen", "rejected"):
        found, _ = noticed(Responses({**columns, name: [3, 4]}).table)
        assert found == {WORDS["duplicate"]: ["b"]}


def test_every_policy_field_has_a_name_in_messages_and_is_looked_for():
    assert set(WORDS) == set(OddRows.model_fields)
    masks = find_oddities(pairs(("q", "a", "b")).to_batches()[0], PAIRS)
    assert set(masks) == set(WORDS) - {"duplicate", "contradiction"}
    assert all(mask.dtype == bool and mask.shape == (1,) for mask in masks.values())


def test_no_rows_pass_through():
    table = pairs(("q", "a", "b")).slice(0, 0)
    assert OddRowsFilter(OddRows(), PAIRS)(table).num_rows == 0


@given(st.lists(st.lists(st.integers(0, 30), max_size=8), max_size=12))
@settings(max_examples=60, deadline=None)
def test_seen_hashes_know_exactly_what_was_added(batches):
    seen, expected = SeenHashes(), set()
    for batch in batches:
        hashes = np.array(batch, dtype=np.uint64)
        assert seen.contains(hashes).tolist() == [number in expected for number in batch]
        seen.add(hashes)
        expected.update(batch)


@given(st.integers(0, 40), st.integers(1, 9), st.data())
@settings(max_examples=40, deadline=None)
def test_what_is_found_does_not_depend_on_the_batches(rows, size, data):
    texts = st.sampled_from(["", "a", " a", "b\x00", "\u200b"])
    prompts = st.sampled_from(["q", TURNS, TURNS[:2], []])
    table = pairs(*(data.draw(st.tuples(prompts, texts, texts)) for _ in range(rows)))
    policy = OddRows(duplicate="drop", empty_response="drop")
    found, kept = noticed(table, policy, size) if rows else ({}, table)
    whole, all_kept = noticed(table, policy, 1000) if rows else ({}, table)
    assert found == whole
    assert kept["id"].to_pylist() == all_kept["id"].to_pylist()


def published(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    wrap = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}

    def turns(text, role):
        return [{"role": role, "content": text}] if isinstance(text, str) else text

    columns = {key: [turns(row[key], role) for row in rows] for key, role in wrap.items()}
    return rows, Pairs({"id": [row["id"] for row in rows], **columns}).table


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hh_rlhf", {"empty_response": 6, "repeated_role": 8}),
        ("pandalm", {"duplicate": 78, "empty_response": 29}),
        ("convarg", {"contradiction": 1, "duplicate": 64}),
        ("judgebench", {"invisible_characters": 1}),
        (
            "rmb",
            {
                "control_characters": 10,
                "differs_by_space": 3,
                "duplicate": 20,
                "empty_response": 2,
                "empty_turn": 5,
                "identical": 7,
                "replacement_character": 28,
                "invisible_characters": 89,
            },
        ),
    ],
)
def test_published_sets_have_the_known_numbers_of_odd_rows(name, expected):
    _, table = published(f"{name}/pairs.jsonl.gz")
    keep = OddRowsFilter(OddRows(), PAIRS)
    with collect_notices() as notices:
        for start in range(0, len(table), 1000):
            keep(table.slice(start, 1000))
    counted = {what: entry.count for (what, _), entry in notices.items()}
    assert counted == {WORDS[key]: count for key, count in expected.items()}


def test_every_labelled_row_of_the_robustness_set_is_found():
    rows, table = published("robustness/pairs.jsonl.gz")
    found, _ = noticed(table)
    names = {
        "identical_chosen_rejected": "identical",
        "empty_response": "empty_response",
        "differs_only_by_outer_whitespace": "differs_by_space",
        "empty_turn": "empty_turn",
        "two_turns_same_role": "repeated_role",
        "control_characters": "control_characters",
        "zero_width_or_bidi": "invisible_characters",
        "replacement_character_U+FFFD": "replacement_character",
    }
    for label, name in names.items():
        labelled = {row["id"] for row in rows if label in row["meta"]["oddities"]}
        assert labelled and set(found[WORDS[name]]) == labelled, label
    for label, name in (("duplicate_pair", "duplicate"), ("contradicting_pair", "contradiction")):
        labelled = {row["id"] for row in rows if label in row["meta"]["oddities"]}
        partners = {row["id"] for row in rows if f"{label}(partner)" in row["meta"]["oddities"]}
        assert labelled and labelled <= set(found[WORDS[name]]) | partners, label
