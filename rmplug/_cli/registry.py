"""The kinds that the commands use."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rmplug._kinds.registry import Registry


def registry_of(options: argparse.Namespace) -> Registry:
    """Return the kinds of all installed plugins but those that ``--disable`` names."""
    from rmplug._kinds.registry import discover

    return discover(options.disable)
