"""Named entities that two responses share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from rmplug import FeatureComputer, Features, InputPath, Known, Pairs
from rmplug.models.devices import Device


class Entities(FeatureComputer):
    """Compare the two responses of a pair by the people, places and things that they name.

    Gives `entity_sim`, 0 to 1: how many named entities both responses have, divided by how many
    either has (Jaccard); 1 where neither has any, which is counted. Entities are compared in lower
    case, without punctuation, without a leading `the`, `a` or `an`, and with single spaces.

    `compat: original` repeats the hybrid preference router (arXiv 2410.19133): characters other
    than ASCII letters, digits and spaces are dropped, then every `the`, inside words too, and the
    score is `shared / (2 * n_rejected - shared)`, 1 where that is nothing divided by nothing. It
    changes when the responses are exchanged. (The router also lemmatises; this does not.)

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
    """Kinds of entities that count, by the model's labels (`PER`, `LOC`); all unless given."""
    compat: Literal["none", "original"] = "none"
    """`original` repeats the original's formula and normalisation: see above."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the model's weights."""
    device: Device = "auto"
    """Device of the model: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:1`."""
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
        """True if spaCy recognises the entities."""
        from ._spacy_pipelines import is_spacy_folder

        return self.spacy is not None or (self.path is not None and is_spacy_folder(self.path))

    def identity(self) -> Mapping[str, Any]:
        """Return the commit of a name on the hub, or the versions of spaCy and a pipeline."""
        if self.name is not None:
            from rmplug.models.hub import commit_of

            return {"commit": commit_of(self.name, self.revision)}
        if self.reads_spacy:
            from ._spacy_pipelines import read_versions

            return {"spacy": read_versions(self.spacy)}
        return {}

    def compute(self, data: Pairs) -> Features:
        from ._entities import EntityComparison, ListedEntityComparison, check_entity_columns

        if self.given is not None:
            check_entity_columns(data, self.given)
            return data.map(ListedEntityComparison(self.given, self.compat))
        return data.map(EntityComparison(self.compat), open=self.recogniser_opener())

    def recogniser_opener(self) -> Callable[[], Callable[[Sequence[str]], list[list[str]]]]:
        """Return the opener of the recogniser, once per process; it lists the entities of each
        text."""
        from ._recognisers import SpacyOpener, TokenClassifierOpener

        if self.reads_spacy:
            return SpacyOpener(self.spacy, self.path, self.labels, self.batch_rows)
        return TokenClassifierOpener(
            path=self.path,
            name=self.name,
            revision=self.revision,
            labels=self.labels,
            dtype=self.dtype,
            device=self.device,
            batch_rows=self.batch_rows,
        )

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(columns=["entity_sim"])
