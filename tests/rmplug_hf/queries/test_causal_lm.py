"""The reward of a language model: what a direct forward of one conversation at a time gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from direct import Unopened, direct_model
from pydantic import ValidationError

from rmplug import DataError, Pairs, Responses
from rmplug.data.rows import one_batch
from rmplug.notices import collect_notices
from rmplug.testing import check_step, small_pairs
from rmplug_hf import CausalLM, LogProb, SequenceClassifier

TEXT = "{prompt}\n\n{response}{eos}"


def direct_log_probs(folder, responses, chat=True, ending=True):
    """Sum of log-probabilities and number of tokens of each response, each alone."""
    model, tokenizer = direct_model(folder, "AutoModelForCausalLM")
    found = []
    for row in responses.table.to_pylist():
        if chat:
            before = tokenizer.apply_chat_template(
                row["prompt"], tokenize=False, add_generation_prompt=True
            )
            whole = tokenizer.apply_chat_template(
                [*row["prompt"], *row["response"]], tokenize=False
            )
            answer = row["response"][0]["content"]
            content = before + (answer if before + answer in whole else answer.strip())
        else:
            before = "\n\n".join(turn["content"] for turn in row["prompt"]) + "\n\n"
            content = before + row["response"][0]["content"]
            whole = content + tokenizer.eos_token
        special = {"add_special_tokens": not chat, "return_tensors": "pt"}
        asked = tokenizer(whole, return_offsets_mapping=True, **special)
        ends = asked.pop("offset_mapping")[0, :, 1]
        starts = tokenizer(whole, return_offsets_mapping=True, **special)["offset_mapping"][0, :, 0]
        first = max(1, int((ends > len(before)).nonzero()[0, 0]))
        last = len(ends) if ending else int((starts < len(content)).nonzero()[-1, 0]) + 1
        with torch.no_grad():
            log_probs = model(**asked).logits[0].log_softmax(-1)
        ids = asked["input_ids"][0]
        picked = [log_probs[n - 1, ids[n]].double().item() for n in range(first, last)]
        found.append((sum(picked), len(picked)))
    return np.array(found).T


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize("architecture", ["gpt2", "llama", "qwen2"])
def test_log_probabilities_are_those_of_a_direct_forward(architecture, chat, tiny, talks):
    folder = tiny(architecture, head="lm")
    template = "chat" if chat else TEXT
    step = CausalLM(path=folder, template=template, beta=1.0, batch_tokens=300, device="cpu")
    sums, counts = direct_log_probs(folder, talks, chat)
    model = step.load()
    found = model.log_probs(one_batch(talks.table))
    assert found.tokens.tolist() == counts.tolist()
    assert np.abs(found.policy - sums).max() < 1e-5 * np.abs(sums).max()
    assert np.abs(found.policy / found.tokens - sums / counts).max() < 1e-5
    assert model.score(one_batch(talks.table)) == pytest.approx(found.policy)


@pytest.mark.parametrize("pad", ["own", "eos", "none"])
def test_padding_never_counts(pad, tiny, talks):
    folder = tiny("gpt2", head="lm", pad=pad, pad_left=True)
    sums, _ = direct_log_probs(folder, talks)
    for batch_tokens in (1, 10_000):
        step = CausalLM(path=folder, beta=1.0, batch_tokens=batch_tokens, device="cpu")
        scores = step.load().score(one_batch(talks.table))
        assert np.abs(scores - sums).max() < 1e-5 * np.abs(sums).max()


def test_the_reward_is_beta_times_the_difference_to_the_reference(tiny, talks):
    policy, reference = tiny("llama", head="lm", seed=1), tiny("llama", head="lm", seed=2)
    one, counts = direct_log_probs(policy, talks)
    other, _ = direct_log_probs(reference, talks)
    step = CausalLM(path=policy, reference=reference, beta=0.3, device="cpu")
    scores = step.load().score(one_batch(talks.table))
    assert np.abs(scores - 0.3 * (one - other)).max() < 1e-5 * np.abs(one).max()
    step = step.model_copy(update={"over": "mean"})
    scores = step.load().score(one_batch(talks.table))
    assert np.abs(scores - 0.3 * (one - other) / counts).max() < 1e-5


def test_a_policy_that_is_its_own_reference_has_no_reward(tiny, talks):
    folder = tiny("qwen2", head="lm")
    scores = CausalLM(path=folder, reference=folder).load().score(one_batch(talks.table))
    assert scores.tolist() == [0.0] * len(talks)


def test_what_the_template_writes_after_the_response_can_be_left_out(tiny, talks):
    folder = tiny("qwen2", head="lm")
    sums, counts = direct_log_probs(folder, talks, ending=False)
    _, whole = direct_log_probs(folder, talks)
    found = (
        CausalLM(path=folder, ending=False, device="cpu").load().log_probs(one_batch(talks.table))
    )
    assert found.tokens.tolist() == counts.tolist()
    # <|im_end|> and a new line
    assert set((whole - counts).tolist()) == {2}
    assert np.abs(found.policy - sums).max() < 1e-5 * np.abs(sums).max()


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "qwen2"])
def test_an_empty_response_has_no_token_and_spaces_around_one_are_its_own(architecture, tiny):
    answers = ["", " ", "\n", "No.", " No.", "No. ", "\n\nNo.\n", "  ", "\t", "No.\n\n\n"]
    folder = tiny(architecture, head="lm")
    data = Responses(
        {"id": list("abcdefghij"), "prompt": ["Is 91 prime?"] * 10, "response": answers}
    )
    model = CausalLM(path=folder, ending=False, device="cpu").load()
    found = model.log_probs(one_batch(data.table))
    _, tokenizer = direct_model(folder, "AutoModelForCausalLM")
    written = [answer.strip() if architecture == "llama" else answer for answer in answers]
    for count, answer in zip(found.tokens.tolist(), written, strict=True):
        assert count == len(tokenizer(answer, add_special_tokens=False)["input_ids"]), repr(answer)
    assert (found.policy[found.tokens == 0] == 0).all()


def test_log_prob_of_pairs_has_policy_and_reference_of_both_sides(tiny):
    pairs = small_pairs()
    policy, reference = tiny("llama", head="lm", seed=1), tiny("llama", head="lm", seed=2)
    step = CausalLM(path=policy, reference=reference, device="cpu")
    table = LogProb().query(Unopened(step), pairs).table
    names = ["tokens", "policy.sum", "policy.mean", "reference.sum", "reference.mean"]
    assert table.column_names[2:] == [f"{s}.{n}" for s in ("chosen", "rejected") for n in names]
    one = Responses(
        pairs.table.rename_columns({"rejected": "response"}).select(["id", "prompt", "response"])
    )
    sums, counts = direct_log_probs(policy, one)
    assert np.asarray(table["rejected.policy.sum"]) == pytest.approx(sums, rel=1e-5)
    assert np.asarray(table["rejected.policy.mean"]) == pytest.approx(sums / counts, abs=1e-5)
    sums, _ = direct_log_probs(reference, one)
    assert np.asarray(table["rejected.reference.sum"]) == pytest.approx(sums, rel=1e-5)


def test_log_prob_of_responses_without_a_reference(tiny, talks):
    step = CausalLM(path=tiny("gpt2", head="lm"))
    table = LogProb().query(Unopened(step), talks).table
    assert table.column_names[2:] == ["tokens", "policy.sum", "policy.mean"]
    assert max(table["policy.sum"].to_pylist()) < 0


def test_log_prob_conforms(tiny):
    model = Unopened(CausalLM(path=tiny("gpt2", head="lm"), device="cpu"))
    check_step(LogProb, {}, {"model": model}, tolerance=1e-4)


def test_log_prob_wants_a_language_model(tiny, talks):
    step = SequenceClassifier(path=tiny("gpt2"))
    with pytest.raises(DataError) as error:
        _ = LogProb().query(Unopened(step), talks).table
    assert str(error.value) == (
        "Classifier gives no probabilities of tokens; give a model of the kind causal-lm"
    )


def test_a_model_that_sees_what_follows_is_refused(tiny):
    folder = tiny("bert", head="lm")
    with pytest.raises(DataError) as error:
        CausalLM(path=folder, unused_weights="ignore").load()
    assert str(error.value) == (
        f"{folder} is no causal language model: its BertLMHeadModel sees the tokens after the one "
        "that it predicts"
    )


def test_a_classifier_is_refused_since_its_language_head_is_missing(tiny):
    with pytest.raises(DataError, match="the weights in .* lack lm_head"):
        CausalLM(path=tiny("llama", head="score"), unused_weights="ignore").load()


def test_a_reference_with_another_tokenizer_is_refused(tiny):
    with pytest.raises(DataError) as error:
        CausalLM(path=tiny("llama", head="lm"), reference=tiny("qwen2", head="lm")).load()
    assert "have different tokenizers" in str(error.value)
    assert "the reference must be the model that the policy was trained from" in str(error.value)


def test_long_prompts_are_cut_so_that_the_response_counts_whole(tiny):
    folder = tiny("llama", head="lm")
    long = Responses({"id": ["a"], "prompt": ["why? " * 300], "response": ["Because it is so."]})
    short = Responses({"id": ["a"], "prompt": ["why?"], "response": ["Because it is so."]})
    model = CausalLM(path=folder, max_length=64).load()
    with collect_notices() as notices:
        found = model.log_probs(one_batch(long.table))
    assert found.tokens == model.log_probs(one_batch(short.table)).tokens
    assert [(n.what, n.ids) for n in notices.values()] == [
        ("prompt cut to fit the model's max_length", ["a"])
    ]


def test_no_rows_have_no_scores(tiny):
    empty = Responses(
        {"id": np.array([], dtype=str), "prompt": np.array([], str), "response": np.array([], str)}
    )
    model = CausalLM(path=tiny("gpt2", head="lm"), reference=tiny("gpt2", head="lm")).load()
    assert model.score(one_batch(empty.table)).shape == (0,)


def test_pairs_give_dpo_margins_through_the_reward_query(tiny):
    from rmplug_text.queries import Reward

    pairs = small_pairs()
    assert isinstance(pairs, Pairs)
    policy, reference = tiny("llama", head="lm", seed=1), tiny("llama", head="lm", seed=2)
    step = CausalLM(path=policy, reference=reference, beta=0.5, device="cpu")
    margins = Reward().query(Unopened(step), pairs).table["margin"].to_numpy()
    table = LogProb().query(Unopened(step), pairs).table

    def ratio(side):
        return table[f"{side}.policy.sum"].to_numpy() - table[f"{side}.reference.sum"].to_numpy()

    assert margins == pytest.approx(0.5 * (ratio("chosen") - ratio("rejected")), abs=1e-4)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"reference_revision": "main"}, "reference_revision belongs to reference_name"),
        ({"template": "pair"}, "pair is a template for encoders"),
        ({"beta": 0}, "greater than 0"),
        ({"reference": "b", "reference_name": "c"}, "not both"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(more, sentence):
    with pytest.raises(ValidationError, match=sentence):
        CausalLM.model_validate({"path": "a", **more})
