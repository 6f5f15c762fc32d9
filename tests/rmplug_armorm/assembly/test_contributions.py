"""What a score is made of, as columns; attributes measured by themselves."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from assembled_cases import NAMES, Built, Unopened, llama

from rmplug import DataError, Features, Pairs, Responses
from rmplug.data.rows import one_batch
from rmplug.data.sides import side_of
from rmplug.testing import LengthModel, check_step, run_step, small_pairs
from rmplug_armorm import Assemble, Attributes, Contributions
from rmplug_text import PerResponse, Reward, ToResponses


@pytest.fixture(scope="module", params=["softmax", "signed"])
def built(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    gate = {"weights": "signed", "temperature": None} if request.param == "signed" else {}
    return Built(folder, llama(folder / "encoder"), **gate)


@pytest.fixture(scope="module")
def explained(built):
    found = Contributions().query(built.checkpoint.open(), built.pairs)
    return Features(found.table, "why")


def summed(features, before):
    return sum(np.asarray(features[f"{before}.{name}"]) for name in NAMES)


def test_contributions_of_pairs_add_up_to_the_scores(built, explained):
    model = built.checkpoint.open()
    for side in ("chosen", "rejected"):
        scores = model.score(side_of(one_batch(built.pairs.table), side))
        np.testing.assert_allclose(
            summed(explained, f"{side}.contribution"), scores[:, 0], atol=1e-6
        )
        for place, name in enumerate(NAMES):
            found = np.asarray(explained[f"{side}.attribute.{name}"])
            np.testing.assert_allclose(found, scores[:, place + 1], atol=1e-5)


def test_contributions_are_weights_times_attributes(built, explained):
    for name in NAMES:
        product = np.asarray(explained[f"weight.{name}"]) * np.asarray(
            explained[f"chosen.attribute.{name}"]
        )
        np.testing.assert_allclose(explained[f"chosen.contribution.{name}"], product, atol=1e-12)


def test_the_confound_is_taken_out_through_its_weight(built, explained):
    """The third attribute is debiased away: it counts minus .4 of the first plus .2 of the second,
    and whatever the gate gave it is not there."""
    first, second, third = (np.asarray(explained[f"weight.{name}"]) for name in NAMES)
    np.testing.assert_allclose(third, -0.4 * first + 0.2 * second, atol=1e-9)


def test_responses_are_explained_alike(built, explained):
    rows = side_of(one_batch(built.pairs.table), "rejected")
    found = Contributions().query(built.checkpoint.open(), Responses(pa.table(rows)))
    assert found.values == [
        "reward",
        *(f"{part}.{name}" for part in ("weight", "attribute", "contribution") for name in NAMES),
    ]
    np.testing.assert_allclose(found["reward"], explained["rejected"], atol=1e-6)
    np.testing.assert_allclose(
        summed(found, "contribution"), summed(explained, "rejected.contribution"), atol=1e-6
    )


def test_trees_explain_scores_without_weights(tmp_path):
    built = Built(tmp_path, llama(tmp_path / "encoder"), gate="trees", trees=5)
    model = built.checkpoint.open()
    found = Contributions().query(model, built.pairs)
    scores = model.score(side_of(one_batch(built.pairs.table), "chosen"))[:, 0]
    np.testing.assert_allclose(summed(found, "chosen.contribution"), scores, atol=1e-6)
    margins = model.compare(one_batch(built.pairs.table))
    np.testing.assert_allclose(found["margin"], margins, atol=1e-6)
    assert np.abs(margins - (np.asarray(found["chosen"]) - found["rejected"])).max() > 1e-3
    assert np.isnan(np.asarray(found["weight.helpful"])).all()


def test_scores_have_the_names_and_values_of_reward(built, explained):
    asked = Reward().query(built.checkpoint.open(), built.pairs).table
    for name in ("chosen", "rejected", "margin"):
        np.testing.assert_allclose(explained[name], asked[name], atol=1e-6)


def test_states_that_were_asked_for_before_explain_the_same(built, explained):
    found = Contributions().query(built.checkpoint.open(), built.pairs, built.states)
    assert found.columns == explained.columns
    for name in explained.values:
        np.testing.assert_allclose(found.table[name], explained[name], atol=1e-5)


def test_given_states_of_responses_explain_them_and_only_a_few_are_asked_anew(built, explained):
    model, asked = built.checkpoint.open(), []
    inner = model.encoder.vectors
    model.encoder.vectors = lambda rows, part="both": (
        asked.append(rows.num_rows) or inner(rows, part)
    )
    responses, states = ToResponses().sample(built.pairs), PerResponse().compute(built.states)
    found = Contributions().query(model, responses, Features(states.table, "states"))
    assert sum(asked) <= 8 < len(responses)
    rewards = np.asarray(found.table["reward"]).reshape(-1, 2)
    np.testing.assert_allclose(rewards[:, 0], explained["chosen"], atol=1e-5)
    np.testing.assert_allclose(rewards[:, 1], explained["rejected"], atol=1e-5)


def test_states_of_other_rows_or_of_one_side_are_refused(built):
    model, states = built.checkpoint.open(), built.states.table
    turned = states.rename_columns([
        {"chosen": "rejected", "rejected": "chosen"}.get(name, name) for name in states.column_names
    ])  # fmt: skip
    with pytest.raises(DataError, match="states turned are not those of this encoder and data"):
        Contributions().query(model, built.pairs, Features(turned, "turned")).table  # noqa: B018
    alone = Features(states.drop_columns(["prompt"]), "alone")
    with pytest.raises(DataError, match=r"alone has no states in a column prompt; .*part: both"):
        Contributions().query(model, built.pairs, alone).table  # noqa: B018


def test_each_distinct_text_is_encoded_once(built):
    model, seen = built.checkpoint.open(), []
    assert model.encoder.causal
    assert model.encoder.loaded.last_layer is not None  # a trial, which does not count
    model.encoder.loaded.model.register_forward_pre_hook(
        lambda _module, _args, given: seen.append(len(given["input_ids"])), with_kwargs=True
    )
    table = pa.concat_tables([built.pairs.table, built.pairs.table])
    ids = pa.array([f"r{n}" for n in range(80)])
    Contributions().query(model, Pairs(table.set_column(0, "id", ids))).table  # noqa: B018
    assert sum(seen) == 80


def test_a_model_without_attributes_is_refused():
    with pytest.raises(DataError, match="LengthModel has no attributes to explain its scores with"):
        Contributions().query(LengthModel(), small_pairs()).table  # noqa: B018


def test_it_conforms(built):
    model = Unopened(Opened(built.folder))
    check_step(Contributions, {}, {"model": model}, tolerance=1e-4)
    given = {"model": model, "data": built.pairs, "states": built.states}
    check_step(Contributions, {}, given, tolerance=1e-4)


class Opened:
    """Opens a folder in whichever process."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self):
        return Assemble.open(self.folder)


def explanation(chosen, rejected, weight):
    ids = [f"p{n}" for n in range(len(chosen))]
    return Features({
        "id": ids, "chosen.attribute.wit": chosen, "rejected.attribute.wit": rejected,
        "weight.wit": weight,
    }, "why")  # fmt: skip


def pairs_of(subsets, groups):
    ids = [f"p{n}" for n in range(len(subsets))]
    texts = dict.fromkeys(("prompt", "chosen", "rejected"), ids)
    return Pairs({"id": ids, **texts, "group": groups, "subset": subsets})


def test_an_attribute_is_measured_by_subset_with_ties_one_half():
    why = explanation([1.0, 0.5, 0.0, 2.0], [0.0, 0.5, 1.0, 1.0], [0.2, 0.4, 0.6, 0.8])
    data = pairs_of(["a", "a", "b", "b"], ["g", "h", "i", "j"])
    rows = Attributes().evaluate(data, why).table.to_pylist()
    found = {(row["metric"], row["row"], row["column"]): row for row in rows}
    assert found["accuracy", "wit", "all"]["value"] == pytest.approx(2.5 / 4)
    assert found["accuracy", "wit", "a"]["value"] == pytest.approx(0.75)
    assert found["accuracy", "wit", "b"]["value"] == pytest.approx(0.5)
    assert found["weight", "wit", "b"]["value"] == pytest.approx(0.7)
    one = found["accuracy", "wit", "a"]
    assert one["n"] == 2 and one["low"] < 0.1 and one["high"] > 0.99


def test_attributes_of_other_pairs_are_refused():
    why = explanation([1.0], [0.0], [1.0])
    with pytest.raises(DataError, match=r"why has no row for 1 ids \(p1\)"):
        Attributes().evaluate(pairs_of(["a", "a"], ["g", "h"]), why)
    with pytest.raises(
        DataError, match="has no columns chosen.attribute.…; give the contributions"
    ):
        Attributes().evaluate(small_pairs(), Features({"id": ["p0"], "x": [1.0]}, "other"))


def test_attributes_conform(built, explained, tmp_path):
    check_step(Attributes, {}, {"data": built.pairs, "contributions": explained})
    metrics = run_step(Attributes(), {"data": built.pairs, "contributions": explained}, tmp_path)
    assert set(metrics["column"].to_pylist()) == {"all", "even", "odd"}
