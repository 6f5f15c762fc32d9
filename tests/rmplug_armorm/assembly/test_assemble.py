"""One folder that holds an interpretable reward model."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from assembled_cases import NAMES, Built, Unopened, llama, talk_pairs
from planted_gates import heads_fit, value

import rmplug
from rmplug import Checkpoint, DataError, Features
from rmplug.data.rows import one_batch
from rmplug.data.sides import side_of
from rmplug.testing import LengthModel, check_step
from rmplug.testing.tiny_models import tiny_model
from rmplug_armorm import Assemble, Gate
from rmplug_armorm.gate._gate_file import read_gate
from rmplug_hf import Encoder, HiddenState, RewardHead


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    return Built(folder, llama(folder / "encoder"))


def test_signed_weights_go_into_the_folder_and_come_out_again(tmp_path):
    signed = Built(tmp_path, llama(tmp_path / "encoder"), weights="signed", temperature=None)
    model = signed.checkpoint.open()
    gate = read_gate(signed.gate.directory)
    weights = gate.weights(matrix(signed, "prompt"))
    assert model.mixture.gate.signed and (weights.min(axis=1) < 0).any()
    rewards = model.mixture.heads.rewards(matrix(signed, "chosen"))
    by_hand = (weights * (rewards @ model.mixture.transform)).sum(axis=1)
    found = model.score(rows_of(signed))[:, 0] * model.mixture.temperature
    np.testing.assert_allclose(found, by_hand, atol=2e-4)


def rows_of(built, side="chosen"):
    return side_of(one_batch(built.pairs.table), side)


def matrix(built, side):
    flat = built.states[side].combine_chunks().flatten().to_numpy()
    return flat.reshape(len(built.pairs), -1).astype(np.float64)


def test_scores_are_the_sum_by_hand(built):
    model = built.checkpoint.open()
    config = json.loads((built.folder / "config.json").read_text())
    rewards = model.mixture.heads.rewards(matrix(built, "chosen"))
    gate = read_gate(built.gate.directory).weights(matrix(built, "prompt"))
    by_hand = (gate * (rewards @ model.mixture.transform)).sum(axis=1) / config["temperature"]
    found = model.score(rows_of(built))
    assert model.outputs == ("reward", *NAMES)
    np.testing.assert_allclose(found[:, 0], by_hand, atol=2e-4 / config["temperature"])
    np.testing.assert_allclose(found[:, 1:], rewards, atol=2e-5)
    assert found[:, 0].std() > 0.01


def test_the_folder_says_what_it_is_in_json_and_safetensors(built):
    names = {path.name for path in built.folder.iterdir()}
    assert {name.rpartition(".")[2] for name in names} == {"json", "safetensors"}
    config = json.loads((built.folder / "config.json").read_text())
    assert config["kind"] == "assemble" and config["encoder"]["kind"] == "encoder"
    assert config["attributes"] == list(NAMES) and config["template"] == "chat"
    assert config["ranges"]["helpful"] == [0.0, 1.0]
    assert "model.safetensors" in config["sha256"]
    assert {"accuracy", "entropy"} <= {row["metric"] for row in config["metrics"]}


def test_the_temperature_lowers_the_loss_and_is_used(built, tmp_path):
    numbers = built.checkpoint.numbers
    before, after = (
        value(numbers, f"log-loss-{when}", model="assembled") for when in ("before", "after")
    )
    temperature = value(numbers, "temperature-of-scores", model="assembled")
    assert after < before and temperature != 1
    plain = built.assemble(tmp_path, None, None).open()
    warm = built.checkpoint.open()
    np.testing.assert_allclose(
        plain.score(rows_of(built))[:, 0] / temperature, warm.score(rows_of(built))[:, 0]
    )


def test_states_are_encoded_where_none_are_given(built, tmp_path):
    again = built.assemble(tmp_path, built.pairs, None)
    numbers = [
        value(checkpoint.numbers, "temperature-of-scores", model="assembled")
        for checkpoint in (built.checkpoint, again)
    ]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-3)


def test_reward_head_loads_the_folder_and_so_does_rmplug_load(built):
    expected = built.checkpoint.open().score(rows_of(built))
    head = RewardHead(path=built.folder, batch_tokens=64).load()
    np.testing.assert_allclose(head.score(rows_of(built)), expected, atol=1e-4)
    assert head.encoder.loaded.budget.tokens == 64
    scorer = rmplug.load(built.folder)
    found = scorer.score("Say egg 0", "great egg")
    assert set(found) == {"reward", *NAMES}
    ranked = scorer.rank("Say egg 0", ["no", "great egg"])
    assert [entry.rank for entry in ranked] == [1, 2]
    assert ranked[0].reward > ranked[1].reward


def test_another_encoder_is_refused_and_a_moved_one_is_named(built, tmp_path):
    source = json.loads((built.folder / "config.json").read_text())["encoder"]["params"]["path"]
    shutil.copytree(source, tmp_path / "moved")
    model = RewardHead(path=built.folder, encoder=tmp_path / "moved").load()
    assert np.isfinite(model.score(rows_of(built))).all()
    settings = json.loads((tmp_path / "moved/tokenizer_config.json").read_text())
    (tmp_path / "moved/tokenizer_config.json").write_text(json.dumps(settings | {"changed": True}))
    with pytest.raises(
        DataError, match=r"another encoder than .* is now: tokenizer_config\.json differ"
    ):
        RewardHead(path=built.folder, encoder=tmp_path / "moved").load()


def test_an_encoder_that_is_gone_is_named(built, tmp_path):
    shutil.copytree(built.folder, tmp_path / "model")
    config = json.loads((tmp_path / "model/config.json").read_text())
    config["encoder"]["params"]["path"] = str(tmp_path / "gone")
    (tmp_path / "model/config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="gone, which is not there; say where it is now: encoder"):
        RewardHead(path=tmp_path / "model").load()


def test_parts_that_do_not_belong_together_are_refused(built, tmp_path):
    step, data = Assemble(), {"seed": 0, "directory": tmp_path}
    other = heads_fit(tmp_path / "other", np.ones((3, 32)), NAMES)
    with pytest.raises(DataError, match="was trained on other heads; give the ones it was trained"):
        step.train(built.encoder, other, built.gate, built.debias, **data)
    with pytest.raises(DataError, match=r"was trained with another debiasing \(or none\); give"):
        step.train(built.encoder, built.heads, built.gate, None, **data)
    narrow = heads_fit(tmp_path / "narrow", np.ones((3, 5)), NAMES)
    with pytest.raises(DataError, match="gives states of 32 numbers, the heads read 5; give the"):
        step.train(built.encoder, narrow, **data)
    with pytest.raises(DataError, match="LengthModel is no encoder that can be loaded again; load"):
        step.train(LengthModel(), built.heads, **data)


@pytest.mark.parametrize("end", ["turn", "response"])
@pytest.mark.parametrize("gate", ["linear", "trees", "constant"])
def test_where_prompts_end_is_what_the_gate_was_trained_on(tmp_path, end, gate):
    built = Built(tmp_path, llama(tmp_path / "encoder"), end, gate=gate, trees=3)
    assert json.loads((built.folder / "config.json").read_text())["prompt_end"] == end
    model = built.checkpoint.open()
    np.testing.assert_allclose(model.prompts(rows_of(built)), matrix(built, "prompt"), atol=1e-5)


def test_a_gate_of_other_states_of_prompts_is_refused(built, tmp_path):
    turned = built.states.table.to_pydict() | {"prompt": built.states["chosen"].to_pylist()}
    states = {name: np.array(turned[name]) for name in ("prompt", "chosen", "rejected")}
    (tmp_path / "gate").mkdir()
    gate = Gate(steps=5, hidden=4, batch=8, check_every=5).train(
        built.heads, Features({"id": turned["id"], **states}, "states"), built.pairs, built.debias,
        seed=0, directory=tmp_path / "gate",
    )  # fmt: skip
    with pytest.raises(DataError, match="was trained on other states of prompts than this encoder"):
        Assemble().train(
            built.encoder, built.heads, gate, built.debias, seed=0, directory=tmp_path
        )  # fmt: skip


def test_a_gate_that_keeps_no_prompts_is_refused(built, tmp_path):
    shutil.copytree(built.gate.directory, tmp_path / "gate")
    said = json.loads((tmp_path / "gate/gate.json").read_text())
    del said["about"]["prompts"]
    (tmp_path / "gate/gate.json").write_text(json.dumps(said))
    gate = Checkpoint(tmp_path / "gate", Gate, name="old")
    with pytest.raises(DataError, match="the gate old does not say which states of prompts it rea"):
        Assemble().train(built.encoder, built.heads, gate, built.debias, seed=0, directory=tmp_path)


def test_prompts_of_the_gate_stay_with_the_gate(built):
    said = json.loads((built.gate.directory / "gate.json").read_text())["about"]["prompts"]
    assert said[0]["prompt"][0]["content"] == "Say egg 0"
    assert "Say egg 0" not in (built.folder / "gate.json").read_text()


def test_the_prompt_is_read_in_the_pass_over_the_response(built):
    model = built.checkpoint.open()
    rows = rows_of(built)
    assert model.encoder.causal
    assert model.encoder.loaded.last_layer is not None  # a trial, which does not count
    seen = []
    model.encoder.loaded.model.register_forward_pre_hook(
        lambda _module, _args, given: seen.append(int(given["attention_mask"].sum())),
        with_kwargs=True,
    )
    model.explain(rows)
    assert sum(seen) == sum(map(len, model.encoder.loaded.tokenizing.rows(rows)))


def test_states_from_another_place_of_the_prompt_are_refused(built, tmp_path):
    asked = HiddenState(part="both", prompt_end="response").query(built.encoder, built.pairs)
    with pytest.raises(DataError, match=r"prompt of p0 and others differ \(is prompt_end as in th"):
        built.assemble(tmp_path, built.pairs, Features(asked.table, "asked"))


def test_a_damaged_folder_is_refused(built, tmp_path):
    for number, (name, text, sentence) in enumerate(
        (
            ("config.json", "{}", "is format None of None, not 1 of assemble"),
            ("gate.json", "{}", "gate.json is not the file of a gate"),
            ("gate.safetensors", "x", "gate.safetensors is cut short or damaged"),
        )
    ):
        place = tmp_path / str(number)
        shutil.copytree(built.folder, place)
        (place / name).write_text(text)
        with pytest.raises(DataError, match=sentence):
            Assemble.open(place)


def test_without_a_gate_attributes_count_the_same(built, tmp_path):
    model = Assemble().train(
        built.encoder, built.heads, None, built.debias, seed=0, directory=tmp_path
    ).open()  # fmt: skip
    found = model.score(rows_of(built))
    debiased = found[:, 1:] @ model.mixture.transform
    np.testing.assert_allclose(found[:, 0], debiased[:, :2].mean(axis=1))


def test_trees_are_assembled_and_compare_both_sides_at_once(tmp_path):
    built = Built(tmp_path, llama(tmp_path / "encoder"), gate="trees", trees=5)
    model = built.checkpoint.open()
    margins = model.compare(one_batch(built.pairs.table))
    assert margins.shape == (40,) and (margins > 0).mean() > 0.6
    turned = built.pairs.table.rename_columns(
        [{"chosen": "rejected", "rejected": "chosen"}.get(c, c) for c in built.pairs.columns]
    )
    np.testing.assert_allclose(model.compare(one_batch(turned)), -margins, atol=1e-6)


def test_the_end_of_the_last_turn_is_found_for_any_template(tmp_path):
    for architecture, end in (("llama", "<|eot_id|>"), ("qwen2", "<|im_end|>")):
        path = tiny_model(architecture, tmp_path, head="none")
        step = Encoder(path=path, template="chat", pooling="last", device="cpu")
        tokenizing = step.load().loaded.tokenizing
        rows = side_of(one_batch(talk_pairs(2).table), "chosen")
        for tokens in tokenizing.rows(rows, "turn"):
            assert tokenizing.tokenizer.convert_ids_to_tokens(int(tokens.ids[-1])) == end


def test_it_conforms(built):
    model = Unopened(llama(built.folder.parent / "encoder").load)
    inputs = {"encoder": model, "heads": built.heads}
    check_step(Assemble, {}, inputs, tolerance=1e-6)


def test_a_measured_length_is_taken_out_wherever_the_model_is_used(tmp_path):
    """Each reward loses .01 a character: the score does, times the weights."""
    name = "words.response.characters"
    matrix = np.eye(4)
    matrix[3] = [-0.01, -0.01, -0.01, 0.0]
    built = Built(tmp_path, llama(tmp_path / "encoder"), measures=(name,), matrix=matrix)
    model = built.checkpoint.open()
    rows = rows_of(built)
    found = model.explain(rows)
    lengths = np.array([len(row[0]["content"]) for row in rows.column("response").to_pylist()])
    np.testing.assert_array_equal(found.rewards[:, 3], lengths)
    np.testing.assert_allclose(found.weights[:, 3], -0.01 * found.weights[:, :3].sum(axis=1))
    np.testing.assert_allclose(found.contributions.sum(axis=1), model.score(rows)[:, 0], atol=1e-6)
    assert model.outputs == ("reward", *NAMES)
    assert read_gate(built.gate.directory).weights(np.zeros((1, 32)))[0, 3] == 0


def test_a_debiasing_that_needs_another_measure_is_refused(tmp_path):
    with pytest.raises(DataError, match="no other measure can be taken of a text that is scored"):
        Built(tmp_path, llama(tmp_path / "encoder"), measures=("words.lists",), matrix=np.eye(4))
