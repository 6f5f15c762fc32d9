"""Assembled reward models on tiny real encoders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from planted_gates import debias_fit, heads_fit

from rmplug import Checkpoint, Features, Pairs, RewardModel
from rmplug.testing.tiny_models import tiny_model
from rmplug_armorm import Assemble, Gate
from rmplug_hf import Encoder, HiddenState

NAMES = ("helpful", "honest", "brief")
DEBIASING = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-0.4, 0.2, 0.0]])
WORDS = ["egg", "haiku", "prime", "river", "stone", "kettle", "capital", "answer", "seven", "blue"]


class Unopened(RewardModel):
    """A model that is loaded where it is asked, as in a run: it can be sent to worker processes."""

    def __init__(self, make: object) -> None:
        self.make = make

    def open(self) -> RewardModel:
        return self.make()  # type: ignore[operator]

    def score(self, responses: object) -> np.ndarray:
        raise AssertionError("open the model first")


def llama(folder: Path, **params: object) -> Encoder:
    """A causal encoder with its chat template."""
    path = tiny_model("llama", folder, head="none")
    return Encoder(path=path, template="chat", pooling="last", device="cpu", **params)


def talk_pairs(rows: int = 40) -> Pairs:
    """Pairs of which two share a prompt; chosen says great."""
    rng = np.random.default_rng(0)
    talk = [" ".join(rng.choice(WORDS, 4)) for _ in range(rows)]
    return Pairs(
        {
            "id": [f"p{n}" for n in range(rows)],
            "prompt": [f"Say {WORDS[n // 2 % 10]} {n // 2}" for n in range(rows)],
            "chosen": [f"great {text}" for text in talk],
            "rejected": [f"no {text}" for text in talk],
            "subset": ["odd" if n % 2 else "even" for n in range(rows)],
        },
        "pairs",
    )


class Built:
    """All parts on one encoder, and the assembled folder."""

    def __init__(
        self,
        folder: Path,
        step: Encoder,
        prompt_end: str = "turn",
        measures: tuple[str, ...] = (),
        matrix: np.ndarray = DEBIASING,
        **gate: object,
    ) -> None:
        rng = np.random.default_rng(1)
        self.encoder, self.pairs = step.load(), talk_pairs()
        asked = HiddenState(part="both", prompt_end=prompt_end)
        self.states = Features(asked.query(self.encoder, self.pairs).table, "states")
        self.heads = heads_fit(folder / "heads", rng.normal(size=(3, 32)) / 6, NAMES)
        self.debias = debias_fit(folder / "debias", matrix, (*NAMES, *measures))
        (folder / "gate").mkdir()
        params = {"batch": 16, "hidden": 8, "steps": 40, "check_every": 10, "temperature": [2.0]}
        chosen = {name: given for name, given in {**params, **gate}.items() if given is not None}
        self.gate = Gate.model_validate(chosen).train(
            self.heads, self.states, self.pairs, self.debias, seed=0, directory=folder / "gate"
        )
        self.folder = folder / "model"
        self.folder.mkdir()
        self.step = Assemble()
        self.checkpoint = self.assemble(self.folder, self.pairs, self.states)

    def assemble(self, folder: Path, data: Pairs | None, states: Features | None) -> Checkpoint:
        """The parts put together in a folder."""
        return self.step.train(
            self.encoder, self.heads, self.gate, self.debias, data, states, seed=0, directory=folder
        )
