"""The command ``train``: a reward model from a few words."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmplug.errors import RmplugError

from .registry import registry_of
from .spec_text import as_yaml
from .tables import shown_path

if TYPE_CHECKING:
    from rmplug._kinds.registry import Registry
    from rmplug._run.finished import Run
    from rmplug.models.train_spec import Training

LINE = 100


def train(options: argparse.Namespace) -> int:
    """Train a reward model on pairs: print the spec for it, run it, measure it on held-out prompts.

    What is in the store is reused, and an interrupted training goes on when it is started again."""
    from rmplug._run.progress import progress_observer
    from rmplug._run.run import run
    from rmplug.models.train_spec import Training

    registry = registry_of(options)
    columns = {name: getattr(options, name) for name in ("prompt", "chosen", "rejected")}
    wanted = Training(
        options.model,
        options.data,
        {name: column for name, column in columns.items() if column},
        options.loader,
        options.test,
        options.validation,
        options.seed,
        _params(options),
    )
    if options.spec is not None:
        return _write(wanted, registry, Path(options.spec))
    if options.out is not None and Path(options.out).exists():
        raise RmplugError(f"{Path(options.out)} is there already; name a folder that is not")
    spec = _checked(wanted, registry, Path())
    print(as_yaml(spec), flush=True)

    observers = [] if options.quiet else [progress_observer(options.verbose)]
    finished = run(spec, store=options.store, observers=observers, registry=registry, quiet=True)
    _tell(finished, options.out)
    return 0


def _tell(finished: Run, out: str | None) -> None:
    """Write where the record, the report and the model are."""
    from rmplug.models.train_spec import TRAINED
    from rmplug.models.trained import save_trained

    model = finished.path(TRAINED) if out is None else save_trained(finished, Path(out))
    print(f"record: {shown_path(finished.record_path)}")
    for page in finished.reports:
        print(f"report: {shown_path(page)}")
    print(f"model: {shown_path(model)}")


def _params(options: argparse.Namespace) -> dict[str, Any]:
    """Return the parameters of ``--param``, whose dots reach into mappings, and of ``--lora``."""
    from rmplug._spec.source import parse_source

    params: dict[str, Any] = {"lora": {}} if options.lora else {}
    for entry in options.param:
        name, equals, value = entry.partition("=")
        if not equals or not all(name.split(".")):
            raise RmplugError(f"--param {entry}: write it as NAME=VALUE, such as lora.r=8")
        read = parse_source(f"value: {value}", f"--param {name}", Path())
        inner: Any = params
        *above, last = name.split(".")
        for part in above:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise RmplugError(f"--param {entry}: {part} has the value {inner!r} already")
        inner[last] = read.data["value"] if isinstance(read.data, dict) else None
    return params


def _checked(wanted: Training, registry: Registry, folder: Path) -> dict[str, Any]:
    """Return the spec as a file in ``folder`` would hold it. Raises SpecError with its problems."""
    from rmplug._spec.check import load_spec
    from rmplug._spec.source import parse_source

    spec = wanted.spec(registry, folder)
    load_spec(parse_source(as_yaml(spec), "rmplug train", folder), registry)
    return spec


def _write(wanted: Training, registry: Registry, path: Path) -> int:
    """Write the spec where it passes the check; a path in it is written from its folder."""
    if path.exists():
        raise RmplugError(f"{path} is there already; name a file that is not")
    if not path.parent.is_dir():
        raise RmplugError(f"cannot write {path}: there is no folder {path.parent}; make it first")
    spec = _checked(wanted, registry, path.parent)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(as_yaml(spec))
    except FileExistsError as error:
        raise RmplugError(f"{path} is there already; name a file that is not") from error
    except OSError as error:
        raise RmplugError(f"cannot write {path}: {error.strerror}") from error
    print(f"wrote {shown_path(path)}; rmplug run {shown_path(path)}")
    return 0
