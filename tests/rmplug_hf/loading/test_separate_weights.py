"""Weights in another file than the folder's: every name fits, nothing runs, nothing is fetched."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from direct import direct_scores
from safetensors.torch import load_file, save_file

from rmplug import DataError
from rmplug.data.rows import one_batch
from rmplug_hf import SequenceClassifier


@pytest.fixture(scope="module")
def place(tiny, tmp_path_factory):
    """A folder without weights, and those of another seed."""
    folder = tmp_path_factory.mktemp("place") / "bare"
    shutil.copytree(tiny("llama"), folder)
    (folder / "model.safetensors").unlink()
    return folder, tiny("llama", seed=5), load_file(tiny("llama", seed=5) / "model.safetensors")


def scores(talks, folder, weights, **params):
    model = SequenceClassifier(path=folder, weights=weights, device="cpu", **params).load()
    return model.score(one_batch(talks.table))[:, 0]


@pytest.mark.parametrize("wrapper", ["", "module.", "model.", "module.model."])
def test_scores_are_those_of_the_named_weights(place, talks, tmp_path, wrapper):
    folder, whole, tensors = place
    file = tmp_path / "own.safetensors"
    save_file({f"{wrapper}{name}": tensor for name, tensor in tensors.items()}, file)
    direct = direct_scores(whole, talks)[:, 0]
    assert np.abs(scores(talks, folder, file) - direct).max() < 1e-5


def test_a_folder_with_an_index_is_read_too(place, talks, tmp_path):
    folder, whole, tensors = place
    names = sorted(tensors)
    parts = {"one.safetensors": names[::2], "two.safetensors": names[1::2]}
    for file, inside in parts.items():
        save_file({name: tensors[name] for name in inside}, tmp_path / file)
    index = {"weight_map": {name: file for file, inside in parts.items() for name in inside}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    np.testing.assert_array_equal(scores(talks, folder, tmp_path), scores(talks, folder, whole))


def test_a_pickle_needs_permission_and_is_read_as_weights_only(place, talks, tmp_path):
    folder, whole, tensors = place
    file = tmp_path / "hf_ckpt.pt"
    torch.save({"epoch": 3, "state_dict": tensors}, file)
    ((at, fault),) = SequenceClassifier(path=folder, weights=file).mistakes({})
    assert at == "weights" and "reading a pickle can run any code" in fault
    with pytest.raises(DataError, match="set allow_pickle_weights: true if you trust them"):
        scores(talks, folder, file)
    found = scores(talks, folder, file, allow_pickle_weights=True)
    np.testing.assert_array_equal(found, scores(talks, folder, whole))


class Runs:
    """A pickle that would leave a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_that_runs_code_does_not_run_it_even_with_permission(place, talks, tmp_path):
    file = tmp_path / "bad.bin"
    file.write_bytes(pickle.dumps({"score.weight": Runs(tmp_path / "ran")}))
    with pytest.raises(DataError, match="holds more than tensors, and is not read"):
        scores(talks, place[0], file, allow_pickle_weights=True)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.pop("score.weight"), "lack score.weight: they would be random numbers"),
        (lambda t: t.update(odd=torch.zeros(2)), "has no place for odd in the weights of"),
        (
            lambda t: t.update({"score.weight": torch.zeros(3, 32)}),
            r"score.weight in .*own.safetensors has the shape \(3, 32\), but config.json",
        ),
        (
            lambda t: [t.update({f"module.{k}": t.pop(k)}) for k in list(t)[1:]],
            "lack .*: they would be random numbers",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_as_those_of_a_folder(
    place, talks, tmp_path, change, sentence
):
    tensors = dict(place[2])
    change(tensors)
    save_file(tensors, tmp_path / "own.safetensors")
    with pytest.raises(DataError, match=sentence):
        scores(talks, place[0], tmp_path / "own.safetensors")


def test_a_url_and_a_file_that_is_not_there_are_told_by_check(place, tmp_path):
    def fault(weights):
        return next(iter(SequenceClassifier(path=place[0], weights=weights).mistakes({})))

    said = fault(tmp_path / "https://huggingface.co/Dahoas/gptj-rm-static/resolve/main/hf_ckpt.pt")
    assert said[0] == "weights"
    assert said[1].startswith(
        "https://huggingface.co/Dahoas/gptj-rm-static/resolve/main/hf_ckpt.pt"
    )
    assert "is a URL, and only names on the hub are fetched (name); download the file" in said[1]
    assert "no such file or folder" in fault(tmp_path / "absent.safetensors")[1]
    assert "is no file of weights; give .safetensors" in fault(place[0] / "config.json")[1]
    assert "neither model.safetensors nor" in fault(place[0])[1]
