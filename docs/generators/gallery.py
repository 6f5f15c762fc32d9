"""The gallery: for each recipe its purpose, its picture and what it found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from rmplug._cli.recipes import Recipe, files_beside, recipes
from rmplug._spec.source import read_source

from .rooms import ROOT

FOLDER = ROOT / "docs" / "gallery"
FINDINGS = FOLDER / "findings.json"
GROUPS: Mapping[str, Mapping[str, str]] = {
    "From start to end": {
        "quickstart": "#accuracy .card",
    },
    "Audit a reward model": {
        "audit-checkpoint": "#tokens",
        "audit-models": "#why .card",
        "audit": "#effects .card",
        "reward-analysis": "#plots",
        "ask-models": "#tokens",
    },
    "Compare models, run benchmarks": {
        "compare-models": "#compared .card",
        "hub-models": "#accuracy .card",
        "benchmark": "#benchmark .card",
        "published-benchmarks": "#benchmark .card",
    },
    "Explain a reward": {
        "explain-reward": "#explained .card",
        "correct-length": "#length",
        "directions": "#directions",
        "embeddings": "#why .card",
        "aspects": "#changes .card",
        "armorm": "#gate .card",
        "armorm-exchange": "#gate .card",
    },
    "Prepare and audit data": {
        "prepare-data": "#data",
        "data-audit": "#quality .card",
        "clean-labels": "#accuracy .card",
        "tag-prompts": "#pairs",
    },
    "Decide what people label": {
        "ask-people": "#pairs",
        "active-learning": "#curves .card",
        "hybrid-routing": "#curves .card",
        "routing-elsewhere": "#curves .card",
    },
    "Train": {
        "train-reward": "#training .card",
        "train-stages": "#accuracy .card",
        "train-ratings": "#training .card",
        "train-ensemble": "#accuracy .card",
        "tutorial-lora": "#training .card",
        "reinforce": "#training .card",
    },
    "Servers and clusters": {
        "served-model": "#accuracy .card",
        "on-a-cluster": "#accuracy .card",
    },
}
"""The recipes of the gallery by purpose, each with the part of its report that is shown."""
SHOWN = {name: part for group in GROUPS.values() for name, part in group.items()}
MOST_BYTES = 30_000
"""The most bytes of a picture."""
MOST = 3
"""Findings that are shown of each."""


@dataclass(frozen=True)
class Shown:
    """What a run of a recipe ended in: the words of its report."""

    headline: str
    findings: list[str]
    recipe: str
    """What was run: ``content_of`` the recipe then."""


def own_recipes() -> Mapping[str, Recipe]:
    """Return the recipes of this repository, by name."""
    own = ROOT / "examples"
    return {recipe.name: recipe for recipe in recipes() if recipe.path.parent == own}


def content_of(recipe: Recipe) -> str:
    """Return a hash of what a recipe runs: its spec without comments, and the files it reads."""
    spec = json.dumps(read_source(recipe.path).data, sort_keys=True).encode()
    files = [(recipe.path.parent / file).read_bytes() for file in files_beside(recipe.path)]
    each = (hashlib.sha256(content).digest() for content in (spec, *files))
    return hashlib.sha256(b"".join(each)).hexdigest()[:16]


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
        "What the recipes end in, by purpose: for each what it is for, what its report found, and "
        "a part of the report, from a run of the recipe as it is. Numbers are those of the small "
        "data and models that come with rmplug: they show the page, not what such models can do."
    )
    kept, known = read_shown(), own_recipes()
    contents = (
        f"- {group}: {', '.join(f'[{name}](#{name})' for name in names)}"
        for group, names in GROUPS.items()
    )
    parts = ["# Gallery", lead, "\n".join(contents)]
    for group, names in GROUPS.items():
        parts.append(f"## {group}")
        parts += [_entry(known[name], kept[name]) for name in names]
    return "\n\n".join(parts) + "\n"


def _entry(recipe: Recipe, shown: Shown) -> str:
    name = recipe.name
    parts = [
        f"### {name}",
        f"{recipe.summary} It needs: {recipe.needs}",
        f"**{shown.headline}**",
        "\n".join(f"- {sentence}" for sentence in shown.findings[:MOST]),
        f"![A part of the report of {name}]({name}.webp)",
        f"```sh\nrmplug init {name} {name}\ncd {name}\nrmplug run {name}.yaml\n```",
    ]
    return "\n\n".join(part for part in parts if part)
