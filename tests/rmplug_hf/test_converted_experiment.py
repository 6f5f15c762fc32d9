"""The original's example file, converted and run on a GPT-J reward model: every stored field."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers
from old_experiment import OLD

import rmplug
from rmplug import SpecError
from rmplug._cli.commands import main
from rmplug.testing.tiny_models import tiny_tokenizer

THINGS = ("water", "light", "a river", "the garden", "music", "stone", "history", "paper")
QUESTIONS = [f"What is {thing} in step {step}?" for step in range(3) for thing in THINGS]
ANSWERS = [f"It is number {i}, and {'more ' * (i % 5)}so." for i in range(24)]
ALLOWED = "steps.my_reward_model.params.allow_pickle_weights=true"
HERE = "steps.my_reward_model.params.device=cpu"
ALONE = "engine={kind: local, params: {workers: 1}}"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a GPT-J's configuration, its reward model in one file, and answers."""
    folder = tmp_path_factory.mktemp("original")
    tokenizer = tiny_tokenizer("gpt2", chat=False, pad="eos")
    tokenizer.save_pretrained(folder / "gpt-j")
    eos = tokenizer.eos_token_id
    ids = {"bos_token_id": eos, "eos_token_id": eos, "vocab_size": len(tokenizer)}
    config = transformers.GPTJConfig(
        n_embd=16, n_layer=2, n_head=2, n_positions=128, rotary_dim=4, initializer_range=0.3, **ids
    )
    config.save_pretrained(folder / "gpt-j")
    torch.manual_seed(0)
    body, head = transformers.GPTJModel(config).eval(), torch.randn(1, 16)
    tensors = {f"transformer.{name}": tensor for name, tensor in body.state_dict().items()}
    torch.save({**tensors, "v_head.weight": head}, folder / "hf_ckpt.pt")
    rows = [{"question": q, "answer": a} for q, a in zip(QUESTIONS, ANSWERS, strict=True)]
    (folder / "qa.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    old = OLD.replace("PATH", "./gpt-j").replace("CKPT", "./hf_ckpt.pt")
    (folder / "analysis.yaml").write_text(old.replace("DATA", "qa.jsonl"), "utf-8")
    return folder, body, head, tokenizer


@pytest.fixture(scope="module")
def run(model):
    folder = model[0]
    assert main(["init", "--from", str(folder / "analysis.yaml"), str(folder / "new")]) == 0
    spec = folder / "new/analysis.yaml"
    with pytest.raises(SpecError, match="allow_pickle_weights"):
        rmplug.run(spec, store=folder / "store")
    return rmplug.run(spec, assign=[ALLOWED, HERE, ALONE], store=folder / "store")


def direct(model):
    """Ids and states of each conversation alone, by transformers."""
    _, body, head, tokenizer = model
    for question, answer in zip(QUESTIONS, ANSWERS, strict=True):
        asked = tokenizer(f"{question}\n\n{answer}", return_tensors="pt")
        with torch.no_grad():
            states = body(**asked, output_hidden_states=True).hidden_states
        yield asked["input_ids"][0].tolist(), [one[0].numpy() for one in states], head[0].numpy()


def test_every_stored_field_is_that_of_a_direct_computation(model, run):
    score = run["my_query"].table.to_pylist()
    states = run["hidden_states"].table.to_pylist()
    tokens = run["tokens"].table.to_pylist()
    embedded = run["embeddings"].table.to_pylist()
    assert [len(one) for one in (score, states, tokens, embedded)] == [24] * 4
    for row, (ids, layers, head) in enumerate(direct(model)):
        assert score[row]["reward"] == pytest.approx(layers[-1][-1] @ head, abs=1e-5)
        assert len(layers) == 3
        for number, layer in enumerate(layers):
            found = states[row][f"response.layer-{number}"]
            np.testing.assert_allclose(found, layer[-1], atol=1e-5)
        assert tokens[row]["response.ids"] == ids
        np.testing.assert_allclose(tokens[row]["response.rewards"], layers[-1] @ head, atol=1e-5)
        np.testing.assert_allclose(embedded[row]["response"], layers[0].mean(0), atol=1e-5)


def test_features_and_the_prediction_are_there_in_their_units(run):
    words = run["words"].table
    assert words["prompt.characters"].to_pylist() == [len(one) for one in QUESTIONS]
    assert words["prompt.words"].to_pylist() == [len(one.split()) for one in QUESTIONS]
    assert len(run["my_sentence_embedding"].table["response"][0]) == 384
    numbers = {row["metric"]: row for row in run["gbr-chosen_end_scores"].numbers}
    assert numbers["r2"]["n"] == 24 and numbers["r2"]["low"] <= numbers["r2"]["high"]


def test_the_report_has_the_plots_that_were_asked_for(run):
    [page] = run.reports
    plots = json.loads((page.parent / "metrics.json").read_text("utf-8"))["plots"]
    assert [(row["target"], row["by"], row["n"]) for row in plots] == [
        ("my_query.reward", f"words.prompt.{measure}", 24)
        for measure in ("characters", "words", "average_word_length")
    ]
