"""The gallery: for each recipe that is shown its question, its picture and what it found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from rmplug._cli.recipes import recipes

from .rooms import ROOT

FOLDER = ROOT / "docs" / "gallery"
FINDINGS = FOLDER / "findings.json"
SHOWN = {
    "quickstart": "#accuracy",
    "audit-checkpoint": "#tokens",
    "audit": "#effects .card",
    "audit-models": "#why",
    "compare-models": "#compared",
    "explain-reward": "#explained .card",
    "benchmark": "#benchmark",
    "data-audit": "#quality",
    "correct-length": "#length",
}
"""The recipes of the gallery in its order, each with the part of its report that is shown."""
MOST_BYTES = 60_000
"""The most bytes of a picture."""
MOST = 3
"""Findings that are shown of each."""


@dataclass(frozen=True)
class Shown:
    """What a run of a recipe ended in: the words of its report."""

    headline: str
    findings: list[str]


def read_shown() -> Mapping[str, Shown]:
    """Read what is kept of the runs, by recipe."""
    if not FINDINGS.exists():
        return {}
    kept = json.loads(FINDINGS.read_text(encoding="utf-8"))
    return {name: Shown(**one) for name, one in kept.items()}


def write_shown(shown: Mapping[str, Shown]) -> None:
    """Keep what is shown of the runs."""
    kept = {name: asdict(one) for name, one in sorted(shown.items())}
    text = json.dumps(kept, indent=1, ensure_ascii=False)
    FINDINGS.write_text(text + "\n", encoding="utf-8")


def write_gallery() -> str:
    """Write the page of what is kept."""
    lead = (
        "What the recipes end in: for each its question, what its report found, and a part of the "
        "report, from a run of the recipe as it is."
    )
    kept, known = read_shown(), {recipe.name: recipe for recipe in recipes()}
    parts = ["# Gallery", lead]
    for name in SHOWN:
        if name in kept:
            recipe, one = known[name], kept[name]
            needs = f"It needs: {recipe.needs}" if recipe.needs else "It needs no network."
            parts += [
                f"## {name}",
                f"{recipe.summary} {needs}",
                f"**{one.headline}**",
                "\n".join(f"- {sentence}" for sentence in one.findings[:MOST]),
                f"![A part of the report of {name}]({name}.webp)",
                f"```sh\nrmplug init {name} {name}\ncd {name}\nrmplug run {name}.yaml\n```",
            ]
    left = [name for name in known if name not in kept]
    parts.append(
        "## Without a picture\n\nThese recipes are not shown, as they take longer, or need a hub "
        f"or a cluster for what they are about: {', '.join(f'`{name}`' for name in left)}. "
        "`rmplug init` lists all; [recipes](../reference/recipes.md) says what each is for."
    )
    return "\n\n".join(parts) + "\n"
