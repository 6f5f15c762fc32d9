"""Hidden states: which layer, which token, of which part."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from direct import Unopened, chat_text, direct_model
from pydantic import ValidationError

from rmplug import DataError, Known, Pairs, Responses
from rmplug.testing import LengthModel, check_step, small_pairs
from rmplug_hf import Encoder, HiddenState, SequenceClassifier

ARCHITECTURES = ["bert", "gpt2", "llama", "qwen2"]


def matrix(column) -> np.ndarray:
    array = column.combine_chunks()
    return np.asarray(array.flatten()).reshape(len(array), -1)


def direct_layers(folder, responses, part="both"):
    """All layers of each conversation, each alone: a list of (layers, tokens, width)."""
    model, tokenizer = direct_model(folder, "AutoModel")
    for row in responses.table.to_pylist():
        if part == "prompt":
            text = tokenizer.apply_chat_template(
                row["prompt"], tokenize=False, add_generation_prompt=True
            )
        else:
            text = chat_text(tokenizer, row["prompt"], row["response"])
        asked = tokenizer(text, add_special_tokens=False, return_tensors="pt")
        with torch.no_grad():
            layers = model(**asked, output_hidden_states=True).hidden_states
        yield np.stack([layer[0].numpy() for layer in layers])


def test_it_conforms(tiny):
    model = Unopened(Encoder(path=tiny("bert", head="none"), device="cpu"))
    check_step(HiddenState, {"part": "both"}, {"model": model}, tolerance=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("layer", [0, 1, -1])
@pytest.mark.parametrize("pooling", ["last", "mean", "cls"])
def test_states_are_those_of_one_conversation_at_a_time(tiny, talks, architecture, layer, pooling):
    folder = tiny(architecture)
    model = SequenceClassifier(path=folder, batch_tokens=400).load()
    query = HiddenState(layer=layer, pooling=pooling)
    found = matrix(query.query(model, talks).table["response"])
    pool = {"last": lambda s: s[-1], "mean": lambda s: s.mean(0), "cls": lambda s: s[0]}[pooling]
    expected = np.array([pool(layers[layer]) for layers in direct_layers(folder, talks)])
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_the_prompt_alone_can_end_where_a_response_would_begin(tiny, talks, architecture):
    folder = tiny(architecture)
    model = SequenceClassifier(path=folder).load()
    query = HiddenState(part="prompt", prompt_end="response")
    table = query.query(model, talks).table
    expected = [layers[-1][-1] for layers in direct_layers(folder, talks, "prompt")]
    np.testing.assert_allclose(matrix(table["prompt"]), expected, rtol=0, atol=1e-5)


def test_positions_are_counted_from_both_ends_or_named(tiny, talks):
    folder = tiny("llama")
    model = SequenceClassifier(path=folder, batch_tokens=300).load()
    layers = [found[-1] for found in direct_layers(folder, talks)]
    prompts = [found.shape[1] for found in direct_layers(folder, talks, "prompt")]

    def at(position):
        query = HiddenState(pooling="position", position=position)
        return matrix(query.query(model, talks).table["response"])

    near = {"rtol": 0, "atol": 1e-5}
    np.testing.assert_allclose(at(3), [s[3] for s in layers], **near)
    np.testing.assert_allclose(at(-2), [s[-2] for s in layers], **near)
    before = [s[n - 1] for s, n in zip(layers, prompts, strict=True)]
    np.testing.assert_allclose(at("prompt-end"), before, **near)
    first = [s[n] for s, n in zip(layers, prompts, strict=True)]
    np.testing.assert_allclose(at("response-start"), first, **near)
    np.testing.assert_allclose(at("response-end"), [s[-2] for s in layers], **near)


def test_a_position_that_a_row_does_not_have_is_refused_by_id(tiny, talks):
    model = SequenceClassifier(path=tiny("llama")).load()
    query = HiddenState(pooling="position", position=90)
    with pytest.raises(DataError, match=r"has \d+ tokens \(\d+ of the response\): it has no posit"):
        query.query(model, talks).table  # noqa: B018


def test_a_layer_that_a_model_does_not_have_is_refused(tiny, talks):
    model = SequenceClassifier(path=tiny("llama")).load()
    with pytest.raises(DataError, match=r"has the layers 0 \(embeddings\) to 2; there is no 7"):
        HiddenState(layer=7).query(model, talks).table  # noqa: B018


def test_an_encoder_answers_with_its_own_layer_and_pooling(tiny):
    folder = tiny("bert", head="none")
    own = Encoder(path=folder, layer=1, pooling="cls").load()
    other = Encoder(path=folder).load()
    asked = HiddenState(layer=1, pooling="cls")
    found = [
        matrix(query.query(model, small_pairs()).table["chosen"])
        for query, model in ((HiddenState(), own), (asked, other), (HiddenState(), other))
    ]
    np.testing.assert_array_equal(found[0], found[1])
    assert np.abs(found[0] - found[2]).max() > 0.1


def test_columns_are_known_before_running():
    def columns(part, data):
        foreseen = HiddenState(part=part).foresee({"data": [Known((data,))]})
        assert {foreseen.type_of(name) for name in foreseen.columns} == {"vector"}
        return tuple(foreseen.columns)

    assert columns("response", Pairs) == ("chosen", "rejected")
    assert columns("prompt", Pairs) == ("prompt",)
    assert columns("both", Responses) == ("prompt", "response")


def test_a_model_without_states_is_refused(talks):
    with pytest.raises(DataError, match="LengthModel has no hidden states; give a model of transf"):
        HiddenState().query(LengthModel(), talks).table  # noqa: B018


def test_a_position_needs_its_pooling():
    with pytest.raises(ValidationError, match="position and pooling: position belong together"):
        HiddenState(position=3)


def test_a_prompt_alone_that_is_too_long_loses_its_beginning() -> None:
    model = Encoder(name="minilm", device="cpu", max_length=32).load()
    words = [f"word{place}" for place in range(200)]
    pairs = Pairs(
        {
            "id": ["long", "end"],
            "prompt": [" ".join(words), " ".join(words[-80:])],
            "chosen": ["Yes.", "Yes."],
            "rejected": ["No.", "No."],
        }
    )
    states = HiddenState(part="prompt").query(model, pairs).table["prompt"].to_pylist()
    np.testing.assert_allclose(states[0], states[1], atol=1e-5)
