"""Training gates: what they refuse, and the published script's behaviour on its own cases."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import torch
from attribute_cases import reference_case
from planted_gates import NAMES, debias_fit, heads_fit, planted, trained, value
from safetensors.torch import load_file

from rmplug import DataError, Features, Pairs
from rmplug.testing import check_step
from rmplug_armorm import Gate
from rmplug_armorm.gate._constant import fit_weights
from rmplug_armorm.gate._examples import grouped_parts
from rmplug_armorm.gate._gate import NetworkGate
from rmplug_armorm.gate._gate_file import read_gate
from rmplug_armorm.gate._networks import kept_units
from rmplug_armorm.gate._training import no_denormals

QUICK = {"batch": 64, "hidden": 8, "layers": 1, "steps": 60, "check_every": 10, "temperature": [1]}
PUBLISHED = {
    "batch": 256, "hidden": 64, "layers": 3, "steps": 400, "dropout": 0.2, "temperature": [10.0],
}  # fmt: skip


@pytest.fixture(scope="module")
def truth():
    return planted(300, 24, 2, seed=3)


@pytest.fixture(scope="module")
def heads(truth, tmp_path_factory):
    return heads_fit(tmp_path_factory.mktemp("heads") / "heads", truth.weight)


@pytest.fixture(scope="module", params=["stage2_equal_prompts", "stage2_unequal_prompts"])
def case(request, tmp_path_factory):
    folder = reference_case(request.param)
    found = load_file(folder / "pref-train.safetensors")
    sides, prompts = found["embeddings"].float().numpy(), found["prompt_embeddings"].float().numpy()
    ids = [f"r{row}" for row in range(len(sides))]
    columns = {"prompt": prompts[:, 0], "chosen": sides[:, 0], "rejected": sides[:, 1]}
    texts = {name: [f"{name} {row}" for row in ids] for name in columns}
    weight = torch.load(folder / "regression_weights.pt", weights_only=True)["weight"].numpy()
    outputs = torch.load(folder / "bothfix.pt", weights_only=True)
    made = tmp_path_factory.mktemp("case")
    return {
        "pairs": Pairs({"id": ids, **texts}),
        "states": Features({"id": ids, **columns}, "states"),
        "heads": heads_fit(made / "heads", weight),
        "debias": debias_fit(made / "debias", outputs["reward_transform_matrix"].double().numpy()),
        "mean": (sides.astype(np.float64) @ weight.T.astype(np.float64)).sum(axis=2),
        "told": lambda name: json.loads((folder / f"{name}.json").read_text()),
    }


def published(case, folder, debias=None, **params):
    folder.mkdir()
    step = Gate(**{**PUBLISHED, **params})
    given = case["heads"], case["states"], case["pairs"], debias
    return step.train(*given, seed=0, directory=folder)


def test_the_published_gate_gives_every_attribute_half_the_scale(case, tmp_path):
    gate = published(case, tmp_path / "gate", case["debias"], compat="original")
    held = np.random.RandomState(0).permutation(1500)[:300]
    right = case["mean"][held, 0] > case["mean"][held, 1]
    assert value(gate.numbers, "accuracy") == right.mean()
    weights = read_gate(gate.directory).weights(case["states"]["prompt"].to_numpy()[:5])
    scale = value(gate.numbers, "scale")
    assert (weights == scale / 2).all()
    told = case["told"]("original")
    assert scale == pytest.approx(told["logit_scale"], abs=0.05)
    if told["gate_sd_over_prompts"] == 0:
        assert value(gate.numbers, "accuracy") == pytest.approx(told["acc_val"], abs=1e-7)


@pytest.mark.parametrize("name", ["softmaxfix", "bothfix"])
def test_the_repaired_script_is_met_in_accuracy(case, tmp_path, name):
    debias = case["debias"] if name == "bothfix" else None
    gate = published(case, tmp_path / "gate", debias, compat="softmaxfix")
    told = case["told"](name)
    assert value(gate.numbers, "accuracy") == pytest.approx(told["acc_val"], abs=0.03)
    assert value(gate.numbers, "scale") == pytest.approx(told["logit_scale"], abs=0.3)


def test_a_saved_gate_gives_the_published_weights(case):
    folder = reference_case("stage2_equal_prompts")
    tensors = torch.load(folder / "bothfix_gating_network.pt", weights_only=True)
    gate = NetworkGate.of_tensors({name: t.numpy() for name, t in tensors.items()}, 10.0)
    prompts = load_file(folder / "pref-train.safetensors")["prompt_embeddings"].float().numpy()
    held = np.random.RandomState(0).permutation(1500)[:256]
    expected = torch.load(folder / "bothfix.pt", weights_only=True)["gate_val"].numpy()
    np.testing.assert_allclose(gate.weights(prompts[held, 0]), expected[:, 0], atol=1e-5)


def test_it_conforms_and_is_the_same_again(truth, heads):
    inputs = {"heads": heads, "states": truth.states, "data": truth.pairs}
    check_step(Gate, {"temperature": [1.0], "steps": 10, "hidden": 8, "check_every": 5}, inputs)


def test_the_same_seed_gives_the_same_gate_and_another_seed_another(truth, heads, tmp_path):
    found = [
        read_gate(trained(tmp_path / str(n), heads, truth, None, seed, **QUICK).directory)
        for n, seed in enumerate((5, 5, 6))
    ]
    states = truth.states["prompt"].combine_chunks().flatten().to_numpy().reshape(300, -1)[:9]
    one, again, other = (gate.weights(states) for gate in found)
    assert (one == again).all() and not np.allclose(one, other)


def test_training_leaves_the_random_state_and_denormals_as_they_were(truth, heads, tmp_path):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    trained(tmp_path / "gate", heads, truth, None, **QUICK)
    assert torch.equal(torch.rand(3), expected)
    tiny = torch.full((1,), 1e-30)
    assert float(tiny * 1e-10) > 0
    with no_denormals():
        assert float(tiny * 1e-10) == 0


def test_units_are_left_out_at_their_share_and_the_mean_is_kept():
    torch.manual_seed(0)
    for share, keeps in ((0.2, 205 / 256), (0.5, 0.5), (0.999, 1 / 256)):
        found = kept_units(torch.zeros(400, 501), share)
        values = found.unique().tolist()
        assert values == [0, pytest.approx(1 / keeps)]
        assert float((found > 0).float().mean()) == pytest.approx(keeps, abs=0.005)
        assert abs(np.corrcoef(found[:, :-1].ravel(), found[:, 1:].ravel())[0, 1]) < 0.01


def test_a_weight_counts_pairs_and_a_margin_asks_for_a_lead():
    rng = np.random.default_rng(0)
    lead, ones = rng.normal(0.2, 1, size=(200, 3)), np.ones(200)
    weights = np.where(np.arange(200) < 50, 2.0, 1.0)
    doubled = np.concatenate([lead, lead[:50]])
    one = fit_weights(lead, 0 * ones, weights, 1e-9)
    two = fit_weights(doubled, np.zeros(250), np.ones(250), 1e-9)
    np.testing.assert_allclose(one, two, rtol=1e-5)
    eager = fit_weights(lead, ones, ones, 1e-3)
    assert np.linalg.norm(eager) > np.linalg.norm(fit_weights(lead, 0 * ones, ones, 1e-3))


def test_weighted_pairs_decide_which_gate_is_learnt(truth, heads, tmp_path):
    """Pairs of weight 0 are as good as absent: turning them round changes nothing."""
    weight = pa.array(np.where(np.arange(300) % 3 == 0, 0.0, 1.0))
    pairs = Pairs(truth.pairs.table.append_column("weight", weight))
    table = truth.states.table
    swapped = {
        "id": table["id"],
        "prompt": table["prompt"],
        **{
            a: pa.array(
                [table[b if n % 3 == 0 else a][n].as_py() for n in range(300)], table[a].type
            )
            for a, b in (("chosen", "rejected"), ("rejected", "chosen"))
        },
    }
    found = []
    for n, states in enumerate((truth.states, Features(pa.table(swapped), "states"))):
        folder = tmp_path / str(n)
        folder.mkdir()
        step = Gate(gate="constant")
        gate = step.train(heads, states, pairs, seed=0, directory=folder)
        found.append(read_gate(gate.directory).values)
    # sizes, and so the penalty, are those of all rows
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


def test_groups_stay_together_and_parts_have_their_shares():
    groups = np.repeat(np.arange(60), 5)
    parts = grouped_parts(groups, 0.2, 0.1, 3)
    found = [set(groups[rows].tolist()) for rows in (parts.learnt, parts.chosen_by, parts.held)]
    assert not (found[0] & found[1] or found[0] & found[2] or found[1] & found[2])
    assert [len(part) for part in found] == [42, 6, 12]


def test_states_of_another_model_are_refused(truth, heads, tmp_path):
    ids = truth.pairs["id"]
    wide = Features({"id": ids, **{s: np.ones((300, 5), np.float32) for s in
                                   ("prompt", "chosen", "rejected")}}, "states")  # fmt: skip
    with pytest.raises(DataError, match="but the heads read states of 24 numbers; give the states"):
        Gate().train(heads, wide, truth.pairs, seed=0, directory=tmp_path)


def test_states_without_the_prompt_are_refused(truth, heads, tmp_path):
    states = Features(truth.states.table.drop_columns(["prompt"]), "states")
    with pytest.raises(DataError, match="states has no column prompt; .* with part: both"):
        Gate().train(heads, states, truth.pairs, seed=0, directory=tmp_path)


def test_states_of_other_pairs_are_refused(truth, heads, tmp_path):
    states = Features(truth.states.table.slice(0, 100), "states")
    with pytest.raises(DataError, match=r"states has no row for 200 of 300 ids \(p100, p101"):
        Gate().train(heads, states, truth.pairs, seed=0, directory=tmp_path)


def test_pairs_of_two_prompts_are_too_few(truth, heads, tmp_path):
    pairs = Pairs(truth.pairs.table.slice(0, 2))
    with pytest.raises(DataError, match="at least 3 groups .* there are 2 pairs of 2"):
        Gate().train(heads, truth.states, pairs, seed=0, directory=tmp_path)


def test_a_debiasing_of_other_attributes_is_refused(truth, heads, tmp_path):
    names = (*NAMES[:-1], "wit")
    debias = debias_fit(tmp_path / "debias", np.eye(19), names)
    with pytest.raises(DataError, match="debias the rewards of the same heads"):
        Gate().train(heads, truth.states, truth.pairs, debias, seed=0, directory=tmp_path)


def test_a_gate_by_itself_scores_no_text(truth, heads, tmp_path):
    gate = trained(tmp_path / "gate", heads, truth, None, gate="constant").open()
    with pytest.raises(DataError, match="reads states, not text; put it together .* assemble"):
        gate.score(None)


def test_bfloat16_trains_a_gate_that_is_close(truth, heads, tmp_path):
    found = [
        trained(tmp_path / name, heads, truth, None, precision=name, **QUICK)
        for name in ("float32", "bfloat16")
    ]
    losses = [value(gate.numbers, "log-loss") for gate in found]
    assert losses[0] == pytest.approx(losses[1], abs=0.02)
    assert [value(gate.numbers, "bfloat16") for gate in found] == [0, 1]


def test_the_published_script_chooses_no_temperature():
    with pytest.raises(ValueError, match=r"compat chooses no temperature; write temperature: .10."):
        Gate(compat="softmaxfix")
    with pytest.raises(ValueError, match="compat is about gate: mlp; leave one of them out"):
        Gate(compat="original", gate="trees", temperature=[10])


def test_the_menu_loads_nothing_heavy():
    code = "import sys, rmplug_armorm; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"
