"""Training without what the libraries say to each other."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rmplug.models.quiet import quiet

LIBRARIES = r"(accelerate|peft|torch|transformers|trl)(\..*)?"


@contextmanager
def libraries_quiet() -> Iterator[None]:
    """Leave out what the libraries print, and what they warn each other of: that PEFT uses a name
    which transformers will give up is nothing that a person can mend."""
    with quiet(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module=LIBRARIES)
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=LIBRARIES)
        yield


class Silent:
    """The part of a trainer that sends nothing and writes no card."""

    def _send_telemetry(self) -> None:
        """Send nothing."""

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Write nothing: the card of a model is a step of its own."""
