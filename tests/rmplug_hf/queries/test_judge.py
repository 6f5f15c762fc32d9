"""A judge's verdict: next-token probabilities of the labels, as a direct forward gives them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from direct import Unopened, direct_model
from pydantic import ValidationError

from rmplug import DataError, Pairs, Responses, text_of
from rmplug.data.rows import one_batch
from rmplug.notices import collect_notices
from rmplug.testing import run_step, small_pairs
from rmplug_hf import GenerativeJudge
from rmplug_hf.queries.judges import PAIRWISE, SINGLE
from rmplug_text.queries import Reward

SHORT = "Which is better?\n{prompt}\nA: {a}\nB: {b}\nAnswer:"


def direct_shares(folder, questions, labels):
    """Probability of each label among the labels, of one question at a time."""
    model, tokenizer = direct_model(folder, "AutoModelForCausalLM")
    ids = [tokenizer(label, add_special_tokens=False)["input_ids"][0] for label in labels]
    found = []
    for question in questions:
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        with torch.no_grad():
            logits = model(**asked).logits[0, -1].double()
        found.append(logits[ids].softmax(0).numpy())
    return np.array(found)


def texts(pairs, name):
    return text_of(pairs[name]).to_pylist()


def judge(folder, **params):
    return GenerativeJudge(path=folder, device="cpu", pairwise=SHORT, **params)


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "qwen2"])
def test_margins_are_the_logit_of_the_probability_averaged_over_both_orders(architecture, tiny):
    folder, pairs = tiny(architecture, head="lm"), small_pairs()
    sides = texts(pairs, "chosen"), texts(pairs, "rejected")
    shares = [
        direct_shares(
            folder,
            [
                SHORT.format(prompt=p, a=a, b=b)
                for p, a, b in zip(texts(pairs, "prompt"), *order, strict=True)
            ],
            ("A", "B"),
        )
        for order in (sides, sides[::-1])
    ]
    p = (shares[0][:, 0] + shares[1][:, 1]) / 2
    table = Reward().query(Unopened(judge(folder, batch_tokens=300)), pairs).table
    assert table.column_names[2:] == ["margin", "probability", "loss"]
    assert np.abs(table["probability"].to_numpy() - p).max() < 1e-5
    assert np.abs(table["margin"].to_numpy() - np.log(p / (1 - p))).max() < 1e-4
    assert np.abs(table["loss"].to_numpy() + np.log(p)).max() < 1e-4


def test_swapping_chosen_and_rejected_turns_the_margin_round(tiny):
    pairs = small_pairs()
    turned = Pairs(pairs.table.rename_columns({"chosen": "rejected", "rejected": "chosen"}))
    model = judge(tiny("llama", head="lm")).load()
    one = model.compare(one_batch(pairs.table))
    other = model.compare(one_batch(turned.table))
    assert one == pytest.approx(-other, abs=1e-5) and np.abs(one).max() > 0.01
    assert model.antisymmetric


def test_a_response_alone_is_scored_by_the_probability_of_the_good_label(tiny, talks):
    folder = tiny("qwen2", head="lm")
    some = talks.take(list(range(10)))
    single = "Is this a good answer?\n{prompt}\n{response}\nYes or No:"
    questions = [
        single.format(prompt=p, response=r)
        for p, r in zip(texts(some, "prompt"), texts(some, "response"), strict=True)
    ]
    expected = direct_shares(folder, questions, ("Yes", "No"))[:, 0]
    scores = judge(folder, single=single).load().score(one_batch(some.table))
    assert np.abs(scores - expected).max() < 1e-5
    assert ((scores > 0) & (scores < 1)).all()


def test_a_rating_is_the_expected_point_on_the_scale(tiny, talks):
    folder = tiny("llama", head="lm")
    single = "Rate from 1 to 3.\n{prompt}\n{response}\nRating:"
    questions = [
        single.format(prompt=p, response=r)
        for p, r in zip(texts(talks, "prompt")[:5], texts(talks, "response")[:5], strict=True)
    ]
    shares = direct_shares(folder, questions, ("1", "2", "3"))
    step = judge(folder, single=single, scale={"1": 1, "2": 2, "3": 3})
    scores = step.load().score(one_batch(talks.take(list(range(5))).table))
    assert np.abs(scores - shares @ [1, 2, 3]).max() < 1e-5


def test_pairs_are_compared_by_single_scores_where_pairwise_is_null(tiny):
    pairs, folder = small_pairs(), tiny("llama", head="lm")
    step = GenerativeJudge(path=folder, pairwise=None, single="{prompt} {response} Good?")
    table = Reward().query(Unopened(step), pairs).table
    one = Responses(
        pairs.table.rename_columns({"chosen": "response"}).select(["id", "prompt", "response"])
    )
    assert table["chosen"].to_numpy() == pytest.approx(
        step.load().score(one_batch(one.table)), abs=1e-6
    )


def test_braces_in_the_texts_stay_what_they_are(tiny):
    folder = tiny("llama", head="lm")
    data = Responses({"id": ["a"], "prompt": ["{response}"], "response": ["{prompt}"]})
    single = "{prompt} | {response}"
    expected = direct_shares(folder, ["{response} | {prompt}"], ("Yes", "No"))[:, 0]
    step = judge(folder, single=single)
    assert step.load().score(one_batch(data.table)) == pytest.approx(expected, abs=1e-6)


def test_a_conversation_of_several_turns_says_who_speaks(tiny, talks):
    folder = tiny("llama", head="lm")
    several = talks.take([10])
    told = "user: Is 91 prime?\n\nassistant: Yes.\n\nuser: " + "Are you sure? " * 9
    answer = texts(several, "response")[0]
    expected = direct_shares(folder, [f"{told} | {answer}"], ("Yes", "No"))[:, 0]
    step = judge(folder, single="{prompt} | {response}")
    assert step.load().score(one_batch(several.table)) == pytest.approx(expected, abs=1e-6)


def test_a_verdict_that_depends_on_the_order_is_counted(tiny):
    pairs = small_pairs()
    same = Pairs(pairs.table.drop_columns(["rejected"]).append_column("rejected", pairs["chosen"]))
    model = judge(tiny("llama", head="lm")).load()
    with collect_notices() as notices:
        margins = model.compare(one_batch(same.table))
    assert margins == pytest.approx(np.zeros(7), abs=1e-5)
    swayed = [n for n in notices.values() if "depends on the order" in n.what]
    assert [n.count for n in swayed] == [7]


def test_a_question_that_is_too_long_loses_the_beginning_of_its_conversation(tiny):
    folder = tiny("llama", head="lm")
    single = "Good?\n{prompt}\n{response}\nYes or No:"
    long = "first words " * 100 + "last words"
    data = Responses({"id": ["long"], "prompt": [long], "response": ["An answer."]})
    step = judge(folder, single=single, max_length=80)
    model = step.load()
    with collect_notices() as notices:
        [score] = model.score(one_batch(data.table))
    cut = [n for n in notices.values() if n.action == "changed"]
    assert [(n.what, n.ids) for n in cut] == [
        ("prompt cut to fit the model's max_length", ["long"])
    ]
    _, tokenizer = direct_model(folder, "AutoModelForCausalLM")

    def size(prompt):
        message = [{"role": "user", "content": single.format(prompt=prompt, response="An answer.")}]
        text = tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    kept = next(long[n:] for n in range(len(long)) if size(long[n:]) <= 80)
    near = [long[len(long) - len(kept) + more :] for more in range(8)]
    questions = [single.format(prompt=prompt, response="An answer.") for prompt in near]
    expected = direct_shares(folder, questions, ("Yes", "No"))[:, 0]
    assert np.abs(expected - score).min() < 1e-6


def test_a_row_that_does_not_fit_even_so_is_counted_and_named_and_stops_no_other(tiny):
    texts = ["words " * 100, "Yes."]
    data = Responses({"id": ["long", "short"], "prompt": ["Why?"] * 2, "response": texts})
    step = judge(tiny("llama", head="lm"), single="{prompt} {response} Good?", max_length=60)
    model = step.load()
    with collect_notices() as notices:
        scores = model.score(one_batch(data.table))
    assert np.isnan(scores).tolist() == [True, False]
    assert scores[1] == pytest.approx(model.score(one_batch(data.table.slice(1)))[0], abs=1e-6)
    lost = [notice for notice in notices.values() if "no verdict" in notice.what]
    assert [(notice.ids, notice.count) for notice in lost] == [(["long"], 1)]
    pairs = Pairs(
        {"id": ["long", "short"], "prompt": ["Why?"] * 2, "chosen": texts, "rejected": ["No."] * 2}
    )
    step = judge(tiny("llama", head="lm"), max_length=60)
    with collect_notices() as notices:
        margins = step.load().compare(one_batch(pairs.table))
    assert np.isnan(margins).tolist() == [True, False]
    lost = [notice for notice in notices.values() if "no verdict" in notice.what]
    assert [(notice.ids, notice.count) for notice in lost] == [(["long"], 1)]


def test_a_question_that_is_too_long_may_be_refused_instead(tiny):
    data = Responses({"id": ["long"], "prompt": ["Why?"], "response": ["words " * 100]})
    step = judge(tiny("llama", head="lm"), single="{prompt} {response} Good?", max_length=60)
    with pytest.raises(DataError, match="1 of 1 questions are longer than 60 tokens .first: long"):
        step.model_copy(update={"truncate": "error"}).load().score(one_batch(data.table))


def test_labels_that_begin_alike_are_refused(tiny):
    with pytest.raises(DataError) as error:
        judge(tiny("llama", head="lm"), labels=("1a", "1b")).load()
    assert str(error.value) == (
        "the labels '1a', '1b' begin with the same token; take labels that differ in their first "
        "one"
    )


def test_labels_that_merge_with_the_end_of_the_question_are_refused(tiny):
    with pytest.raises(DataError) as error:
        judge(tiny("gpt2", head="lm"), scale={"1": 1, "2": 2}).load()
    assert str(error.value) == (
        "the label '1' cannot be read as the next token: with the end of the question, "
        "'>assistant: ', it becomes one token; change what the template writes last, or the label"
    )


def test_the_questions_that_come_with_it_can_be_asked(tiny):
    folder = tiny("qwen2", head="lm")
    pairs = small_pairs(2)
    step = GenerativeJudge(path=folder, max_length=256)
    assert "{a}" in PAIRWISE and "{response}" in SINGLE
    with pytest.raises(DataError, match="tokens without any conversation or response"):
        step.model_copy(update={"max_length": 100}).load().compare(one_batch(pairs.table))


def test_no_pairs_have_the_columns_of_pairs(tiny, tmp_path):
    model = Unopened(judge(tiny("llama", head="lm")))
    features = run_step(Reward(), {"model": model, "data": small_pairs(0)}, tmp_path)
    assert features.values == ["margin", "probability", "loss"] and len(features) == 0


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"pairwise": "{a} or {b}?"}, "pairwise must have {prompt}"),
        ({"single": "{prompt} {response} {x}"}, "single has {x}; it can have {prompt}, {response}"),
        ({"scale": {"Yes": 1}}, "needs two different answers"),
        ({"labels": ["A", "A"]}, "needs two different answers"),
    ],
)
def test_questions_that_cannot_be_asked_are_refused(more, sentence):
    with pytest.raises(ValidationError) as error:
        GenerativeJudge.model_validate({"path": "a", **more})
    assert sentence in str(error.value)
