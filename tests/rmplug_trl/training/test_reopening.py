"""What a spec allows to a model holds wherever that spec opens what was trained on it."""

from __future__ import annotations

import shutil

import pytest
import torch
from hostile_folders import changed_json
from safetensors.torch import load_file

import rmplug
from rmplug import Checkpoint, DataError, SpecError
from rmplug.models.digests import model_digests
from rmplug.testing.tiny_models import tiny_model

CODE = """
from transformers import GPT2Config, {base}

class Configuration(GPT2Config):
    model_type = "mine"

class Model({base}):
    config_class = Configuration
"""
AUTO = {
    "sequence-classifier": ("AutoModelForSequenceClassification", "GPT2ForSequenceClassification"),
    "causal-lm": ("AutoModelForCausalLM", "GPT2LMHeadModel"),
}
FEW = {"max_steps": 2, "logging_steps": 1}
SAMPLED = {**FEW, "per_device_train_batch_size": 4, "max_completion_length": 4}


def base_of(kind, folder):
    """Return the folder of a tiny GPT-2 for a kind of loader."""
    head = "lm" if kind == "causal-lm" else "score"
    return shutil.copytree(tiny_model("gpt2", folder / "tiny", head=head), folder / "base")


def coded(kind, folder):
    """Return a model whose configuration and network are Python beside the weights."""
    base, (auto, name) = base_of(kind, folder), AUTO[kind]
    (base / "mine.py").write_text(CODE.format(base=name))
    names = {"AutoConfig": "mine.Configuration", auto: "mine.Model"}
    changed_json(base / "config.json", model_type="mine", auto_map=names)
    return base


def pickled(kind, folder):
    """Return a model whose weights are a pickle."""
    base = base_of(kind, folder)
    torch.save(load_file(base / "model.safetensors"), base / "pytorch_model.bin")
    (base / "model.safetensors").unlink()
    return base


def spec_of(base, loader, trainer, params, **allowed):
    """Return a spec that trains a model of a loader and asks what was trained."""
    inputs = {
        "reward-model": {"model": "base", "data": "pairs"},
        "dpo": {"policy": "base", "data": "pairs"},
    }
    sampled = {"policy": "base", "reward": "head", "prompts": "pairs"}
    few = FEW if trainer in inputs else SAMPLED
    steps = {
        "pairs": {"kind": "synthetic", "params": {"size": 24}},
        "head": {"kind": "ngram-head", "inputs": "pairs", "params": {"folds": 2, "l2": [0.1]}},
        "base": {"kind": loader, "params": {"path": str(base), "device": "cpu", **allowed}},
        "trained": {
            "kind": trainer,
            "inputs": inputs.get(trainer, sampled),
            "params": {**few, **params},
        },
        "reward": {"kind": "reward", "inputs": {"model": "trained", "data": "pairs"}},
    }
    return {"name": "permitted", "steps": steps}


@pytest.mark.parametrize(
    ("loader", "trainer", "params"),
    [
        ("sequence-classifier", "reward-model", {}),
        ("sequence-classifier", "reward-model", {"lora": {"r": 2}}),
        ("causal-lm", "dpo", {"lora": {"r": 2}}),
        ("causal-lm", "online-dpo", {}),
    ],
)
def test_what_is_trained_on_allowed_code_is_asked_in_the_same_spec(
    loader, trainer, params, tmp_path
):
    base = coded(loader, tmp_path)
    spec = spec_of(base, loader, trainer, params, trust_remote_code=True)
    done = rmplug.run(spec, store=tmp_path / "store")
    assert len(done["reward"]) == 24
    trained = done["trained"]
    with pytest.raises(DataError, match=r"brings Python code of its own .* trust_remote_code"):
        trained.made_by.open(trained.directory)


@pytest.mark.parametrize("params", [{}, {"lora": {"r": 2}}], ids=["whole", "adapter"])
def test_what_is_trained_on_allowed_pickles_is_asked_in_the_same_spec(params, tmp_path):
    base = pickled("sequence-classifier", tmp_path)
    given = (base, "sequence-classifier", "reward-model", params)
    spec = spec_of(*given, allow_pickle_weights=True)
    done = rmplug.run(spec, store=tmp_path / "store")
    assert len(done["reward"]) == 24
    with pytest.raises(SpecError, match="allow_pickle_weights: true if you trust them"):
        rmplug.run(spec_of(*given), store=tmp_path / "store")


def test_a_merged_adapter_on_allowed_code_is_proved_in_a_new_process(tmp_path):
    params = {"lora": {"r": 2}, "save": "merged"}
    base = coded("sequence-classifier", tmp_path)
    given = (base, "sequence-classifier", "reward-model", params)
    done = rmplug.run(spec_of(*given, trust_remote_code=True), store=tmp_path / "store")
    assert len(done["reward"]) == 24


@pytest.mark.parametrize("loaded", [True, False])
def test_a_policy_gets_no_permission_of_the_reward_model_that_it_learns_from(loaded, tmp_path):
    judge = pickled("sequence-classifier", tmp_path)
    policy = tiny_model("gpt2", tmp_path / "tiny", head="lm")
    spec = spec_of(policy, "causal-lm", "online-dpo", {})
    if not loaded:
        params = {"opens_as": "causal-lm", "vocab_size": 300, "max_position_embeddings": 256}
        spec["steps"]["base"] = {"kind": "small-model", "params": params}
    spec["steps"]["head"] = {
        "kind": "sequence-classifier",
        "params": {"path": str(judge), "allow_pickle_weights": True},
    }
    trained = rmplug.run(spec, store=tmp_path / "store", only=["trained"])["trained"]
    assert trained.settings() == ({"device": "cpu"} if loaded else {})


@pytest.mark.parametrize("params", [{}, {"lora": {"r": 2}}], ids=["whole", "adapter"])
def test_a_permission_holds_for_the_code_that_the_spec_names_alone(params, tmp_path):
    base = coded("sequence-classifier", tmp_path)
    spec = spec_of(base, "sequence-classifier", "reward-model", params, trust_remote_code=True)
    done = rmplug.run(spec, store=tmp_path / "store", only=["trained"])["trained"]
    moved = shutil.copytree(done.directory, tmp_path / "moved")
    altered = Checkpoint(moved, done.made_by, settings=done.settings)
    assert altered.open().outputs == ("reward",)
    ran = tmp_path / "ran"
    code = f"open({str(ran)!r}, 'w').close()\n{(base / 'mine.py').read_text()}"
    if params:
        other = shutil.copytree(base, tmp_path / "other")
        (other / "mine.py").write_text(code)
        below = {"params": {"path": str(other)}, "digests": model_digests(other)}
        changed_json(moved / "format.json", below=below)
    else:
        (moved / "mine.py").write_text(code)
    with pytest.raises(DataError, match=r"brings Python code of its own .* trust_remote_code"):
        altered.open()
    assert not ran.exists()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("config.json", "someone--mine.Configuration"),
        ("config.json", "within/mine.Configuration"),
        ("tokenizer_config.json", "someone--mine.Configuration"),
    ],
)
def test_a_permission_is_not_for_code_elsewhere_that_a_folder_names(name, code, tmp_path):
    base = coded("sequence-classifier", tmp_path)
    spec = spec_of(base, "sequence-classifier", "reward-model", {}, trust_remote_code=True)
    done = rmplug.run(spec, store=tmp_path / "store", only=["trained"])["trained"]
    moved = shutil.copytree(done.directory, tmp_path / "moved")
    changed_json(moved / name, auto_map={"AutoConfig": code})
    with pytest.raises(DataError, match="brings Python code of its own"):
        Checkpoint(moved, done.made_by, settings=done.settings).open()
