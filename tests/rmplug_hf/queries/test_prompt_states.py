"""States of prompts from the pass over their responses."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from conftest import columns, conversation
from direct import chat_text, direct_model

from rmplug import Pairs, Responses
from rmplug_hf import CausalLM, Encoder, HiddenState, LogProb, SequenceClassifier

CAUSAL = ["gpt2", "llama", "qwen2"]
NEAR = {"rtol": 0, "atol": 1e-5}


def matrix(table, column) -> np.ndarray:
    array = table[column].combine_chunks()
    return np.asarray(array.flatten()).reshape(len(array), -1)


def counted(model):
    """The tokens of each batch that goes through the model from now on."""
    # trials, which do not count
    assert model.loaded.shares_prompts in (True, False)
    assert model.loaded.last_layer is not None
    found: list[int] = []

    def count(_module, args, given):
        ids = args[0] if args else given["input_ids"]
        found.append(int(given["attention_mask"][:, -ids.shape[1] :].sum()))

    model.loaded.model.base_model.register_forward_pre_hook(count, with_kwargs=True)
    return found


def tokens_in(model, data, side=None, part="both"):
    rows = data.table.to_pylist()
    parts = [{"id": r["id"], "prompt": r["prompt"], "response": r[side or "prompt"]} for r in rows]
    [batch] = Responses(columns(parts)).batches()
    return model.loaded.tokenizing.rows(batch, part)


def pairs_of(rows=6):
    return Pairs(
        {
            "id": [f"p{n}" for n in range(rows)],
            "prompt": ["Is 91 prime? " * (n % 3 + 1) + str(n) for n in range(rows)],
            "chosen": ["No: 91 = 7 × 13. " * (n + 1) for n in range(rows)],
            "rejected": [f"Yes, {n} is." for n in range(rows)],
        }
    )


@pytest.mark.parametrize("architecture", CAUSAL)
@pytest.mark.parametrize("pooling", ["last", "mean", "cls"])
@pytest.mark.parametrize(("prompt_end", "layer"), [("turn", -1), ("response", 1)])
def test_they_are_those_of_the_prompt_alone(tiny, talks, architecture, pooling, prompt_end, layer):
    model = SequenceClassifier(path=tiny(architecture), batch_tokens=400).load()
    asked = {"pooling": pooling, "prompt_end": prompt_end, "layer": layer}
    both = HiddenState(self_check=0, part="both", **asked).query(model, talks).table
    alone = HiddenState(self_check=0, part="prompt", **asked).query(model, talks).table
    whole = HiddenState(self_check=0, part="response", **asked).query(model, talks).table
    assert matrix(both, "prompt").std() > 0.01
    np.testing.assert_allclose(matrix(both, "prompt"), matrix(alone, "prompt"), **NEAR)
    np.testing.assert_allclose(matrix(both, "response"), matrix(whole, "response"), **NEAR)


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_the_state_is_that_of_the_token_that_ends_the_last_turn(tiny, talks, architecture):
    folder = tiny(architecture)
    model = SequenceClassifier(path=folder).load()
    found = matrix(HiddenState(self_check=0, part="both").query(model, talks).table, "prompt")
    direct, tokenizer = direct_model(folder, "AutoModel")
    ends = tokenizer.convert_tokens_to_ids(
        {"llama": "<|eot_id|>", "qwen2": "<|im_end|>"}[architecture]
    )
    for state, row in zip(found, talks.table.to_pylist(), strict=True):
        text = chat_text(tokenizer, row["prompt"], row["response"])
        asked = tokenizer(text, add_special_tokens=False, return_tensors="pt")
        # the last such token ends the response
        place = torch.nonzero(asked["input_ids"][0] == ends)[-2, 0]
        with torch.no_grad():
            expected = direct(**asked).last_hidden_state[0, place]
        np.testing.assert_allclose(state, expected, **NEAR)


@pytest.mark.parametrize("architecture", [*CAUSAL, "bert"])
@pytest.mark.parametrize("template", ["chat", "pair"])
def test_a_causal_model_is_not_run_again_over_prompts(tiny, architecture, template):
    folder, pairs = tiny(architecture, head="none"), pairs_of()
    model = Encoder(path=folder, template=template, pooling="last", device="cpu").load()
    assert model.causal == (architecture in CAUSAL)
    found = counted(model)
    table = HiddenState(self_check=0, part="both").query(model, pairs).table
    responses = [*tokens_in(model, pairs, "chosen"), *tokens_in(model, pairs, "rejected")]
    expected = sum(map(len, responses))
    prompts = sum(map(len, tokens_in(model, pairs, part="turn")))
    if architecture in CAUSAL:  # what the sides begin with is not run twice, either
        assert sum(found) <= expected
    else:
        assert sum(found) == expected + prompts
    assert table.column_names[-3:] == ["prompt", "chosen", "rejected"]


@pytest.mark.parametrize(
    "query",
    [HiddenState(self_check=0), HiddenState(self_check=0, part="both"), LogProb(self_check=0)],
)
def test_a_conversation_on_both_sides_goes_through_the_model_once(tiny, query):
    logs = isinstance(query, LogProb)
    load = CausalLM if logs else Encoder
    model = load(path=tiny("llama", head="lm" if logs else "none"), template="chat").load()
    table = pairs_of().table
    swapped = table.rename_columns(
        [{"chosen": "rejected", "rejected": "chosen"}.get(n, n) for n in table.column_names]
    ).select(table.column_names)
    assert model.causal
    found = counted(model)
    query.query(model, Pairs(table)).table  # noqa: B018
    once = sum(found)
    names = pa.array([f"q{n}" for n in range(len(table))])
    twice = pa.concat_tables([table, swapped.set_column(0, "id", names)])
    found.clear()
    result = query.query(model, Pairs(twice)).table
    assert sum(found) == once
    for chosen in (name for name in result.column_names if name.startswith("chosen")):
        left, right = result[chosen], result[chosen.replace("chosen", "rejected")]
        assert left.slice(0, 6).to_pylist() == right.slice(6).to_pylist()


def test_rows_that_were_cut_have_their_prompts_read_alone(tiny):
    model = Encoder(
        path=tiny("llama", head="none"), template="chat", pooling="last", max_length=70
    ).load()
    long = "Is 91 prime? " * 4
    rows = [
        conversation("short", [("user", "Hello?")], "Yes."),
        conversation("long", [("user", long)], "No: 91 = 7 × 13. " * 3),
    ]
    data = Responses(columns(rows))
    alone = matrix(HiddenState(self_check=0, part="prompt").query(model, data).table, "prompt")
    assert model.causal
    found = counted(model)
    both = matrix(HiddenState(self_check=0, part="both").query(model, data).table, "prompt")
    [_, head] = tokens_in(model, data, part="turn")
    [short, cut] = tokens_in(model, data, "response")
    assert len(head) < 70 == len(cut)
    assert sum(found) == len(short) + len(cut) + len(head)
    np.testing.assert_allclose(both, alone, **NEAR)


def test_a_prompt_whose_last_letters_join_the_response_is_read_alone(tiny):
    """A text whose tokens do not begin with those of its prompt: the seam is one token."""
    step = Encoder(path=tiny("llama", head="none"), template="{prompt}{response}", pooling="last")
    model = step.load()
    pairs = Pairs({"id": ["a"], "prompt": ["Is it pri"], "chosen": ["me?"], "rejected": ["vate?"]})
    [row], [head] = tokens_in(model, pairs, "chosen"), tokens_in(model, pairs, part="prompt")
    assert not row.begins_with(head)
    both = HiddenState(self_check=0, part="both").query(model, pairs).table
    alone = HiddenState(self_check=0, part="prompt").query(model, pairs).table
    np.testing.assert_allclose(matrix(both, "prompt"), matrix(alone, "prompt"), **NEAR)


def test_a_model_that_looks_ahead_is_found_out_whatever_its_class(tiny):
    step = Encoder(
        path=tiny("llama", head="none"), template="chat", pooling="last", batch_tokens=1
    )  # one row at a time: what it looks at has no padding
    model = step.load()

    def look_ahead(_module, _args, output):
        output.last_hidden_state = output.last_hidden_state + output.last_hidden_state.mean(1, True)
        return output

    model.loaded.model.register_forward_hook(look_ahead)
    assert not model.causal
    pairs = pairs_of(3)
    both = HiddenState(self_check=0, part="both").query(model, pairs).table
    alone = HiddenState(self_check=0, part="prompt").query(model, pairs).table
    np.testing.assert_allclose(matrix(both, "prompt"), matrix(alone, "prompt"), **NEAR)


def test_positions_that_depend_on_the_length_of_a_row_are_not_shared(tiny):
    model = Encoder(path=tiny("llama", head="none"), template="chat", pooling="last").load()
    assert model.causal
    other = Encoder(path=tiny("llama", head="none"), template="chat", pooling="last").load()
    other.loaded.config.rope_parameters = {"rope_type": "longrope"}
    assert not other.causal


def test_the_same_prompt_and_response_go_through_the_model_once(tiny):
    model = SequenceClassifier(path=tiny("llama")).load()
    row = conversation("a", [("user", "Hello?")], "Yes.")
    rows = [{**row, "id": str(n)} for n in range(5)]
    rows.insert(2, conversation("b", [("user", "Hello?")], "No."))
    data = Responses(columns(rows))
    found = counted(model)
    [batch] = data.batches()
    scores = model.score(batch)
    one, _, other, *_ = tokens_in(model, data, "response")
    assert sum(found) == len(one) + len(other)
    assert len(set(scores[[0, 1, 3, 4, 5], 0])) == 1 and scores[0] != scores[2]
