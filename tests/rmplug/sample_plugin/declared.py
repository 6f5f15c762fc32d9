"""Kinds for tests of what happens before a run: parameters and annotations of every sort."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from rmplug import (
    Checkpoint,
    DatasetLoader,
    Engine,
    FeatureComputer,
    Features,
    InputPath,
    InputPaths,
    Known,
    ModelLoader,
    Observer,
    Pairs,
    Responses,
    RewardModel,
    Sampler,
    Selection,
    Trainer,
)
from rmplug.testing import LengthModel, small_features, small_pairs, small_responses

Data = TypeVar("Data", Pairs, Responses)


class Names(BaseModel):
    """Where the parts of a row stand."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    chosen: str = "chosen"
    """The preferred response."""
    rejected: str = "rejected"
    """The other one."""


class PairsLoader(DatasetLoader):
    """Loads small pairs.

    Gives ``id``, ``prompt``, ``chosen`` and ``rejected``.
    """

    kind = "some-pairs"

    rows: int = Field(default=7, ge=1)
    """How many."""
    path: InputPaths | None = None
    """Files that are said to be read."""
    form: Literal["text", "messages"] = "text"
    """How texts are given."""
    names: Names = Field(default_factory=Names)
    """The names of columns."""

    def load(self) -> Pairs:
        return small_pairs(self.rows)


class ResponsesLoader(DatasetLoader):
    """Loads small responses."""

    kind = "some-responses"

    path: InputPath
    """One file that is said to be read."""

    def load(self) -> Responses:
        return small_responses()


class LengthLoader(ModelLoader):
    """Loads a model that rewards length."""

    kind = "length-model"

    def load(self) -> RewardModel:
        return LengthModel()


class Count(FeatureComputer):
    """Counts words."""

    kind = "count"

    scale: float = Field(default=1.0, gt=0)
    """What each word counts."""
    weights: dict[str, int] | str = "none"
    """Weights by word, or the name of a list of them."""

    @field_validator("scale")
    @classmethod
    def _not_thirteen(cls, scale: float) -> float:
        if scale == 13:
            raise ValueError("AUC is undefined for a scale of 13; use 12 or 14")
        return scale

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(columns=("first", "last", "margin"))

    def compute(self, data: Pairs | Responses) -> Features:
        return small_features(data)


class Shuffle(Sampler):
    """Puts rows in another order."""

    kind = "shuffle"

    share: float = Field(default=1.0, gt=0, le=1)
    """How much is kept."""

    def sample(self, data: Data, *, seed: int) -> Data:
        return data


class Pick(Sampler):
    """Picks rows to label."""

    kind = "pick"

    def sample(self, data: Pairs, scores: Features | None = None) -> Selection:
        return Selection(data.table.select(["id"]))


class Either(Sampler):
    """Gives pairs or responses, as it comes."""

    kind = "either"

    def sample(self, data: Pairs) -> Pairs | Responses:
        return data


class Teach(Trainer):
    """Trains a model."""

    kind = "teach"

    def train(self, data: Pairs, *, seed: int, directory: Path) -> Checkpoint:
        return Checkpoint(directory, Teach)

    @classmethod
    def open(cls, directory: Path) -> RewardModel:
        return LengthModel()


class Far(Trainer):
    """Trains with a library that is not installed."""

    kind = "far"
    requires = ("no-such-library", "pydantic", "nor-this-one")
    extra = "far"

    def train(self, data: Pairs, *, directory: Path) -> Checkpoint:
        return Checkpoint(directory, Teach)

    @classmethod
    def open(cls, directory: Path) -> RewardModel:
        return LengthModel()


class Bare(Trainer):
    """Trains with a library that no extra names."""

    kind = "bare"
    requires = ("no-such-library",)

    def train(self, data: Pairs, *, directory: Path) -> Checkpoint:
        return Checkpoint(directory, Teach)

    @classmethod
    def open(cls, directory: Path) -> RewardModel:
        return LengthModel()


class Plain(Engine):
    """Does one thing after another."""

    kind = "plain"

    def map(self, work: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        return ((task, work(task)) for task in tasks)


class Watch(Observer):
    """Watches."""

    kind = "watch"

    loud: bool = False
    """Whether to say so."""
