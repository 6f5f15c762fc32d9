"""Hidden states of several layers at once."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from rmplug import DataError, Known, Pairs, Responses
from rmplug_hf import Encoder, HiddenState, SequenceClassifier


def matrix(column) -> np.ndarray:
    array = column.combine_chunks()
    return np.asarray(array.flatten()).reshape(len(array), -1)


@pytest.fixture(scope="module")
def llama(tiny):
    return SequenceClassifier(path=tiny("llama"), batch_tokens=400).load()


@pytest.mark.parametrize("part", ["response", "both"])
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_each_layer_has_the_states_of_a_query_for_it_alone(llama, talks, part, pooling):
    several = HiddenState(layers="all", part=part, pooling=pooling).query(llama, talks).table
    sides = ["response"] if part == "response" else ["prompt", "response"]
    assert several.column_names[1:] == [
        "group",
        *(f"{s}.layer-{k}" for s in sides for k in range(3)),
    ]
    for layer in range(3):
        one = HiddenState(layer=layer, part=part, pooling=pooling).query(llama, talks).table
        for side in sides:
            found = matrix(several[f"{side}.layer-{layer}"])
            np.testing.assert_allclose(found, matrix(one[side]), rtol=0, atol=1e-5)
    assert np.abs(matrix(several["response.layer-0"]) - found).max() > 0.1


def test_all_layers_come_from_one_forward_pass(llama, talks, monkeypatch):
    passes = []
    forward = llama.loaded.model.base_model.forward
    monkeypatch.setattr(
        llama.loaded.model.base_model,
        "forward",
        lambda **given: passes.append(len(given["input_ids"])) or forward(**given),
    )
    HiddenState(layers=[0, 1, 2], self_check=0).query(llama, talks).table  # noqa: B018
    assert sum(passes) <= 2 * len(talks)


def test_a_position_is_read_in_each_layer(llama, talks):
    asked = {"pooling": "position", "position": "response-start"}
    several = HiddenState(layers=[2], **asked).query(llama, talks).table
    one = HiddenState(layer=2, **asked).query(llama, talks).table
    np.testing.assert_array_equal(matrix(several["response.layer-2"]), matrix(one["response"]))


def test_an_encoder_that_normalises_does_so_in_each_layer(tiny, talks):
    model = Encoder(path=tiny("bert", head="none"), normalise=True).load()
    table = HiddenState(layers=[0, 1]).query(model, talks).table
    for layer in (0, 1):
        sizes = np.linalg.norm(matrix(table[f"response.layer-{layer}"]), axis=1)
        np.testing.assert_allclose(sizes, 1, atol=1e-5)


def test_the_columns_are_foreseen_where_the_folder_tells_the_layers(tiny):
    model = Known(made_by=SequenceClassifier(path=tiny("gpt2")), step="model")
    hub = Known(made_by=SequenceClassifier(name="owner/model"), step="model")
    data = {"data": [Known((Responses,))]}
    every = HiddenState(layers="all")
    assert list(every.foresee({"model": [model], **data}).columns) == [
        f"response.layer-{k}" for k in range(3)
    ]
    assert every.foresee({"model": [hub], **data}).columns is None
    named = HiddenState(layers=[3, 1], part="both").foresee(
        {"model": [hub], "data": [Known((Pairs,))]}
    )
    assert list(named.columns)[:3] == ["prompt.layer-3", "prompt.layer-1", "chosen.layer-3"]


def test_a_layer_that_the_model_has_not_is_told_by_check_and_by_run(tiny, llama, talks):
    model = Known(made_by=SequenceClassifier(path=tiny("llama")), step="model")
    fault = [("layers", "model has the layers 0 (embeddings) to 2; there is no 9")]
    assert list(HiddenState(layers=[1, 9]).mistakes({"model": [model]})) == fault
    assert list(HiddenState(layer=-3).mistakes({"model": [model]})) == []
    with pytest.raises(DataError, match="has the layers 0 .* to 2; there is no 9"):
        HiddenState(layers=[1, 9]).query(llama, talks).table  # noqa: B018


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"layers": [0, -1]}, "layers are counted from 0, the embeddings; write the number of the"),
        ({"layers": [1, 1]}, "a layer is named twice"),
        ({"layers": [1], "layer": 1}, r"give layer \(one\) or layers \(several\), not both"),
        ({"layers": []}, "at least 1 item"),
    ],
)
def test_a_choice_of_layers_that_means_nothing_is_refused(params, sentence):
    with pytest.raises(ValidationError, match=sentence):
        HiddenState(**params)
