"""The released model's layout, read without its code."""

from __future__ import annotations

import json
import os
import shutil
import sys

import numpy as np
import pytest
import torch
from assembled_cases import llama, talk_pairs
from attribute_cases import reference_case
from safetensors.torch import load_file, save_file

import rmplug
from rmplug import DataError
from rmplug.data.messages import message_type
from rmplug.data.rows import one_batch
from rmplug.data.sides import side_of
from rmplug.testing import check_step
from rmplug.testing.tiny_models import tiny_model
from rmplug_armorm import ArmoRM, Contributions
from rmplug_armorm.export._published_attributes import PUBLISHED
from rmplug_hf import Encoder, HiddenState

REMOTE = 'raise SystemExit("remote code was run")\n'


@pytest.fixture(scope="module")
def tensors():
    """Heads, transform and gate of a reference run, under the released names."""
    folder = reference_case("stage2_equal_prompts")
    gate = torch.load(folder / "bothfix_gating_network.pt", weights_only=True)
    outputs = torch.load(folder / "bothfix.pt", weights_only=True)
    weight = torch.load(folder / "regression_weights.pt", weights_only=True)["weight"]
    return {
        "regression_layer.weight": weight,
        "reward_transform_matrix": outputs["reward_transform_matrix"],
        **{f"gating.{name}": values for name, values in gate.items()},
    }


@pytest.fixture(scope="module")
def released(tensors, tmp_path_factory):
    """A tiny backbone and these tensors as one model that brings code of its own."""
    folder = tmp_path_factory.mktemp("released")
    shutil.copytree(tiny_model("llama", folder, head="none"), folder / "model")
    place = folder / "model"
    body = {f"model.{name}": t for name, t in load_file(place / "model.safetensors").items()}
    save_file({**body, **tensors}, place / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((place / "config.json").read_text())
    config |= {
        "architectures": ["LlamaForRewardModelWithGating"],
        "auto_map": {"AutoModelForSequenceClassification": "modeling_custom.Remote"},
        "num_objectives": 19, "gating_temperature": 10, "gating_hidden_dim": 64,
        "gating_n_hidden": 3,
    }  # fmt: skip
    (place / "config.json").write_text(json.dumps(config))
    (place / "modeling_custom.py").write_text(REMOTE)
    return place


def rows():
    return side_of(one_batch(talk_pairs(8).table), "chosen")


def by_hand(tensors, states, prompts):
    """The published formulas in float64."""
    t = {name: values.double().numpy() for name, values in tensors.items()}
    hidden = prompts.astype(np.float64)
    for layer in range(4):
        hidden = hidden if layer == 0 else np.maximum(hidden, 0)
        hidden = hidden @ t[f"gating.layers.{layer}.weight"].T + t[f"gating.layers.{layer}.bias"]
    shares = np.exp(hidden / 10)
    shares = t["gating.logit_scale"] * shares / shares.sum(axis=1, keepdims=True)
    rewards = states.astype(np.float64) @ t["regression_layer.weight"].T
    return rewards, (shares * (rewards @ t["reward_transform_matrix"])).sum(axis=1)


def test_scores_follow_the_published_formulas(released, tensors, tmp_path):
    model = ArmoRM(path=released, encoder={"device": "cpu"}).load()
    encoder = llama(tmp_path).load()
    states, prompts = encoder.vectors(rows()), encoder.vectors(rows(), "turn")
    rewards, scores = by_hand(tensors, states, prompts)
    found = model.score(rows())
    assert model.outputs == ("reward", *PUBLISHED)
    np.testing.assert_allclose(found[:, 0], scores, atol=1e-5)
    np.testing.assert_allclose(found[:, 1:], rewards, atol=1e-5)


def test_the_layout_is_recognised_and_explained(released):
    scorer = rmplug.load(released)
    assert "helpsteer-verbosity" in scorer.outputs
    found = Contributions().query(scorer.model, talk_pairs(4))
    total = sum(np.asarray(found[f"chosen.contribution.{name}"]) for name in PUBLISHED)
    scores = scorer.model.score(side_of(one_batch(talk_pairs(4).table), "chosen"))
    np.testing.assert_allclose(total, scores[:, 0], atol=1e-6)
    assert "modeling_custom" not in " ".join(sys.modules)


def test_the_published_files_are_read_beside_a_backbone(released, tmp_path):
    folder = reference_case("stage2_equal_prompts")
    bare = tiny_model("llama", tmp_path, head="none")
    names = ("regression_weights.pt", "bothfix.pt", "bothfix_gating_network.pt")
    files = tuple(folder / name for name in names)
    found = ArmoRM(path=bare, weights=files, encoder={"device": "cpu"}).load()
    whole = ArmoRM(path=released, encoder={"device": "cpu"}).load()
    np.testing.assert_allclose(found.score(rows()), whole.score(rows()), atol=1e-6)


class Harm:
    """Makes a folder where it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_a_pickle_that_is_more_than_tensors_is_not_run(tmp_path):
    torch.save({"weight": Harm(tmp_path / "harm")}, tmp_path / "harm.pt")
    bare = tiny_model("llama", tmp_path, head="none")
    with pytest.raises(DataError, match=r"harm\.pt holds more than tensors, and is not read"):
        ArmoRM(path=bare, weights=tmp_path / "harm.pt").load()
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([torch.ones(2)], "holds a list, not tensors by their names"),
        (torch.ones(2), "holds a Tensor, not tensors by their names"),
        ({"weight": "many"}, "holds as regression_layer.weight no plain tensor of real numbers"),
        ({"weight": torch.ones(2, 2).to_sparse()}, "no plain tensor of real numbers"),
        ({"weight": torch.ones(2, 2, dtype=torch.complex64)}, "no plain tensor of real numbers"),
        ({"weight": torch.ones(1).expand(10**9, 10**6)}, "no plain tensor of real numbers"),
        ({"weight": torch.ones(2), "logit_scale": torch.ones(1)}, r"heads of shape \(2,\), not"),
        ({7: torch.ones(2)}, "lack regression_layer.weight"),
    ],
)
def test_tensors_that_no_head_has_are_refused_in_one_sentence(tmp_path, content, reason):
    torch.save(content, tmp_path / "odd.pt")
    with pytest.raises(DataError, match=reason) as caught:
        ArmoRM(path=tmp_path, weights=tmp_path / "odd.pt", temperature=1.0).load()
    assert "\n" not in str(caught.value)


def test_what_is_missing_or_does_not_fit_is_named(released, tensors, tmp_path):
    bare = tiny_model("llama", tmp_path, head="none")
    with pytest.raises(
        DataError, match=r"lack regression_layer\.weight; give the folder of the re"
    ):
        ArmoRM(path=bare).load()
    with pytest.raises(DataError, match="have 19 attributes, 2 are named; name them in order"):
        ArmoRM(path=released, attributes=("a", "b")).load()
    part = {n: t.contiguous() for n, t in tensors.items() if n != "gating.layers.2.bias"}
    save_file(part, tmp_path / "part.safetensors")
    with pytest.raises(DataError, match=r"the gate lacks 'layers\.2\.bias'; it must hold"):
        ArmoRM(path=bare, weights=tmp_path / "part.safetensors").load()


def test_the_gate_reads_the_published_position(tmp_path):
    """The token at which the published preparation finds the end of the last user turn."""
    folder = reference_case("prepare/tiny_llama")
    encoder = Encoder(path=folder, template="chat", pooling="last", device="cpu").load()
    patterns = json.loads(reference_case("gating_positions.json").read_text())["patterns"]
    tokenizing, pattern = encoder.loaded.tokenizing, patterns["llama3"]
    talks = [["w1 w2"], ["w6", "w7", "w8 w9"], ["w3", "w4", "w5", "w6", "w7"]]
    roles = ("user", "assistant") * 3
    for turns in talks:
        prompt = [{"role": r, "content": t} for r, t in zip(roles, turns, strict=False)]
        batch = conversation(prompt)
        [whole], [turn] = tokenizing.rows(batch), tokenizing.rows(batch, "turn")
        ids = whole.ids.tolist()
        last = max(n for n in range(len(ids)) if ids[n : n + 5] == pattern)
        assert len(turn) - 1 == last and turn.ids.tolist() == ids[: last + 1]
        table = rmplug.Responses(batch.to_pydict() | {"prompt": batch["prompt"],
                                                      "response": batch["response"]})  # fmt: skip
        [state] = HiddenState(part="prompt", prompt_end="turn").query(encoder, table)["prompt"]
        direct = encoder.run([whole], lambda b, at=last: encoder.hidden(b)[:, at])
        np.testing.assert_allclose(state.as_py(), direct[0], atol=1e-2)


def conversation(prompt):
    import pyarrow as pa

    answer = [{"role": "assistant", "content": "w10 w11"}]
    return pa.RecordBatch.from_arrays(
        [pa.array(["t"]), pa.array([prompt], message_type()), pa.array([answer], message_type())],
        names=["id", "prompt", "response"],
    )


def test_it_conforms(released):
    check_step(ArmoRM, {"path": str(released)}, tolerance=1e-5)
