"""A transformer with a head of its own: what it scores, where the head is found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file

import rmplug
from rmplug import DataError, Known, Responses
from rmplug.data.rows import one_batch
from rmplug.models.reopen import reopen
from rmplug.testing import check_step, small_pairs
from rmplug.testing.tiny_models import tiny_tokenizer
from rmplug_hf import HiddenState, ValueHead
from rmplug_text.queries import Reward

TEMPLATE = "{prompt}\n\n{response}"


@pytest.fixture(scope="module")
def gptj(tmp_path_factory):
    """A tiny GPT-J, its folder without weights, and the head of its reward model."""
    folder = tmp_path_factory.mktemp("gptj")
    tokenizer = tiny_tokenizer("gpt2", chat=False, pad="eos")
    tokenizer.save_pretrained(folder)
    eos = tokenizer.eos_token_id
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "rotary_dim": 4}
    ids = {"bos_token_id": eos, "eos_token_id": eos, "vocab_size": len(tokenizer)}
    config = transformers.GPTJConfig(**sizes, **ids, initializer_range=0.3)
    torch.manual_seed(0)
    body = transformers.GPTJModel(config).eval()
    config.save_pretrained(folder)
    head = torch.randn(1, 32)
    return folder, body, head, tokenizer


def file_of(gptj, path, head_name="v_head.weight", prefix="transformer.", **more):
    """The weights of the reward model as its training code stores them."""
    _, body, head, _ = gptj
    tensors = {f"{prefix}{name}": tensor for name, tensor in body.state_dict().items()}
    tensors |= {head_name: head.clone()} if head_name else {}
    path = path / "hf_ckpt.pt"
    torch.save({**tensors, **more}, path)
    return path


def direct(gptj, responses, bias=0.0):
    """The reward of each conversation alone, by transformers and a matrix product."""
    _, body, head, tokenizer = gptj
    rows = []
    for row in responses.table.to_pylist():
        prompt = "\n\n".join(turn["content"] for turn in row["prompt"])
        asked = tokenizer(f"{prompt}\n\n{row['response'][0]['content']}", return_tensors="pt")
        with torch.no_grad():
            rows.append((body(**asked).last_hidden_state[0, -1] @ head[0]).item() + bias)
    return np.array(rows)


def loaded(gptj, weights, **params):
    shared = {"template": TEMPLATE, "device": "cpu", "allow_pickle_weights": True}
    return ValueHead(path=gptj[0], weights=weights, **shared, **params)


def scored(gptj, talks, weights, **params):
    return loaded(gptj, weights, **params).load().score(one_batch(talks.table))[:, 0]


def test_it_conforms(gptj, tmp_path):
    params = {"path": str(gptj[0]), "weights": str(file_of(gptj, tmp_path)), "template": TEMPLATE}
    check_step(ValueHead, {**params, "allow_pickle_weights": True}, tolerance=1e-4)


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        ("transformer.", "v_head.weight"),
        ("transformer.", "v_head.0.weight"),
        ("model.transformer.", "v_head.summary.weight"),
        ("module.", "module.value_head.weight"),
        ("", "score.weight"),
    ],
)
def test_rewards_are_those_of_the_head_at_the_last_token(gptj, talks, tmp_path, prefix, name):
    masks = {f"{prefix}h.0.attn.masked_bias": torch.tensor(-1e9)}
    language = {"lm_head.weight": torch.zeros(4, 32)}
    file = file_of(gptj, tmp_path, name, prefix, **masks, **language)
    found = scored(gptj, talks, file, batch_tokens=300)
    assert np.ptp(found) > 0.1
    assert np.abs(found - direct(gptj, talks)).max() < 1e-5


def test_the_token_that_ends_texts_is_padding_to_the_original_and_is_left_out_here(
    gptj, talks, tmp_path
):
    """The original closes and pads every text with that token and reads the token before the first
    of them (its inference branch)."""
    _, body, head, tokenizer = gptj
    found = scored(gptj, talks, file_of(gptj, tmp_path))
    for row, reward in zip(talks.table.to_pylist(), found, strict=True):
        prompt = "\n\n".join(turn["content"] for turn in row["prompt"])
        text = f"{prompt}\n\n{row['response'][0]['content']}{tokenizer.eos_token}"
        asked = tokenizer(text, padding="max_length", max_length=250, return_tensors="pt")
        with torch.no_grad():
            rewards = body(**asked).last_hidden_state[0] @ head[0]
        first = (asked["input_ids"][0] == tokenizer.eos_token_id).nonzero()[0].item()
        assert rewards[first - 1].item() == pytest.approx(reward, abs=1e-5)


def test_a_bias_and_a_head_in_a_file_of_its_own_are_taken(gptj, talks, tmp_path):
    body = file_of(gptj, tmp_path, head_name="")
    head = tmp_path / "head.safetensors"
    save_file({"reward.weight": gptj[2].clone(), "reward.bias": torch.tensor([0.5])}, head)
    found = scored(gptj, talks, body, head_weights=head, head="reward")
    assert np.abs(found - direct(gptj, talks, bias=0.5)).max() < 1e-5


def test_it_is_asked_for_rewards_and_states_like_any_model(gptj, talks, tmp_path):
    model = loaded(gptj, file_of(gptj, tmp_path)).load()
    pairs = small_pairs()
    rewards = Reward().query(model, pairs).table
    states = HiddenState(layers=[0, 2]).query(model, pairs).table
    last = np.array(states["chosen.layer-2"].to_pylist()) @ gptj[2][0].numpy()
    np.testing.assert_allclose(rewards["chosen"].to_numpy(), last, atol=1e-5)
    first = gptj[1].get_input_embeddings().weight.detach().numpy()
    ids = gptj[3]("Canberra.")["input_ids"]
    np.testing.assert_allclose(states["chosen.layer-0"][0].as_py(), first[ids[-1]], atol=1e-6)


def test_a_folder_with_the_head_inside_is_recognised_and_can_be_opened_again(gptj, talks, tmp_path):
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((gptj[0] / name).read_bytes())
    tensors = torch.load(file_of(gptj, tmp_path), weights_only=True)
    (tmp_path / "hf_ckpt.pt").unlink()
    save_file(tensors, tmp_path / "model.safetensors")
    scorer = rmplug.load(tmp_path, template=TEMPLATE)
    batch = one_batch(talks.table)
    found = scorer.model.score(batch)[:, 0]
    assert np.abs(found - direct(gptj, talks)).max() < 1e-5
    again = reopen(scorer.model.origin(), tmp_path / "elsewhere")
    np.testing.assert_array_equal(again.score(batch)[:, 0], found)
    assert loaded(gptj, file_of(gptj, gptj[0])).load().origin() is None


@pytest.mark.parametrize(
    ("params", "more", "sentence"),
    [
        (
            {},
            {"score.weight": torch.zeros(1, 32)},
            "has 2 heads by their names .score.weight, v_head.weight",
        ),
        ({}, {"v_head.2.weight": torch.zeros(1, 8)}, "no place for v_head.2.weight"),
        ({"head": "absent"}, {}, "has no weights 'absent' beside the transformer's; it has v_head"),
        (
            {"outputs": ["a", "b"]},
            {},
            r"has the shape \(1, 32\), and a head with 2 outputs",
        ),
    ],
)
def test_a_head_that_is_not_the_one_is_refused(gptj, talks, tmp_path, params, more, sentence):
    with pytest.raises(DataError, match=sentence):
        scored(gptj, talks, file_of(gptj, tmp_path, **more), **params)


def test_weights_of_another_transformer_are_refused(gptj, talks, tmp_path):
    file = file_of(gptj, tmp_path, prefix="other.thing.")
    with pytest.raises(DataError, match="no weight in .* is one of the transformer that config"):
        scored(gptj, talks, file)
    tensors = torch.load(file_of(gptj, tmp_path), weights_only=True)
    tensors.pop("transformer.h.1.attn.q_proj.weight")
    torch.save(tensors, tmp_path / "less.pt")
    with pytest.raises(DataError, match="lack h.1.attn.q_proj.weight: they would be random"):
        scored(gptj, talks, tmp_path / "less.pt")


def test_a_check_tells_what_it_has_not(gptj, tmp_path):
    step = loaded(gptj, file_of(gptj, tmp_path), outputs=["help", "harm"], only="hlep")
    assert dict(step.mistakes({}))["only"] == "the model has no output 'hlep'; it has help, harm"
    assert loaded(gptj, None, outputs=["help", "harm"]).foresee({}).outputs == ("help", "harm")
    model = {"model": [Known(made_by=step, step="m")], "data": [Known((Responses,))]}
    assert len(HiddenState(layers="all").foresee(model).columns) == 3
