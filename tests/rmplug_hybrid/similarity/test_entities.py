"""Entities that two responses share."""

from __future__ import annotations

import json
import os
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from rmplug import DataError, Pairs
from rmplug.notices import collect_notices
from rmplug.testing import check_step
from rmplug.testing.tiny_models import tiny_tokenizer
from rmplug_hybrid.similarity._entities import (
    compute_similarity,
    normalise_entity,
)
from rmplug_hybrid.similarity.entities import Entities

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[3] / "../shared/data")
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
    assert compute_similarity(first, second) == pytest.approx(score)
    assert compute_similarity(second, first) == pytest.approx(score)


def test_letters_of_all_scripts_count():
    assert normalise_entity("The  Übermensch") == "übermensch"
    assert normalise_entity("東京!") == "東京"


def test_the_original_formula_is_that_of_the_reference():
    if not CASES.is_file():
        pytest.skip(f"no reference cases at {CASES}")
    for case in json.loads(CASES.read_text())["cases"]:
        score = compute_similarity(case["ents_a"], case["ents_b"], "original")
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
    recognise = Entities(path=tagger, device="cpu").recogniser_opener()()
    assert recognise(["a " * 60 + "x", "y " + "a " * 60, "q"]) == [["x"], ["y"], ["q"]]
    assert recognise([]) == []


def test_only_the_labels_that_are_asked_for_count(tagger):
    data = pairs(["x q"], ["x"])
    assert found(Entities(path=tagger, device="cpu"), data) == [0.5]
    assert found(Entities(path=tagger, device="cpu", labels=("THING",)), data) == [1.0]
    with pytest.raises(DataError, match="the model has no label 'THINK'; did you mean 'THING'"):
        found(Entities(path=tagger, device="cpu", labels=("THINK",)), data)


@pytest.fixture(scope="module")
def ruler(tmp_path_factory):
    """A folder with a spaCy pipeline that knows three places and a person."""
    spacy = pytest.importorskip("spacy")
    pipeline = spacy.blank("en")
    names = {"GPE": ["Paris", "New York", "the Hague"], "PERSON": ["Ada Lovelace"]}
    pipeline.add_pipe("entity_ruler").add_patterns(
        [{"label": label, "pattern": name} for label, known in names.items() for name in known]
    )
    folder = tmp_path_factory.mktemp("spacy") / "ruler"
    pipeline.to_disk(folder)
    return folder


TOLD = (
    "Ada Lovelace never saw New York, or Paris.",
    "In New York, the Hague is far: Paris too, says Ada Lovelace.",
    "I know nobody.",
)


def test_a_spacy_pipeline_in_a_folder_finds_entities(ruler):
    step = Entities(path=ruler, batch_rows=2)
    assert step.recogniser_opener()()(TOLD) == [
        ["Ada Lovelace", "New York", "Paris"],
        ["New York", "the Hague", "Paris", "Ada Lovelace"],
        [],
    ]
    data = pairs([TOLD[0], TOLD[2], TOLD[2]], [TOLD[1], TOLD[0], "Nor do I."])
    with collect_notices() as notices:
        assert found(step, data) == [3 / 4, 0.0, 1.0]
    [told] = notices.values()
    assert told.ids == ["p2"]
    places = Entities(path=ruler, labels=("GPE",))
    assert found(places, pairs([TOLD[0]], [TOLD[1]])) == [2 / 3]
    with pytest.raises(DataError, match="the model has no label 'GPS'; did you mean 'GPE'"):
        found(Entities(path=ruler, labels=("GPS",)), data)


def test_a_spacy_folder_is_told_apart_by_the_version_of_spacy(ruler, tagger):
    assert Entities(path=ruler).identity() == {"spacy": version("spacy")}
    assert Entities(path=tagger).identity() == {}


@pytest.fixture
def installed(ruler, tmp_path, monkeypatch):
    """The pipeline as a package that is installed, called ``xx_known_names``."""
    package = tmp_path / "xx_known_names"
    package.mkdir()
    load = "from spacy import util\n\ndef load(**given):\n    return util.load_model_from_path("
    (package / "__init__.py").write_text(f"{load}util.ensure_path({str(ruler)!r}))\n")
    info = tmp_path / "xx_known_names-1.2.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: xx_known_names\nVersion: 1.2.3\n")
    (info / "entry_points.txt").write_text("[spacy_models]\nxx_known_names = xx_known_names\n")
    monkeypatch.syspath_prepend(tmp_path)
    return "xx_known_names"


def test_an_installed_spacy_pipeline_finds_entities_too(installed):
    step = Entities(spacy=installed)
    assert step.identity() == {"spacy": f"{version('spacy')}, xx_known_names 1.2.3"}
    assert found(step, pairs([TOLD[0]], [TOLD[1]])) == [3 / 4]


def test_a_spacy_pipeline_that_is_not_installed_is_told_with_what_to_do(installed, monkeypatch):
    for step in (Entities(spacy="xx_known_name"), Entities(spacy="pyarrow")):
        with pytest.raises(DataError, match=f"spacy: {step.spacy} is no installed pipeline.*; ins"):
            step.identity()
        with pytest.raises(DataError, match="or give the path of a folder"):
            step.recogniser_opener()()
    with pytest.raises(DataError, match="did you mean 'xx_known_names'"):
        Entities(spacy="xx_known_name").identity()
    with pytest.raises(ValidationError, match="spacy names an installed pipeline; give a folder"):
        Entities(spacy="./folder")


def test_spacy_that_is_not_installed_is_told_with_what_to_do(ruler, monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("rmplug_hybrid.similarity._spacy_pipelines.version", missing)
    with pytest.raises(DataError, match=r"spaCy is not installed: pip install 'rmplug\[spacy\]'"):
        Entities(path=ruler).identity()


def changed(folder, tmp_path, *edits):
    """A copy of a pipeline's folder, its configuration edited."""
    copy = Path(shutil.copytree(folder, tmp_path / "changed"))
    text = (copy / "config.cfg").read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    (copy / "config.cfg").write_text(text)
    return copy


def test_a_folder_that_is_no_pipeline_is_refused(ruler, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty is no folder of a model: it has no config.json"):
        found(Entities(path=tmp_path / "empty"), pairs(["a"], ["b"]))
    broken = changed(ruler, tmp_path, ('lang = "en"', 'lang = "no such"'))
    with pytest.raises(DataError, match="changed cannot be opened as a spaCy pipeline: .*no such"):
        found(Entities(path=broken), pairs(["a"], ["b"]))


def test_a_pipeline_that_finds_no_entities_is_refused(tmp_path):
    pipeline = pytest.importorskip("spacy").blank("en")
    pipeline.add_pipe("sentencizer")
    pipeline.to_disk(tmp_path / "plain")
    with pytest.raises(DataError, match=r"finds no named entities: it has sentencizer"):
        found(Entities(path=tmp_path / "plain"), pairs(["a"], ["b"]))


TORCH = """
[components.net]
factory = "tok2vec"

[components.net.model]
@architectures = "spacy.TorchBiLSTMEncoder.v1"
width = 4
depth = 1
dropout = 0.0
"""


@pytest.mark.parametrize(
    ("edits", "sentence"),
    [
        (
            [
                ("before_creation = null", ""),
                (
                    "[nlp.tokenizer]",
                    "[nlp.before_creation]\n"
                    '@callbacks = "spacy.copy_from_base_model.v1"\ntokenizer = "else"\n\n'
                    "[nlp.tokenizer]",
                ),
            ],
            "nlp.before_creation calls spacy.copy_from_base_model.v1 when it is loaded",
        ),
        (
            [('factory = "entity_ruler"', 'source = "elsewhere"')],
            r"components.entity_ruler is taken from another pipeline \(elsewhere\)",
        ),
        (
            [
                ('pipeline = ["entity_ruler"]', 'pipeline = ["entity_ruler", "net"]'),
                ("[components]\n", f"[components]\n{TORCH}\n"),
            ],
            "components.net has weights that spaCy does not read itself",
        ),
    ],
)
def test_a_spacy_folder_may_not_call_what_it_likes(ruler, tmp_path, edits, sentence):
    folder = changed(ruler, tmp_path, *edits)
    with pytest.raises(DataError, match=f"{sentence}, which a folder may not; if you trust it"):
        found(Entities(path=folder), pairs(["a"], ["b"]))


class Payload:
    """Unpickled, it would leave a file."""

    def __init__(self, file):
        self.file = str(file)

    def __reduce__(self):
        return (open, (self.file, "w"))


def test_nothing_in_a_spacy_folder_is_executed(ruler, tmp_path):
    folder, left = changed(ruler, tmp_path), tmp_path / "left"
    (folder / "__init__.py").write_text(f"open({str(left)!r}, 'w')")
    assert found(Entities(path=folder), pairs(["Paris"], ["Paris"])) == [1.0]
    array = np.array([[Payload(left)]], dtype=object)
    np.save(folder / "vocab/vectors", array, allow_pickle=True)
    (folder / "vocab/vectors.npy").replace(folder / "vocab/vectors")
    with pytest.raises(DataError, match="cannot be opened as a spaCy pipeline: .*pickle"):
        found(Entities(path=folder), pairs(["Paris"], ["Paris"]))
    assert not left.exists()


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
