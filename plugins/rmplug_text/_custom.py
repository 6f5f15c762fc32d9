"""A user's own class as a reward model: its file run, its answers checked."""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from rmplug import DataError, RewardModel, text_of
from rmplug.arrays import Array
from rmplug.errors import did_you_mean, some

from ._custom_source import no_score, syntax_sentence

if TYPE_CHECKING:
    from .custom import Custom

MODULE = "rmplug_custom_"
"""What the names of the modules begin with that users' files are run as."""


def load_custom(step: Custom) -> CustomModel:
    """Run the file of a step and make its class."""
    file = step.file.absolute()
    with _told(file, f"{file.name} cannot be run"):
        module = _run_file(file)
    made = getattr(module, step.class_, None)
    classes = [name for name, value in vars(module).items() if isinstance(value, type)]
    if not isinstance(made, type):
        hint = did_you_mean(step.class_, classes)
        raise DataError(f"{file.name} has no class {step.class_!r}{hint} (it has {some(classes)})")
    if not callable(getattr(made, "score", None)):
        raise DataError(no_score(step.class_, file))
    with _told(file, f"{step.class_} cannot be made with args {some(step.args) or '(none)'}"):
        asked = made(**step.args)
    return CustomModel(asked, file)


class CustomModel(RewardModel):
    """The model that a user's object is; what it gives is checked."""

    def __init__(self, asked: Any, file: Path) -> None:
        self.asked, self.file = asked, file
        self.title = type(asked).__name__
        outputs = getattr(asked, "outputs", ("reward",))
        names = list(outputs) if isinstance(outputs, list | tuple) else []
        if not names or len(set(names)) < len(names) or not all(isinstance(n, str) for n in names):
            raise DataError(
                f"outputs of {self.title} in {file.name} must be different names, such as "
                f"('reward',), not {outputs!r:.60}"
            )
        self.outputs = tuple(names)
        self.antisymmetric = getattr(asked, "antisymmetric", False) is True

    def score(self, responses: pa.RecordBatch) -> Array:
        """Return scores of shape (rows, outputs)."""
        with _told(self.file, f"score of {self.title} failed"):
            if isinstance(self.asked, RewardModel):
                given = self.asked.score(responses)
            else:
                prompts = responses.column("prompt").to_pylist()
                given = self.asked.score(prompts, text_of(responses.column("response")).to_pylist())
        return self._numbers(given, responses.num_rows, len(self.outputs), "score")

    def compare(self, pairs: pa.RecordBatch) -> Array | None:
        """Return the margins of a class that derives from ``RewardModel`` and compares."""
        if not isinstance(self.asked, RewardModel):
            return None
        with _told(self.file, f"compare of {self.title} failed"):
            margins = self.asked.compare(pairs)
        if margins is None:
            return None
        return self._numbers(margins, pairs.num_rows, 1, "compare").reshape(pairs.num_rows)

    def _numbers(self, given: Any, rows: int, width: int, method: str) -> Array:
        """Return what a method gave as float64 of shape (rows, width)."""
        try:
            numbers = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{method} of {self.title} in {self.file.name} gave what is no numbers "
                f"({error!s:.100}); return a list or an array of numbers"
            ) from error
        if numbers.shape not in {(rows, width), *([(rows,)] if width == 1 else [])}:
            raise DataError(
                f"{method} of {self.title} in {self.file.name} gave numbers of shape "
                f"{numbers.shape} for {rows} rows; with the outputs {some(self.outputs)} it must "
                f"return shape {(rows, width) if width > 1 else (rows,)}"
            )
        return numbers.reshape(rows, width)


def _run_file(file: Path) -> ModuleType:
    """Run a file as a module of its own; files beside it that it imports are its own as well, so
    that models in two folders can both have a file of one name."""
    name = f"{MODULE}{hashlib.sha256(str(file).encode()).hexdigest()[:16]}"
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise DataError(f"{file.name} is no Python file; its name must end in .py")
    module = module_from_spec(spec)
    with _beside(file.parent):
        sys.modules[name] = module  # data classes look for the module of their class
        spec.loader.exec_module(module)
    return module


@contextmanager
def _beside(folder: Path) -> Iterator[None]:
    """Let files of a folder be imported within the context; what it adds to the modules of this
    process is taken out again, other libraries than these files excepted."""
    before = {name.partition(".")[0] for name in sys.modules}
    sys.path.insert(0, str(folder))
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = written
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
        tops = {name.partition(".")[0] for name in sys.modules} - before
        own = {top for top in tops if _stands_in(sys.modules.get(top), folder)}
        for name in [name for name in sys.modules if name.partition(".")[0] in own]:
            if not name.startswith(MODULE):
                del sys.modules[name]


def _stands_in(module: Any, folder: Path) -> bool:
    """Check whether a module is a file of the folder, or a package there."""
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and folder in (Path(file).parent, Path(file).parent.parent)


@contextmanager
def _told(file: Path, what: str) -> Iterator[None]:
    """Turn whatever a user's code raises into one sentence that names file and line."""
    try:
        yield
    except DataError:
        raise
    except SyntaxError as error:
        named = Path(error.filename) if error.filename else file
        raise DataError(syntax_sentence(named if named.is_file() else file)) from error
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if Path(frame.filename).parent == file.parent]
        at = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else file.name
        line = (str(error).strip().splitlines() or [""])[0]
        said = f"{type(error).__name__}: {line}" if line else type(error).__name__
        raise DataError(f"{what}: {said:.200} ({at}); correct the code there") from error
