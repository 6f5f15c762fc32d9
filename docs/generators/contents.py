"""The order of the site's pages: sections, and the pages of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A section of the site: its folder, and its pages in reading order, without suffix."""

    folder: str
    pages: Sequence[str]

    @property
    def paths(self) -> list[str]:
        """The pages with the section's first one, as paths in the site without suffix."""
        return [f"{self.folder}/{page}" for page in ("index", *self.pages)]


def sections(families: Sequence[str]) -> tuple[Section, ...]:
    """Return all sections; the reference has a page for each family of kinds."""
    kinds = [f"kinds/{family}" for family in families]
    return (
        Section("start", ("install", "first-report", "own-checkpoint")),
        Section(
            "how-to",
            (
                "odd-files",
                "recorded-scores",
                "compare-models",
                "train",
                "benchmark",
                "explain",
                "correct-length",
                "route-labels",
                "audit-data",
                "audit",
                "ask-models",
                "ask-people",
                "analyse-one-model",
                "old-experiments",
                "look-at-runs",
                "store",
                "python",
                "in-ci",
                "growing",
                "servers",
            ),
        ),
        Section(
            "understand",
            (
                "specs",
                "fingerprints",
                "statistics",
                "prompts",
                "baselines",
                "in-sample",
                "permissions",
                "limits",
                "platforms",
                "design",
            ),
        ),
        Section("plugin", ("tutorial", "families", "perturbation", "promises")),
        Section(
            "reference",
            (
                *kinds,
                "recipes",
                "commands",
                "python",
                "artifacts",
                "metrics",
                "notices",
                "perturbations",
                "records",
                "schemas",
                "kits",
                "core",
            ),
        ),
        Section("gallery", ()),
    )


LAST = ("changelog", "contributing")
"""The pages after all sections."""
