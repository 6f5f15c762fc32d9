"""Entities that two responses share."""

from __future__ import annotations

import json
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pyarrow as pa
import pytest
from pydantic import ValidationError

from rmplug import DataError, Pairs
from rmplug.notices import collect_notices
from rmplug.testing import check_step
from rmplug.tiny import tiny_tokenizer
from rmplug_hybrid._entities import TokenClassifier, normalised, similarity
from rmplug_hybrid.similarity import Entities

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[2] / "../shared/data")
)
CASES = SHARED.parent / "golden/hybrid/06_lexical/entity_sim.json"


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    """A model that sees tokens one by one: the letters x and y are a THING, and q is a PLACE."""
    import torch
    from transformers import BertConfig, BertForTokenClassification

    folder = tmp_path_factory.mktemp("tagger")
    tokenizer = tiny_tokenizer("bert")
    tokenizer.save_pretrained(folder)
    size = len(tokenizer)
    names = {0: "O", 1: "B-THING", 2: "B-PLACE"}
    config = BertConfig(
        vocab_size=size,
        hidden_size=4,
        num_hidden_layers=0,
        num_attention_heads=1,
        intermediate_size=4,
        max_position_embeddings=16,
        id2label=names,
        label2id={label: place for place, label in names.items()},
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    model = BertForTokenClassification(config)
    with torch.no_grad():
        for part in ("word", "position", "token_type"):
            getattr(model.bert.embeddings, f"{part}_embeddings").weight.zero_()
        words = model.bert.embeddings.word_embeddings.weight
        words[:, 0] = 1.0
        for letter, place in (("x", 1), ("y", 1), ("q", 2)):
            words[tokenizer.convert_tokens_to_ids(letter)] = 0.0
            words[tokenizer.convert_tokens_to_ids(letter), place] = 1.0
        model.classifier.weight.zero_()
        for place in range(3):
            model.classifier.weight[place, place] = 1.0
        model.classifier.bias.zero_()
    model.save_pretrained(folder)
    return folder


def pairs(chosen, rejected, **more):
    rows = {"id": [f"p{row}" for row in range(len(chosen))], "prompt": ["q"] * len(chosen)}
    return Pairs({**rows, "chosen": chosen, "rejected": rejected, **more}, "pairs")


def found(step, data):
    return step.compute(data).table["entity_sim"].to_pylist()


@pytest.mark.parametrize(
    ("first", "second", "score"),
    [
        (["Paris", "London"], ["Paris", "Rome"], 1 / 3),
        (["Paris", "London", "Rome", "Oslo"], ["Paris", "London"], 1 / 2),
        (["Paris"], [], 0),
        ([], [], 1),
        (["The U.S.", "new  york"], ["us", "New York"], 1),
        (["the Netherlands"], ["Nerlands"], 0),
        (["..."], [], 1),
    ],
)
def test_similarity_is_the_shared_part_whichever_comes_first(first, second, score):
    assert similarity(first, second) == pytest.approx(score)
    assert similarity(second, first) == pytest.approx(score)


def test_letters_of_all_scripts_count():
    assert normalised("The  Übermensch") == "übermensch"
    assert normalised("東京!") == "東京"


def test_the_original_formula_is_that_of_the_reference():
    if not CASES.is_file():
        pytest.skip(f"no reference cases at {CASES}")
    for case in json.loads(CASES.read_text())["cases"]:
        score = similarity(case["ents_a"], case["ents_b"], "original")
        assert score == pytest.approx(case["entity_sim"], rel=1e-12), case


def test_entities_can_be_columns_of_the_data():
    data = pairs(["a"] * 2, ["b"] * 2, one=[["Paris"], []], other=[["paris", "Rome"], []])
    with collect_notices() as notices:
        assert found(Entities(given=("one", "other")), data) == [0.5, 1.0]
    [told] = notices.values()
    assert (told.what, told.ids) == ("no named entity in either response: entity_sim 1", ["p1"])


def test_columns_of_entities_must_be_there_and_hold_lists():
    data = pairs(["a"], ["b"], one=pa.array([None], pa.list_(pa.string())), text=["Paris"])
    with pytest.raises(
        DataError, match=r"1 rows have no list of entities in one or one \(p0\); an"
    ):
        found(Entities(given=("one", "one")), data)
    with pytest.raises(DataError, match="pairs has no column 'on'; did you mean 'one'"):
        found(Entities(given=("on", "one")), data)
    with pytest.raises(DataError, match="column text is string; entities are lists of texts"):
        found(Entities(given=("one", "text")), data)


def test_a_model_finds_entities_in_the_texts(tagger):
    step = Entities(path=tagger, device="cpu")
    data = pairs(["x is here", "a x and a y", "nothing"], ["a x", "one y", "none"])
    assert found(step, data) == [1.0, 0.5, 1.0]


def test_a_long_text_is_read_to_its_end(tagger):
    recognise = TokenClassifier(Entities(path=tagger, device="cpu"))
    assert recognise(["a " * 60 + "x", "y " + "a " * 60, "q"]) == [["x"], ["y"], ["q"]]
    assert recognise([]) == []


def test_only_the_labels_that_are_asked_for_count(tagger):
    data = pairs(["x q"], ["x"])
    assert found(Entities(path=tagger, device="cpu"), data) == [0.5]
    assert found(Entities(path=tagger, device="cpu", labels=("THING",)), data) == [1.0]
    with pytest.raises(DataError, match="the model has no label 'THINK'; did you mean 'THING'"):
        found(Entities(path=tagger, device="cpu", labels=("THINK",)), data)


def test_a_spacy_pipeline_that_is_not_installed_is_told_with_what_to_do():
    sentence = r"needs spaCy and that pipeline installed \(missing: .*\): pip install spacy, and"
    with pytest.raises(DataError, match=sentence):
        Entities(spacy="xx_no_such_pipeline").identity()


def test_a_spacy_pipeline_finds_entities_too():
    try:
        version("en_core_web_sm")
    except PackageNotFoundError:
        pytest.skip("spaCy or its pipeline en_core_web_sm is not installed")
    data = pairs(["Paris is in France."], ["France is big."])
    assert 0 < found(Entities(spacy="en_core_web_sm"), data)[0] <= 1


def test_entities_come_from_one_place(tagger):
    with pytest.raises(ValidationError, match="give one of path, name, spacy and given"):
        Entities()
    with pytest.raises(ValidationError, match="give one of path, name, spacy and given"):
        Entities(path=tagger, spacy="en")
    with pytest.raises(ValidationError, match="revision belongs to name"):
        Entities(path=tagger, revision="main")
    with pytest.raises(ValidationError, match="labels choose among the entities of a model"):
        Entities(given=("a", "b"), labels=("PER",))


def test_entities_keep_every_promise_of_a_step(tagger):
    check_step(Entities, {"path": str(tagger), "device": "cpu"})
