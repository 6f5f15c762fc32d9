"""What the models of this package give for texts is kept, under all that determines it."""

from __future__ import annotations

import json
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import torch

import rmplug
from rmplug._store.kept import KeptView, publish, visible_sources
from rmplug.data.rows import one_batch
from rmplug.models.scorer import Scorer
from rmplug.records import Usage
from rmplug.testing import small_pairs
from rmplug_hf import CausalLM, Encoder, GenerativeJudge, SequenceClassifier, ValueHead
from rmplug_hf.directions._projection import Projection, projected
from rmplug_hf.loading._encoder import pooled_states
from rmplug_hf.loading._identity import identity_of
from rmplug_hf.loading._state_change import AffineChange
from rmplug_hf.loading._states import States
from rmplug_hf.queries._state_query import StateQuery


@contextmanager
def step(root, name):
    """A step of a run on a store: it sees all that is kept there, and adds what it computes."""
    usage = Usage()
    with KeptView(root / "kept", name, visible_sources(root / "kept")).in_use(usage) as keeping:
        yield usage
    keeping.write(root / name, "step")
    publish(root / name, root / "kept", name)


def value_head(tiny, tmp_path, seed=0):
    """The folder of a body, and the file of a head on it."""
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    file = tmp_path / f"head-{seed}.safetensors"
    save_file({"v_head.weight": torch.randn(1, 32)}, file)
    return {"path": tiny("llama", head="none"), "head_weights": file}


def judge(tiny):
    return GenerativeJudge(
        path=tiny("llama", head="lm"), single="{prompt} {response} Good?", scale={"yes": 1, "no": 0}
    )


ASKED = {
    "classifier": lambda tiny, _: SequenceClassifier(path=tiny("bert", labels=3)),
    "value-head": lambda tiny, tmp: ValueHead(**value_head(tiny, tmp)),
    "log-prob": lambda tiny, _: CausalLM(
        path=tiny("llama", head="lm"), reference=tiny("llama", head="lm", seed=1)
    ),
    "judge": lambda tiny, _: judge(tiny),
}


@pytest.mark.parametrize("kind", ASKED)
def test_scores_that_are_known_are_not_computed_again(tiny, talks, tmp_path, kind):
    model, batch = ASKED[kind](tiny, tmp_path).load(), one_batch(talks.table)
    plain = model.score(batch)
    with step(tmp_path, "one-1") as usage:
        first = model.score(batch.slice(0, 8))
    assert usage.texts_known == 0 and usage.texts_computed in (8, 16)  # with a reference both
    with step(tmp_path, "two-2") as usage:
        second = model.score(batch)
    share = usage.texts_computed / (usage.texts_known + usage.texts_computed)
    assert share == (len(talks) - 8) / len(talks)
    np.testing.assert_array_equal(first, second[:8])
    np.testing.assert_allclose(second, plain, atol=2e-5)


def test_states_are_kept_by_layer_pooling_and_part(tiny, talks, tmp_path):
    model, batch = Encoder(path=tiny("bert", head="none")).load(), one_batch(talks.table)
    with step(tmp_path, "one-1") as usage:
        pooled_states(model, batch, States())
    for number, asked in enumerate([States(layer=1), States(pooling="cls"), States(layers=(0, 1))]):
        with step(tmp_path, f"other-{number}") as usage:
            found = pooled_states(model, batch, asked)
        assert usage.texts_known == 0
        np.testing.assert_allclose(found, pooled_states(model, batch, asked), atol=1e-5)
    assert usage.texts_computed == 0, "states of several layers are not kept"
    with step(tmp_path, "again-1") as usage:
        pooled_states(model, batch, States(layer=-1, pooling="mean"))
        pooled_states(model, batch, States(), "prompt")
    assert usage.texts_known == len(talks) and usage.texts_computed > 0


def test_the_prompts_of_a_causal_model_are_kept_with_its_states(tiny, tmp_path):
    model = Encoder(path=tiny("llama", head="none"), template="chat", pooling="last").load()
    batch = one_batch(small_pairs(6).table)
    ask = StateQuery(("prompt", "chosen", "rejected"), None, None, None, "turn")
    with step(tmp_path, "one-1"):
        first = ask(model, batch)
    with step(tmp_path, "two-2") as usage:
        second = ask(model, batch)
    assert usage.texts_computed == 0
    for side, states in first.items():
        np.testing.assert_array_equal(states, second[side])


def test_a_head_is_trained_and_asked_on_states_that_the_store_has(tiny, tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    rows = small_pairs(40).table.to_pylist()
    pairs.write_text("".join(json.dumps({n: r[n] for n in ("prompt", "chosen", "rejected")}) + "\n"
                             for r in rows))  # fmt: skip
    spec = {
        "name": "heads",
        "engine": {"kind": "local", "params": {"workers": 1}},
        "steps": {
            "pairs": {
                "kind": "pairs-file",
                "params": {"path": str(pairs)},
            },
            "encoder": {"kind": "encoder", "params": {"path": str(tiny("bert", head="none"))}},
            "states": {"kind": "hidden-state", "inputs": {"model": "encoder", "data": "pairs"}},
            "head": {
                "kind": "linear-head",
                "inputs": {"model": "encoder", "data": "pairs"},
                "params": {"folds": 2, "l2": [0.1]},
            },
            "reward": {"kind": "reward", "inputs": {"model": "head", "data": "pairs"}},
        },
    }
    finished = rmplug.run(spec, store=tmp_path / "store", quiet=True)
    steps = finished.record.steps
    distinct = steps["states"].texts_computed
    assert distinct > 10
    assert (steps["head"].texts_known, steps["head"].texts_computed) == (distinct, 0)
    assert (steps["reward"].texts_known, steps["reward"].texts_computed) == (distinct, 0)
    spec["engine"]["params"]["keep_scores"] = False
    fresh = rmplug.run(spec, store=tmp_path / "other", quiet=True)
    for name in ("chosen", "rejected"):
        kept, new = (run["reward"].table[name].to_numpy() for run in (finished, fresh))
        np.testing.assert_allclose(kept, new, atol=1e-4)


def test_a_network_that_a_trainer_got_hold_of_is_asked_anew(tiny, talks, tmp_path):
    model, batch = SequenceClassifier(path=tiny("llama")).load(), one_batch(talks.table)
    with step(tmp_path, "one-1"):
        before = model.score(batch)
    with torch.no_grad():
        model.network.score.weight.mul_(2)
    with step(tmp_path, "two-2") as usage:
        after = model.score(batch)
    np.testing.assert_allclose(after, 2 * before, rtol=1e-4)
    assert usage.texts_known == usage.texts_computed == 0
    new = SequenceClassifier(path=tiny("llama", head="none"), head="new").load()
    new.draw_head(3)
    assert identity_of(new.loaded, {}) is None


def test_all_that_changes_a_score_changes_its_identity(tiny, tmp_path):
    from peft import LoraConfig, get_peft_model

    folder = tiny("llama")
    bare = SequenceClassifier(path=folder).load()
    for seed in (0, 1):
        torch.manual_seed(seed)
        config = LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["q_proj"],
                            init_lora_weights=False)  # fmt: skip
        network = SequenceClassifier(path=folder).load().network
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PEFT asks for a name that transformers will drop
            get_peft_model(network, config).save_pretrained(tmp_path / f"adapter-{seed}")
    adapted = [
        SequenceClassifier(path=folder, adapter=tmp_path / f"adapter-{seed}").load()
        for seed in (0, 1)
    ]
    merged = SequenceClassifier(path=folder, adapter=tmp_path / "adapter-0", merge_adapter=True)
    unit = np.eye(32)[:1]
    change = AffineChange(unit, unit, np.zeros(32), np.zeros(32))
    shifted = AffineChange(unit, unit, np.zeros(32), np.ones(32))
    models = [
        bare,
        *adapted,
        merged.load(),
        SequenceClassifier(path=folder, dtype="bfloat16").load(),
        SequenceClassifier(path=folder, attention="eager").load(),
        SequenceClassifier(path=tiny("llama", seed=1)).load(),
        *(
            projected(bare, Projection(layer, "last", positions, by))
            for layer, positions, by in [
                (1, "all", change),
                (1, "last", change),
                (0, "all", change),
                (1, "all", shifted),
            ]
        ),
    ]
    identities = [json.dumps(identity_of(model.loaded, {}), sort_keys=True) for model in models]
    assert len(set(identities)) == len(models)
    same = SequenceClassifier(path=folder, device="cpu", batch_tokens=7, max_length=99).load()
    assert json.dumps(identity_of(same.loaded, {}), sort_keys=True) == identities[0]


def test_heads_in_other_files_are_other_models(tiny, talks, tmp_path):
    batch = one_batch(talks.table)
    for seed in (0, 1):
        model = ValueHead(**value_head(tiny, tmp_path, seed)).load()
        with step(tmp_path, f"head-{seed}") as usage:
            model.score(batch)
        assert usage.texts_known == 0


def test_outside_a_run_nothing_is_kept(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = rmplug.load(tiny("llama"), device="cpu")
    assert isinstance(model, Scorer)
    model.score("Is 91 prime?", "No.")
    assert not list(tmp_path.iterdir())
