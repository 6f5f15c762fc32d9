"""The reward after each token: what the head gives at every position."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from direct import Unopened, chat_text, direct_model

from rmplug import DataError, Features, Known, Responses, join
from rmplug.data.rows import one_batch
from rmplug.testing import LengthModel, check_step, small_pairs
from rmplug_hf import Encoder, SequenceClassifier, TokenRewards
from rmplug_hf.queries._trajectory_query import token_texts

MODELS = ["gpt2", "llama", "qwen2"]


def asked(folder, data, **params):
    model = SequenceClassifier(path=folder, device="cpu", batch_tokens=300, **params).load()
    return model, TokenRewards().query(model, data).table


def test_it_conforms(tiny):
    model = Unopened(SequenceClassifier(path=tiny("qwen2"), device="cpu"))
    check_step(TokenRewards, {}, {"model": model}, tolerance=1e-4)


@pytest.mark.parametrize("architecture", MODELS)
def test_each_reward_is_that_of_the_conversation_up_to_there(tiny, talks, architecture):
    folder = tiny(architecture)
    model, table = asked(folder, talks)
    direct, tokenizer = direct_model(folder)
    scores = model.score(one_batch(talks.table))[:, 0]
    for row, score, talk in zip(table.to_pylist(), scores, talks.table.to_pylist(), strict=True):
        text = chat_text(tokenizer, talk["prompt"], talk["response"])
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert row["response.ids"] == ids and row["response.tokens"] == len(ids)
        assert row["response.rewards"][-1] == pytest.approx(score, abs=1e-5)
        with torch.no_grad():
            alone = direct.score(direct.base_model(torch.tensor([ids]))[0])[0, :, 0]
        np.testing.assert_allclose(row["response.rewards"], alone, atol=1e-5)
        assert "".join(row["response.texts"]) == tokenizer.decode(ids)
        after = "".join(row["response.texts"][int(row["response.start"]) :])
        assert after.strip().startswith(talk["response"][0]["content"].strip()[:8])


def test_each_output_has_its_rewards_and_both_sides_of_pairs_theirs(tiny):
    _, table = asked(tiny("llama", labels=2), small_pairs(), outputs=["reward", "style"])
    assert table.column_names[2:] == [
        f"{side}.{what}"
        for side in ("chosen", "rejected")
        for what in ("tokens", "start", "ids", "texts", "rewards", "rewards.style")
    ]
    first = table.to_pylist()[0]
    assert len(first["chosen.rewards"]) == len(first["chosen.rewards.style"])
    assert first["chosen.rewards"] != first["chosen.rewards.style"]


def test_lists_are_kept_and_are_no_features(tiny, talks):
    _, table = asked(tiny("llama"), talks)
    features = Features(table, "tokens")
    assert features.values == ["response.tokens", "response.start"]
    joined = join([features]).table.column_names
    assert joined == ["id", "group", "tokens.response.tokens", "tokens.response.start"]
    known = {"model": [Known(outputs=("reward",))], "data": [Known((Responses,))]}
    assert list(TokenRewards().foresee(known).columns) == features.values


def test_a_character_of_several_tokens_stands_at_its_last(tiny):
    tokenizer = direct_model(tiny("llama"))[1]
    ids = tokenizer("a👩‍🚀 b\n", add_special_tokens=False)["input_ids"]
    texts = token_texts(tokenizer, ids)
    assert len(texts) == len(ids) and "".join(texts) == "a👩‍🚀 b\n"
    assert "" in texts and not any("\N{REPLACEMENT CHARACTER}" in text for text in texts)


def test_models_without_a_reward_in_the_middle_are_refused_with_the_reason(tiny, talks):
    encoder = SequenceClassifier(path=tiny("bert"), device="cpu").load()
    with pytest.raises(DataError, match="has no linear head that is read at the last token"):
        TokenRewards().query(encoder, talks).table  # noqa: B018
    with pytest.raises(DataError, match="LengthModel has no linear head"):
        TokenRewards().query(LengthModel(), talks).table  # noqa: B018
    seeing = SequenceClassifier(path=tiny("llama"), device="cpu").load()
    seeing.causal = False
    with pytest.raises(DataError, match="is not causal: the states of its tokens depend on later"):
        TokenRewards().query(seeing, talks).table  # noqa: B018
    fault = TokenRewards().mistakes({"model": [Known(outputs=(), step="encoder")]})
    assert next(iter(fault))[1] == "encoder gives no scores of responses; name a reward model"
    assert Encoder(name="minilm").foresee({}).outputs == ()


def test_a_head_that_is_read_elsewhere_is_refused(tiny, talks, monkeypatch):
    model = SequenceClassifier(path=tiny("llama"), device="cpu").load()
    score = model.score
    monkeypatch.setattr(model, "score", lambda responses: score(responses) + 1)
    with pytest.raises(DataError, match="this model does not read its head there"):
        TokenRewards().query(model, talks).table  # noqa: B018
