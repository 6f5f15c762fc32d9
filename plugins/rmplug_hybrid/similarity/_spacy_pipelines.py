"""spaCy pipelines: those that are installed, and those in folders, which run no code of theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any

from rmplug import DataError
from rmplug.errors import did_you_mean, some

CONFIG = "config.cfg"
GROUP = "spacy_models"
"""The entry points by which installed pipelines are found."""


def is_spacy_folder(path: Path) -> bool:
    return (path / CONFIG).is_file()


def read_versions(name: str | None) -> str:
    """Read the versions of spaCy and of an installed pipeline, both of which must be there."""
    try:
        spacy = version("spacy")
    except PackageNotFoundError:
        raise DataError("spaCy is not installed: pip install 'rmplug[spacy]'") from None
    if name is None:
        return spacy
    pipelines = {point.name: point for point in entry_points(group=GROUP)}
    if name not in pipelines:
        hint = f"; installed: {some(sorted(pipelines), 12)}" if pipelines else ""
        raise DataError(
            f"spacy: {name} is no installed pipeline{did_you_mean(name, pipelines)}{hint}; install "
            f"it (python -m spacy download {name}), or give the path of a folder"
        )
    dist = pipelines[name].dist
    return f"{spacy}, {name} {dist.version if dist is not None else ''}".strip()


def open_installed_pipeline(name: str) -> Any:
    """Open a pipeline that is installed as a package; nothing is fetched."""
    read_versions(name)
    # imported by name: spaCy is an extra of its own, which is there only if the person has it
    return import_module("spacy").load(name)


def open_pipeline_folder(path: Path) -> Any:
    """Open the pipeline in a folder. Its configuration may name what is installed, and nothing of
    the folder is executed: callbacks, components of other pipelines, and weights of other libraries
    (pickles, TorchScript) are refused."""
    read_versions(None)
    util = import_module("spacy.util")
    try:
        config = util.load_config(path / CONFIG, interpolate=True)
        _refuse(path, dict(_find_unsafe(config)))
        pipeline = util.load_model_from_config(config, meta=util.get_model_meta(path))
        _refuse(path, dict(_find_foreign_weights(pipeline)))
        return pipeline.from_disk(path)
    except DataError:
        raise
    except Exception as error:  # whatever a broken folder makes the library raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path} cannot be opened as a spaCy pipeline: {reason}") from error


def _refuse(path: Path, problems: Mapping[str, str]) -> None:
    for where, what in problems.items():
        raise DataError(
            f"{path / CONFIG}: {where} {what}, which a folder may not; if you trust it, install it "
            "as a package (python -m spacy package) and name it: {spacy: …}"
        )


def _find_unsafe(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Find the parts of a configuration that would run a callback, or load another pipeline."""
    for name, component in config.get("components", {}).items():
        if "source" in component:
            yield f"components.{name}", f"is taken from another pipeline ({component['source']})"
    for section in ("nlp", "components"):
        for where, function in _find_callbacks(config.get(section, {}), section):
            yield where, f"calls {function} when it is loaded"


def _find_callbacks(section: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    for key, value in section.items():
        if key == "@callbacks":
            yield where, str(value)
        elif isinstance(value, Mapping):
            yield from _find_callbacks(value, f"{where}.{key}")


def _find_foreign_weights(pipeline: Any) -> Iterator[tuple[str, str]]:
    """Find components with weights that another library reads, in its own way."""
    for name, component in pipeline.components:
        walk = getattr(getattr(component, "model", None), "walk", None)
        if walk is not None and any(layer.shims for layer in walk()):
            yield f"components.{name}", "has weights that spaCy does not read itself"


def read_entity_labels(pipeline: Any) -> list[str]:
    """Read the labels of all components that find entities, of which there must be one."""
    finders = [
        component for name, component in pipeline.pipeline if _finds_entities(pipeline, name)
    ]
    if not finders:
        raise DataError(
            f"the spaCy pipeline finds no named entities: it has {some(pipeline.pipe_names, 12)}"
        )
    return sorted({label for component in finders for label in component.labels})


def _finds_entities(pipeline: Any, name: str) -> bool:
    assigns = pipeline.get_pipe_meta(name).assigns
    return "doc.ents" in assigns or getattr(pipeline.get_pipe(name), "annotate_ents", False)
