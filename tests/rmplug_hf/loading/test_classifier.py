from __future__ import annotations

import json
import shutil
import warnings

import numpy as np
import pyarrow as pa
import pytest
import torch
from direct import Unopened, direct_model, direct_scores
from drawn_models import ENCODER, made
from transformers import LlamaForSequenceClassification

from rmplug import DataError
from rmplug.data.rows import one_batch
from rmplug.notices import collect_notices
from rmplug.testing import check_step, run_step
from rmplug_hf import SequenceClassifier
from rmplug_hf.loading._trials import ignores_padding
from rmplug_text import Reward

ARCHITECTURES = ["bert", "gpt2", "llama", "qwen2"]
NEAR = {"rtol": 0, "atol": 1e-5}
HUMAN = {"user": "Human", "assistant": "Assistant", "system": "System"}


def scores(folder, responses, **params):
    model = SequenceClassifier(path=folder, **params).load()
    return model.score(one_batch(responses.table))


def plain_text(prompt, response):
    """What ``"{prompt}\\n\\nAssistant: {response}"`` with a turn of ``{role}: {content}`` says."""
    turns = [f"{HUMAN[turn['role']]}: {turn['content']}" for turn in prompt]
    return ("\n\n".join([*turns, f"Assistant: {response[0]['content']}"]),)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("batch_tokens", [1, 300, 100_000])
def test_scores_are_those_of_a_forward_of_one_conversation(tiny, talks, architecture, batch_tokens):
    folder = tiny(architecture)
    found = scores(folder, talks, batch_tokens=batch_tokens)
    expected = direct_scores(folder, talks)
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, **NEAR)


@pytest.mark.parametrize("architecture", ["bert", "llama"])
def test_texts_and_token_ids_are_scored_as_they_are(tiny, architecture):
    folder = tiny(architecture, labels=2)
    model, tokenizer = direct_model(folder)
    texts = ["Is 91 prime? No: it is 7 times 13.", "Yes."]
    for special in (True, False):
        ids = [tokenizer(text, add_special_tokens=special)["input_ids"] for text in texts]
        with torch.no_grad():
            expected = [model(torch.tensor([row])).logits[0].numpy() for row in ids]
        loaded = SequenceClassifier(path=folder).load()
        for given in (texts, ids, [texts[0], ids[1]]):
            np.testing.assert_allclose(loaded.score_raw(given, special), expected, **NEAR)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_without_a_chat_template_follow_the_stated_text(tiny, talks, architecture):
    folder = tiny(architecture, chat=False)
    template = "{prompt}\n\nAssistant: {response}"
    found = scores(folder, talks, template=template, turn="{role}: {content}", roles=HUMAN)
    np.testing.assert_allclose(found, direct_scores(folder, talks, plain_text), **NEAR)


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "qwen2"])
@pytest.mark.parametrize("pad", ["eos", "none"])
@pytest.mark.parametrize("pad_left", [False, True])
def test_a_pad_token_that_ends_texts_or_is_absent_changes_nothing(
    tiny, talks, architecture, pad, pad_left
):
    folder = tiny(architecture, pad=pad, pad_left=pad_left)
    found = scores(folder, talks, batch_tokens=500)
    np.testing.assert_allclose(found, direct_scores(folder, talks), **NEAR)


def test_the_head_reads_before_a_last_token_that_is_also_the_pad_token(tiny, talks):
    """As the model's own forward does: where texts end in the pad token, what it is matters."""
    template = "{prompt}\n{response}{eos}"
    folder = tiny("gpt2", pad="none", chat=False)
    at_end = scores(folder, talks, template=template)
    before = scores(folder, talks, template=template, pad_token="<|endoftext|>")
    assert np.abs(at_end - before).min() > 1e-3
    stated = tiny("gpt2", pad="eos", chat=False)
    np.testing.assert_allclose(before, scores(stated, talks, template=template), **NEAR)


@pytest.mark.parametrize("name", ["FNet", "Nystromformer"])
def test_rows_of_a_network_that_mixes_padding_in_are_run_alone(talks, name, tmp_path):
    folder = made(name, tmp_path / name, **ENCODER)
    with collect_notices() as notices:
        found = scores(folder, talks, template="chat")
    np.testing.assert_allclose(found, direct_scores(folder, talks), **NEAR)
    [told] = notices.values()
    assert told.what.startswith("padding changes what the network gives") and told.ids == [name]


def test_a_head_of_zeros_does_not_hide_what_padding_changes(tmp_path):
    told = {}
    for name in ("FNet", "Bert"):
        loaded = SequenceClassifier(path=made(name, tmp_path / name, **ENCODER)).load().loaded
        for weight in loaded.model.classifier.parameters():
            weight.data.zero_()
        told[name] = ignores_padding(loaded)
    assert told == {"FNet": False, "Bert": True}


def test_sparse_attention_stays_sparse_and_goes_by_no_padding(talks, tmp_path):
    sparse = {"block_size": 4, "num_random_blocks": 1, "attention_type": "block_sparse"}
    folder = made("BigBird", tmp_path / "sparse", **ENCODER, **sparse)
    model = SequenceClassifier(path=folder, template="chat").load()
    rows = model.loaded.tokenizing.rows(one_batch(talks.table))
    assert min(map(len, rows)) < 28 < max(map(len, rows))  # what is shorter has full attention
    for chosen in (rows, rows[::-1]):
        alone = []
        for row in chosen:
            with torch.no_grad():  # each by a network of its own, which has seen no short row
                given = direct_model(folder)[0](torch.from_numpy(row.ids)[None])
            alone.append(given.logits[0].numpy())
        np.testing.assert_allclose(model._scores(chosen), alone, **NEAR)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_tokenizer_that_pads_on_the_left_changes_nothing(tiny, talks, architecture):
    left, right = tiny(architecture, pad_left=True), tiny(architecture)
    np.testing.assert_allclose(scores(left, talks), scores(right, talks), rtol=0, atol=0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_order_of_rows_changes_nothing(tiny, talks, architecture):
    order = np.random.default_rng(0).permutation(len(talks))
    shuffled = scores(tiny(architecture), talks.take(order), batch_tokens=400)
    straight = scores(tiny(architecture), talks, batch_tokens=700)
    np.testing.assert_allclose(shuffled, straight[order], **NEAR)


def test_shards_and_workers_change_nothing(tiny, talks, tmp_path):
    folder = tiny("llama")
    handle = Unopened(SequenceClassifier(path=folder))
    given = {"model": handle, "data": talks}
    split = run_step(Reward(), given, tmp_path, workers=2, shard_rows=4)
    assert split["id"].equals(talks["id"])
    found = split["reward"].to_numpy()
    np.testing.assert_allclose(found, direct_scores(folder, talks)[:, 0], **NEAR)


def test_prompt_and_response_can_be_the_two_segments_of_an_encoder(tiny, talks):
    folder = tiny("bert", chat=False)
    found = scores(folder, talks, template="pair", batch_tokens=300)
    expected = direct_scores(
        folder, talks, lambda p, r: ("\n\n".join(t["content"] for t in p), r[0]["content"])
    )
    np.testing.assert_allclose(found, expected, **NEAR)


def test_a_system_prompt_is_put_before_conversations_that_have_none(tiny, talks):
    folder = tiny("qwen2")
    brief = scores(folder, talks, system="Be brief.")
    table = talks.table.to_pylist()
    for row in table:
        if row["prompt"][0]["role"] != "system":
            row["prompt"] = [{"role": "system", "content": "Be brief."}, *row["prompt"]]
    written = type(talks)(pa.Table.from_pylist(table, schema=talks.table.schema))
    np.testing.assert_allclose(brief, direct_scores(folder, written), **NEAR)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_output_of_a_head_is_a_score_with_the_name_of_its_label(
    tiny, talks, architecture, tmp_path
):
    names = ["helpful", "honest", "brief"]
    folder = relabelled(tiny(architecture, labels=3), tmp_path / "labels", names)
    model = SequenceClassifier(path=folder).load()
    assert model.outputs == ("helpful", "honest", "brief")
    found = model.score(one_batch(talks.table))
    np.testing.assert_allclose(found, direct_scores(folder, talks), **NEAR)
    only = SequenceClassifier(path=folder, only="honest").load()
    assert only.outputs == ("reward",)
    np.testing.assert_array_equal(only.score(one_batch(talks.table))[:, 0], found[:, 1])
    renamed = SequenceClassifier(path=folder, outputs=("a", "b", "c")).load()
    assert renamed.outputs == ("a", "b", "c")


def relabelled(folder, copy, names):
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config.json").read_text())
    config["id2label"] = {str(place): name for place, name in enumerate(names)}
    config["label2id"] = {name: place for place, name in enumerate(names)}
    (copy / "config.json").write_text(json.dumps(config))
    return copy


def test_names_for_another_number_of_outputs_are_refused(tiny):
    step = SequenceClassifier(path=tiny("bert", labels=3), outputs=("a", "b"))
    with pytest.raises(DataError, match=r"outputs names 2 \(a, b\), but the model has 3: LABEL_0"):
        step.load()


def test_an_output_that_is_not_there_is_refused(tiny):
    step = SequenceClassifier(path=tiny("bert", labels=2), only="helpful")
    with pytest.raises(DataError, match=r"no output 'helpful'; it has LABEL_0, LABEL_1"):
        step.load()


def adapter_of(model, place, **options):
    """A LoRA adapter whose weights are random and not zero, and the model with it."""
    from peft import LoraConfig, TaskType, get_peft_model

    config = LoraConfig(task_type=TaskType.SEQ_CLS, r=4, init_lora_weights=False, **options)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the two libraries deprecate parts of each other
        torch.manual_seed(3)
        adapted = get_peft_model(model, config).eval()
    adapted.save_pretrained(str(place))
    return place, adapted


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("merge", [False, True])
def test_an_adapter_gives_the_same_scores_merged_or_not(tiny, talks, architecture, merge, tmp_path):
    folder = tiny(architecture)
    options = {"fan_in_fan_out": True} if architecture == "gpt2" else {}
    adapter, adapted = adapter_of(direct_model(folder)[0], tmp_path / "adapter", **options)
    found = scores(folder, talks, adapter=adapter, merge_adapter=merge, batch_tokens=400)
    expected = direct_scores(folder, talks, model=adapted)
    assert np.abs(expected - direct_scores(folder, talks)).max() > 1e-2
    np.testing.assert_allclose(found, expected, **NEAR)


def test_an_adapter_brings_the_head_to_a_language_model(tiny, talks, tmp_path):
    """The base has no score head, and another number of labels than the head of the adapter."""
    base = tiny("llama", head="lm", labels=2)
    found = LlamaForSequenceClassification.from_pretrained(base, num_labels=3)
    adapter, adapted = adapter_of(found.eval(), tmp_path / "adapter")
    model = SequenceClassifier(path=base, adapter=adapter).load()
    assert model.outputs == ("LABEL_0", "LABEL_1", "LABEL_2")
    expected = direct_scores(base, talks, model=adapted)
    np.testing.assert_allclose(model.score(one_batch(talks.table)), expected, **NEAR)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_hidden_states_are_those_of_a_forward_of_one_conversation(tiny, talks, architecture):
    folder = tiny(architecture)
    model = SequenceClassifier(path=folder, batch_tokens=400).load()
    batch = one_batch(talks.table)
    found = {
        (pooling, layer): model.states(batch, layer=layer, pooling=pooling)
        for pooling in ("last", "mean", "cls")
        for layer in (0, 1, -1)
    }
    body, tokenizer = direct_model(folder, "AutoModel")
    for place, row in enumerate(talks.table.to_pylist()):
        text = tokenizer.apply_chat_template(row["prompt"] + row["response"], tokenize=False)
        asked = tokenizer(text, add_special_tokens=False, return_tensors="pt")
        with torch.no_grad():
            layers = body(**asked, output_hidden_states=True).hidden_states
        for (pooling, layer), states in found.items():
            here = layers[layer][0]
            expected = {"last": here[-1], "mean": here.mean(0), "cls": here[0]}[pooling]
            np.testing.assert_allclose(states[place], expected, **NEAR)


def test_states_of_the_prompt_alone_stop_where_the_response_would_begin(tiny, talks):
    folder = tiny("llama")
    model = SequenceClassifier(path=folder).load()
    body, tokenizer = direct_model(folder, "AutoModel")
    found = model.states(one_batch(talks.table), part="prompt")
    for row, state in zip(talks.table.to_pylist(), found, strict=True):
        text = tokenizer.apply_chat_template(
            row["prompt"], tokenize=False, add_generation_prompt=True
        )
        asked = tokenizer(text, add_special_tokens=False, return_tensors="pt")
        with torch.no_grad():
            states = body(**asked).last_hidden_state[0]
        np.testing.assert_allclose(state, states[-1], **NEAR)


def test_a_layer_that_is_not_there_is_refused(tiny, talks):
    model = SequenceClassifier(path=tiny("bert")).load()
    with pytest.raises(DataError, match=r"layers 0 \(embeddings\) to 2; there is no 7"):
        model.states(one_batch(talks.table), layer=7)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_of_half_precision_give_nearly_the_same_scores(tiny, talks, dtype):
    folder = tiny("llama")
    model = SequenceClassifier(path=folder, dtype=dtype).load()
    assert next(model.loaded.model.parameters()).dtype == getattr(torch, dtype)
    found = model.score(one_batch(talks.table))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, direct_scores(folder, talks), rtol=0, atol=0.3)


def test_no_rows_have_no_scores(tiny, talks):
    model = SequenceClassifier(path=tiny("bert", labels=3)).load()
    assert model.score(one_batch(talks.table.slice(0, 0))).shape == (0, 3)
    assert model.states(one_batch(talks.table.slice(0, 0))).shape == (0, 32)


def test_scores_that_are_not_finite_are_refused_with_their_ids(tiny, talks, tmp_path):
    folder = tmp_path / "nan"
    model, tokenizer = direct_model(tiny("llama"))
    with torch.no_grad():
        model.score.weight[0, 0] = float("nan")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    handle = Unopened(SequenceClassifier(path=folder))
    with pytest.raises(DataError, match=r"no finite score for 13 of 13 responses \(pair-0/chosen"):
        assert Reward().query(handle, talks).table


def test_positions_that_are_counted_from_the_pad_token_are_not_places_for_text(tiny, tmp_path):
    """RoBERTa has as many positions fewer as its pad token's id and one."""
    from transformers import RobertaConfig, RobertaForSequenceClassification

    folder = tmp_path / "roberta"
    tokenizer = direct_model(tiny("bert"))[1]
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = RobertaConfig(**sizes, vocab_size=500, max_position_embeddings=66, pad_token_id=1)
    RobertaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    with pytest.raises(DataError, match="max_length 65 is more than the 64 positions"):
        SequenceClassifier(path=folder, max_length=65).load()
    assert SequenceClassifier(path=folder).load().loaded.tokenizing.max_length == 64


def test_the_kind_conforms(tiny):
    check_step(SequenceClassifier, {"path": str(tiny("bert"))}, tolerance=1e-5)
