"""Artifacts that are files in a folder: fits, checkpoints, reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .models import Opens, Predictor, RewardModel
from .tables import Artifact

if TYPE_CHECKING:
    import pyarrow as pa


class Folder(Artifact):
    """Files in a directory."""

    def __init__(self, directory: Path, name: str = "") -> None:
        self.directory = Path(directory)
        self.name = name


class Fit(Folder):
    """A fitted estimator: its files, its numbers, and tables about it.

    ``numbers`` is a list of rows of ``Metrics`` (``metric, subset, value, low, high, n``).
    ``tables`` hold what there is to tell, by these names where they apply: ``importance``
    (``feature``, ``importance``, ``low``, ``high``), ``coefficients`` (``feature``,
    ``coefficient``, ``low``, ``high``, ``per``: the unit of what is changed), ``dependence``
    (``feature``, ``x``, ``y``), and ``rows`` (``id``, ``group``, ``target``, ``prediction`` out of
    fold, ``residual``).
    """

    def __init__(
        self,
        directory: Path,
        made_by: type[Opens],
        numbers: Sequence[Mapping[str, Any]] = (),
        tables: Mapping[str, pa.Table] | None = None,
        name: str = "",
    ) -> None:
        super().__init__(directory, name)
        self.made_by = made_by
        self.numbers = [dict(number) for number in numbers]
        self.tables = dict(tables or {})

    def open(self) -> Predictor:
        """Return the predictor, loaded by the class that fitted it."""
        predictor: Predictor = self.made_by.open(self.directory)
        return predictor


class Checkpoint(Folder):
    """A trained model's directory; ``open`` returns the reward model, ``numbers`` describe its
    training. ``settings`` returns what the user's spec says of the model it was trained on: where
    it is, how it runs, what it may do."""

    def __init__(
        self,
        directory: Path,
        made_by: type[Opens],
        numbers: Sequence[Mapping[str, Any]] = (),
        name: str = "",
        settings: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        super().__init__(directory, name)
        self.made_by = made_by
        self.numbers = [dict(number) for number in numbers]
        self.settings = settings

    def open(self) -> RewardModel:
        changed = self.settings() if self.made_by.takes_settings() else {}
        model: RewardModel = self.made_by.open(self.directory, **changed)
        return model


class Report(Folder):
    """Files, the first of which (``entry``) opens in a browser."""

    def __init__(self, directory: Path, entry: str = "index.html", name: str = "") -> None:
        super().__init__(directory, name)
        self.entry = entry
