"""Artifacts that are models: what scores responses, what predicts, and what opens them."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .tables import Artifact

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class Predictor(ABC):
    """A fit that is open for use."""

    @abstractmethod
    def predict(self, features: pa.Table) -> Mapping[str, np.ndarray]:
        """Return named predictions of shape (rows,) for joined features, columns as when fitted."""


class RewardModel(Artifact, ABC):
    """A live model that scores responses. It is rebuilt where it is needed, never stored."""

    outputs: tuple[str, ...] = ("reward",)
    """Names of the scores: one, or one per objective. Of several, one called ``reward`` is the
    score that counts, and the others are reported beside it."""

    antisymmetric: bool = False
    """True of a model whose ``compare`` gives the same margin with the other sign where the two
    responses are exchanged: one that takes the mean of both orders itself, or sees differences
    only. Another is asked in both orders where the order must not count."""

    elsewhere: bool = False
    """True of a model that another machine runs, and perhaps is paid for: this process asks it,
    no workers do, and it is asked about no row on trial."""

    @abstractmethod
    def score(self, responses: pa.RecordBatch) -> np.ndarray:
        """Return float64 scores of shape (rows,) or (rows, len(outputs)) for rows of ``Responses``.

        A row that cannot be scored is NaN.
        """

    def score_sides(self, responses: pa.RecordBatch) -> np.ndarray:
        """Return scores, as ``score`` does, of chosen (the first half of the rows) and rejected
        responses (the other half, in the same order), of which only the better one of each two is
        asked for: a model that can tell it with less work overrides this."""
        return self.score(responses)

    def compare(self, pairs: pa.RecordBatch) -> np.ndarray | None:
        """Return margins of shape (rows,) for rows of ``Pairs``, from a model that looks at both
        responses at once: log-odds that chosen is better. None, as here, from a model that compares
        by its scores."""
        return None

    def open(self) -> RewardModel:
        """Return the model ready to score; a handle loads it here, once per process."""
        return self

    def exactly(self) -> AbstractContextManager[Formats] | None:
        """Return a context in which the model scores each row alone, without padding and in
        float32, whatever it does otherwise to be fast; None, as here, from a model that has no
        other way."""
        return None

    def standing(self) -> AbstractContextManager[None]:
        """Return a context in which the model's weights stay as they are, so that a model which
        makes something of them in each call, such as another order in memory, makes it once; one
        without effect, as here, from any other."""
        return nullcontext()

    def reload(self) -> RewardModel:
        """Return the model loaded anew, for a step that changes its weights: others that use the
        same model must not see that."""
        return self

    def origin(self) -> Origin | None:
        """Return what the model can be made again from; None, as here, where that is not
        recorded."""
        return None


class Formats(NamedTuple):
    """The number formats of a model: as it scores, and in the context ``exactly``."""

    own: str
    exact: str


class Opens(ABC):
    """A loader of a folder that its own step wrote: a trainer or an estimator."""

    @classmethod
    @abstractmethod
    def open(cls, directory: Path) -> Any: ...

    @classmethod
    def takes_settings(cls) -> bool:
        """Check whether ``open`` takes the user's settings of a model that the folder names."""
        parameters = inspect.signature(cls.open).parameters.values()
        return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


@dataclass(frozen=True)
class Origin:
    """The kind of a model loader, its parameters as in JSON, and SHA-256 digests of the files that
    define the model's outputs, by their names; without any, files are not compared."""

    kind: str
    params: Mapping[str, Any]
    digests: Mapping[str, str] = field(default_factory=dict)
