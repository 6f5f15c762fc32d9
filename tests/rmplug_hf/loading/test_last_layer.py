"""The last layer is computed of the tokens alone whose output is read, and gives the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from direct import direct_model
from drawn_models import DECODERS, ENCODERS, GROUPED, SMALL, made, pairs_of
from hostile_folders import changed_json
from transformers import AutoModelForSequenceClassification

from rmplug import DataError, Pairs
from rmplug.data.rows import one_batch
from rmplug.data.sides import stacked
from rmplug.testing.tiny_models import tiny_model
from rmplug_hf import CausalLM, Encoder, GenerativeJudge, HiddenState, LogProb, SequenceClassifier
from rmplug_hf.loading._fused_layers import plainly
from rmplug_hf.tokens._tokenizing import Tokens
from rmplug_text import Reward

NEAR = {"rtol": 0, "atol": 1e-5}
KEPT = {"OPT": "self_attn.q_proj"}
"""A module of the last layer that is computed of what is read alone, where it is no feed-forward:
that of OPT is given tokens without rows."""
FORWARDS = ("mlp", "intermediate", "ffn")


def computed(model, name=None):
    """List the shapes (rows, tokens) that a part of the last layer is given from now on, trials
    apart."""
    last = model.loaded.last_layer
    assert model.loaded.shares_prompts in (True, False)
    names = [n for n in last.inner if n.endswith(name or FORWARDS)]
    return watched(model.loaded.model.get_submodule(names[0]))


def watched(module):
    """List the shapes (rows, tokens) that a module is given from now on."""
    found = []
    # with a hook of ours, nothing would be left out
    whole = type(module).forward

    def forward(*args, **given):
        states = next(x for x in (*args, *given.values()) if isinstance(x, torch.Tensor))
        found.append(tuple(states.shape[:2]))
        return whole(module, *args, **given)

    module.forward = forward
    return found


def alone(model, folder, pairs):
    """Logits of both sides, each row by itself, by transformers alone."""
    network = direct_model(folder)[0]
    scores = []
    for row in rows_of(model, pairs):
        with torch.no_grad():
            scores.append(network(input_ids=torch.from_numpy(row.ids)[None]).logits[0].numpy())
    return np.array(scores)


def rows_of(model, pairs):
    return model.loaded.tokenizing.rows(stacked(one_batch(pairs.table), ["chosen", "rejected"]))


@pytest.mark.parametrize("name", [*DECODERS, *ENCODERS])
def test_scores_are_those_of_all_tokens(name, tmp_path):
    folder = made(name, tmp_path / name, **(DECODERS | ENCODERS)[name])
    model, pairs = SequenceClassifier(path=folder, template="chat").load(), pairs_of()
    assert model.loaded.last_layer.place == ("last but padding" if name in DECODERS else "first")
    found = computed(model, KEPT.get(name))
    table = Reward(self_check=0).query(model, pairs).table
    assert found
    assert {tokens for _, tokens in found} == {1}
    scores = np.concatenate([table["chosen"], table["rejected"]])
    np.testing.assert_allclose(scores, alone(model, folder, pairs)[:, 0], **NEAR)


@pytest.mark.parametrize("name", ["GPT2", "Mistral", "Gemma3Text", "DebertaV2"])
def test_states_are_those_of_all_tokens(name, tmp_path):
    folder = made(name, tmp_path / name, "Model", **(DECODERS | ENCODERS)[name])
    model, pairs = Encoder(path=folder, template="chat", pooling="last").load(), pairs_of()
    queries = [
        HiddenState(),
        HiddenState(part="both", layers="all"),
        HiddenState(pooling="cls"),
        HiddenState(pooling="mean"),
        HiddenState(pooling="position", position="response-start"),
    ]
    found = computed(model)
    for query in queries:
        found.clear()
        narrowed = query.query(model, pairs).table
        few = [tokens for _, tokens in found]
        found.clear()
        with plainly():
            whole = query.query(model, pairs).table
        assert query.pooling == "mean" or min(few) <= 2 < max(tokens for _, tokens in found)
        for column in narrowed.column_names[2:]:
            one, other = (np.array(t[column].to_pylist()) for t in (narrowed, whole))
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("name", ["Llama", "Gemma2"])
def test_log_probabilities_are_those_of_all_tokens(name, tmp_path):
    folder = made(name, tmp_path / name, "ForCausalLM", **DECODERS[name])
    # each prompt once: none is shared
    table = pairs_of().table
    pairs = Pairs(table.drop("rejected").append_column("rejected", table["chosen"]))
    model = CausalLM(path=folder).load()
    found = computed(model)
    narrowed = LogProb().query(model, pairs).table
    assert min(tokens for _, tokens in found) > 1
    assert sum(r * t for r, t in found) < 0.6 * sum(len(row) for row in rows_of(model, pairs))
    with plainly():
        whole = LogProb().query(model, pairs).table
    for column in narrowed.column_names[2:]:
        np.testing.assert_allclose(narrowed[column], whole[column], rtol=1e-5)


def test_a_judge_computes_the_next_token_alone(tmp_path):
    folder = made("Qwen3", tmp_path / "judge", "ForCausalLM", **GROUPED)
    question = "{prompt} A: {a} B: {b} Which?"
    judge = GenerativeJudge(path=folder, device="cpu", pairwise=question, labels=["A", "B"]).load()
    assert judge.loaded.last_layer.outer[-1] == "lm_head"
    assert judge.loaded.shares_prompts
    shapes = watched(judge.loaded.model.lm_head)
    found = Reward(self_check=0).query(judge, pairs_of()).table
    assert {tokens for _, tokens in shapes} == {1}
    with plainly():
        whole = Reward(self_check=0).query(judge, pairs_of()).table
    for name in found.column_names[2:]:
        np.testing.assert_allclose(found[name], whole[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["GPT2", "Llama", "Qwen3", "Bert"])
def test_rounding_of_bfloat16_hides_nothing_that_a_model_can(name, tmp_path):
    for seed in range(4):
        folder = made(name, tmp_path / f"{name}{seed}", seed=seed, **(DECODERS | ENCODERS)[name])
        exact, fast = (
            SequenceClassifier(path=folder, template="chat", dtype=dtype).load().loaded
            for dtype in ("float32", "bfloat16")
        )
        assert fast.shares_prompts == exact.shares_prompts == (name in DECODERS)
        assert fast.last_layer == exact.last_layer


def test_the_exact_way_computes_every_token(tmp_path):
    model = SequenceClassifier(path=tiny_model("llama", tmp_path / "llama")).load()
    found = computed(model)
    rows = rows_of(model, pairs_of())
    with model.exactly():
        model.run(rows, model._logits, reads=model._reads)
    assert sorted(tokens for _, tokens in found) == sorted(len(row) for row in rows)


def test_rows_beside_one_without_a_score_have_theirs(tmp_path):
    folder = made("Llama", tmp_path / "llama", **GROUPED)
    model, pairs = SequenceClassifier(path=folder).load(), pairs_of()
    assert model.loaded.last_layer is not None and model.loaded.shares_prompts
    rows, expected = rows_of(model, pairs), alone(model, folder, pairs)
    rows[0].ids[-2] = model.loaded.vocabulary - 1
    model.loaded.model.get_input_embeddings().weight.data[-1] = np.nan
    found = model._scores(rows)
    assert np.isnan(found[0, 0])
    np.testing.assert_allclose(found[1:], expected[1:], **NEAR)


def test_hooks_see_every_token(tmp_path):
    model = SequenceClassifier(path=tiny_model("llama", tmp_path / "llama")).load()
    rows, found = rows_of(model, pairs_of()), []
    before = model._scores(rows)
    hooked = model.loaded.model.get_submodule(model.loaded.last_layer.inner[-1])
    hooked.register_forward_hook(lambda _, __, given: found.append(given.shape[1]))
    np.testing.assert_allclose(model._scores(rows), before, **NEAR)
    assert min(found) > 1


def test_a_head_that_reads_the_mean_is_given_every_token(tmp_path):
    sizes = {**ENCODERS["ModernBert"], "classifier_pooling": "mean"}
    folder = made("ModernBert", tmp_path / "mean", **sizes)
    model, pairs = SequenceClassifier(path=folder, template="chat").load(), pairs_of()
    assert model.loaded.last_layer.place is None
    assert model.loaded.last_layer.inner
    table = Reward(self_check=0).query(model, pairs).table
    scores = np.concatenate([table["chosen"], table["rejected"]])
    np.testing.assert_allclose(scores, alone(model, folder, pairs)[:, 0], **NEAR)


LONG = "(last > 30)[:, None, None]"
HEAD = """
import torch
from transformers import LlamaForSequenceClassification
from transformers.modeling_outputs import SequenceClassifierOutput


class Own(LlamaForSequenceClassification):
    def forward(self, input_ids=None, attention_mask=None, **given):
        states = self.model(input_ids=input_ids, attention_mask=attention_mask, **given)[0]
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        mask, pad = mask[:, -input_ids.shape[1] :], self.config.pad_token_id
        last = mask.sum(1) - 1
        found = (input_ids == 7) & (mask == 1)
        logits = self.score({states})
        rows = torch.arange(len(logits))
        return SequenceClassifierOutput(logits=logits[rows, {place}])
"""


@pytest.mark.parametrize(
    ("place", "states", "expected"),
    [
        ("last", "states", "last"),
        ("(torch.eq(input_ids, pad).int().argmax(1) - 1) % input_ids.shape[1]", "states", None),
        ("torch.where(found.any(1), found.int().argmax(1), last)", "states", "last"),
        ("last", f"torch.where({LONG}, states + states.roll(1, 1), states)", "last"),
    ],
    ids=["mask", "first-padding", "token", "neighbour"],
)
def test_a_head_that_reads_by_a_rule_of_its_own_is_obeyed(place, states, expected, tmp_path):
    folder = made("Llama", tmp_path / "own", **GROUPED)
    (folder / "modeling_own.py").write_text(HEAD.format(place=place, states=states))
    names = {"AutoModelForSequenceClassification": "modeling_own.Own"}
    changed_json(folder / "config.json", auto_map=names, architectures=["Own"])
    model = SequenceClassifier(path=folder, trust_remote_code=True).load()
    rng, rows = np.random.default_rng(0), []
    for length in (3, 17, 40, 41, 64):
        for at, token in ((-1, model.loaded.pad), (length // 2, model.loaded.pad), (1, 7)):
            ids = rng.integers(8, model.loaded.vocabulary, size=length)
            ids[at] = token
            rows.append(Tokens(ids, 0, length))
    network = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)
    with torch.no_grad():
        own = [network(input_ids=torch.from_numpy(row.ids)[None]).logits[0].numpy() for row in rows]
    np.testing.assert_allclose(model._scores(rows), own, **NEAR)
    assert model.loaded.last_layer.place == expected


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("Albert", SMALL),  # its only layer runs several times
        ("XLNet", {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64}),  # tokens by rows
    ],
)
def test_other_layers_are_computed_whole(name, more, tmp_path):
    folder = made(name, tmp_path / name, **more)
    model = SequenceClassifier(path=folder, template="chat", max_length=200, batch_tokens=1).load()
    assert model.loaded.last_layer is None
    table = Reward(self_check=0).query(model, pairs_of()).table
    scores = np.concatenate([table["chosen"], table["rejected"]])
    np.testing.assert_allclose(scores, alone(model, folder, pairs_of())[:, 0], **NEAR)


def test_nothing_stays_behind_a_failure(tmp_path):
    model = SequenceClassifier(path=tiny_model("llama", tmp_path / "llama")).load()
    before = Reward(self_check=0).query(model, pairs_of()).table

    def fail(*_):
        raise torch.OutOfMemoryError("full")

    mlp = model.loaded.model.model.layers[-1].mlp
    mlp.forward = fail
    with pytest.raises(DataError, match="does not fit into the memory"):
        Reward(self_check=0).query(model, pairs_of()).table  # noqa: B018
    del mlp.forward
    for module in model.loaded.model.modules():
        assert not module._forward_pre_hooks
        assert not module._forward_hooks
        assert "forward" not in vars(module)
    np.testing.assert_allclose(
        Reward(self_check=0).query(model, pairs_of()).table["chosen"], before["chosen"], **NEAR
    )


def test_threads_that_share_a_model_get_their_own_scores(tmp_path):
    folder = made("Llama", tmp_path / "llama", **GROUPED)
    model, rows = SequenceClassifier(path=folder).load(), pairs_of(12)
    every = [rows_of(model, Pairs(rows.table.slice(n, 4))) for n in range(8)]
    together = list(ThreadPoolExecutor(8).map(model._scores, every))
    for found, asked in zip(together, every, strict=True):
        np.testing.assert_allclose(found, model._scores(asked), **NEAR)


def test_a_thread_that_writes_is_not_given_what_another_reads(tmp_path):
    model = CausalLM(path=tiny_model("llama", tmp_path / "llama", head="lm")).load()
    talks, written = stacked(one_batch(pairs_of(8).table), ["chosen"]), (["Why?"], 20)
    sums, texts = model.log_prob_sums(talks), model.generate(*written)
    with ThreadPoolExecutor(2) as pool:
        reading = pool.submit(lambda: [model.log_prob_sums(talks) for _ in range(8)])
        writing = pool.submit(lambda: [model.generate(*written) for _ in range(4)])
        assert writing.result() == [texts] * 4
        np.testing.assert_allclose(reading.result(), [sums] * 8, rtol=1e-6)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: nothing is shown of CUDA")
@pytest.mark.parametrize("name", ["Llama", "Bert"])
def test_scores_on_cuda_are_those_of_all_tokens(name, tmp_path):
    folder = made(name, tmp_path / name, **(DECODERS | ENCODERS)[name])
    model = SequenceClassifier(path=folder, template="chat", device="cuda").load()
    found = computed(model)
    table = Reward(self_check=0).query(model, pairs_of()).table
    assert {tokens for _, tokens in found} == {1}
    scores = np.concatenate([table["chosen"], table["rejected"]])
    expected = alone(model, folder, pairs_of())[:, 0]
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-3)
