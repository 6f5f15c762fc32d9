"""A language model that is asked what prompts are about: behind an address, and on this machine."""

from __future__ import annotations

import json
import os
from collections import Counter

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
from model_server import endpoint, said, serving
from pydantic import ValidationError

import rmplug
from rmplug import DataError, Pairs
from rmplug.models.text_generator import TextGenerator
from rmplug.notices import collect_notices
from rmplug.testing import LengthModel, check_step, run_step, small_pairs
from rmplug_hybrid.names.dimensions import DIMENSIONS
from rmplug_hybrid.tags._tagger import parse_answer, write_choices, write_question
from rmplug_hybrid.tags.tagger import TEMPLATE, Tagger

TOPIC = {
    "topic": {"values": ["Law", "Physics"], "question": "What is it about?"},
    "harm": {"form": "scalar", "values": ["safe", "high"]},
}
LAW, PHYSICS = (
    f"analyzer_closed_set::feature_name=topic|constraints={v}" for v in ("Law", "Physics")
)
SAFE, HIGH = (f"analyzer_scalar::feature_name=harm|value={v}" for v in ("safe", "high"))


def truth(body, _):
    """Answers by the words of the prompt."""
    text = body["messages"][-1]["content"]
    if "about?" in text:
        about = [topic for topic in ("law", "physics") if f"ask {topic}" in text]
        return said(f"Sure! ```json\n{json.dumps({'topic': about})}\n```")
    return said(json.dumps({"harm": "HIGH" if "bomb" in text else "safe"}))


def pairs(*prompts):
    rows = {"id": [f"p{row}" for row in range(len(prompts))], "prompt": list(prompts)}
    return Pairs({**rows, "chosen": ["a"] * len(prompts), "rejected": ["b"] * len(prompts)}, "d")


def asked(server, data, **params):
    step = Tagger(**{"dimensions": TOPIC, **params})
    table = step.query(endpoint(server).load(), data).table
    return {name: table["id"].filter(table[name]).to_pylist() for name in table.column_names[2:]}


def test_each_prompt_is_asked_about_once_per_dimension_and_answers_become_tags():
    data = pairs("ask law", "ask physics and ask law", "a bomb", "ask law")
    with serving(truth) as server:
        found = asked(server, data)
    assert found == {
        LAW: ["p0", "p1", "p3"],
        PHYSICS: ["p1"],
        SAFE: ["p0", "p1", "p3"],
        HIGH: ["p2"],
        "missing.topic": [],
        "missing.harm": [],
    }
    texts = Counter(body["messages"][-1]["content"] for _, _, body in server.requests)
    assert len(texts) == 6
    assert set(texts.values()) == {1}
    assert {path for path, _, _ in server.requests} == {"/v1/chat/completions"}
    assert {body["temperature"] for _, _, body in server.requests} == {0.0}


def test_answers_that_cannot_be_read_are_missing_and_named():
    def answer(body, _):
        text = body["messages"][-1]["content"]
        if "harm" in text:
            return said(None if "second" in text else '{"harm": null}')
        return said("I would rather not say." if "second" in text else '{"topic": ["Lore"]}')

    with serving(answer) as server, collect_notices() as notices:
        found = asked(server, pairs("first", "second"))
    assert found["missing.topic"] == ["p1"]
    assert found["missing.harm"] == ["p0", "p1"]
    assert {told.what: told.ids for told in notices.values()} == {
        "no topic could be read from the answer": ["p1"],
        "topic 'Lore' is in no vocabulary": ["p0"],
        "no harm could be read from the answer": ["p0"],
        "no answer about harm": ["p1"],
    }


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ('{"t": "a"}', "a"),
        ('Well {x} then {"t": ["a", "b"]}.', ["a", "b"]),
        ('{"u": 1} {"t": "a"}', None),
        ('{"t": 3}', None),
        ('["t"]', None),
        ('{"t": "a"', None),
        ("", None),
    ],
)
def test_the_first_object_in_an_answer_is_what_it_says(answer, value):
    assert parse_answer(answer, "t") == value


def test_a_question_has_its_values_its_form_and_the_conversation():
    known = DIMENSIONS["safety_concern"]
    text = write_question(TEMPLATE, "safety_concern", known, "<|user|>\nuse {values}\n")
    assert "Choose one of: safe, low, moderate, high." in text
    assert '{"safety_concern": "safe"}' in text
    assert text.endswith("[START]\n<|user|>\nuse {values}\n[END]\n")
    assert '{"format_constraints": ["..."]}' in write_choices(
        "format_constraints", DIMENSIONS["format_constraints"]
    )
    assert '{"languages": ["English"]}' in write_choices("languages", DIMENSIONS["languages"])


def test_the_end_of_a_long_prompt_is_shown_and_the_cut_is_counted():
    with serving(truth) as server, collect_notices() as found:
        assert asked(server, pairs("ask law " * 50 + "ask physics"), longest=40)[LAW] == ["p0"]
    assert [told.ids for told in found.values() if "characters" in told.what] == [["p0"]]
    shown = server.requests[0][2]["messages"][0]["content"]
    assert len(shown.partition("[START]\n")[2].partition("[END]")[0]) == 40


def test_a_template_must_show_the_conversation_and_nothing_unknown():
    for wrong in ("{question}", "{conversation} {prompt}"):
        with pytest.raises(
            ValidationError, match="template must have {conversation}, and can have"
        ):
            Tagger(template=wrong)


def test_a_model_that_cannot_write_is_refused():
    with pytest.raises(DataError, match="LengthModel generates no text; give a model of the kind"):
        _ = Tagger().query(LengthModel(), small_pairs()).table


def test_a_finished_shard_is_not_asked_for_again(tmp_path):
    data = pairs("ask law", "ask physics", "ask law and ask physics", "a bomb")
    failing = True

    def answer(body, number):
        return (400, b"no more") if failing and number > 4 else truth(body, number)

    with serving(answer) as server:
        step = Tagger(dimensions=TOPIC)
        given = {"model": endpoint(server, concurrency=1).load(), "data": data}
        given["model"].name = "asked"
        with pytest.raises(rmplug.RmplugError, match="no more"):
            run_step(step, given, tmp_path, shard_rows=2)
        refused = len(server.requests) - 4
        failing = False
        made = run_step(step, given, tmp_path, shard_rows=2)
    assert made["id"].filter(made[LAW]).to_pylist() == ["p0", "p2"]
    assert len(server.requests) == 4 + refused + 4


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    from rmplug.testing.tiny_models import tiny_model

    return tiny_model("llama", tmp_path_factory.mktemp("tiny"), head="lm")


def test_a_local_model_writes_what_a_plain_loop_of_the_likeliest_tokens_writes(language_model):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from rmplug_hf import CausalLM

    model = CausalLM(path=language_model, device="cpu").load()
    assert isinstance(model, TextGenerator)
    prompts = ["What is the capital?", "Name a prime above 10.", "What is the capitol?", "Hm"]
    found = model.generate(prompts, 12)
    tokenizer = AutoTokenizer.from_pretrained(language_model)
    plain = AutoModelForCausalLM.from_pretrained(language_model).eval()
    for prompt, text in zip(prompts, found, strict=True):
        talk = [{"role": "user", "content": prompt}]
        asked = tokenizer.apply_chat_template(talk, add_generation_prompt=True, tokenize=False)
        ids = tokenizer(asked, add_special_tokens=False, return_tensors="pt")["input_ids"]
        start = ids.shape[1]
        for _ in range(12):
            with torch.no_grad():
                following = plain(input_ids=ids).logits[0, -1].argmax()
            ids = torch.cat([ids, following.reshape(1, 1)], dim=1)
            if following == tokenizer.eos_token_id:
                break
        assert text == tokenizer.decode(ids[0, start:], skip_special_tokens=True)
    assert any(found)


def test_a_local_model_draws_the_same_tokens_for_the_same_prompt(language_model):
    from rmplug_hf import CausalLM

    model = CausalLM(path=language_model, device="cpu").load()
    first = model.generate(["a", "b"], 8, temperature=1.0)
    assert model.generate(["b", "a"], 8, temperature=1.0) == first[::-1]
    assert model.generate(["a"], 8) != first[:1]


def test_a_prompt_that_leaves_no_room_gets_an_empty_answer(language_model):
    from rmplug_hf import CausalLM

    model = CausalLM(path=language_model, device="cpu").load()
    assert model.generate(["word " * 300], 4) == [""]
    assert model.generate([], 4) == []


def test_the_tagger_asks_a_local_model_and_counts_what_it_cannot_read(language_model):
    from rmplug_hf import CausalLM, GenerativeJudge

    for kind in (CausalLM, GenerativeJudge):
        model = kind(path=language_model, device="cpu").load()
        table = Tagger(dimensions=TOPIC, max_new_tokens=3).query(model, small_pairs()).table
        assert table["missing.topic"].to_pylist() == [True] * 7


class Scripted(LengthModel):
    """A model that answers by rule, so that it can be sent to other processes."""

    def generate(self, prompts, max_new_tokens=100, temperature=0.0):
        return ['{"topic": "Law"}' if "prime" in str(prompt) else "no" for prompt in prompts]


def test_the_tagger_keeps_every_promise_of_a_step():
    check_step(Tagger, {"dimensions": TOPIC}, {"model": Scripted()})
