"""Trials of a loaded model on tokens at random: what it can do, whatever its architecture is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from rmplug_hf.tokens._batch import Batch, padded
from rmplug_hf.tokens._prompt_states import run_prompts
from rmplug_hf.tokens._reads import all_tokens
from rmplug_hf.tokens._shared_prompts import Band, Family, Sharing, behind_prompts
from rmplug_hf.tokens._tokenizing import Tokens

from ._padding import padding_is

if TYPE_CHECKING:
    from ._loading import Loaded

TRIED = 12
"""Tokens that are the same, and then as many that differ, in the trial of a model."""
TAILS = (9, 5)
"""Tokens that follow a shared prompt in its trial, and those of rows in that of padding: of two
lengths, so that some are padding."""


def scales_positions(loaded: Loaded) -> bool:
    """Check whether positions are scaled by the length of the row."""
    config = loaded.config.get_text_config()
    positions = repr([getattr(config, f"rope_{what}", None) for what in ("parameters", "scaling")])
    return any(name in positions for name in ("dynamic", "longrope"))


def is_causal(loaded: Loaded) -> bool:
    """Check whether the state of a token is independent of later ones, up to rounding of the
    model's numbers."""
    ids = np.random.default_rng(0).integers(loaded.vocabulary, size=(2, 2 * TRIED))
    ids[1, :TRIED] = ids[0, :TRIED]
    batch = _padded(loaded, [Tokens(row, 0, 2 * TRIED) for row in ids])
    with torch.inference_mode():
        states: torch.Tensor = loaded.model.base_model(**batch.arguments())[0]
    return is_near(*states[:, :TRIED])


def ignores_padding(loaded: Loaded) -> bool:
    """Check whether a model gives of rows that are padded what it gives of each alone, up to
    rounding of its numbers; true where it cannot be told."""
    rows = random_rows(loaded, TAILS * 2)
    batches = [_padded(loaded, rows), *(_padded(loaded, [row]) for row in rows)]
    try:
        with torch.inference_mode():
            together, *alone = (output_of(loaded, batch) for batch in batches)
            if not together.any():  # a head of zeros tells nothing
                together, *alone = (body_output(loaded, batch) for batch in batches)
    except torch.OutOfMemoryError:
        raise
    except Exception:  # whatever a model raises that wants certain tokens
        return True
    if together.dim() == 2:
        return gives_the_same(torch.cat(alone), together)
    parts = zip(alone, together, strict=True)
    return all(gives_the_same(one[0], other[: len(one[0])]) for one, other in parts)


def shares_prompts(loaded: Loaded) -> bool:
    """Check whether a model gives of rows behind the keys and values of their prompts what it gives
    of whole rows, up to rounding of its numbers."""
    rows = random_rows(loaded, [TRIED + tail for tail in TAILS * 2])
    for one, other in ((0, 1), (2, 3)):
        rows[other].ids[:TRIED] = rows[one].ids[:TRIED]
    if loaded.pad is not None:  # a head that looks for the first of it finds it in a prompt, too
        for row in rows[:2]:
            row.ids[TRIED // 2] = loaded.pad
    band = Band([Family(np.array([0, 1]), TRIED), Family(np.array([2, 3]), TRIED)], TRIED)
    try:
        with torch.inference_mode():
            whole = _last(loaded, _padded(loaded, rows))
            sharing = Sharing(partial(run_prompts, loaded.model), lambda: True, all_tokens)
            prompts = sharing.run_prompts(rows, band, 2 * TRIED, loaded.device)
            tails = _padded(loaded, [row.after(TRIED) for row in rows])
            parted = _last(loaded, behind_prompts(tails, prompts, band, band.rows))
    except torch.OutOfMemoryError:
        raise
    except Exception:  # whatever a model raises that keeps no keys and values, or other ones
        return False
    return not scales_positions(loaded) and gives_the_same(whole, parted)


def random_rows(loaded: Loaded, lengths: Sequence[int]) -> list[Tokens]:
    """Return rows of tokens at random, none of which is the pad token."""
    numbers = np.random.default_rng(0)
    rows = [numbers.integers(1, loaded.vocabulary, size=length) for length in lengths]
    if loaded.pad is not None:
        for ids in rows:
            ids[ids == loaded.pad] = (loaded.pad + 1) % loaded.vocabulary
    return [Tokens(ids, 0, len(ids)) for ids in rows]


def _padded(loaded: Loaded, rows: list[Tokens]) -> Batch:
    batch = padded(rows, loaded.pad, loaded.vocabulary, loaded.device)
    assert batch is not None
    return batch


def output_of(loaded: Loaded, batch: Batch) -> torch.Tensor:
    """Return what a model gives of each row, or of every token."""
    with padding_is(loaded.config, batch.pad):
        output: torch.Tensor = loaded.model(**batch.arguments())[0]
    return output


def body_output(loaded: Loaded, batch: Batch) -> torch.Tensor:
    """Return what the body of a model, without its head, gives of every token."""
    states: torch.Tensor = loaded.model.base_model(**batch.arguments())[0]
    return states


def _last(loaded: Loaded, batch: Batch) -> torch.Tensor:
    """Return what a model gives of each row, or of its last token: of shape (rows, numbers)."""
    output = output_of(loaded, batch)
    return output if output.dim() == 2 else output[range(len(output)), batch.lengths - 1]


def gives_the_same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Check whether all that is given together is the same, up to rounding: one number, the score
    of a row, may be so near to 0 that nothing of it is left beside the rounding of bfloat16."""
    return is_near(one.flatten(), other.flatten())


def is_near(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Check whether vectors are the same, up to rounding of their numbers; those with NaN are
    not."""
    far = (one.float() - other.float()).norm(dim=-1) / one.float().norm(dim=-1)
    return bool((far <= torch.finfo(one.dtype).eps ** 0.5).all())
