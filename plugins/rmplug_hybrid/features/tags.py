"""What a prompt is about: tags from the data, from a file, or from a language model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from rmplug import (
    FeatureComputer,
    Features,
    InputPath,
    Known,
    ModelLoader,
    Pairs,
    QueryStrategy,
    Responses,
    RewardModel,
)

from ._feature_names import tag_names
from .vocabulary import DIMENSIONS, Dimension

TEMPLATE = """{question}
{answers}

Data:
[START]
{conversation}[END]
"""
PLACES = ("question", "answers", "dimension", "conversation")


class Tags(FeatureComputer):
    """Turn descriptive tags that come with the data, or in a file, into 0/1 features.

    Each dimension is a column of its own name (a text, or a list of texts), or an entry of one
    `column` that holds all of them: `{safety_concern: low, languages: [English]}`, as a structure
    or as JSON. With `path` they are read from a file and found by `id`; files and columns have the
    same shapes.

    Gives one column of booleans per value:
    `analyzer_closed_set::feature_name=languages|constraints=English`,
    `analyzer_scalar::feature_name=safety_concern|value=low`, and for dimensions whose values are
    free `analyzer_open_set::feature_name=format_constraints|check_for_existence=1` (whether there
    is any). Unless `dimensions` are given these are the eight of the hybrid
    preference router (arXiv 2410.19133), 63 columns.

    Values are compared without regard to case and spaces. Those that are in no vocabulary are
    counted and named with their rows; an empty list is no tag, and not missing.
    """

    kind = "tags"

    dimensions: Mapping[str, Dimension] | None = None
    """What the tags say, by name: `{topic: {values: [law, medicine]}}`; eight built-in dimensions
    unless given."""
    only: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Which of the dimensions; all of them unless given."""
    column: str | None = None
    """The one column (or field of the file) that holds all dimensions."""
    columns_of: Mapping[str, str] = Field(default_factory=dict)
    """The column (or field) of a dimension that has not its name: `{languages: prompt_language}`.
    """
    path: InputPath | None = None
    """File with tags, written as for `pairs-file`, instead of columns of the data."""
    id_field: str = "id"
    """The field of the file that holds a row's id."""
    match: Literal["normalised", "exact"] = "normalised"
    """Whether case and spaces are set aside when values are compared."""
    missing: Literal["error", "none"] = "error"
    """What to do with a row that has no value (null, or no line in the file): refuse it, or count
    it and give it no tag of that dimension."""
    unknown: Literal["count", "error"] = "count"
    """What to do with values that are in no vocabulary."""

    @model_validator(mode="after")
    def _check(self) -> Tags:
        _check_only(self.only, self.dimensions)
        odd = [name for name in self.columns_of if name not in self.vocabulary()]
        if odd:
            raise ValueError(f"columns_of names {odd[0]!r}, which is no dimension here")
        return self

    def vocabulary(self) -> dict[str, Dimension]:
        """The dimensions that are read, by name."""
        return _chosen(self.only, self.dimensions)

    def compute(self, data: Pairs | Responses) -> Features:
        from ._tags import tags

        return tags(data, self)

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        vocabulary = self.vocabulary().items()
        return Known(columns=[name for tag, known in vocabulary for name in tag_names(tag, known)])


class Tagger(QueryStrategy):
    """Ask a language model what each prompt is about: subjects, expertise, safety and more.

    Works with models that generate text: `causal-lm`, `generative-judge` and `endpoint`. Each
    prompt is asked about once per dimension, without sampling; identical ones are asked about once
    per shard. The answer must be JSON with the dimension as key: `{"safety_concern": "low"}`.

    Gives the 0/1 columns of the step `tags`, and for each dimension `missing.<dimension>`: 1 where
    the model gave no answer, or one that could not be read. These rows, and values that are in no
    vocabulary, are counted and named.

    With the built-in dimensions and `template: "{question}\n\nData:\n[START]\n{conversation}
    [END]\n"` a model is asked as the hybrid preference router asks its analyzer (arXiv
    2410.19133), with the instructions as the dimensions' questions.
    """

    kind = "tagger"

    dimensions: Mapping[str, Dimension] | None = None
    """What to ask, by name: `{topic: {values: [law, medicine], question: "What is it about?"}}`;
    eight built-in dimensions unless given."""
    only: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Which of the dimensions; all of them unless given."""
    template: str = TEMPLATE
    """What the model is sent: `{conversation}` is the prompt with who speaks, `{question}` the
    dimension's question, `{answers}` what it may answer and in which form, `{dimension}` its name.
    """
    longest: int | None = Field(default=None, ge=1)
    """Most characters of a conversation that are shown, from its end; all of them unless given.
    What is cut is counted and named."""
    max_new_tokens: int = Field(default=100, ge=1)
    """Most tokens of an answer."""

    @model_validator(mode="after")
    def _check(self) -> Tagger:
        _check_only(self.only, self.dimensions)
        unknown = [place for place in re.findall(r"{(\w+)}", self.template) if place not in PLACES]
        if unknown or "{conversation}" not in self.template:
            listed = ", ".join(f"{{{place}}}" for place in PLACES)
            raise ValueError(f"template must have {{conversation}}, and can have only {listed}")
        return self

    def vocabulary(self) -> dict[str, Dimension]:
        """The dimensions that are asked about, by name."""
        return _chosen(self.only, self.dimensions)

    def query(self, model: RewardModel, data: Pairs | Responses) -> Features:
        from ._tagger import Ask

        return data.map(Ask(self), open=model.open)

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        known = self.vocabulary().items()
        names = [name for tag, dimension in known for name in tag_names(tag, dimension)]
        return Known(columns=[*names, *(f"missing.{tag}" for tag, _ in known)])


class Endpoint(ModelLoader):
    """Ask a language model behind an OpenAI-compatible address; it generates text, and scores none.

    Prompts go to `<url>/chat/completions`, several at a time. Too many requests (429), errors of
    the server (5xx), broken connections and answers that take too long are tried again, each time
    after twice the wait, or as long as the server asks for (Retry-After), a minute at most; any
    other refusal ends the step with the server's words. The key is read from an environment
    variable when the model is used: it is in no spec, record, store or message.

    Redirects are not followed. Proxies are those of the environment (`HTTPS_PROXY`, `HTTP_PROXY`,
    `ALL_PROXY`, except for the hosts in `NO_PROXY`): a proxy can read the key and the prompts of
    an `http` address, not those of an `https` one. Certificates are checked against the system's.

    What a service answers can change from day to day: its name stands for whatever it is when the
    step runs.
    """

    kind = "endpoint"
    requires = ("httpx", "tenacity")
    extra = "endpoint"
    neutral = frozenset({"key_variable", "timeout", "retries", "wait", "concurrency"})

    url: str = Field(pattern=r"^https?://[^\s?#]+$", examples=["http://localhost:8000/v1"])
    """The address up to `/chat/completions`."""
    model: str = Field(min_length=1, examples=["my-model"])
    """The model's name there."""
    key_variable: str | None = None
    """Name of the environment variable that holds the key; no key is sent unless given."""
    timeout: float = Field(default=60.0, gt=0, le=86_400)
    """Seconds to wait for a whole answer."""
    retries: int = Field(default=4, ge=0)
    """How often a request is tried again."""
    wait: float = Field(default=1.0, ge=0)
    """Seconds before the first new try."""
    concurrency: int = Field(default=4, ge=1, le=256)
    """Requests at a time."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise ValueError(f"url is no address: {str(error).lower()}") from error
        if not host:
            raise ValueError("url needs a host, such as http://localhost:8000/v1")
        if "@" in parts.netloc:
            raise ValueError(
                "url holds a user name or a password, which would be recorded; name the "
                "environment variable of the key in key_variable instead"
            )
        return url

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=())

    def load(self) -> RewardModel:
        from ._endpoint import EndpointModel, read_key

        return EndpointModel(
            address=f"{self.url.rstrip('/')}/chat/completions",
            model=self.model,
            key=read_key(self.key_variable),
            timeout=self.timeout,
            retries=self.retries,
            wait=self.wait,
            concurrency=self.concurrency,
        )


def _chosen(
    only: Sequence[str] | None, dimensions: Mapping[str, Dimension] | None
) -> dict[str, Dimension]:
    known = DIMENSIONS if dimensions is None else dimensions
    return {name: known[name] for name in (known if only is None else only)}


def _check_only(only: Sequence[str] | None, dimensions: Mapping[str, Dimension] | None) -> None:
    known = DIMENSIONS if dimensions is None else dimensions
    odd = [name for name in only or () if name not in known]
    if odd:
        raise ValueError(f"only names {odd[0]!r}; the dimensions are {', '.join(known)}")
    marked = [name for name in known if any(mark in name for mark in ("::", "|", "="))]
    if marked or not known:
        raise ValueError("dimensions need names, without ::, | and =")
