"""Folders that transformers loads."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers
from assembled_cases import NAMES, Built, Unopened, llama
from attribute_cases import reference_case

from rmplug import DataError
from rmplug.data.rows import one_batch
from rmplug.data.sides import side_of
from rmplug.testing import LengthModel, check_step
from rmplug_armorm import Assemble, ExportTransformers
from rmplug_armorm.export._modeling_interpretable_reward import last_starts
from rmplug_armorm.export._transformers import response_start
from rmplug_hf import Encoder

CASES = {"turn": {}, "response": {}, "signed": {"temperature": None, "weights": "signed"}}


@pytest.fixture(scope="module", params=CASES)
def built(request, tmp_path_factory):
    folder, gate = tmp_path_factory.mktemp("built"), CASES[request.param]
    end = "turn" if gate else request.param
    return Built(folder, llama(folder / "encoder"), end, **gate)


def exported(model, folder, monkeypatch):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(folder / "code"))
    (folder / "out").mkdir(parents=True)
    ExportTransformers().report(model, directory=folder / "out")
    transformers.utils.logging.disable_progress_bar()
    found = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder / "out", trust_remote_code=True
    )
    return found.eval(), transformers.AutoTokenizer.from_pretrained(folder / "out")


def asked(tokenizer, pairs, rows):
    talks = [[*row["prompt"], *row["chosen"]] for row in pairs.table.slice(0, rows).to_pylist()]
    texts = [tokenizer.apply_chat_template(talk, tokenize=False) for talk in talks]
    return tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")


def test_transformers_gives_the_same_scores_for_a_padded_batch(built, tmp_path, monkeypatch):
    model, tokenizer = exported(built.checkpoint.open(), tmp_path, monkeypatch)
    ours = built.checkpoint.open()
    expected = ours.explain(side_of(one_batch(built.pairs.table.slice(0, 9)), "chosen"))
    for side in ("right", "left"):
        tokenizer.padding_side = side
        with torch.no_grad():
            found = model(**asked(tokenizer, built.pairs, 9))
        np.testing.assert_allclose(found.score, expected.score, atol=1e-5)
        np.testing.assert_allclose(found.logits[:, 0], expected.score, atol=1e-5)
        np.testing.assert_allclose(found.rewards, expected.rewards, atol=1e-5)
        np.testing.assert_allclose(found.contributions, expected.contributions, atol=1e-5)
    assert model.config.attributes == list(NAMES)


def test_weights_have_the_released_names(built, tmp_path, monkeypatch):
    model, _ = exported(built.checkpoint.open(), tmp_path, monkeypatch)
    names = {name for name in model.state_dict() if not name.startswith("model.")}
    layers = {f"gating.layers.{n}.{part}" for n in range(4) for part in ("weight", "bias")}
    assert names == {
        "regression_layer.weight", "regression_layer.bias", "reward_transform_matrix",
        "gating.logit_scale", *layers,
    }  # fmt: skip
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"index.html", "modeling_interpretable_reward.py", "model.safetensors"} <= files
    code = (tmp_path / "out/modeling_interpretable_reward.py").read_text()
    imported = [
        line.split()[1] for line in code.splitlines() if line.startswith(("import", "from"))
    ]
    assert {name.partition(".")[0] for name in imported} <= {
        "__future__", "dataclasses", "itertools", "typing", "torch", "transformers",
    }  # fmt: skip


def test_constant_weights_are_exported_too(tmp_path, monkeypatch):
    built = Built(tmp_path, llama(tmp_path / "encoder"), gate="constant")
    ours = built.checkpoint.open()
    model, tokenizer = exported(ours, tmp_path / "export", monkeypatch)
    with torch.no_grad():
        found = model(**asked(tokenizer, built.pairs, 5)).score
    rows = side_of(one_batch(built.pairs.table.slice(0, 5)), "chosen")
    np.testing.assert_allclose(found, ours.explain(rows).score, atol=1e-5)


def test_what_the_file_cannot_do_is_refused(built, tmp_path):
    with pytest.raises(DataError, match="LengthModel cannot be exported; give a model that assemb"):
        ExportTransformers().report(LengthModel(), directory=tmp_path)
    step = Encoder(path=llama(built.folder.parent / "encoder").path, pooling="mean", device="cpu")
    model = Assemble().train(
        step.load(), built.heads, None, built.debias, seed=0, directory=tmp_path
    ).open()  # fmt: skip
    with pytest.raises(DataError, match=r"this one has template: pair, pooling: mean"):
        ExportTransformers().report(model, directory=tmp_path)


def test_the_last_place_of_a_pattern_is_found():
    told = json.loads(reference_case("gating_positions.json").read_text())
    assert len(told["cases"]) >= 12
    for case in told["cases"]:
        ids, pattern = torch.tensor([case["ids"]]), told["patterns"][case["family"]]
        if case["position"] == "ValueError":
            with pytest.raises(ValueError, match="no response begins in these ids: write conv"):
                last_starts(ids, pattern)
        else:
            assert last_starts(ids, pattern).tolist() == [case["position"]]


def test_what_ends_a_prompt_is_found_in_the_tokens_of_the_template(tmp_path):
    """What opens a response begins with the token that ends a turn; without anything to open one
    the end of the turn is looked for itself."""
    tokenizing = llama(tmp_path).load().loaded.tokenizing
    tokenizer = tokenizing.tokenizer
    opening = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    for part in ("turn", "prompt"):
        pattern, offset = response_start(tokenizing, part)
        assert tokenizer.decode(pattern) == opening
        assert offset == (0 if part == "turn" else len(pattern) - 1)
    # a template is rendered as it was when the first conversation was: each has a model of its own
    other = llama(tmp_path / "other").load().loaded.tokenizing
    other.tokenizer.chat_template = (
        "{% for m in messages %}{{ '[INST] ' + m.content + ' [/INST]' }}{% endfor %}"
    )
    pattern, offset = response_start(other, "turn")
    assert tokenizer.decode(pattern).strip() == "[/INST]" and offset == len(pattern) - 1
    bare = llama(tmp_path / "bare").load().loaded.tokenizing
    bare.tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    with pytest.raises(DataError, match="the chat template ends a prompt with nothing of its own"):
        response_start(bare, "turn")


class Opened:
    """Opens a folder in whichever process."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self):
        return Assemble.open(self.folder)


def test_it_conforms(built):
    check_step(ExportTransformers, {}, {"model": Unopened(Opened(built.folder))})
