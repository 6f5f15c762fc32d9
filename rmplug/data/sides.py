"""The sides of preference pairs as rows of responses."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def side_of(batch: pa.RecordBatch, side: str) -> pa.RecordBatch:
    """Return one side of a batch (``chosen``, ``rejected``, ``response``) as rows of ``Responses``,
    with ids ``<id>/chosen`` where there are two; ``prompt`` gives each prompt as its own
    response."""
    import pyarrow as pa

    ids = batch.column("id")
    if side in ("chosen", "rejected"):
        ids = pa.array([f"{name}/{side}" for name in ids.to_pylist()], pa.string())
    prompts = batch.column("prompt")
    responses = prompts if side == "prompt" else batch.column(side)
    return pa.RecordBatch.from_arrays([ids, prompts, responses], names=["id", "prompt", "response"])
