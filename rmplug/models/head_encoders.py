"""The encoder under a head in a folder: made again from the record, or given, and proved.

Files of a model have digests; a model behind an address has none, and neither has one that a user
gives in place of the recorded one. What such an encoder is, its states tell: those of two fixed
conversations stand beside the head, and are asked for again before it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmplug.artifacts import Origin, RewardModel
from rmplug.errors import DataError, some
from rmplug.notices import collect_notices

from .files import read_tensors
from .kept import keeping_nothing
from .reopen import reopen
from .state_encoder import StateEncoder

if TYPE_CHECKING:
    import numpy as np

PROBE = "probe.safetensors"
NEAR = 5e-2
"""Greatest distance, relative to their length, of states that count as the same (bfloat16)."""
CONVERSATIONS = (
    ("Is 91 prime?", "No: 91 = 7 × 13."),
    (
        "Write two sentences about the sea, and say which of them you like better.",
        "The tide takes the sand and brings it back. Far out, a bell rings on its buoy. I like the "
        "second, because one hears it.",
    ),
)


def encoder_of(model: RewardModel) -> StateEncoder:
    """Return the model as an encoder. Raises DataError if it is none, or cannot be loaded again."""
    opened = model.open()
    name = model.name or type(opened).__name__
    if not isinstance(opened, StateEncoder):
        raise DataError(
            f"{name} is no encoder that can be loaded again; load the model with kind: encoder (a "
            "head that it has is left out)"
        )
    if opened.origin() is None:
        raise DataError(
            f"{name} is no encoder that can be loaded again, since no record says all that its "
            "states depend on (a head, a projection, the input tokens of a served one); give the "
            "encoder without that"
        )
    return opened


def write_probe(directory: Path, encoder: StateEncoder, parts: Sequence[str] = ("both",)) -> None:
    """Write the states by which the encoder is known again; ``parts`` of a conversation are those
    that the head reads (``StateEncoder.vectors``)."""
    from safetensors.numpy import save_file

    save_file({part: _states(encoder, part) for part in parts}, directory / PROBE)


def open_encoder(
    origin: Origin, directory: Path, changed: Mapping[str, Any], parts: Sequence[str] = ("both",)
) -> StateEncoder:
    """Return the encoder of the head in ``directory``.

    ``changed`` is what the user says of it, as for ``reopen``, or a model to use in its place
    (``backbone``). Raises DataError where it is no encoder, and where its states, of a model that
    has no files to compare, are not those that the head was trained on.
    """
    settings = dict(changed)
    given = settings.pop("backbone", None)
    if given is not None and settings:
        raise DataError(
            f"the encoder of {directory} is given, and has its own {some(sorted(settings))}; leave "
            "that out"
        )
    encoder = reopen(origin, directory, **settings) if given is None else given.open()
    if not isinstance(encoder, StateEncoder):
        raise DataError(f"{directory} names no encoder; give it one, or train the head again")
    own = encoder.origin()
    if given is not None or own is None or not own.digests:
        _prove(directory, encoder, parts)
    return encoder


def _prove(directory: Path, encoder: StateEncoder, parts: Sequence[str]) -> None:
    """Refuse an encoder whose states are not those beside the head."""
    import numpy as np

    kept = read_tensors(directory / PROBE) if (directory / PROBE).is_file() else {}
    if not set(kept).issuperset(parts):
        raise DataError(
            f"{directory} has no states in {PROBE} by which its encoder is known again; open it "
            "with the files of the encoder, or train the head again"
        )
    for part in parts:
        now, then = _states(encoder, part), kept[part]
        apart = "of another width"
        if now.shape == then.shape:
            sizes = np.maximum(np.linalg.norm(then, axis=1), 1e-12)
            far = float((np.linalg.norm(now - then, axis=1) / sizes).max())
            if far <= NEAR:
                continue
            apart = f"{far:.0%} away"
        raise DataError(
            f"the head in {directory} was trained on other states than "
            f"{getattr(encoder, 'name', '') or 'its encoder'} gives now: those of two fixed texts "
            f"are {apart}; serve and ask the model that it was trained on, or train the head again"
        )


def _states(encoder: StateEncoder, part: str) -> np.ndarray:
    """Return float32 states (2, width) of the fixed conversations, as the model gives them now."""
    import pyarrow as pa

    from rmplug.data.messages import message_type

    prompts = [[{"role": "user", "content": asked}] for asked, _ in CONVERSATIONS]
    answers = [[{"role": "assistant", "content": said}] for _, said in CONVERSATIONS]
    rows = pa.RecordBatch.from_arrays(
        [
            pa.array(["probe 1", "probe 2"]),
            pa.array(prompts, message_type()),
            pa.array(answers, message_type()),
        ],
        names=["id", "prompt", "response"],
    )
    with keeping_nothing(), collect_notices():
        return encoder.vectors(rows, part)
