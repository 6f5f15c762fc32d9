"""What `check` knows of models before anything is loaded: folders, settings and names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest

import rmplug
from rmplug import SpecError
from rmplug_hf import CausalLM, Encoder, RewardHead, SequenceClassifier

ASK = {"kind": "reward", "inputs": {"model": "model", "data": "pairs"}}


def said(kind, **params):
    """The sentence of ``check`` about a model, and the parameter at which it is told."""
    spec = {
        "steps": {
            "pairs": {"kind": "synthetic", "params": {"size": 20}},
            "model": {"kind": kind, "params": params},
            "asked": {**ASK, "kind": "hidden-state" if kind == "encoder" else "reward"},
        }
    }
    with pytest.raises(SpecError) as caught:
        rmplug.run(spec, store=Path("/nowhere"))
    [problem] = caught.value.problems
    return problem.path, problem.message


@pytest.mark.parametrize("kind", ["sequence-classifier", "causal-lm", "encoder", "reward-head"])
def test_a_folder_without_a_configuration_is_no_model(kind, tmp_path):
    path, sentence = said(kind, path=str(tmp_path))
    assert path == "steps.model.params.path"
    assert f"{tmp_path} is no folder " in sentence and "config.json" in sentence


def test_an_adapter_alone_is_no_model_and_a_model_no_adapter(tiny, tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    _, sentence = said("sequence-classifier", path=str(tmp_path))
    assert "is an adapter, not a model; load its model, and give this as adapter" in sentence
    model = str(tiny("llama"))
    path, sentence = said("sequence-classifier", path=model, adapter=model)
    assert path == "steps.model.params.adapter"
    assert sentence == f"{model} is no adapter: it has no adapter_config.json"


def test_a_configuration_that_is_no_json_is_told(tmp_path):
    (tmp_path / "config.json").write_text("[" * 200_000)
    _, sentence = said("encoder", path=str(tmp_path))
    assert "config.json is no JSON file (nested too deeply)" in sentence


def test_a_reference_is_checked_as_a_policy_is(tiny, tmp_path):
    model = str(tiny("qwen2", head="lm"))
    path, sentence = said("causal-lm", path=model, reference=str(tmp_path))
    assert path == "steps.model.params.reference" and "it has no config.json" in sentence


def test_a_name_that_is_not_in_the_cache_is_told_while_offline(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for cls in (SequenceClassifier, CausalLM, Encoder):
        [(field, sentence)] = cls(name="no/model", revision="f" * 40).mistakes({})
        assert field == "name"
        assert f"no/model ({'f' * 40}) is not in the local cache" in sentence
    assert not list(Encoder(name="minilm").mistakes({}))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    assert not list(SequenceClassifier(name="no/model").mistakes({}))


def test_a_model_that_is_there_has_no_mistake(tiny):
    assert not list(SequenceClassifier(path=tiny("llama")).mistakes({}))
    assert list(RewardHead(path=tiny("llama")).mistakes({}))


def test_nothing_heavy_is_imported_to_check(tiny):
    code = (
        "import sys; from rmplug_hf import Encoder, CausalLM; "
        f"list(Encoder(path={str(tiny('llama'))!r}).mistakes({{}})); "
        "list(CausalLM(name='no/model').mistakes({})); "
        "print([n for n in ('torch', 'transformers', 'numpy', 'safetensors') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
