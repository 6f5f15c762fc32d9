"""Trained models as folders: they open as they were trained, or not at all."""

from __future__ import annotations

import json
import shutil
import warnings

import numpy as np
import pytest
import torch
from fresh_processes import run_fresh

import rmplug
from rmplug import DataError
from rmplug.data.rows import one_batch
from rmplug.notices import collect_notices
from rmplug_hf import CausalLM, SequenceClassifier

ARCHITECTURES = ["bert", "gpt2", "llama", "qwen2"]
STYLE = {
    "template": "{prompt}\n\nAssistant: {response}{eos}",
    "turn": "{role}: {content}",
    "roles": {"user": "Human"},
    "system": "Be brief.",
    "max_length": 70,
    "truncate": "prompt-left",
}


def classifier(folder, **params):
    step = SequenceClassifier(path=folder, head="new", device="cpu", **params)
    model = step.load()
    model.draw_head(0)
    return model


def trained(model, network, talks):
    """Take three steps of training, with the tokens of the model and its padding."""
    network.train()
    weights = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=0.01)
    for row in model.token_rows(one_batch(talks.table))[:3]:
        ids = torch.from_numpy(row.ids)[None]
        loss = network(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return network


def adapted(model, **options):
    from peft import LoraConfig, TaskType, get_peft_model

    options = {"task_type": TaskType.SEQ_CLS, "modules_to_save": [*model.head_modules], **options}
    fan = {"fan_in_fan_out": True} if model.network.config.model_type == "gpt2" else {}
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the two libraries deprecate parts of each other
        torch.manual_seed(0)
        return get_peft_model(model.network, LoraConfig(r=2, **fan, **options))


def saved(model, network, place, talks):
    """Train and save; return the scores of the model in memory."""
    trained(model, network, talks)
    model.save(place, network)
    return model.score(one_batch(talks.table))


def changed_json(path, **entries):
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def format_of(folder):
    return json.loads((folder / "format.json").read_text())


def scores_of(table, folders):
    """The scores of the models in the folders, opened without parameters."""
    batch = one_batch(table)
    return [rmplug.load(folder, device="cpu").model.score(batch) for folder in folders]


def test_a_saved_model_scores_the_same_in_a_fresh_process(tiny, talks, tmp_path):
    style = {**STYLE, "outputs": ("good", "brief")}
    folders, expected = [], []
    for architecture in ARCHITECTURES:
        own = {"template": "pair"} if architecture == "bert" else {}
        for adapter in (False, True):
            model = classifier(tiny(architecture, head="none", pad="eos"), **{**style, **own})
            folders.append(tmp_path / f"{architecture}-{adapter}")
            network = adapted(model) if adapter else model.network
            expected.append(saved(model, network, folders[-1], talks))
    found = run_fresh(scores_of, talks.table, folders)
    for folder, scores, before in zip(folders, found, expected, strict=True):
        assert before.shape == (13, 2) and before.std() > 0.01
        np.testing.assert_allclose(scores, before, rtol=0, atol=1e-5, err_msg=str(folder))
        assert not list(folder.glob("*.bin")) and list(folder.glob("*.safetensors"))
        assert SequenceClassifier(path=folder).foresee({}).outputs == ("good", "brief")


def test_a_policy_is_opened_as_it_was_trained(tiny, talks, tmp_path):
    from peft import TaskType

    params = {"template": "{prompt}\n{response}{eos}", "max_length": 60, "turn": "{content}"}
    folder, batch = tiny("llama", head="lm", pad="none"), one_batch(talks.table)
    for adapter in (False, True):
        model = CausalLM(path=folder, device="cpu", **params).load()
        network = adapted(model, task_type=TaskType.CAUSAL_LM) if adapter else model.network
        before = saved(model, network, tmp_path / f"{adapter}", talks)
        found = rmplug.load(tmp_path / f"{adapter}", device="cpu").model
        np.testing.assert_allclose(found.score(batch), before, rtol=1e-6)
        assert (found.step.template, found.loaded.tokenizing.max_length) == (params["template"], 60)
        fresh = CausalLM(path=folder, device="cpu", **params).load()
        assert np.abs(fresh.score(batch) - before).max() > 0.01
        again = CausalLM(path=tmp_path / f"{adapter}", reference=folder, beta=0.5, device="cpu")
        assert np.abs(again.load().score(batch)).max() > 0.01


def test_a_batch_scores_as_its_rows_alone(tiny, talks, tmp_path):
    model = classifier(tiny("llama", head="lm", pad="none"), template=STYLE["template"])
    saved(model, model.network, tmp_path / "model", talks)
    found, batch = SequenceClassifier(path=tmp_path / "model").load(), one_batch(talks.table)
    alone = [found.score(batch.slice(row, 1))[0] for row in range(batch.num_rows)]
    np.testing.assert_allclose(found.score(batch), alone, rtol=0, atol=1e-5)


def test_a_saved_configuration_says_what_the_model_is(tiny, talks, tmp_path):
    model = classifier(tiny("qwen2", head="lm", labels=2, pad="none"))
    saved(model, model.network, tmp_path / "model", talks)
    config = json.loads((tmp_path / "model/config.json").read_text())
    assert config["architectures"] == ["Qwen2ForSequenceClassification"]
    assert config["id2label"] == {"0": "reward"}
    assert config["pad_token_id"] == format_of(tmp_path / "model")["pad_token_id"] == 0
    assert (tmp_path / "model/chat_template.jinja").is_file()


def test_minilm_below_an_adapter_is_the_installed_one(talks, tmp_path):
    step = SequenceClassifier(name="minilm", template="pair", head="new", device="cpu")
    model = step.load()
    model.draw_head(0)
    before = saved(model, adapted(model), tmp_path / "adapter", talks)
    assert format_of(tmp_path / "adapter")["below"] == {"params": {"name": "minilm"}, "digests": {}}
    found = rmplug.load(tmp_path / "adapter", device="cpu").model
    np.testing.assert_allclose(found.score(one_batch(talks.table)), before, rtol=0, atol=1e-5)


def test_a_checkpoint_without_a_pooler_saves_it_with_the_adapter(tiny, talks, tmp_path):
    model = classifier(tiny("bert", head="lm"))
    assert model.head_modules == ("bert.pooler", "classifier")
    before = saved(model, adapted(model), tmp_path / "adapter", talks)
    found = SequenceClassifier(path=tmp_path / "adapter").load()
    np.testing.assert_allclose(found.score(one_batch(talks.table)), before, rtol=0, atol=1e-5)
    lost = classifier(tiny("bert", head="lm"))
    network = adapted(lost, modules_to_save=["classifier"])
    with pytest.raises(DataError, match=r"does not hold bert.pooler.dense.bias of the new head"):
        lost.save(tmp_path / "lost", network)


def test_an_adapter_without_the_new_head_is_not_saved(tiny, tmp_path):
    model = classifier(tiny("llama", head="lm"))
    network = adapted(model, task_type=None, modules_to_save=None, target_modules=["q_proj"])
    with pytest.raises(DataError) as error:
        model.save(tmp_path / "lost", network)
    assert str(error.value) == (
        "the adapter does not hold score.weight of the new head, which would be lost; name its "
        "module in modules_to_save"
    )
    with pytest.raises(DataError, match="has an adapter beside its weights; save the PeftModel"):
        model.save(tmp_path / "lost", model.network)
    assert not (tmp_path / "lost").exists()


def test_a_parameter_of_the_spec_wins_and_its_rows_are_named(tiny, talks, tmp_path):
    model = classifier(tiny("llama", head="lm"), **STYLE)
    saved(model, model.network, tmp_path / "model", talks)
    batch = one_batch(talks.table)
    with collect_notices() as quiet:
        SequenceClassifier(path=tmp_path / "model", max_length=70).load().score(batch)
    step = SequenceClassifier(path=tmp_path / "model", max_length=64, system=None)
    with collect_notices() as told:
        found = step.load()
        found.score(batch)
    assert found.loaded.tokenizing.max_length == 64 and found.step.system is None
    assert found.step.template == STYLE["template"]
    what = "scored in another format than the model was trained in: system, max_length"
    assert told[what, "kept"].count == len(talks)
    assert not [key for key in quiet if "another format" in key[0]]


@pytest.fixture
def adapter(tiny, talks, tmp_path):
    """The folder of an adapter, that of the model below it, and the scores of both together."""
    base = shutil.copytree(tiny("llama", head="lm"), tmp_path / "base")
    model = classifier(base, template=STYLE["template"])
    return tmp_path / "adapter", base, saved(model, adapted(model), tmp_path / "adapter", talks)


def test_an_adapter_given_with_its_model_reads_as_it_was_trained(adapter, talks):
    folder, base, before = adapter
    model = SequenceClassifier(path=base, adapter=folder, device="cpu").load()
    assert model.outputs == ("reward",) and model.step.template == STYLE["template"]
    np.testing.assert_allclose(model.score(one_batch(talks.table)), before, rtol=0, atol=1e-5)


def test_an_adapter_that_moved_with_its_model_finds_it(adapter, talks, tmp_path):
    folder, base, before = adapter
    (tmp_path / "elsewhere").mkdir()
    for place in (folder, base):
        shutil.move(place, tmp_path / "elsewhere" / place.name)
    found = rmplug.load(tmp_path / "elsewhere/adapter", device="cpu").model
    np.testing.assert_allclose(found.score(one_batch(talks.table)), before, rtol=0, atol=1e-5)
    shutil.move(tmp_path / "elsewhere/base", tmp_path / "elsewhere/adapter/base")
    assert rmplug.load(tmp_path / "elsewhere/adapter", device="cpu").outputs == ("reward",)


def test_a_model_below_with_a_changed_byte_is_refused(adapter):
    folder, base, _ = adapter
    weights = bytearray((base / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (base / "model.safetensors").write_bytes(weights)
    with pytest.raises(DataError, match=r"than .*base is now: model.safetensors differ"):
        SequenceClassifier(path=folder).load()
    shutil.rmtree(base)
    with pytest.raises(DataError, match="which is not there; say where it is now: the model's fol"):
        SequenceClassifier(path=folder).load()


def test_an_adapter_whose_model_is_not_recorded_is_refused_as_before(adapter):
    folder, _, _ = adapter
    changed_json(folder / "format.json", below=None)
    with pytest.raises(DataError, match="is an adapter of .*base, not a model; load that model"):
        SequenceClassifier(path=folder).load()
    (folder / "format.json").unlink()
    assert dict(SequenceClassifier(path=folder).mistakes({}))["path"].startswith(f"{folder} is an")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda t: t["pre_tokenizer"].update(add_prefix_space=True), "'Hello, world!' has other"),
        (lambda t: t["model"]["merges"].pop(0), "has other tokens than in format.json"),
        (lambda t: t.update(post_processor=None), "'Hello, world!' has other tokens than"),
    ],
)
def test_a_changed_tokenizer_is_refused(tiny, talks, tmp_path, spoil, sentence):
    model = classifier(tiny("llama", head="lm"), template=STYLE["template"])
    saved(model, model.network, tmp_path / "model", talks)
    path = tmp_path / "model/tokenizer.json"
    settings = json.loads(path.read_text())
    spoil(settings)
    path.write_text(json.dumps(settings))
    with pytest.raises(DataError) as error:
        SequenceClassifier(path=tmp_path / "model").load()
    assert sentence in str(error.value) and "is not the one that the model was tr" in str(
        error.value
    )


def test_a_dropped_merge_that_no_probe_needs_is_refused(tiny, talks, tmp_path):
    model = classifier(tiny("llama", head="lm"), template=STYLE["template"])
    model.save(tmp_path / "model", model.network)
    path = tmp_path / "model/tokenizer.json"
    settings = json.loads(path.read_text())
    # the last merge is of the sentences that the tokenizer was learned from
    settings["model"]["merges"].pop()
    path.write_text(json.dumps(settings))
    with pytest.raises(DataError) as error:
        SequenceClassifier(path=tmp_path / "model").load()
    assert str(error.value) == (
        f"the tokenizer of {tmp_path / 'model'} is not the one that the model was trained with "
        "(the vocabulary, or a merge in it, is another one than in format.json); put the files of "
        "that tokenizer back"
    )
    changed_json(tmp_path / "model/format.json", tokenizer=None)  # as older ones are
    assert SequenceClassifier(path=tmp_path / "model").load().outputs == ("reward",)


@pytest.mark.parametrize("said", [True, False, None])
def test_a_saved_configuration_says_of_use_cache_what_it_did(tiny, tmp_path, said):
    folder = shutil.copytree(tiny("llama", head="lm"), tmp_path / "base")
    config = json.loads((folder / "config.json").read_text())
    config.pop("use_cache", None)
    text = json.dumps(config if said is None else {**config, "use_cache": said})
    (folder / "config.json").write_text(text)
    model = classifier(folder)
    model.save(tmp_path / "model", model.network)
    saved = json.loads((tmp_path / "model/config.json").read_text())
    # Llama's own default is written out
    assert saved["use_cache"] is (True if said is None else said)
    assert model.network.config.use_cache is False


def test_a_changed_chat_template_is_refused_unless_the_spec_says_another(tiny, talks, tmp_path):
    model = classifier(tiny("qwen2", head="lm"))
    saved(model, model.network, tmp_path / "model", talks)
    path = tmp_path / "model/chat_template.jinja"
    path.write_text(path.read_text() + " ")
    with pytest.raises(DataError, match="'a conversation' has other tokens than in format.json"):
        SequenceClassifier(path=tmp_path / "model").load()
    step = SequenceClassifier(path=tmp_path / "model", template="{prompt} {response}")
    assert step.load().changed == ("template",)


@pytest.fixture
def model_folder(tiny, talks, tmp_path):
    model = classifier(tiny("llama", head="lm"))
    model.save(tmp_path / "model", model.network)
    return tmp_path / "model"


def refused(folder):
    with pytest.raises(DataError) as error:
        SequenceClassifier(path=folder, device="cpu").load()
    assert "\n" not in str(error.value) and len(str(error.value)) < 600
    return str(error.value)


@pytest.mark.parametrize(
    "params",
    [
        {"trust_remote_code": True},
        {"allow_pickle_weights": True},
        {"path": "/"},
        {"name": "evil/model"},
        {"adapter": "//evil.example/share"},
        {"device": "cuda"},
        {"head": "new"},
        {"x" * 1000: "y" * 1000},
    ],
)
def test_a_folder_allows_itself_nothing(model_folder, params):
    recorded = format_of(model_folder)["params"]
    changed_json(model_folder / "format.json", params={**recorded, **params})
    assert f"asks for {next(iter(params)):.40}: " in refused(model_folder)


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"template": 7}, "cannot be used: template: Input should be a valid string"),
        ({"template": "{evil}"}, "template has {evil}; it can have {prompt}"),
        ({"max_length": 10**30}, "is more than the 256 positions of the model"),
        ({"max_length": "many"}, "cannot be used: max_length: "),
        ({"roles": [1]}, "cannot be used: roles: "),
        ({"dtype": "int3"}, "cannot be used: dtype: "),
        ({"outputs": ["a", "b"]}, "outputs names 2 (a, b), but the model has 1: reward"),
        ({"outputs": []}, "cannot be used: outputs: "),
        ({"pad_token": "<|evil|>"}, "pad_token '<|evil|>' is no token of"),
    ],
)
def test_odd_values_of_a_format_are_refused_in_one_sentence(model_folder, params, sentence):
    recorded = format_of(model_folder)["params"]
    changed_json(model_folder / "format.json", params={**recorded, **params})
    assert sentence in refused(model_folder)


@pytest.mark.parametrize(
    "entries",
    [
        {"format": 2},
        {"kind": 7},
        {"texts": "x"},
        {"texts": [[1.5]]},
        {"conversations": [[[]]]},
        {"params": []},
        {"below": {"params": {}, "digests": {"a": 7}}},
        {"more": 1},
        {"texts": []},
        {"pad_token_id": 3},
    ],
)
def test_a_format_file_of_odd_types_is_refused_in_one_sentence(model_folder, entries):
    changed_json(model_folder / "format.json", **entries)
    assert "format.json" in refused(model_folder)
    assert SequenceClassifier(path=model_folder).foresee({}).outputs in (None, ("reward",))


@pytest.mark.parametrize(
    "text",
    ["7", "[]", "{", "[" * 200_000, '{"a": ' + "9" * 5000 + "}", '{"a": "\\uD800"}'],
)
def test_a_format_file_that_is_none_is_refused_in_one_sentence(model_folder, text):
    (model_folder / "format.json").write_text(text)
    assert "format.json" in refused(model_folder)


def test_a_format_file_without_bounds_is_not_read(model_folder):
    (model_folder / "format.json").write_text(" " * 1_000_001)
    assert "has more than 1,000,000 bytes" in refused(model_folder)


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"path": "//evil.example/share"}, "which is no local path"),
        ({"path": "/"}, "than / is now"),
        ({"path": 7}, "names 7, which is no local path"),
        ({"name": "evil/model"}, "on the hub without the commit"),
        ({"name": "evil/model", "revision": "0" * 40}, "not in the local cache, and no checkpoint"),
        ({"name": "minilm", "trust_remote_code": True}, "asks for trust_remote_code: True"),
        ({}, "does not say on which model the adapter was trained"),
    ],
)
def test_nothing_is_fetched_for_an_adapter(adapter, params, sentence):
    folder, _, _ = adapter
    below = {"params": params, "digests": format_of(folder)["below"]["digests"]}
    changed_json(folder / "format.json", below=below)
    assert sentence in refused(folder)


def test_folders_are_recognised_by_the_kind_of_their_loader(adapter, model_folder, tiny, tmp_path):
    folder, _, _ = adapter
    for place in (folder, model_folder):
        assert SequenceClassifier.accepts(str(place)) == {"path": str(place)}
        assert CausalLM.accepts(str(place)) is None
    policy = CausalLM(path=tiny("llama", head="lm")).load()
    policy.save(tmp_path / "policy", policy.network)
    assert CausalLM.accepts(str(tmp_path / "policy")) == {"path": str(tmp_path / "policy")}
    assert SequenceClassifier.accepts(str(tmp_path / "policy")) is None
    step = SequenceClassifier(path=tmp_path / "policy", head="new")
    assert step.load().has_new_head
