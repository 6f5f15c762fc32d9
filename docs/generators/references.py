"""All pages of the reference that come from the code, and the pages copied from the repository."""

from __future__ import annotations

from collections.abc import Mapping

from rmplug._cli.recipes import recipes
from rmplug._kinds.registry import Registry
from rmplug._kinds.signatures import signature_of
from rmplug.families import FAMILIES, Composite

from .artifacts import write_artifacts, write_records
from .commands import write_commands
from .gallery import write_gallery
from .kinds import kinds_of, page_of, write_kinds
from .markdown import table
from .metrics import write_metrics
from .notices import write_notices
from .perturbations import write_perturbations
from .python_names import write_kits, write_names
from .rooms import ROOT


def families(registry: Registry) -> list[str]:
    """Return the names of the pages of kinds."""
    return [page_of(family) for family in FAMILIES if kinds_of(registry, family)]


def references(registry: Registry) -> Mapping[str, str]:
    """Write all generated pages, by path in the site."""
    return {
        **write_kinds(registry),
        "reference/recipes.md": write_recipes(),
        "reference/commands.md": write_commands(),
        "reference/python.md": write_names(),
        "reference/kits.md": write_kits(),
        "reference/artifacts.md": write_artifacts(givers(registry)),
        "reference/metrics.md": write_metrics(registry),
        "reference/notices.md": write_notices(),
        "reference/perturbations.md": write_perturbations(),
        "reference/records.md": write_records(),
        "reference/core.md": without_markers((ROOT / "rmplug" / "README.md").read_text("utf-8")),
        "gallery/index.md": write_gallery(),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        "contributing.md": (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
    }


def givers(registry: Registry) -> Mapping[str, list[str]]:
    """List the kinds that give each type of artifact."""
    given: dict[str, list[str]] = {}
    for provider in registry.all():
        if not issubclass(provider.cls, Composite):
            for each in signature_of(provider.cls).gives:
                given.setdefault(each.__name__, []).append(provider.kind)
    return given


def write_recipes() -> str:
    lead = (
        "Specs to start from. `rmplug init NAME FOLDER` copies one with its data; each runs as it "
        "is and is made to be edited. Times are those of two cores; where no network, server or "
        "GPU is named, none is needed. The [gallery](../gallery/index.md) shows what they end in."
    )
    rows = [(f"`{recipe.name}`", recipe.summary, recipe.needs) for recipe in recipes()]
    return f"# Recipes\n\n{lead}\n\n{table(('recipe', 'what it is for', 'needs'), rows)}\n"


def without_markers(text: str) -> str:
    """Leave out the programs that made parts of a page, and keep what they wrote."""
    kept, inside = [], False
    for line in text.splitlines():
        if line.startswith("<!-- [[[cog"):
            inside = not line.endswith("]]] -->")
        elif inside:
            inside = line != "]]] -->"
        elif line != "<!-- [[[end]]] -->":
            kept.append(line)
    return "\n".join(kept) + "\n"
