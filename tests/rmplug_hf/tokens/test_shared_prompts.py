"""What rows begin with is run once, and the rows behind it give what they give whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from direct import direct_model
from drawn_models import DECODERS, GROUPED, SMALL, STEPS, made, pairs_of
from hypothesis import given, settings
from hypothesis import strategies as st

from rmplug import Pairs
from rmplug_hf import CausalLM, Encoder, HiddenState, LogProb, SequenceClassifier
from rmplug_hf.loading import _transformer
from rmplug_hf.tokens._shared_prompts import HELD, Sharing, find_families, plan_bands
from rmplug_hf.tokens._tokenizing import Tokens
from rmplug_text import Reward

NEAR = {"rtol": 0, "atol": 1e-5}
KEYS = ("id", "group")


def counted(model):
    """List the token positions of each forward pass through a model's body, trials apart."""
    assert model.loaded.last_layer is not None or not model.loaded.shares_prompts
    found = []

    def note(_, __, given, output):
        found.append((output[0][..., 0].numel(), given.get("past_key_values") is not None))

    model.loaded.model.base_model.register_forward_hook(note, with_kwargs=True)
    return found


def alone(folder, pairs, auto="AutoModelForSequenceClassification"):
    """Logits of every side of pairs, each whole row by itself, by transformers alone."""
    model, tokenizer = direct_model(folder, auto)
    found = {"chosen": [], "rejected": []}
    for row in pairs.table.to_pylist():
        for side, values in found.items():
            text = tokenizer.apply_chat_template([*row["prompt"], *row[side]], tokenize=False)
            asked = tokenizer(text, add_special_tokens=False, return_tensors="pt")
            with torch.no_grad():
                values.append(model(**asked)[0][0].numpy())
    return found


@pytest.mark.parametrize("name", DECODERS)
def test_scores_behind_shared_prompts_are_those_of_whole_rows(name, tmp_path):
    folder = made(name, tmp_path / name, **DECODERS[name])
    model, pairs = SequenceClassifier(path=folder).load(), pairs_of()
    assert model.loaded.shares_prompts
    passes = counted(model)
    table = Reward(self_check=0).query(model, pairs).table
    assert any(shared for _, shared in passes)
    whole = sum(len(row) for row in rows_of(model, pairs))
    assert sum(positions for positions, _ in passes) < 0.8 * whole
    for side, scores in alone(folder, pairs).items():
        np.testing.assert_allclose(table[side], np.ravel(scores), **NEAR)


def rows_of(model, pairs):
    from rmplug.data.rows import one_batch
    from rmplug.data.sides import stacked

    return model.loaded.tokenizing.rows(stacked(one_batch(pairs.table), ["chosen", "rejected"]))


@pytest.mark.parametrize("name", ["GPT2", "Mistral", "Gemma3Text"])
def test_states_and_log_probabilities_are_those_of_whole_rows(name, tmp_path, monkeypatch):
    folder = made(name, tmp_path / name, "ForCausalLM", **DECODERS[name])
    pairs = pairs_of()
    encoder = Encoder(path=folder, template="chat", pooling="last").load()
    model = CausalLM(path=folder).load()
    queries = [
        (HiddenState(), encoder),
        (HiddenState(part="both", layers="all"), encoder),
        (HiddenState(pooling="position", position="response-start"), encoder),
        (LogProb(), model),
    ]
    passes = [counted(encoder), counted(model)]
    shared = [query.query(asked, pairs).table for query, asked in queries]
    assert all(any(cached for _, cached in found) for found in passes)
    monkeypatch.setattr(_transformer, "Sharing", lambda *_: None)
    for (query, asked), table in zip(queries, shared, strict=True):
        whole = query.query(asked, pairs).table
        for column in (name for name in whole.column_names if name not in KEYS):
            one, other = (np.array(t[column].to_pylist(), float) for t in (table, whole))
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("Bert", SMALL),
        ("Llama", {**GROUPED, "rope_parameters": {"rope_type": "dynamic", "factor": 2.0,
                                                  "rope_theta": 1e4}}),
        ("Mamba", {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}),
    ],
)  # fmt: skip
def test_models_that_keep_no_keys_and_values_run_whole_rows(name, more, tmp_path):
    folder = made(name, tmp_path / name, "Model", **more)
    model = Encoder(path=folder, template="chat", pooling="last").load()
    passes = counted(model)
    table = HiddenState(self_check=0).query(model, pairs_of()).table
    assert not model.loaded.shares_prompts
    assert np.isfinite(np.array(table["chosen"].to_pylist())).all()
    assert sum(n for n, _ in passes) >= sum(len(row) for row in rows_of(model, pairs_of()))


def test_short_prompts_before_long_responses_are_not_shared(tmp_path):
    model = SequenceClassifier(path=made("Llama", tmp_path / "llama", **GROUPED)).load()
    passes = counted(model)
    sides = {"chosen": [STEPS * 3, STEPS * 4], "rejected": [f"No. {STEPS * n}" for n in (3, 4)]}
    pairs = Pairs({"id": ["a", "b"], "prompt": ["Why?", "How?"], **sides})
    assert len(Reward(self_check=0).query(model, pairs).table) == 2
    assert passes
    assert not any(shared for _, shared in passes)


def test_a_row_that_ends_in_padding_is_read_where_it_is_read_alone(tmp_path):
    folder = made("Llama", tmp_path / "llama", **GROUPED)
    model = SequenceClassifier(path=folder, pad_token="<|eot_id|>").load()
    table = Reward(self_check=0).query(model, pairs_of()).table
    whole = direct_model(folder)[0]
    whole.config.pad_token_id = model.tokenizer.convert_tokens_to_ids("<|eot_id|>")
    for row, score in zip(rows_of(model, pairs_of())[:5], table["chosen"].to_pylist(), strict=True):
        with torch.no_grad():
            expected = whole(input_ids=torch.from_numpy(row.ids)[None]).logits
        assert score == pytest.approx(float(expected), abs=1e-5)


texts = st.lists(st.integers(0, 2), min_size=1, max_size=60)


@given(st.lists(texts, min_size=1, max_size=24), st.integers(2, 200), st.integers(0, 30))
@settings(max_examples=60)
def test_bands_hold_each_row_once_behind_what_it_begins_with(ids, tokens, tail):
    heads = [np.array([*range(5, 40), *text]) for text in ids]
    rows = [Tokens(row, 0, len(row)) for row in heads]
    sharing = Sharing(None, lambda: True, lambda row: np.array([len(row) - tail]))
    bands = plan_bands(rows, sharing, tokens)
    held = [index for band in bands for index in band.rows.tolist()]
    assert len(set(held)) == len(held)
    for band in bands:
        assert len(band.families) == 1 or len(band.families) * band.shared <= HELD * tokens
        for family in band.families:
            first = rows[family.rows[0]].ids[: band.shared]
            for index in family.rows:
                assert band.shared <= min(family.shared, len(rows[index]) - max(1, tail))
                assert np.array_equal(rows[index].ids[: band.shared], first)


def test_families_save_as_many_tokens_as_they_can():
    system, one, other = np.arange(40), np.arange(100, 160), np.arange(200, 230)
    ids = [np.concatenate([system, part, [n]]) for part in (one, one, other, other) for n in (1, 2)]
    rows = [Tokens(row, 0, len(row)) for row in [*ids, np.concatenate([system, [7, 8, 9]])]]
    families = find_families(rows, np.array([len(row) - 1 for row in rows]))
    assert sorted((len(f.rows), f.shared) for f in families) == [(4, 70), (4, 100)]
