"""Tags that come with the data, or in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from rmplug import FeatureComputer, Features, InputPath, Known, Pairs, Responses
from rmplug_hybrid.names.dimensions import Dimension, check_choice, choose_dimensions
from rmplug_hybrid.names.feature_names import name_tags


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
    """Dimensions of the tags, by name: `{topic: {values: [law, medicine]}}`; eight built-in
    dimensions unless given."""
    only: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The dimensions to use; all of them unless given."""
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
    """`normalised` ignores case and spaces when values are compared."""
    missing: Literal["error", "none"] = "error"
    """The treatment of a row that has no value (null, or no line in the file): refuse it, or count
    it and give it no tag of that dimension."""
    unknown: Literal["count", "error"] = "count"
    """The treatment of values that are in no vocabulary."""

    @model_validator(mode="after")
    def _check(self) -> Tags:
        check_choice(self.only, self.dimensions)
        odd = [name for name in self.columns_of if name not in self._dimensions()]
        if odd:
            raise ValueError(f"columns_of names {odd[0]!r}, which is no dimension here")
        return self

    def _dimensions(self) -> dict[str, Dimension]:
        """Return the dimensions that are read, by name."""
        return choose_dimensions(self.only, self.dimensions)

    def compute(self, data: Pairs | Responses) -> Features:
        from ._encoding import Vocabulary
        from ._tags import TagSource, compute_tags

        dimensions = self._dimensions()
        fields = {name: self.columns_of.get(name, name) for name in dimensions}
        return compute_tags(
            data,
            TagSource(self.path, self.id_field, self.column, fields),
            [Vocabulary(name, one, self.match == "exact") for name, one in dimensions.items()],
            missing_is_error=self.missing == "error",
            unknown_is_error=self.unknown == "error",
        )

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        dimensions = self._dimensions().items()
        return Known(columns=[name for tag, one in dimensions for name in name_tags(tag, one)])
