"""A loader of preferences and responses through the `datasets` library."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rmplug import DatasetLoader, InputPaths, Names, Pairs, Responses


class HubFields(BaseModel):
    """The paths of the fields in a row: names of columns; dots reach into nested ones
    (``meta.question``, ``answers.0.text``). A field without a path is looked up by its own name."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    id: str | None = None
    """The row's id; without one it is ``<split>:<row number>``."""
    group: str | None = None
    """The group of the row in resampling; by default a hash of the prompt."""
    subset: str | None = None
    """The slice that results are split by."""
    prompt: str | None = None
    """The prompt; not needed where responses are whole conversations."""
    chosen: str | None = None
    """The preferred response (of pairs)."""
    rejected: str | None = None
    """The other response (of pairs)."""
    margin: str | None = None
    """The strength of the preference, a number (of pairs)."""
    weight: str | None = None
    """The weight of the row, a number (of pairs)."""
    response: str | None = None
    """The response (of responses)."""
    label: str | None = None
    """The label: right or acceptable, or not (of responses)."""
    model: str | None = None
    """The model or person that wrote the response (of responses)."""


class HubDataset(DatasetLoader):
    """Load preference pairs or responses from the hub, a local folder or local files.

    Reads whatever `datasets` reads: a name on the hub, a folder of data files or one that
    `save_to_disk` wrote, or files (Parquet, Arrow, JSON, JSON Lines, CSV).

    Gives `id`, `group`, `prompt`, `chosen` and `rejected` (or `response`), and every further
    column: nested ones become dotted columns (`meta.source`), lists JSON text; bytes, such as
    images, are left out. `chosen` and `rejected` may be texts, lists of messages, or whole
    conversations: the prompt is then what both begin with. With several splits their rows follow
    one another, and a column `split` says which is which.

    Of a name on the hub, the commit is part of the fingerprint: the one that the local cache knows
    as the revision, else the one that the hub has now.
    """

    kind = "hub-dataset"
    requires = ("datasets", "huggingface_hub")
    extra = "hf"

    name: str | None = None
    """Name on the hub, such as `trl-lib/ultrafeedback_binarized`."""
    revision: str | None = None
    """Commit, tag or branch of `name`; by default `main`."""
    path: InputPaths | None = Field(default=None, examples=["./my-preferences"])
    """A local folder, or one file or several of one type, instead of `name`."""
    config: str | None = None
    """The configuration, where the data set has several."""
    folder: str | None = None
    """The folder of the data set to read, such as `harmless-base`; by default all of it."""
    split: Names = ("train",)
    """The split, or several."""
    streaming: bool = False
    """Read rows as they arrive, without copying the data first. Columns and their types are then
    those of the first rows."""
    rows: Literal["pairs", "responses"] = "pairs"
    """The kind of row: a preference pair, or one response."""
    fields: HubFields = Field(default_factory=HubFields)
    """The paths of the fields in a row."""
    ratings: Mapping[str, str] = Field(default_factory=dict)
    """Attributes with the column of each, numbers; responses get them as `ratings.<attribute>`."""
    form: Literal["auto", "text", "messages", "transcript"] = "auto"
    """The format of texts: plain `text`, chat `messages` (`role` and `content`, or `from` and
    `value`; also as JSON within a text), a `transcript` with `Human:` and `Assistant:` after blank
    lines; `auto` takes lists as messages, and texts that begin with a blank line and `Human:` as
    transcripts."""
    bad_rows: Literal["error", "drop"] = "error"
    """The policy for rows that cannot be used, such as a response that is no text: stop and name
    them, or leave them out and count them."""
    limit: int | None = Field(default=None, ge=1, le=10**15)
    """Read only the first rows that are usable, this many."""

    @model_validator(mode="after")
    def _check(self) -> HubDataset:
        if (self.path is None) == (self.name is None):
            raise ValueError("give either name (on the hub) or path (a folder or files)")
        if self.revision is not None and self.name is None:
            raise ValueError("revision belongs to name (a data set on the hub), not to path")
        if self.name is not None and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", self.name):
            raise ValueError(f"{self.name!r} is no name on the hub; for a folder write path")
        if not self.split:
            raise ValueError("split needs at least one name")
        if self.ratings and self.rows == "pairs":
            raise ValueError("ratings are of responses; set rows: responses")
        return self

    def identity(self) -> Mapping[str, Any]:
        """Return the commit of a name on the hub."""
        if self.name is None:
            return {}
        from ._hub_dataset import commit_of

        return {"commit": commit_of(self.name, self.revision)}

    def load(self) -> Pairs | Responses:
        from ._hub_dataset import tables

        kind = Pairs if self.rows == "pairs" else Responses
        return kind.stream(tables(self))
