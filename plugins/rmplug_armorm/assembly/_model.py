"""A reward model made of an encoder, heads, a transform, a gate and a temperature; its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import DataError, Origin, RewardModel
from rmplug.arrays import Array
from rmplug.data.sides import side_of, stacked
from rmplug.errors import some
from rmplug.models.files import read_json
from rmplug.models.head_encoders import open_encoder, write_probe
from rmplug.models.state_encoder import StateEncoder
from rmplug_armorm.debias._measures import measure_texts

from ._mixture import Explanation, Mixture, read_mixture

CONFIG, FORMAT, KIND = "config.json", 1, "assemble"
REWARD = "reward"
FIELDS = ("id", "prompt", "response")
PARTS = {"turn": "turn", "response": "prompt"}
"""The encoder's names for a prompt alone, by the position of its end."""


@dataclass(frozen=True)
class AssemblyFacts:
    """The contents of a folder beside the numbers of heads, transform and gate."""

    origin: Origin
    prompt_end: str
    temperature: float
    metrics: Sequence[Mapping[str, Any]] = ()


class AssembledModel(RewardModel):
    """A model with scores (rows, 1 + attributes): the reward, then each raw attribute reward."""

    antisymmetric = True

    def __init__(self, encoder: StateEncoder, mixture: Mixture, prompt_end: str) -> None:
        self.encoder, self.mixture, self.prompt_end = encoder, mixture, prompt_end
        self.outputs = (REWARD, *mixture.heads.names)
        self.elsewhere = getattr(encoder, "elsewhere", False)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The parts of a score: attributes, then measures against which rewards were debiased."""
        return self.mixture.names

    def score(self, responses: pa.RecordBatch) -> Array:
        explanation = self.explain(responses)
        count = len(self.mixture.heads.names)
        return np.column_stack([explanation.score, explanation.rewards[:, :count]])

    def compare(self, pairs: pa.RecordBatch) -> Array | None:
        """Return margins of a gate that reads both sides of a pair at once, else None."""
        if not self.mixture.gate.compares:
            return None
        responses = stacked(pairs, ("chosen", "rejected"))
        states, prompts = self.states_and_prompts(responses)
        rewards = self.mixture.rewards(states, self.measured(responses))
        better, worse = np.split(rewards, 2)
        return self.mixture.margins(better, worse, prompts[: pairs.num_rows])

    def explain(self, responses: pa.RecordBatch) -> Explanation:
        """Explain the score of each row by attributes, then measures."""
        states, prompts = self.states_and_prompts(responses)
        return self.mixture.explain(states, prompts, self.measured(responses))

    def measured(self, responses: pa.RecordBatch) -> Array:
        """Measure the texts of responses, (n, measures)."""
        return measure_texts(responses.column("response"), self.mixture.measures)

    def states(self, responses: pa.RecordBatch) -> Array:
        """Compute states of prompts with responses."""
        return self.encoder.vectors(responses)

    def prompts(self, rows: pa.RecordBatch) -> Array:
        """Compute states of prompts."""
        return self.encoder.vectors(side_of(rows, "prompt"), self.part)

    def states_and_prompts(self, responses: pa.RecordBatch) -> tuple[Array, Array]:
        """Compute both, in one pass where the encoder can."""
        return self.encoder.vectors_and_prompts(responses, self.part)

    @property
    def part(self) -> str:
        """The encoder's name for a prompt alone."""
        return PARTS[self.prompt_end]


def save(directory: Path, model: AssembledModel, parts: AssemblyFacts) -> None:
    """Write the whole model except its encoder, and how that is known again."""
    mixture = model.mixture
    mixture.save(directory)
    write_probe(directory, model.encoder, ("both", model.part))
    origin = parts.origin
    config = {
        "format": FORMAT,
        "kind": KIND,
        "encoder": {"kind": origin.kind, "params": dict(origin.params)},
        "sha256": dict(origin.digests),
        "prompt_end": parts.prompt_end,
        "template": origin.params.get("template"),
        "temperature": parts.temperature,
        "attributes": list(mixture.heads.names),
        "ranges": {
            name: [float(low), float(high)]
            for name, low, high in zip(
                mixture.heads.names, mixture.heads.low, mixture.heads.high, strict=True
            )
        },
        "metrics": [dict(metric) for metric in parts.metrics],
    }
    text = json.dumps(config, indent=1, ensure_ascii=False)
    (directory / CONFIG).write_text(text + "\n", encoding="utf-8")


def open_assembled(directory: Path, changed: Mapping[str, Any] | None = None) -> AssembledModel:
    """Open the reward model of a folder; ``changed`` has the user's settings of its encoder, or is
    one to use in its place (``backbone``)."""
    config = _read_config(directory / CONFIG)
    mixture = read_mixture(directory, config["temperature"])
    if list(mixture.heads.names) != config["attributes"]:
        raise DataError(f"{directory} holds the parts of two models; assemble them again")
    encoder = config["encoder"]
    origin = Origin(encoder.get("kind", ""), encoder.get("params", ""), config["sha256"])
    parts = ("both", PARTS[config["prompt_end"]])
    opened = open_encoder(origin, directory, changed or {}, parts)
    read, width = mixture.heads.weight.shape[1], getattr(opened, "width", None)
    if width not in (None, read):
        raise DataError(
            f"the heads in {directory} read states of {read} numbers, their encoder gives {width}; "
            "assemble them again"
        )
    return AssembledModel(opened, mixture, config["prompt_end"])


NEEDED: Mapping[str, tuple[type, ...]] = {
    "encoder": (dict,), "sha256": (dict,), "prompt_end": (str,), "temperature": (float, int),
    "attributes": (list,),
}  # fmt: skip


def _read_config(path: Path) -> dict[str, Any]:
    config = read_json(path)
    if (config.get("format"), config.get("kind")) != (FORMAT, KIND):
        raise DataError(
            f"{path} is format {config.get('format')!r:.20} of {config.get('kind')!r:.40}, not "
            f"{FORMAT} of {KIND}; give the folder that assemble wrote, or assemble it again"
        )
    odd = [name for name, types in NEEDED.items() if not isinstance(config.get(name), types)]
    if odd or config["prompt_end"] not in PARTS or not config["temperature"] > 0:
        raise DataError(
            f"{path} does not describe a model that assemble has made ({some(odd) or 'its numbers'}"
            " cannot be used); give the folder that it wrote"
        )
    return config
