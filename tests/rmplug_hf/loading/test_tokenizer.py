"""A tokenizer without its model: the very tokens that the model gets."""

from __future__ import annotations

import json

import pytest

from rmplug import DataError
from rmplug.data.rows import one_batch
from rmplug.models.conversation_tokens import ConversationTokens
from rmplug.notices import collect_notices
from rmplug.testing import check_step
from rmplug_hf.loading.loaders import SequenceClassifier
from rmplug_hf.loading.tokenizers import Tokenizer


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "qwen2", "bert"])
@pytest.mark.parametrize("params", [{}, {"max_length": 24, "truncate": "left"}, {"system": "Be."}])
def test_it_gives_the_tokens_that_the_model_gets(tiny, talks, architecture, params):
    folder = tiny(architecture)
    batch = one_batch(talks.table)
    reader = Tokenizer(path=folder, **params).load()
    tokenizing = SequenceClassifier(path=folder, **params).load().loaded.tokenizing
    assert isinstance(reader, ConversationTokens)
    for part in ("both", "prompt", "turn"):
        rows = tokenizing.rows(batch, part)
        assert reader.token_ids(batch, part) == [row.ids.tolist() for row in rows]


def test_no_weights_are_needed(tiny, talks, tmp_path):
    folder = tiny("llama")
    kept = tmp_path / "reader"
    kept.mkdir()
    for file in folder.glob("*.json*"):
        (kept / file.name).write_bytes(file.read_bytes())
    (kept / "chat_template.jinja").write_bytes((folder / "chat_template.jinja").read_bytes())
    batch = one_batch(talks.table)
    whole = Tokenizer(path=folder).load().token_ids(batch)
    assert Tokenizer(path=kept).load().token_ids(batch) == whole


def test_a_conversation_is_cut_as_the_model_cuts_it(tiny, talks):
    batch = one_batch(talks.table)
    with collect_notices() as notices:
        rows = Tokenizer(path=tiny("llama"), max_length=24).load().token_ids(batch)
    assert max(map(len, rows)) == 24
    assert any("cut to fit" in what for what, _ in notices)


def test_what_a_trained_model_says_of_its_format_is_taken_unless_the_spec_says_otherwise(
    tiny, talks, tmp_path
):
    folder = tmp_path / "trained"
    folder.mkdir()
    for file in tiny("llama").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "format.json").write_text(
        json.dumps(
            {
                "format": 1,
                "kind": "sequence-classifier",
                "params": {"template": "{prompt} => {response}", "max_length": 32},
                "pad_token_id": None,
                "texts": [],
                "conversations": [],
            }
        )
    )
    batch = one_batch(talks.table)
    stated = Tokenizer(path=tiny("llama"), template="{prompt} => {response}", max_length=32)
    assert Tokenizer(path=folder).load().token_ids(batch) == stated.load().token_ids(batch)
    own = Tokenizer(path=folder, template="{response}", max_length=32).load().token_ids(batch)
    assert own != stated.load().token_ids(batch)


def test_two_segments_are_refused(tiny, talks):
    reader = Tokenizer(path=tiny("bert"), template="pair").load()
    with pytest.raises(DataError, match=r"rows \(.*\) become two segments, which token ids do not"):
        reader.token_ids(one_batch(talks.table))
    [(where, what)] = Tokenizer(path=tiny("bert"), template="pair").mistakes({})
    assert (where, "two segments" in what) == ("template", True)


def test_it_scores_nothing(tiny):
    with pytest.raises(DataError, match="has no scores; give it to endpoint-scores or endpoint-st"):
        Tokenizer(path=tiny("llama")).load().score(None)


def test_the_kind_keeps_every_promise_of_a_step(tiny):
    check_step(Tokenizer, {"path": str(tiny("llama"))})
