"""States and labels in the safetensors layout of the published scripts: read and written."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from rmplug import (
    FeatureComputer,
    Features,
    InputPaths,
    Pairs,
    Report,
    Reporter,
    Responses,
)


class EmbeddingsFile(FeatureComputer):
    """Read states, and labels where there are any, from safetensors files of embeddings.

    Rated responses have `embeddings` (n, d) and mostly `labels` (n, K): gives the vector `response`
    and a column per attribute, NaN where a label is missing. Pairs have `embeddings` (n, 2, d),
    chosen first, and mostly `prompt_embeddings` (n, 2, d): gives the vectors `chosen`, `rejected`
    and `prompt`; where the two states of a prompt differ, that before the chosen response is taken
    and the rows are counted. Numbers in bfloat16, float16, float32 or float64 become float32.

    Shards are `<name>-00001-of-0000N.safetensors`: all N must be there, and of one name, so that
    data sets do not mix. Files are memory-mapped and read a batch at a time. Rows take their `id`
    and `group` from ``data`` where it is given, row by row; else ids are `<name>/<row>`, from 0.
    """

    kind = "embeddings-file"

    path: InputPaths
    """The shards, or a pattern such as `embeddings/my-model/ultrafeedback-*.safetensors`."""
    attributes: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Names of the columns of `labels`, in order; unless given, the published nineteen, where there
    are nineteen."""

    def compute(self, data: Pairs | Responses | None = None) -> Features:
        from ._embeddings_file import read

        return Features.stream(read(self.path, self.attributes, data))


class WriteEmbeddings(Reporter):
    """Write states, and labels where there are any, as safetensors files of embeddings.

    The layout is that of `embeddings-file`: from the vector `response`, `embeddings` (n, d) and,
    with ``attributes``, `labels` (n, K) in float32; from the vectors `chosen` and `rejected`,
    `embeddings` (n, 2, d), and from `prompt`, where there is one, `prompt_embeddings` (n, 2, d).
    Shards are named `<name>-00001-of-0000N.safetensors` whatever their number; `index.html` lists
    them with their rows.
    """

    kind = "write-embeddings"

    name: str = Field(pattern=r"^[^/\\]+$", examples=["ultrafeedback"])
    """The first part of the names of the files."""
    attributes: dict[str, str] | None = Field(default=None, min_length=1)
    """The attributes in the order of `labels`, and the column of ``labels`` that has each."""
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Number format of the states in the file; bfloat16 rounds them to 8 bits."""
    rows_per_file: int = Field(default=100_000, ge=1)
    """Rows of each shard, fewer in the last."""

    def report(
        self, states: Features, labels: Responses | Features | None = None, *, directory: Path
    ) -> Report:
        from ._embeddings_file import ShardSettings, write

        settings = ShardSettings(self.name, self.attributes, self.dtype, self.rows_per_file)
        write(settings, states, labels, directory)
        return Report(directory, "index.html")
