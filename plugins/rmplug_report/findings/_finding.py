"""A finding of the page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One or two sentences, and their subject."""

    about: str
    text: str
