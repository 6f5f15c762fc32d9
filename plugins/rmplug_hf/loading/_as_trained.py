"""A trained model's folder opened as it was trained: parameters that the spec leaves open come from
``format.json``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import ValidationError

from rmplug import DataError, Origin
from rmplug.models.encoder_choice import locate_encoder
from rmplug.models.reopen import locate

from ._adapters import CONFIG
from ._format_file import NAME, FormatFile, find_format, recorded_params
from ._loading import Loaded
from ._locations import folder_of
from ._probes import check_probes
from .number_format import is_widened

if TYPE_CHECKING:
    from .loaders import HubModel

Model = TypeVar("Model", bound="HubModel")


@dataclass(frozen=True)
class AsTrained(Generic[Model]):
    """A step with the parameters of the training; ``changed`` are those that the spec has set to
    other values, ``found`` the file in ``folder`` that says so."""

    step: Model
    changed: tuple[str, ...] = ()
    found: FormatFile | None = None
    folder: Path = Path()

    def check(self, loaded: Loaded) -> None:
        """Refuse a tokenizer that reads otherwise than in training."""
        if self.found is not None:
            check_probes(loaded, self.found, self.folder, self.changed)


def as_trained(step: Model) -> AsTrained[Model]:
    """Return a step with the parameters of its folder's ``format.json``, where there is one of its
    kind; one that the step sets itself stays. A folder with an adapter alone becomes the model
    below it with that adapter."""
    folder = folder_of(step)
    at = folder if step.adapter is None or not (step.adapter / NAME).exists() else step.adapter
    found = find_format(at)
    if found is None or found.kind != step.kind:
        return AsTrained(step)
    recorded = dict(recorded_params(type(step), found, at))
    if getattr(step, "head", "trained") == "new":
        for name in ("outputs", "dtype"):  # which were those of the head that is replaced
            recorded.pop(name, None)
    if is_widened(step, recorded.get("dtype")):
        recorded.pop("dtype", None)
    own = {name: getattr(step, name) for name in step.model_fields_set}
    try:
        taken = type(step).model_validate({**own, **recorded})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{at / NAME} cannot be used: {where:.60}: {first['msg']:.100}") from error
    changed = [n for n in recorded if n in own and getattr(taken, n) != own[n]]
    taken = taken.model_copy(update={name: own[name] for name in own})
    if step.adapter is None and (folder / CONFIG).is_file() and found.below is not None:
        below = locate_below(found, folder)
        update = {"path": below, "name": None, "revision": None, "adapter": folder}
        taken = taken.model_copy(update=update)
    return AsTrained(taken, tuple(changed), found, at)


def locate_below(found: FormatFile, folder: Path) -> Path:
    """Find the model below the adapter in ``folder``: where it was, in the local cache, or by its
    name beside or in that folder. Raises DataError unless each file is what it was."""
    assert found.below is not None
    origin = Origin(found.kind, found.below.params, found.below.digests)
    written = origin.params.get("path")
    if isinstance(written, str) and not (folder / written).is_dir():
        name = PurePath(written).name
        moved = [place for place in (folder.parent / name, folder / name) if place.is_dir()]
        if moved:
            origin = replace(origin, params={**origin.params, "path": str(moved[0].absolute())})
    say = "the model's folder as path, and this one as adapter"
    if origin.params.get("path") is None and origin.params.get("name") is None:
        raise DataError(
            f"{folder / NAME} does not say on which model the adapter was trained; give {say}"
        )
    _, params = locate(origin, folder, say)
    return locate_encoder(params.get("name") or "", None, params.get("path"), ())
