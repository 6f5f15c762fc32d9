"""What a spec allows to an encoder holds wherever that spec opens a head trained on it."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from hostile_folders import Sent, changed_json, write_json
from safetensors.torch import load_file

import rmplug
from rmplug import Checkpoint, DataError
from rmplug.models.digests import model_digests

CODE = """
from transformers import BertConfig, BertModel

class Configuration(BertConfig):
    model_type = "mine"

class Model(BertModel):
    config_class = Configuration
"""


@pytest.fixture
def coded(tiny, tmp_path):
    """The folder of an encoder whose configuration and model are Python beside the weights."""
    folder = shutil.copytree(tiny("bert", head="none"), tmp_path / "coded")
    (folder / "mine.py").write_text(CODE)
    names = {"AutoConfig": "mine.Configuration", "AutoModel": "mine.Model"}
    changed_json(folder / "config.json", model_type="mine", auto_map=names)
    return folder


@pytest.fixture
def pickled(tiny, tmp_path):
    """The folder of an encoder whose weights are a pickle."""
    folder = shutil.copytree(tiny("bert", head="none"), tmp_path / "pickled")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def spec_of(encoder, trainer, **allowed):
    steps = {
        "pairs": {"kind": "synthetic", "params": {"size": 40}},
        "encoder": {"kind": "encoder", "params": {"path": str(encoder), **allowed}},
        "head": {"kind": trainer, "inputs": {"model": "encoder", "data": "pairs"}},
        "reward": {"kind": "reward", "inputs": {"model": "head", "data": "pairs"}},
    }
    return {"name": "permitted", "steps": steps}


@pytest.mark.parametrize("trainer", ["linear-head", "odin-head"])
def test_a_head_on_an_encoder_with_allowed_code_is_asked_in_the_same_spec(coded, trainer, tmp_path):
    spec = spec_of(coded, trainer, trust_remote_code=True, device="cpu")
    done = rmplug.run(spec, store=tmp_path / "store")
    assert len(done["reward"]) == 40
    shutil.rmtree(done.path("reward"))
    again = rmplug.run(spec, store=tmp_path / "store")
    assert [step.status for step in again.record.steps.values()][2:] == ["reused", "done"]


def test_a_head_on_allowed_pickles_is_asked_in_a_loop_of_the_same_spec(pickled, tmp_path):
    spec = spec_of(pickled, "linear-head", allow_pickle_weights=True, device="cpu")
    steps = spec["steps"]
    inner = {"reward": {**steps.pop("reward"), "inputs": {"model": "head", "data": "pairs"}}}
    params = {"values": [1, 2], "collect": ["reward"], "steps": inner}
    steps["loop"] = {"kind": "for-each", "params": params}
    spec["engine"] = {"kind": "local", "params": {"workers": 2}}
    assert len(rmplug.run(spec, store=tmp_path / "store")["loop"]) == 80


def test_a_permission_holds_for_the_files_that_the_spec_names_alone(pickled, tiny, tmp_path):
    spec = spec_of(pickled, "linear-head", allow_pickle_weights=True, device="cpu")
    head = rmplug.run(spec, store=tmp_path / "store", only=["head"])["head"]
    sent = Sent(tmp_path / "sent", tiny("bert", head="none"))
    sent.with_pickled_weights()
    moved = shutil.copytree(head.directory, tmp_path / "moved")
    config = json.loads((moved / "config.json").read_text())
    config["encoder"]["path"] = str(sent.encoder)
    write_json(moved / "config.json", {**config, "sha256": model_digests(sent.encoder)})
    altered = Checkpoint(moved, head.made_by, settings=head.settings)
    with pytest.raises(DataError, match="was trained on another encoder than .*pickled is now"):
        altered.open()
    assert not sent.ran.exists()
    assert head.open().outputs == ("reward",)


def test_a_spec_that_allows_nothing_hands_nothing_over(tiny, tmp_path):
    spec = spec_of(tiny("bert", head="none"), "linear-head")
    head = rmplug.run(spec, store=tmp_path / "store", only=["head"])["head"]
    assert head.settings() == {}
