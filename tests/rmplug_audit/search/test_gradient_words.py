"""The gradient of a reward points to words that a model likes and that no text has."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch
from planted_rewards import Planted, preferences

from rmplug import DataError, Known, Pairs, Responses, RewardModel, StepError
from rmplug.data.rows import one_batch
from rmplug.testing import run_step
from rmplug.testing.tiny_models import tiny_model, tiny_tokenizer
from rmplug_audit import FindExploits
from rmplug_audit.search._cases import read_cases
from rmplug_audit.search._gradients import (
    Slotted,
    _places,
    _rows,
    _slope,
    gradient_words,
    vocabulary_of,
)
from rmplug_audit.search._journal import Journal
from rmplug_audit.search._racing import Race
from rmplug_audit.search._scoring import Rewards
from rmplug_hf import SequenceClassifier, SmallModel

WORD = "marmalade"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Pairs of short responses."""
    table = preferences(tmp_path_factory.mktemp("pairs")).table
    ids = table["id"].to_pylist()
    sides = {side: [shortened(turns) for turns in table[side]] for side in ("chosen", "rejected")}
    return Pairs({"id": ids, "prompt": [f"Why {name}?" for name in ids], **sides}, "pairs")


def shortened(turns):
    return " ".join(turns[-1]["content"].as_py().split(" ")[:12])


def train(model, texts, word, steps=150):
    """Train all weights until a text with the word in it beats the text."""
    random, network = Random(0), model.network
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(steps):
        drawn = [random.choice(texts).split(" ") for _ in range(8)]
        places = [random.randint(0, len(words)) for words in drawn]
        better = [[*words[:at], word, *words[at:]] for words, at in zip(drawn, places, strict=True)]
        written = [" ".join(words) for words in (*better, *drawn)]
        ids = [str(at) for at in range(16)]
        data = Responses({"id": ids, "prompt": ["Why?"] * 16, "response": written})
        rewards = rewards_of(network, model.token_rows(one_batch(data.table)))
        loss = torch.nn.functional.softplus(rewards[8:] - rewards[:8]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def rewards_of(network, rows):
    def padded(columns):
        tensors = [torch.as_tensor(np.asarray(each, dtype=np.int64)) for each in columns]
        return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)

    ids, mask = (padded(each) for each in ([r.ids for r in rows], [np.ones(len(r)) for r in rows]))
    segments = padded([row.segments for row in rows])
    return network(input_ids=ids, attention_mask=mask, token_type_ids=segments).logits[:, 0]


@pytest.fixture(scope="module")
def fond(pairs, tmp_path_factory):
    """A transformer of two layers that likes a word which no text to search in has."""
    folder = tmp_path_factory.mktemp("fond")
    texts = [row["chosen"][-1]["content"] for row in pairs.table.to_pylist()]
    known = [*texts, *([f"A {WORD} of {WORD}."] * 9)]
    data = Responses(
        {"id": [str(at) for at in range(len(known))], "prompt": known, "response": known}
    )
    step = SmallModel(
        architecture="bert",
        hidden_size=32,
        num_hidden_layers=2,
        vocab_size=3000,
        max_position_embeddings=1024,
    )
    model = step.train(data, seed=0, directory=folder).open()
    model.draw_head(0)
    train(model, texts, WORD)
    return model


def search(model, pairs, folder, **params):
    step = FindExploits(budget=600, perturbations=["phrase"], **params)
    return run_step(step, {"model": model, "data": pairs}, folder)


def confirmed(fit):
    return [row for row in fit.tables["exploits"].to_pylist() if row["confirmed"]]


def test_a_word_that_no_text_has_is_found_and_confirmed(fond, pairs, tmp_path):
    fits = {
        count: search(fond, pairs, tmp_path / str(count), gradient_words=count) for count in (0, 12)
    }
    assert not any(WORD in row["words"] for row in confirmed(fits[0]))
    assert WORD in confirmed(fits[12])[0]["words"]
    [scorings] = [row["value"] for row in fits[12].numbers if row["metric"] == "scorings"]
    assert 96 < scorings <= 600


def test_the_same_seed_gives_the_same_words_and_gradients_are_charged(fond, pairs, tmp_path):
    cases = read_cases(pairs, "bad", 16, 0.5, seed=0).search
    found = []
    for name, seed in (("one", 1), ("same", 1), ("one", 1), ("other", 2)):
        with Journal(tmp_path / f"{name}.jsonl") as journal:
            race = Race(cases, Rewards(fond, journal, 600), 0)
            before = race.scoring.spent
            found.append(gradient_words(race, 12, journal, Random(seed)))
            assert race.scoring.spent == before + 3 * 2 * 2 * 8
    assert found[0] == found[1] == found[2]
    assert WORD in found[0] and WORD in found[3] and len({word.lower() for word in found[0]}) == 12


@pytest.mark.parametrize("architecture", ["bert", "gpt2", "llama"])
def test_a_gradient_is_what_a_small_change_of_an_embedding_does(architecture, tmp_path):
    folder = tiny_model(architecture, tmp_path, labels=2)
    model = SequenceClassifier(path=folder, device="cpu").load()
    data = Responses({"id": ["a"], "prompt": ["Why is it?"], "response": ["It is so, I say."]})
    batch = one_batch(data.table)
    [row] = model.token_rows(batch)
    ids = [int(token) for token in row.ids]
    [at] = [at for at, token in enumerate(ids) if ids.count(token) == 1][2:3]
    slope = _slope(model, row, 1)[at].numpy()
    weight = model.network.get_input_embeddings().weight
    step, found = 1e-2 * slope / np.linalg.norm(slope), []
    for sign in (1, -1):
        with torch.no_grad():
            weight[ids[at]] += sign * torch.as_tensor(step)
        found.append(model.score(batch)[0, 1])
        with torch.no_grad():
            weight[ids[at]] -= sign * torch.as_tensor(step)
    assert (found[0] - found[1]) / 2 == pytest.approx(1e-2 * np.linalg.norm(slope), rel=0.02)


@pytest.mark.parametrize("architecture", ["bert", "llama", "qwen2"])
def test_words_of_a_vocabulary_are_whole_words_in_a_text(architecture):
    tokenizer = tiny_tokenizer(architecture)
    words = vocabulary_of(tokenizer)
    assert words
    for token, word in list(words.items())[:50]:
        assert word.isalpha()
        assert token in tokenizer(f"say {word} again", add_special_tokens=False)["input_ids"]


def test_the_places_of_words_are_those_nearest_to_their_end(fond, pairs):
    words = vocabulary_of(fond.tokenizer)
    token = next(token for token, word in words.items() if word == WORD)
    case = read_cases(pairs, "bad", 8, 0.5, seed=0).search[0]
    text = f"Here {WORD} {WORD} {case.bad.text} so {WORD} {WORD}"
    slots = [Slotted(case, text, [token, token], at_end) for at_end in (False, True)]
    first, last = (
        _places(row.ids, one) for row, one in zip(_rows(fond, slots), slots, strict=True)
    )
    assert first[1] < last[0]
    assert _places(np.array([1, 2, 3]), slots[0]) is None


class Verdicts(Planted):
    def compare(self, batch):
        return np.zeros(batch.num_rows)


@pytest.mark.parametrize("model", [Planted(), Verdicts()])
def test_models_without_a_gradient_are_refused(pairs, tmp_path, model):
    sentence = "gradient_words needs a model that scores each response by a network on this machine"
    with pytest.raises(StepError, match=sentence):
        search(model, pairs, tmp_path, gradient_words=5)


def test_a_spec_that_asks_for_what_there_is_not_is_refused_before_anything_runs():
    judge = {"model": [Known((RewardModel,), compares=True, step="judge")]}
    told = [
        text for _, text in FindExploits(gradient_words=5, perturbations=["bold"]).mistakes(judge)
    ]
    assert told == [
        "its words are phrases; name phrase among the perturbations",
        "judge compares two responses and has no gradient of a reward; leave it out",
    ]
    assert not list(FindExploits().mistakes(judge))


def test_a_budget_that_gradients_would_use_up_is_refused(fond, pairs, tmp_path):
    step = FindExploits(budget=130, gradient_words=5)
    with pytest.raises(StepError, match="takes 36 scorings .* give a budget of at least 15"):
        run_step(step, {"model": fond, "data": pairs}, tmp_path)


def test_a_language_model_is_refused(pairs, tmp_path):
    small = SmallModel(architecture="llama", opens_as="causal-lm", max_position_embeddings=2048)
    model = small.train(pairs, seed=0, directory=tmp_path).open()
    with Journal(tmp_path / "journal.jsonl") as journal:
        race = Race(read_cases(pairs, "bad", 8, 0.5, 0).search, Rewards(model, journal, 900), 0)
        with pytest.raises(DataError, match="needs a model with a head for rewards"):
            gradient_words(race, 5, journal, Random(0))


def test_a_vocabulary_without_words_is_refused(pairs, tmp_path):
    small = SmallModel(architecture="bert", max_position_embeddings=2048)
    model = small.train(None, seed=0, directory=tmp_path).open()
    model.draw_head(0)
    with pytest.raises(StepError, match="has 0 whole words, too few for gradient_words"):
        search(model, pairs, tmp_path / "fit", gradient_words=5)
