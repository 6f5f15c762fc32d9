"""The training of a reward model in a few words, from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import copytree
from typing import Any

from rmplug._kinds.registry import Registry, discover
from rmplug._run.finished import Run
from rmplug._run.run import run
from rmplug._store.serialize import FILES
from rmplug.artifacts import Checkpoint
from rmplug.errors import RmplugError
from rmplug.families import Observer

from .scorer import Scorer
from .train_spec import TRAINED, Training


class Trained(Scorer):
    """A reward model that was trained: it scores, ranks and compares, and knows its run."""

    def __init__(self, run: Run, spec: Mapping[str, Any]) -> None:
        checkpoint = run[TRAINED]
        assert isinstance(checkpoint, Checkpoint)
        super().__init__(checkpoint.open())
        self.run, self.spec = run, spec

    @property
    def reports(self) -> list[Path]:
        """The pages of the run's reports, ready to open."""
        return self.run.reports

    def save(self, folder: str | Path) -> Path:
        """Copy the model into a new folder, from which ``rmplug.load`` and transformers load it."""
        return save_trained(self.run, Path(folder))


def train(
    model: str | Path,
    data: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    loader: str = "pairs-file",
    test: float = 0.2,
    validation: float = 0.1,
    seed: int = 0,
    store: str | Path | None = None,
    observers: Sequence[Observer] = (),
    registry: Registry | None = None,
    quiet: bool = False,
    verbose: bool = False,
    **params: Any,
) -> Trained:
    """Train a reward model on preference pairs, and measure it on prompts that it has not seen.

    ``model``: a folder, a name on the hub, or ``minilm``. ``data``: a file of pairs, or a name on
    the hub; ``columns`` says which columns hold ``prompt``, ``chosen`` and ``rejected`` where they
    have other names, ``loader`` the kind that reads the file. ``test`` is the share of prompts that
    are held out for the report, ``validation`` the share of the others that are measured on the
    way. ``params`` are those of ``reward-model`` (``lora=True``, ``num_train_epochs=3``) and of
    ``sequence-classifier`` (``max_length=512``). All becomes a spec, which is run: what is in the
    store is reused, and an interrupted training goes on. Progress is shown as by ``rmplug.run``.
    Raises ``RmplugError`` when a person can mend what is wrong.
    """
    registry = registry or discover()
    wanted = Training(str(model), str(data), columns or {}, loader, test, validation, seed, params)
    spec = wanted.spec(registry, Path.cwd())
    finished = run(
        spec, store=store, observers=observers, registry=registry, quiet=quiet, verbose=verbose
    )
    return Trained(finished, spec)


def save_trained(run: Run, folder: Path) -> Path:
    """Copy the model that a run has trained into a new folder."""
    try:
        copytree(run.path(TRAINED) / FILES, folder)
    except FileExistsError as error:
        raise RmplugError(f"{folder} is there already; name a folder that is not") from error
    except OSError as error:
        raise RmplugError(f"cannot write the model into {folder}: {error}") from error
    return folder
