"""Models made again from the record in a checkpoint.

A checkpoint may be a stranger's. Its record says on which model it was trained and how that model
was used, and it grants nothing: the kind must be one that declares which parameters a record may
hold (``ModelLoader.reopened_with``); the model's files are opened only where each has the SHA-256
of the record; a name on the hub stands for the recorded commit in the local cache and is never
fetched. What lets code run, pickles be read or a network be used comes from the user alone, whose
spec or command is ``changed``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rmplug._kinds.registry import discover
from rmplug.artifacts import Origin, RewardModel
from rmplug.errors import DataError, RmplugError, some
from rmplug.families import ModelLoader, Step, Trainer
from rmplug.known import Known

from .digests import defining_files, known_checksum
from .files import read_json
from .hub import COMMIT, cached
from .installed_encoders import MINILM

NETWORK = ("//", "\\\\")


def load_model(cls: type[ModelLoader], params: Mapping[str, Any]) -> RewardModel:
    """Load the model by a loader with these parameters; a wrong parameter is named."""
    from pydantic import ValidationError

    try:
        model: RewardModel = getattr(cls.model_validate(dict(params)), cls.method)()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        location = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise RmplugError(": ".join(filter(None, (cls.kind, location, message)))) from error
    return model


def reopen(origin: Origin, directory: Path, **changed: Any) -> RewardModel:
    """Return the model that the checkpoint in ``directory`` was trained on, made again.

    ``changed`` is what the user says of it: where it is now (``path``), how it runs (``device``),
    what it may do (``trust_remote_code``). Raises DataError where the record asks for more than a
    record may, and where a file is not what it was.
    """
    return load_model(*locate(origin, directory, **changed))


def locate(
    origin: Origin, directory: Path, say: str = "encoder", **changed: Any
) -> tuple[type[ModelLoader], dict[str, Any]]:
    """Return the loader of the model that a record names, and its parameters, the files compared
    with the record. ``say`` is what messages tell the user to give where a model is not found."""
    cls = _loader(origin, directory)
    params = {**_recorded(cls, origin, directory, say), **changed}
    if changed.get("path") is not None:
        params.update(dict.fromkeys({"name", "revision"} & set(params)))
    _check_files(origin, directory, params, changed.get("path") is not None, say)
    absent = [name for name in _required(cls) if name not in params]
    if absent:  # no record may say it, such as the address of a server
        raise DataError(
            f"the checkpoint {directory} was trained on a model of the kind {cls.kind}, and does "
            f"not say its {some(absent)}: say it yourself, in the spec or the command that opens "
            "the checkpoint"
        )
    return cls, params


def _loader(origin: Origin, directory: Path) -> type[ModelLoader]:
    """Return the loader that a record names; one that declares nothing for records is refused."""
    if not isinstance(origin.kind, str) or len(origin.kind) > 100 or not _is_record(origin):
        raise DataError(f"{directory} does not say on which model it was trained; train it again")
    cls = discover().find(origin.kind).cls
    if not issubclass(cls, ModelLoader):
        raise RmplugError(f"{origin.kind!r} is a {cls.family}, not a model loader")
    if not cls.reopened_with:
        raise DataError(
            f"{directory} names a model of the kind {origin.kind}, which a checkpoint cannot open; "
            "a model of that kind is opened by a spec or a command only"
        )
    return cls


def unsaid(kind: Any) -> list[str]:
    """List the parameters without which a kind of model is not opened and that no record may say,
    such as the address of a server; none of what is no kind."""
    try:
        cls = discover().find(str(kind)).cls
    except RmplugError:
        return []  # what is wrong is said where the checkpoint is opened
    if not issubclass(cls, ModelLoader) or not cls.reopened_with:
        return []
    return [name for name in _required(cls) if name not in cls.reopened_with]


def _required(cls: type[Step]) -> list[str]:
    return [name for name, info in cls.model_fields.items() if info.is_required()]


def _is_record(origin: Origin) -> bool:
    """Check whether parameters and digests are the mappings of texts that a record holds."""
    params, digests = origin.params, origin.digests
    return (
        isinstance(params, Mapping)
        and isinstance(digests, Mapping)
        and all(isinstance(text, str) for text in (*params, *digests, *digests.values()))
    )


def _recorded(cls: type[ModelLoader], origin: Origin, directory: Path, say: str) -> dict[str, Any]:
    """Return the parameters of a record, its locations made local; one that no record may hold is
    refused unless it only repeats the default."""
    fields = cls.model_fields
    for name, value in origin.params.items():
        says_nothing = name in fields and value == fields[name].default
        if name not in cls.reopened_with and not says_nothing:
            raise DataError(
                f"the checkpoint {directory} asks for {name}: {value!r:.40} to open its "
                f"{origin.kind}: a checkpoint cannot allow or ask for that; read what it brings, "
                "and say it yourself, in the spec or the command that opens the checkpoint"
            )
    params = {name: value for name, value in origin.params.items() if name in cls.reopened_with}
    for name in ("path", "adapter"):
        if params.get(name) is not None:
            params[name] = _local(params[name], directory)
    if params.get("path") is None and params.get("name") not in (None, MINILM.name):
        params["path"] = _cached(params.pop("name"), params.pop("revision", None), directory, say)
    return params


def _local(written: Any, directory: Path) -> Path:
    """Return a recorded path on this machine; a relative one is inside the checkpoint's folder."""
    if not isinstance(written, str) or written.startswith(NETWORK) or "\0" in written:
        raise DataError(f"the checkpoint {directory} names {written!r:.80}, which is no local path")
    return directory / written


def _cached(name: Any, commit: Any, directory: Path, say: str) -> Path:
    """Return the folder of a recorded name in the local cache, at the recorded commit."""
    if not isinstance(name, str) or not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        raise DataError(
            f"the checkpoint {directory} names {name!r:.80} on the hub without the commit it was "
            f"trained on; give the folder of that model yourself: {say}"
        )
    folder = cached(name, commit)
    if folder is None:
        raise DataError(
            f"the checkpoint {directory} was trained on the hub model {name} ({commit[:12]}), "
            "which is not in the local cache, and no checkpoint has it fetched; fetch it yourself, "
            f"or give its folder: {say}"
        )
    return folder


def _check_files(
    origin: Origin, directory: Path, params: Mapping[str, Any], located: bool, say: str
) -> None:
    """Refuse files that are not those of the record, before any of them is opened. A record without
    digests is enough only where the user has ``located`` the model."""
    folder, adapter = params.get("path"), params.get("adapter")
    if folder is None:
        return
    if not Path(folder).is_dir():
        raise DataError(
            f"the checkpoint {directory} was trained on the {origin.kind} {folder}, which is not "
            f"there; say where it is now: {say}"
        )
    if located and not origin.digests:
        return
    files = defining_files(Path(folder), None if adapter is None else Path(adapter))
    other = sorted(set(files) ^ set(origin.digests))
    # names first: a record cannot have a folder read whose files it does not know
    other = other or [n for n, path in files.items() if known_checksum(path) != origin.digests[n]]
    if other or not files:
        raise DataError(
            f"the checkpoint {directory} was trained on another {origin.kind} than {folder} is "
            f"now: {some(other) or 'all files'} differ; use the files that it was trained with, or "
            "train again"
        )


def open_folder(folder: Path, **changed: Any) -> RewardModel:
    """Open the reward model of a folder whose ``config.json`` names, as ``kind``, the trainer that
    wrote it; ``changed`` is passed to that trainer's ``open``."""
    try:
        kind = read_json(folder / "config.json")["kind"]
        if not isinstance(kind, str):
            raise TypeError("kind is no text")
    except (DataError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder / 'config.json'} names no kind of trainer "
            f"({type(error).__name__}: {error}); give the folder that a trainer wrote"
        ) from error
    return open_trained(kind, folder, folder, **changed)


def foresee_folder(folder: Path) -> Known:
    """Foresee the reward model of a folder, from its settings alone: nothing is loaded."""
    try:
        maker = discover().find(str(read_json(folder / "config.json")["kind"])).cls
        return maker.foresee_folder(folder) if issubclass(maker, Trainer) else Known()
    except (RmplugError, KeyError):
        return Known()  # what is wrong is said where the folder is opened


def is_trained(folder: str | Path) -> bool:
    """Check whether a trainer that is installed wrote a folder, by its ``config.json``."""
    try:
        kind = read_json(Path(folder) / "config.json")["kind"]
        return issubclass(discover().find(str(kind)).cls, Trainer)
    except (RmplugError, KeyError, TypeError):
        return False


def open_trained(kind: str, folder: Path, named: Path | str, **changed: Any) -> RewardModel:
    """Open the reward model that a trainer wrote to a folder, which messages call ``named``."""
    maker = discover().find(kind).cls
    if not issubclass(maker, Trainer):
        raise RmplugError(f"{named} was made by {kind}, which trains no model")
    if changed and not maker.takes_settings():
        raise RmplugError(f"a model of {kind} opens as it is; leave out {some(sorted(changed))}")
    model: RewardModel = getattr(maker, "open")(folder, **changed)  # noqa: B009
    return model
