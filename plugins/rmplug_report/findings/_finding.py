"""A finding of the page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One sentence or two, and what they are about."""

    about: str
    text: str
