"""The word diff marks what one text has and the other lacks, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rmplug_report.audit._diff import MOST_WORDS, Segment, shown_sides, word_diff

TEXTS = st.text(alphabet="ab .\n-*é", max_size=60)


@given(TEXTS, TEXTS)
def test_the_sides_of_the_segments_are_the_texts(before, after):
    segments = word_diff(before, after)
    assert "".join(one.before for one in segments) == before
    assert "".join(one.after for one in segments) == after
    assert all(one.before or one.after for one in segments)


@given(TEXTS)
def test_equal_texts_have_no_change(text):
    assert not any(one.changed for one in word_diff(text, text))


def test_an_added_sentence_is_the_only_change():
    segments = word_diff("It is 4.", "It is certainly 4. Yes!")
    assert [one for one in segments if one.changed] == [
        Segment("", "certainly "), Segment("", " Yes!")
    ]  # fmt: skip


def test_texts_that_are_too_long_to_compare_are_one_change():
    before, after = "a " * MOST_WORDS, "b " * MOST_WORDS
    segments = word_diff(f"start {before}end", f"start {after}end")
    assert segments[1] == Segment(before.rstrip(), after.rstrip())
    assert [one.changed for one in segments] == [False, True, False]


def test_both_sides_leave_out_the_same_unchanged_text():
    text = "word " * 400
    before, after = shown_sides(word_diff(f"{text}end", f"{text}very end"))
    assert [piece for piece in after if not piece[1]] == before
    assert ("very ", True) in after
    assert len("".join(text for text, _ in after)) < 250
    assert before[0][0].startswith("… word")


def test_a_text_that_is_the_same_keeps_its_beginning():
    ((shown, changed),), _ = shown_sides(word_diff("word " * 400, "word " * 400))
    assert shown.startswith("word word") and shown.endswith("word …") and not changed


def test_changed_spaces_and_line_breaks_are_seen_and_nothing_turns_the_text():
    _, after = shown_sides(word_diff("a b", "a  b\n\n\u202ec"))
    text = "".join(text for text, changed in after if changed)
    assert text.startswith("·") and "↵" in text and "⟨U+202E⟩" in text
    ((same, _),), _ = shown_sides(word_diff("a\nb\x1b", "a\nb\x1b"))
    assert same == "a\nb⟨U+001B⟩"
