"""Embeddings in the published layout: read without mixing data sets, and written back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attribute_cases import features, reference_case
from safetensors.numpy import load_file, save_file

from rmplug import DataError, Features
from rmplug.notices import collect_notices
from rmplug.testing import check_step, run_step, small_pairs, small_responses
from rmplug_armorm import EmbeddingsFile, WriteEmbeddings
from rmplug_armorm.export._published_attributes import PUBLISHED
from rmplug_armorm.export._safetensors_rows import tensors_in, write_tensors


def read(*paths: Path, **params: Any) -> Features:
    step = EmbeddingsFile.model_validate({"path": paths, **params})
    return Features(step.compute().table, "read")


def matrix(table: Features, column: str) -> np.ndarray:
    return np.stack(table.table[column].to_pylist())


def shards(folder: Path, name: str, *sizes: int) -> list[Path]:
    """Rated shards of these sizes, in which the first number of a state counts all rows."""
    files, start = [], 0
    for place, rows in enumerate(sizes, 1):
        states = np.full((rows, 3), 0.5, np.float32)
        states[:, 0] = np.arange(start, start + rows)
        file = folder / f"{name}-{place:05d}-of-{len(sizes):05d}.safetensors"
        labels = np.where(states[:, :2] % 2 == 0, np.nan, states[:, :2]).astype(np.float32)
        save_file({"embeddings": states, "labels": labels}, file)
        files.append(file)
        start += rows
    return files


def test_published_shards_are_read_in_order_with_their_labels() -> None:
    import torch
    from safetensors.torch import load_file as load_torch

    folder = reference_case("stage1_source_bf16_2shards")
    files = sorted(folder.glob("mo-*"))
    found = read(*files)
    parts = [load_torch(file) for file in files]
    states = torch.cat([part["embeddings"] for part in parts]).float().numpy()
    labels = torch.cat([part["labels"] for part in parts]).numpy()
    np.testing.assert_array_equal(matrix(found, "response"), states)
    named = np.column_stack([found.table[name] for name in PUBLISHED])
    np.testing.assert_array_equal(named, labels.astype(np.float64))
    assert found["id"].to_pylist()[::799] == ["mo/0", "mo/799"]


def test_published_pairs_are_read_with_the_state_of_their_prompt() -> None:
    from safetensors.torch import load_file as load_torch

    file = reference_case("stage2_equal_prompts") / "pref-train.safetensors"
    tensors = {name: tensor.float().numpy() for name, tensor in load_torch(file).items()}
    with collect_notices() as notices:
        found = read(file)
    assert found.values == ["prompt", "chosen", "rejected"]
    np.testing.assert_array_equal(matrix(found, "chosen"), tensors["embeddings"][:, 0])
    np.testing.assert_array_equal(matrix(found, "rejected"), tensors["embeddings"][:, 1])
    np.testing.assert_array_equal(matrix(found, "prompt"), tensors["prompt_embeddings"][:, 0])
    assert not notices
    with collect_notices() as notices:
        read(reference_case("stage2_unequal_prompts") / "pref-train.safetensors")
    [notice] = notices.values()
    assert notice.what == "the two states of the prompt differ"


def test_shards_are_put_in_order_and_missing_labels_stay_missing(tmp_path: Path) -> None:
    files = shards(tmp_path, "mo", 3, 2)
    found = read(*reversed(files), attributes=["a", "b"])
    np.testing.assert_array_equal(matrix(found, "response")[:, 0], np.arange(5))
    np.testing.assert_array_equal(found["a"].to_numpy(), [np.nan, 1, np.nan, 3, np.nan])


def test_data_sets_do_not_mix(tmp_path: Path) -> None:
    one, two = shards(tmp_path, "ultra", 2, 2), shards(tmp_path, "ultra-long", 2)
    with pytest.raises(DataError, match=r"2 data sets \(ultra-long-…-of-00001, ultra-…-of-00002\)"):
        read(*one, *two, attributes=["a", "b"])
    with pytest.raises(DataError, match="ultra lacks shard 2 of 2; give all its files, each once"):
        read(one[0], attributes=["a", "b"])
    stale = shards(tmp_path, "ultra", 4)
    with pytest.raises(DataError, match="the files belong to 2 data sets"):
        read(*one, *stale, attributes=["a", "b"])
    (tmp_path / "other.safetensors").write_bytes(one[0].read_bytes())
    with pytest.raises(DataError, match="is not named like a shard, <name>-00001-of-0000N"):
        read(*one, tmp_path / "other.safetensors", attributes=["a", "b"])


def test_labels_need_a_name_each(tmp_path: Path) -> None:
    [file] = shards(tmp_path, "mo", 3)
    with pytest.raises(DataError, match="mo has 2 columns of labels and 0 names for them"):
        read(file)
    with pytest.raises(DataError, match=r"and 2 names for them \(1 different\)"):
        read(file, attributes=["a", "a"])


def _write_header(file: Path, entry: dict[str, object]) -> None:
    header = json.dumps({"embeddings": entry}).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header)


def test_files_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    [file] = shards(tmp_path, "mo", 3)
    whole = file.read_bytes()
    for broken in (b"", whole[:20], whole[:-8], b"\xff" * 64):
        file.write_bytes(broken)
        with pytest.raises(DataError, match="is not a whole safetensors file|cut short"):
            read(file, attributes=["a", "b"])
    save_file({"states": np.zeros((2, 2))}, file)
    with pytest.raises(DataError, match=r"has no tensor embeddings of shape \(n, d\) or"):
        read(file)
    for shape, dtype in (([2**32, 2**32], "F32"), ([-1, -8], "F32"), ([2**70], "F32"), ([9], [1])):
        _write_header(file, {"dtype": dtype, "shape": shape, "data_offsets": [0, 0]})
        with pytest.raises(DataError, match="is not a whole safetensors file|cut short or damaged"):
            read(file)
    _write_header(file, {"dtype": "F32", "shape": [2**40, 0], "data_offsets": [0, 0]})
    with pytest.raises(DataError, match="has embeddings without numbers"):
        read(file)
    save_file({"embeddings": np.zeros((2, 2)), "labels": np.zeros((3, 1))}, file)
    with pytest.raises(DataError, match=r"labels has shape \(3, 1\), embeddings \(2, 2\)"):
        read(file)


def test_rows_take_the_ids_and_prompts_of_the_data_that_were_embedded(tmp_path: Path) -> None:
    data = small_responses(5)
    files = shards(tmp_path, "mo", 3, 2)
    step = EmbeddingsFile(path=files, attributes=("a", "b"))
    found = Features(step.compute(data).table, "read")
    assert found["id"].equals(data["id"])
    assert found["group"].equals(data["group"])
    with pytest.raises(DataError, match="mo has 5 rows and responses has 4; give the data that"):
        _ = step.compute(small_responses(4)).table


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_rated_states_are_read_back_as_they_were_written(dtype: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    states = rng.standard_normal((10, 4)).astype(np.float32)
    labels = np.where(rng.random(10) < 0.3, np.nan, rng.random(10))
    table = features({"response": states, "good": labels}, "rated")
    step = WriteEmbeddings(name="mo", attributes={"helpful": "good"}, dtype=dtype, rows_per_file=4)
    step.report(table, table, directory=tmp_path)
    files = sorted(tmp_path.glob("*.safetensors"))
    assert [file.name for file in files] == [f"mo-0000{k}-of-00003.safetensors" for k in (1, 2, 3)]
    found = read(*files, attributes=["helpful"])
    tolerance = 2**-8 if dtype == "bfloat16" else 0
    np.testing.assert_allclose(matrix(found, "response"), states, rtol=tolerance)
    np.testing.assert_array_equal(found["helpful"].to_numpy(), labels.astype(np.float32))
    page = (tmp_path / "index.html").read_text()
    assert "mo-00003-of-00003.safetensors</td><td>2" in page


def test_pairs_are_written_in_the_published_layout(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sides = {side: rng.standard_normal((3, 4)) for side in ("prompt", "chosen", "rejected")}
    step = WriteEmbeddings(name="pref", dtype="float32")
    step.report(features(sides, "states"), directory=tmp_path)
    found = load_file(tmp_path / "pref-00001-of-00001.safetensors")
    assert found["embeddings"].shape == found["prompt_embeddings"].shape == (3, 2, 4)
    np.testing.assert_allclose(found["embeddings"][:, 1], sides["rejected"], rtol=1e-6)
    np.testing.assert_array_equal(
        found["prompt_embeddings"][:, 0], found["prompt_embeddings"][:, 1]
    )


def test_bfloat16_is_rounded_as_torch_rounds_it(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file as load_torch

    rng = np.random.default_rng(0)
    numbers = np.concatenate([rng.standard_normal(1000) * 1e3, [np.inf, -np.inf, np.nan, 0, 1e-40]])
    states = numbers.astype(np.float32).reshape(-1, 3)
    file = tmp_path / "one.safetensors"
    write_tensors(file, {"x": ("BF16", states.shape)}, {"x": [states]})
    rounded = torch.from_numpy(states).bfloat16()
    assert torch.equal(load_torch(file)["x"].nan_to_num(), rounded.nan_to_num())
    back = tensors_in(file)["x"].rows(0, len(states))
    np.testing.assert_array_equal(back, rounded.float().numpy())


def test_states_come_through_the_store_a_batch_at_a_time(tmp_path: Path) -> None:
    files = shards(tmp_path, "mo", 5000, 4000)
    step = EmbeddingsFile(path=files, attributes=("a", "b"))
    found = run_step(step, {}, tmp_path / "store")
    assert isinstance(found, Features)
    np.testing.assert_array_equal(matrix(found, "response")[:, 0], np.arange(9000))


def test_states_without_the_right_columns_are_refused(tmp_path: Path) -> None:
    words = features({"length": np.ones(3)}, "words")
    with pytest.raises(
        DataError, match="words has no vectors chosen and rejected, and none called"
    ):
        WriteEmbeddings(name="x").report(words, directory=tmp_path)
    states = features({"response": np.ones((3, 2))}, "states")
    with pytest.raises(DataError, match="words: no column 'good'; write attributes: with the col"):
        WriteEmbeddings(name="x", attributes={"a": "good"}).report(
            states, words, directory=tmp_path
        )


def test_the_kinds_keep_all_promises_of_a_step(tmp_path: Path) -> None:
    [file] = shards(tmp_path, "mo", 7)
    check_step(EmbeddingsFile, {"path": [str(file)], "attributes": ["a", "b"]})
    rng = np.random.default_rng(0)
    pairs = small_pairs()
    states = {side: rng.standard_normal((7, 2)) for side in ("chosen", "rejected")}
    given = Features({"id": pairs["id"], **states}, "states")
    check_step(WriteEmbeddings, {"name": "pref"}, {"states": given})


def test_hidden_states_are_the_published_ones_at_the_published_positions() -> None:
    """The last token of each side, and the token that closes the last user turn; one BOS."""
    import json

    from rmplug import Pairs
    from rmplug_hf import Encoder, HiddenState

    folder = reference_case("prepare")
    rows = json.loads((folder / "expected.json").read_text())["pairs"][:2]
    sides = {side: [row[side][-1:] for row in rows] for side in ("chosen", "rejected")}
    prompts = [row["chosen"][:-1] for row in rows]
    pairs = Pairs({"id": ["0", "1"], "prompt": prompts, **sides}, "pairs")
    encoder = Encoder(path=folder / "tiny_llama", template="chat", pooling="last", dtype="bfloat16")
    published = read(folder / "stage2_fsfairx" / "pref-train.safetensors")
    found = HiddenState(part="both").query(encoder.load(), pairs)
    one_step = 2**-7  # between numbers of bfloat16, relative: rounding depends on what is fused
    for side in ("prompt", "chosen", "rejected"):
        np.testing.assert_allclose(
            matrix(found, side), matrix(published, side), rtol=one_step, atol=4e-3
        )
