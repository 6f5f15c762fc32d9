"""What a model reads in training, on the page: visible, escaped, and never of a hidden row."""

from __future__ import annotations

import pytest
from report_inputs import ACCURACY, checkpoint_of, metrics_of

from rmplug import Features, PlanView
from rmplug.models.training_examples import ReadText, TrainingExample, write_examples
from rmplug.testing import run_step
from rmplug_report import Html, ModelCard

HOSTILE = "[CLS] <script>alert(1)</script>\x1b[31m\u202eabc\nnext [SEP]"


@pytest.fixture
def trained(tmp_path):
    folder = tmp_path / "trained"
    folder.mkdir()
    made = checkpoint_of(folder)
    texts = [
        ReadText.of("pair-00000", "chosen", HOSTILE, 12, cut=True),
        ReadText.of("pair-00000", "rejected", "[CLS] other [SEP]", 3, cut=False),
    ]
    write_examples(made.directory, [TrainingExample(texts=tuple(texts))])
    return made


def page_of(tmp_path, *items):
    report = run_step(Html(), {"items": list(items)}, tmp_path / "store")
    return (report.directory / "index.html").read_text(encoding="utf-8")


def searched(ids, found):
    return Features({"id": ids, "personal": found}, "private")


def test_the_examples_of_a_training_are_shown_escaped_with_every_character_visible(
    trained, tmp_path
):
    page = page_of(tmp_path, trained)
    assert "train: pair-00000, chosen; 12 tokens; cut, the conversation is longer" in page
    assert "[CLS] &lt;script&gt;alert(1)&lt;/script&gt;⟨U+001B⟩[31m⟨U+202E⟩abc↵\nnext [SEP]" in page
    assert "train: pair-00000, rejected; 3 tokens</b>" in page
    assert "[CLS] other [SEP]" in page


@pytest.mark.parametrize("row", ["pair-00000", "pair-00000/chosen"])
def test_a_row_with_personal_data_is_not_shown_nor_one_that_was_not_searched(
    row, trained, tmp_path
):
    clean = page_of(tmp_path / "clean", trained, searched([row, "pair-1"], [0, 1]))
    assert "[CLS] other" in clean
    found = page_of(tmp_path / "found", trained, searched([row, "pair-1"], [2, 0]))
    assert "[CLS]" not in found
    assert "(not shown: personal data or secrets were found in this row)" in found
    other = page_of(tmp_path / "other", trained, searched(["pair-1"], [0]))
    assert "[CLS]" not in other
    assert "not among those that were searched for personal data" in other


def test_a_card_says_that_the_checkpoint_holds_texts_of_examples(trained, tmp_path):
    plan, told = PlanView("card", 1, []), "`examples.json` beside the weights holds texts of"
    texts = []
    for kept in (True, False):
        if not kept:
            (trained.directory / "examples.json").unlink()
        folder = tmp_path / f"card-{kept}"
        folder.mkdir()
        ModelCard().report([metrics_of(*ACCURACY), trained], directory=folder, plan=plan)
        texts.append((folder / "README.md").read_text(encoding="utf-8"))
    assert told in texts[0].partition("### Training of train")[2]
    assert told not in texts[1]


def test_a_file_of_examples_that_cannot_be_read_leaves_the_rest_of_the_page(trained, tmp_path):
    (trained.directory / "examples.json").write_bytes(b"{")
    page = page_of(tmp_path, trained)
    assert "What the model reads" not in page
    assert "Training" in page
