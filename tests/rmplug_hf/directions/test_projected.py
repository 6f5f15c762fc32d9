"""Models whose states have lost a direction: exactly that is gone, live and from a folder."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from direct import Unopened, chat_text, direct_model
from planted_states import directions_of, unit

import rmplug
from rmplug import DataError, Fit, Known, Pairs
from rmplug.data.rows import one_batch
from rmplug.models.training_examples import write_examples
from rmplug.testing import LengthModel, check_step, small_pairs
from rmplug_hf import (
    Encoder,
    LinearHead,
    Probe,
    Projected,
    ProjectOut,
    RewardHead,
    SequenceClassifier,
)
from rmplug_hf.directions._directions_file import Direction, PlaceDirections
from rmplug_hf.directions._projected_model import unrecorded
from rmplug_hf.directions._projection import addition, removal
from rmplug_hf.loading._state_change import state_change
from rmplug_hf.queries.queries import HiddenState
from rmplug_tabular import Calibration

WIDTH = 32
LAYERS = {
    "llama": ("model.embed_tokens", "model.layers.0", "model.norm"),
    "bert": ("bert.embeddings", "bert.encoder.layer.0", "bert.encoder.layer.1"),
}


@pytest.fixture(scope="module")
def weights():
    return np.random.default_rng(0).normal(size=WIDTH)


@pytest.fixture(scope="module")
def mean():
    return np.random.default_rng(1).normal(size=WIDTH)


@pytest.fixture(scope="module")
def pairs():
    return small_pairs(8)


@pytest.fixture(scope="module")
def checkpoint(tiny, pairs, tmp_path_factory):
    """A linear head on a tiny encoder."""
    encoder = Encoder(path=tiny("bert", head="none"), device="cpu").load()
    step = LinearHead(folds=2, l2=[0.01])
    return step.train(encoder, pairs, seed=0, directory=tmp_path_factory.mktemp("head"))


@pytest.fixture(scope="module")
def head(checkpoint):
    return checkpoint.open()


@pytest.fixture
def batch(talks):
    return one_batch(talks.table)


def changed_directly(folder, layer, change, responses):
    """Scores of each row, alone, of a network of transformers one of whose layers is wrapped."""
    model, tokenizer = direct_model(folder)
    module = model.get_submodule(LAYERS["bert" if "bert" in folder.name else "llama"][layer])
    forward = module.forward

    def wrapped(*args, **named):
        output = forward(*args, **named)
        rest = output[1:] if isinstance(output, tuple) else None
        states = torch.from_numpy(change((output if rest is None else output[0]).numpy()))
        return states.float() if rest is None else (states.float(), *rest)

    module.forward = wrapped
    scores = []
    for row in responses.table.to_pylist():
        text = chat_text(tokenizer, row["prompt"], row["response"])
        asked = tokenizer(text, add_special_tokens=False, return_tensors="pt")
        with torch.inference_mode():
            scores.append(model(**asked).logits[0].numpy())
    return np.array(scores)


@pytest.mark.parametrize(
    ("architecture", "layer", "positions"),
    [
        ("llama", 0, "all"),
        ("llama", 1, "last"),
        ("qwen2", 2, "last"),
        ("bert", 1, "all"),
        ("bert", 2, "last"),
    ],
)
def test_scores_are_those_of_a_network_changed_by_hand(
    tiny, talks, batch, weights, mean, architecture, layer, positions, tmp_path
):
    folder = tiny(architecture)
    model = SequenceClassifier(path=folder, device="cpu", batch_tokens=400).load()
    fit = directions_of(tmp_path, weights, layer=layer, mean=mean)
    found = Projected(positions=positions).load(model, fit).score(batch)
    along = unit(weights)

    def without(states):
        changed = states - ((states - mean) @ along)[..., None] * along
        if positions == "last":
            changed[:, :-1] = states[:, :-1]
        return changed

    expected = changed_directly(folder, layer, without, talks)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    unchanged = model.score(batch)
    np.testing.assert_allclose(
        unchanged, changed_directly(folder, layer, lambda s: s, talks), rtol=0, atol=1e-5
    )
    reads_first = architecture == "bert" and positions == "last" and layer == 2
    changed = np.ptp(found - unchanged)
    assert changed < 1e-5 if reads_first else changed > 1e-3


def test_states_of_the_layer_and_of_those_after_it_show_the_change(
    tiny, talks, weights, mean, tmp_path
):
    model = SequenceClassifier(path=tiny("gpt2"), device="cpu").load()
    changed = Projected().load(model, directions_of(tmp_path, weights, layer=1, mean=mean))
    read = [
        np.stack(HiddenState(layer=layer).query(one, talks)["response"].to_pylist()) @ weights
        for layer in (0, 1)
        for one in (model, changed)
    ]
    np.testing.assert_allclose(read[0], read[1], atol=1e-5)
    np.testing.assert_allclose(read[3], weights @ mean, atol=1e-4)
    assert np.ptp(read[2]) > 1


def test_a_head_loses_the_direction_and_nothing_else(head, batch, mean, tmp_path):
    before = head.score(batch)
    own = Projected().load(head, directions_of(tmp_path / "own", head.weight))
    assert np.ptp(own.score(batch)) < 1e-9 < np.ptp(before)
    across = np.random.default_rng(2).normal(size=WIDTH)
    across -= (across @ unit(head.weight)) * unit(head.weight)
    other = Projected().load(head, directions_of(tmp_path / "other", across, mean=mean))
    np.testing.assert_allclose(other.score(batch), before, atol=1e-9)
    assert head.score(batch).tolist() == before.tolist()


@pytest.mark.parametrize("projection", ["orthogonal", "oblique"])
def test_weights_that_took_in_the_change_score_as_the_changed_network(
    head, batch, weights, mean, projection, tmp_path
):
    given = {"mean": mean, "pattern": weights + mean}
    own = directions_of(tmp_path / "own", weights, **given)
    elsewhere = directions_of(tmp_path / "net", weights, layer=2, pooling="last", **given)
    folded, hooked = (Projected(projection=projection).load(head, fit) for fit in (own, elsewhere))
    assert folded.loaded.change is None and hooked.loaded.change is not None
    np.testing.assert_allclose(folded.score(batch), hooked.score(batch), atol=1e-5)
    assert np.abs(folded.score(batch) - head.score(batch)).max() > 1e-3


def test_after_an_oblique_projection_states_are_not_correlated_with_the_target():
    rng = np.random.default_rng(3)
    states = rng.normal(size=(400, 8)) @ rng.normal(size=(8, 8)) + 2
    targets = np.stack([states @ rng.normal(size=8) + rng.normal(size=400) for _ in range(2)])
    patterns = (targets - targets.mean(axis=1, keepdims=True)) @ states / 400
    directions = [
        Direction((), rng.normal(size=(1, 8)), np.zeros(1), pattern[None], np.ones(1), np.zeros(0))
        for pattern in patterns
    ]
    place = PlaceDirections("s", None, None, states.mean(axis=0), np.zeros((1, 8)), {})
    after = removal(place, directions, "oblique").apply(states)
    assert np.abs((targets - targets.mean(axis=1, keepdims=True)) @ after).max() < 1e-8
    read = removal(place, directions, "orthogonal").apply(states) @ directions[1].weights[0]
    np.testing.assert_allclose(read, place.mean @ directions[1].weights[0], atol=1e-9)
    for form in ("orthogonal", "oblique"):
        raised = addition(place, directions[0], form, 1.5).apply(states) - states
        np.testing.assert_allclose(raised @ directions[0].weights[0], 1.5, atol=1e-9)


def test_a_model_is_saved_with_its_projection_and_opens_as_it_was(
    checkpoint, head, tiny, batch, weights, mean, tmp_path
):
    classifier = SequenceClassifier(path=tiny("llama"), device="cpu").load()
    cases = {
        "copied": (checkpoint, directions_of(tmp_path / "a", weights, mean=mean)),
        "named": (classifier, directions_of(tmp_path / "b", weights, layer=1, mean=mean)),
        "encoder": (
            Encoder(path=tiny("bert", head="none"), device="cpu").load(),
            directions_of(tmp_path / "c", weights, layer=1, mean=mean),
        ),
    }
    for name, (model, fit) in cases.items():
        folder = tmp_path / name
        folder.mkdir()
        write_examples(checkpoint.directory, [])
        saved = ProjectOut().train(model, fit, directory=folder)
        assert not [*folder.rglob("examples.json")]
        moved = tmp_path / f"{name}-moved"
        shutil.copytree(folder, moved)
        live = Projected().load(head if name == "copied" else model, fit)
        opened_by = [saved.open] if name == "copied" else [RewardHead(path=moved).load]
        for opened in (one() for one in (*opened_by, lambda at=moved: rmplug.open_folder(at))):
            ask = (lambda m: m.vectors(batch)) if name == "encoder" else (lambda m: m.score(batch))
            np.testing.assert_array_equal(ask(opened), ask(live))
        assert saved.numbers == []
    assert "accuracy" in {row["metric"] for row in checkpoint.numbers}  # of the model as it was
    loaded = rmplug.load(tmp_path / "copied-moved")
    assert np.isfinite(loaded.score("Is 91 prime?", "No: 7 times 13."))


def test_it_conforms(checkpoint, tiny, weights, tmp_path):
    inputs = {"directions": directions_of(tmp_path, weights)}
    model = Unopened(SequenceClassifier(path=tiny("bert")))
    check_step(Projected, {}, {"model": model, **inputs}, tolerance=1e-5)
    check_step(ProjectOut, {}, {"model": checkpoint, **inputs}, tolerance=1e-5)


def test_a_folder_grants_nothing_and_changed_files_are_refused(tiny, weights, tmp_path):
    model_folder = tmp_path / "model"
    shutil.copytree(tiny("llama"), model_folder)
    model = SequenceClassifier(path=model_folder, device="cpu").load()
    folder = tmp_path / "saved"
    folder.mkdir()
    ProjectOut().train(model, directions_of(tmp_path / "x", weights, layer=1), directory=folder)
    config = json.loads((folder / "config.json").read_text())
    config["model"]["params"]["trust_remote_code"] = True
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="asks for trust_remote_code: True"):
        rmplug.open_folder(folder)
    config["model"]["params"].pop("trust_remote_code")
    (folder / "config.json").write_text(json.dumps(config))
    assert rmplug.open_folder(folder).outputs == ("reward",)
    (model_folder / "generation_config.json").write_text("{}")
    with pytest.raises(DataError, match=r"generation_config.json differ"):
        rmplug.open_folder(folder)


@pytest.mark.parametrize(
    "entries",
    [
        {"format": 2},
        {"positions": "some"},
        {"layer": "1"},
        {"layer": 7},
        {"model": {"kind": 3}},
        {"model": {"kind": "probe"}},
        {"model": {"kind": "linear-head", "params": {}}},
    ],
)
def test_a_folder_that_holds_no_projected_model_is_refused(checkpoint, weights, entries, tmp_path):
    folder = tmp_path / "saved"
    folder.mkdir()
    fit = directions_of(tmp_path / "x", weights, layer=1)
    ProjectOut().train(checkpoint, fit, directory=folder)
    config = json.loads((folder / "config.json").read_text()) | entries
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(rmplug.RmplugError):
        rmplug.open_folder(folder)


def test_a_folder_inside_that_is_a_link_or_no_projection_is_refused(checkpoint, weights, tmp_path):
    folder = tmp_path / "saved"
    folder.mkdir()
    ProjectOut().train(checkpoint, directions_of(tmp_path / "x", weights), directory=folder)
    shutil.rmtree(folder / "model")
    (folder / "model").symlink_to(folder)
    with pytest.raises(DataError, match="is a link"):
        rmplug.open_folder(folder)
    (folder / "projection.safetensors").write_bytes(b"no")
    with pytest.raises(DataError, match="damaged"):
        rmplug.open_folder(folder)


def test_what_cannot_be_projected_is_refused_with_the_reason(
    tiny, checkpoint, head, pairs, weights, tmp_path
):
    one = directions_of(tmp_path / "one", weights, layer=1)
    narrow = directions_of(tmp_path / "narrow", weights[:8], layer=1)
    absent = directions_of(tmp_path / "absent", weights, layer=7)
    with pytest.raises(DataError, match="LengthModel has no states that can be changed"):
        Projected().load(LengthModel(), one)
    with pytest.raises(DataError, match="states of 8 numbers, those of layer 1 have 32"):
        Projected().load(head, narrow)
    with pytest.raises(DataError, match="layers 0 .* to 2; there is no 7"):
        Projected().load(head, absent)
    with pytest.raises(DataError, match="no probe is of 'length'; there are x"):
        Projected(targets="length").load(head, one)
    with pytest.raises(DataError, match="there are no directions at 's.layer-2'; there are s"):
        Projected(place="s.layer-2").load(head, one)
    with pytest.raises(DataError, match="projected already"):
        Projected().load(Projected().load(head, one), one)
    unit_states = Encoder(path=tiny("bert", head="none"), normalise=True, device="cpu").load()
    with pytest.raises(DataError, match="fit on an encoder with normalise: false"):
        Projected().load(unit_states, one)
    encoder = Projected().load(Encoder(path=tiny("bert", head="none"), device="cpu").load(), one)
    assert encoder.origin() is None
    with pytest.raises(DataError, match="cannot record that the states of its encoder are proj"):
        LinearHead().train(encoder, pairs, seed=0, directory=tmp_path)
    classifier = SequenceClassifier(path=tiny("llama"), device="cpu").load()
    with pytest.raises(DataError, match="whose states are projected cannot be trained"):
        Projected().load(classifier, one).check_trainable()


def test_what_a_record_of_a_model_cannot_hold_is_named(tiny):
    folder = tiny("llama")
    assert unrecorded(SequenceClassifier(path=folder, device="cpu", trust_remote_code=True)) == []
    with_weights = SequenceClassifier(path=folder, weights=folder / "model.safetensors")
    assert unrecorded(with_weights) == ["weights"]


def test_check_wants_a_fit_of_probes():
    inputs = {
        "model": [Known((Pairs,), outputs=("reward",), step="model")],
        "directions": [Known((Fit,), step="sure", made_by=Calibration())],
    }
    for step in (Projected(), ProjectOut()):
        assert list(step.mistakes(inputs)) == [
            ("directions", "sure is made by calibration; give a step probe")
        ]
        assert step.foresee(inputs).outputs == ("reward",)
    assert not list(Projected().mistakes({**inputs, "directions": [Known(made_by=Probe())]}))


def test_no_module_of_a_network_gives_the_states_of_a_layer_that_is_not_there(head, mean):
    change = removal(PlaceDirections("s", 1, None, mean, mean[None], {}), [
        Direction((), mean[None], np.zeros(1), mean[None], np.ones(1), mean[None, None])
    ], "orthogonal")  # fmt: skip
    assert state_change(head.loaded, -2, change, "all").layer == 1
    with pytest.raises(DataError, match="there is no 3"):
        state_change(head.loaded, 3, change, "all")
