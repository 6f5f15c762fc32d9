"""What `check` knows of models before anything is loaded: folders, settings and names."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest
from hostile_folders import WRITERS, Sent

import rmplug
from rmplug import SpecError
from rmplug._kinds.registry import discover
from rmplug._spec.check import open_spec
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


def test_what_a_folder_lacks_to_be_scored_is_told_before_a_run(tiny, tmp_path):
    model = shutil.copytree(tiny("llama"), tmp_path / "model")
    (model / "model.safetensors").rename(tmp_path / "elsewhere.safetensors")
    path, sentence = said("sequence-classifier", path=str(model))
    assert path == "steps.model.params.path" and f"{model} has no weights: neither " in sentence
    step = SequenceClassifier(path=model, weights=tmp_path / "elsewhere.safetensors")
    assert not list(step.mistakes({}))
    (tmp_path / "elsewhere.safetensors").rename(model / "model.safetensors")
    for file in model.glob("tokenizer*"):
        file.unlink()
    path, sentence = said("sequence-classifier", path=str(model))
    assert path == "steps.model.params.path" and f"{model} has no tokenizer (" in sentence


def test_a_template_that_must_be_stated_is_asked_for_before_a_run(tiny):
    model = str(tiny("llama", chat=False))
    path, sentence = said("sequence-classifier", path=model)
    assert path == "steps.model.params.template"
    assert "has no chat template; say how the model was trained to read" in sentence
    assert not list(SequenceClassifier(path=model, template="pair").mistakes({}))
    assert not list(SequenceClassifier(path=tiny("llama")).mistakes({}))


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


NAMED = {"0": "helpful", "1": "honest", "2": "harmless"}


@pytest.mark.parametrize(
    ("count", "entries", "expected"),
    [
        (1, {}, ("reward",)),
        (2, {}, ("LABEL_0", "LABEL_1")),
        (2, {"id2label": None, "label2id": None}, ("LABEL_0", "LABEL_1")),
        (
            3,
            {"id2label": None, "label2id": None, "num_labels": 3},
            ("LABEL_0", "LABEL_1", "LABEL_2"),
        ),
        (3, {"id2label": NAMED, "label2id": None}, ("helpful", "honest", "harmless")),
    ],
)
def test_the_outputs_of_a_classifier_are_known_from_its_configuration(
    count, entries, expected, tiny, tmp_path
):
    folder = shutil.copytree(tiny("bert", labels=count), tmp_path / "model")
    config = {**json.loads((folder / "config.json").read_text()), **entries}
    config = {name: value for name, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(config))
    step = SequenceClassifier(path=folder, device="cpu")
    assert step.foresee({}).outputs == step.load().outputs == expected


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"id2label": ["a"]},
        {"id2label": {"0": "a", "2": "b"}},
        {"id2label": {"0": "a"}, "num_labels": 2},
        {"num_labels": 10**12},
        {"num_labels": "many"},
    ],
)
def test_a_configuration_that_does_not_determine_outputs_foresees_none(config, tmp_path):
    typed = {"model_type": "bert", **config} if config else {}
    (tmp_path / "config.json").write_text(json.dumps(typed))
    assert SequenceClassifier(path=tmp_path).foresee({}).outputs is None


def test_outputs_that_a_classifier_has_not_are_told_before_it_is_loaded(tiny):
    model = str(tiny("bert", labels=3))
    path, sentence = said("sequence-classifier", path=model, outputs=["a", "b"])
    assert path == "steps.model.params.outputs"
    assert sentence.startswith("outputs names 2 (a, b), but the model has 3: LABEL_0, LABEL_1")
    path, sentence = said("sequence-classifier", path=model, only="good")
    assert path == "steps.model.params.only"
    assert sentence == "the model has no output 'good'; it has LABEL_0, LABEL_1, LABEL_2"


@pytest.mark.parametrize("trainer", WRITERS)
def test_the_outputs_of_a_trained_folder_are_known_from_its_settings(trainer, tiny, tmp_path):
    folder = Sent(tmp_path / "sent", tiny("bert", head="none")).written(trainer)
    step = RewardHead(path=folder, device="cpu")
    assert tuple(step.foresee({}).outputs) == step.load().outputs


def test_columns_of_every_sort_of_model_are_checked(tiny):
    steps = {
        "pairs": {"kind": "synthetic", "params": {"size": 20}},
        "policy": {"kind": "causal-lm", "params": {"path": str(tiny("qwen2", head="lm"))}},
        "judge": {"kind": "generative-judge", "params": {"path": str(tiny("qwen2", head="lm"))}},
        "model": {"kind": "sequence-classifier", "params": {"path": str(tiny("bert"))}},
        "both": {"kind": "ensemble", "inputs": {"models": ["policy", "model"]}},
        "encoder": {"kind": "encoder", "params": {"name": "minilm"}},
        "head": {"kind": "linear-head", "inputs": {"model": "encoder", "data": "pairs"}},
    }
    models = ("policy", "judge", "model", "both", "head")
    steps |= {
        f"of-{name}": {"kind": "reward", "inputs": {"model": name, "data": "pairs"}}
        for name in models
    }
    spec = open_spec({"steps": steps}, (), discover())
    columns = {name: list(spec.graph.nodes[f"of-{name}"].gives.columns) for name in models}
    scored = ["chosen", "rejected", "margin", "probability", "loss"]
    assert columns["policy"] == columns["model"] == columns["head"] == scored
    assert columns["judge"] == ["margin", "probability", "loss"]
    ends = ("", ".member.policy", ".member.model")
    assert columns["both"] == [f"{name}{end}" for end in ends for name in scored]
    assert not spec.doubts


def test_an_ensemble_of_a_model_without_one_reward_is_told_before_it_is_loaded(tiny):
    several = {"kind": "sequence-classifier", "params": {"path": str(tiny("bert", labels=3))}}
    steps = {
        "one": {"kind": "sequence-classifier", "params": {"path": str(tiny("bert"))}},
        "several": several,
        "both": {"kind": "ensemble", "inputs": {"models": ["one", "several"]}},
    }
    with pytest.raises(SpecError, match="several has the outputs LABEL_0, LABEL_1, LABEL_2; set o"):
        open_spec({"steps": steps}, (), discover())
