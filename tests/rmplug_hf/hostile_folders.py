"""Folders as a stranger might send them, and every way in which a person may open one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

import rmplug
from rmplug import open_folder
from rmplug.models.digests import model_digests
from rmplug_hf import CausalLM, Encoder, Ensemble, GenerativeJudge, RewardHead, SequenceClassifier

WIDTH = 32
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def write_json(path, value):
    path.write_text(json.dumps(value))


def changed_json(path, **entries):
    write_json(path, {**json.loads(path.read_text()), **entries})


class Sent:
    """A checkpoint with its encoder inside, both of them as their sender likes them."""

    def __init__(self, folder: Path, encoder: Path) -> None:
        self.folder = folder
        self.encoder = folder / "encoder"
        self.ran = folder.parent / "ran"
        folder.mkdir()
        shutil.copytree(encoder, self.encoder)
        self.params = {"path": "encoder", "template": "pair", "pooling": "mean"}
        self.kind = "encoder"
        self.digests = None

    def code(self, name: str) -> None:
        """A file of Python beside the weights that leaves a mark when it is run."""
        text = f"open({str(self.ran)!r}, 'w').close()\nMine = None\n"
        (self.encoder / f"{name}.py").write_text(text)

    def with_code_of_configuration(self) -> None:
        self.code("mine")
        changed_json(
            self.encoder / "config.json", model_type="mine", auto_map={"AutoConfig": "mine.Mine"}
        )

    def with_code_of_model(self) -> None:
        self.code("mine")
        every = ("AutoConfig", "AutoModel", "AutoModelForSequenceClassification")
        changed_json(
            self.encoder / "config.json",
            auto_map=dict.fromkeys(every, "mine.Mine"),
        )

    def with_code_of_tokenizer(self) -> None:
        self.code("mine")
        changed_json(
            self.encoder / "tokenizer_config.json",
            tokenizer_class="Mine",
            auto_map={"AutoTokenizer": ["mine.Mine", "mine.Mine"]},
        )

    def with_pickled_weights(self) -> None:
        class Run:
            def __reduce__(inner):
                return open, (str(self.ran), "w")

        import pickle

        (self.encoder / "model.safetensors").unlink()
        (self.encoder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Run()}))

    def written(self, as_kind: str) -> Path:
        """The checkpoint's own files, those of one of the trainers."""
        if self.digests is None:
            self.digests = model_digests(self.encoder)
        origin = {"kind": self.kind, "params": self.params, "digests": self.digests}
        WRITERS[as_kind](self, origin)
        return self.folder


def _linear(sent: Sent, origin: dict) -> None:
    save_file({"weight": np.ones(WIDTH), "bias": np.zeros(1)}, sent.folder / "head.safetensors")
    config = {"format": 1, "kind": "linear-head", "encoder": origin["params"], "width": WIDTH}
    write_json(sent.folder / "config.json", {**config, "sha256": origin["digests"]})


def _odin(sent: Sent, origin: dict) -> None:
    save_file({"weight": np.ones((2, WIDTH))}, sent.folder / "heads.safetensors")
    write_json(sent.folder / "config.json", {"format": 1, "kind": "odin-head", "encoder": origin})


def _assembled(sent: Sent, origin: dict) -> None:
    numbers = {"weight": np.ones((1, WIDTH)), "bias": np.zeros(1), "low": np.zeros(1)}
    save_file({**numbers, "high": np.ones(1)}, sent.folder / "heads.safetensors")
    save_file({"reward_transform_matrix": np.eye(1)}, sent.folder / "transform.safetensors")
    save_file({"weights": np.ones(1)}, sent.folder / "gate.safetensors")
    named = {"format": 1, "names": ["good"], "about": {}}
    write_json(sent.folder / "heads.json", named)
    write_json(sent.folder / "transform.json", named)
    write_json(sent.folder / "gate.json", {**named, "kind": "constant"})
    config = {
        "format": 1, "kind": "assemble", "prompt_end": "turn", "temperature": 1.0,
        "attributes": ["good"], "sha256": origin["digests"],
        "encoder": {"kind": origin["kind"], "params": origin["params"]},
    }  # fmt: skip
    write_json(sent.folder / "config.json", config)


WRITERS = {"linear-head": _linear, "odin-head": _odin, "assemble": _assembled}


def _stored(folder: Path) -> Path:
    """The checkpoint as a store keeps one."""
    kept = folder.parent / "store-entry"
    if not kept.exists():
        kept.mkdir()
        kind = json.loads((folder / "config.json").read_text())["kind"]
        write_json(kept / "manifest.json", {"kind": kind})
        shutil.copytree(folder, kept / "files")
    return kept


def _ensemble(folder: Path):
    members = [RewardHead(path=folder).load() for _ in range(2)]
    for number, member in enumerate(members):
        member.name = f"member-{number}"
    return Ensemble().load(members)


CHECKPOINT_DOORS = {
    "reward-head": lambda folder: RewardHead(path=folder).load(),
    "rmplug.load": lambda folder: rmplug.load(folder),
    "rmplug.load by kind": lambda folder: rmplug.load(folder, "reward-head"),
    "rmplug.load of a store": lambda folder: rmplug.load(_stored(folder)),
    "open_folder": lambda folder: open_folder(folder),
    "ensemble": _ensemble,
}
MODEL_DOORS = {
    "encoder": lambda folder: Encoder(path=folder),
    "sequence-classifier": lambda folder: SequenceClassifier(path=folder),
    "causal-lm": lambda folder: CausalLM(path=folder),
    "generative-judge": lambda folder: GenerativeJudge(path=folder),
}
