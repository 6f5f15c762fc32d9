"""Work of an engine on its way to another process: packed once, unpacked once where it is done."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from rmplug.errors import PluginError

Locate: TypeAlias = Callable[[str, str], Path]


class SharedStore(Protocol):
    """The store of a run as an engine and its workers have it. It can be sent to another machine:
    one that is a folder means the folder of the same path there, one at an address the same
    address."""

    @property
    def name(self) -> str:
        """The store as messages name it: a folder or an address."""
        ...

    def leave_mark(self) -> str:
        """Make a mark in the store and return its name. Raises ``RmplugError`` if it cannot be
        written."""
        ...

    def take_mark(self, mark: str) -> bool:
        """Remove a mark: what a worker does to prove that it reaches the same store. False where
        there is none. Raises ``RmplugError`` if the store cannot be written."""
        ...


_addresses: dict[Path, tuple[Locate, str]] = {}


def send_as_address(folder: Path, locate: Locate, address: str) -> None:
    """Send paths below a folder, which mirrors an address, as names there: where work is unpacked,
    maybe on another machine, ``locate(address, name)`` gives the path that the name has there."""
    _addresses[folder] = locate, address


def pack(work: Callable[[Any], Any], pickler: type[pickle.Pickler] = pickle.Pickler) -> bytes:
    """Return work as bytes that ``do_packed`` takes. Raises ``PluginError`` where that cannot
    be."""
    try:
        packed = BytesIO()
        (_sender(pickler) if _addresses else pickler)(packed).dump(work)
        return packed.getvalue()
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise PluginError(
            f"this work cannot be sent to worker processes ({error}); use functions at module "
            "level or methods of the step, or the engine local with workers: 1"
        ) from error


def _sender(pickler: type[pickle.Pickler]) -> type[pickle.Pickler]:
    """Return a pickler that sends the paths of mirrored folders as addresses."""

    class Sender(pickler):  # type: ignore[misc, valid-type]
        def reducer_override(self, value: Any) -> Any:
            for folder, (locate, address) in _addresses.items():
                if isinstance(value, Path) and value.is_relative_to(folder):
                    return locate, (address, value.relative_to(folder).as_posix())
            return super().reducer_override(value) if own else NotImplemented

    own = hasattr(pickler, "reducer_override")
    return Sender


def do_packed(packed: bytes, task: Any) -> Any:
    """Do one task of work; what it has opened is kept as long as the same work goes on.

    An exception of the work is raised on if it can be sent to another process; of any other, a
    ``RuntimeError`` holds the traceback.
    """
    try:
        return _unpacked(packed)(task)
    except Exception as error:
        if _survives(error):
            raise
        text = "".join(traceback.format_exception(error))
        raise RuntimeError(f"a worker failed:\n{text}") from None


@lru_cache(maxsize=1)
def _unpacked(packed: bytes) -> Callable[[Any], Any]:
    work: Callable[[Any], Any] = pickle.loads(packed)
    return work


def _survives(error: Exception) -> bool:
    """Check whether an error can be sent to another process; one that cannot would break the
    pool."""
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:
        return False
