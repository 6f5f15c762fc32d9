"""Files of the hybrid preference router: pairs with two labels, training sets, results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from rmplug import DatasetLoader, FeatureComputer, Features, InputPath, Pairs, Report, Reporter


class ResultsFile(FeatureComputer):
    """Read what reward models of candidates reached elsewhere, with the counts of their features.

    A CSV file with a row for each candidate: a column that names it, columns of results, and
    columns of counts named by features, such as the table of results that the hybrid preference
    router collects (``uuid``, ``budget``, ``Overall``, 90 features). Gives its columns of numbers;
    other columns are left out and counted. A `performance-model` takes it as its candidates, with
    ``column`` the result.
    """

    kind = "results-file"

    path: InputPath
    """The file: CSV with a header, UTF-8, gzip or not, or anything that `pairs-file` reads."""
    key: str = "uuid"
    """The column that names the candidate."""
    columns_to_read: Annotated[tuple[str, ...], Field(min_length=1)] = ("*",)
    """Patterns of the columns of numbers to read."""
    missing: Literal["drop", "keep", "error"] = "drop"
    """The treatment of rows that lack a number: leave them out and count them, keep and count them,
    or stop."""
    bad_rows: Literal["error", "drop"] = "error"
    """The treatment of rows that cannot be read or have no name: stop and name them, or leave them
    out and count them."""

    def compute(self) -> Features:
        from ._results_file import read_results

        return read_results(self.path, self.key, self.columns_to_read, self.missing, self.bad_rows)


class HybridFile(DatasetLoader):
    """Load pairs with two labels, as the hybrid preference router publishes them, by one label.

    JSON Lines with a prompt, responses A and B, and a column for each source of labels, whose
    values are ``a-is-better``, ``a-is-clearly-better``, ``a-is-slightly-better``, the same for
    ``b``, or ``tie``, in any case. Load the file once for each source. Ties are dropped and
    counted. ``model_a`` and ``model_b`` become ``chosen_model`` and
    ``rejected_model``; further columns, such as scores and tags, are kept: lists of
    texts as lists, other lists and mappings as JSON text.
    """

    kind = "hybrid-file"

    path: InputPath
    """The file: JSON Lines, gzip or not, or anything that `pairs-file` reads."""
    label: str | None = "pref_human"
    """The column of labels. With null no label is read: all pairs, ties too, with the first
    response as the chosen one, to compute features of."""
    id_column: str = "id"
    """The column that names the pair."""
    prompt_column: str = "text"
    """The column of prompts."""
    a_column: str = "completion_a"
    """The column of the first response."""
    b_column: str = "completion_b"
    """The column of the second response."""
    bad_rows: Literal["error", "drop"] = "error"
    """The treatment of rows that cannot be read or have another label: stop and name them, or leave
    them out and count them."""

    def load(self) -> Pairs:
        from ._records import read_pairs

        fields = {
            "id": self.id_column,
            "prompt": self.prompt_column,
            "a": self.a_column,
            "b": self.b_column,
        }
        return read_pairs(self.path, self.label, fields, self.bad_rows)


class TrainingFile(Reporter):
    """Write pairs as JSON Lines, ready for a trainer elsewhere.

    Gives one file, ``training.jsonl``, in the order of the pairs.
    """

    kind = "training-file"

    layout: Literal["pairs", "original"] = "pairs"
    """``pairs``: all columns, ``prompt``, ``chosen`` and ``rejected`` as lists of role and content.
    ``original``: the record of the hybrid preference router, in which ``chosen`` and ``rejected``
    are whole conversations: id, source, highest_level_degree, prompt, chosen, chosen_model,
    rejected, rejected_model, features_used (null), is_swapped; what is not known is an empty
    text."""

    def report(self, data: Pairs, *, directory: Path) -> Report:
        from ._records import write_records

        write_records(data, self.layout, directory / "training.jsonl")
        return Report(directory, "training.jsonl")
