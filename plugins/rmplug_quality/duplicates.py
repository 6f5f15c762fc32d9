"""The feature computer ``duplicates``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from rmplug import FeatureComputer, Features, Known, Pairs, Responses

Threshold = Annotated[float, Field(ge=0.3, le=1)]
Shingle = Annotated[int, Field(ge=1, le=50)]

EXACT = ("copies", "copy", "conflicts", "contradicts")
NEAR = ("near.copy", "near.cluster", "near.size", "near.similarity", "near.partner")
TRUTHS = frozenset({"copy", "contradicts", "identical", "near.copy"})


class Duplicates(FeatureComputer):
    """Find rows that repeat or contradict others, and rows that are nearly the same.

    Rows are the same when all messages of the prompt and of the responses are. Gives

    | column | is |
    |---|---|
    | `copies` | the number of other rows with the same texts and the same label |
    | `copy` | 1 where an earlier row is the same, else 0 |
    | `conflicts` | the number of rows with the same texts and another label: of pairs, the same two responses with the other one chosen; of responses, another value of `label` |
    | `contradicts` | 1 where an earlier row conflicts, else 0 |
    | `identical` | 1 where chosen and rejected are the same (pairs only) |
    | `near.copy` | 1 for every row of a cluster but its first, else 0 |
    | `near.cluster` | the cluster, named by the number of its first row, from 0 |
    | `near.size` | the number of rows in the cluster; 1 for a row that is like no other |
    | `near.similarity` | the greatest Jaccard similarity to another row (in a large cluster: to at least ten of it), 0 where none reaches `threshold` |
    | `near.partner` | the number of that row, from 0; NaN where there is none |

    `not copies.near.copy and copies.conflicts == 0` in a `filter` (of a step `copies`) keeps one row
    of each cluster, and no row that contradicts another.

    The similarity is the share of shingles (runs of words or characters, in lower case, without
    punctuation) of two rows together that both have, 0 to 1. Rows that might be similar are found
    by MinHash (Broder, 1997; the library rensa) in bands such that 99.9 % of the pairs of rows that
    are just as similar as `threshold` meet; each is then compared by all its shingles, so that no
    row is called similar by chance; one without words or characters is like no other. Rows are
    joined to clusters by union-find. Needs the whole
    table: about 150 bytes a row in memory, the shingles of rows that might be similar in a
    temporary file.
    """  # noqa: E501

    kind = "duplicates"
    requires = ("rensa",)
    extra = "quality"

    near: bool = True
    """Find near duplicates too."""
    compare: Literal["row", "prompt", "responses"] = "row"
    """The texts whose shingles are compared: all of the row, the prompt, or the responses; their
    order does not matter."""
    threshold: Threshold = 0.8
    """Jaccard similarity from which two rows are nearly the same, 0.3 to 1."""
    shingle: Shingle = 3
    """Words, or characters, of a shingle. A text with fewer is one shingle."""
    unit: Literal["words", "characters"] = "words"
    """The unit of a shingle: words (a Chinese character or kana is a word of its own), or
    characters (for short texts, and where typing errors matter)."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        data = inputs["data"][0]
        if not data.is_a(Pairs, Responses):
            return Known()
        exact = [*EXACT, *(["identical"] if data.is_a(Pairs) else [])]
        columns = [*exact, *(NEAR if self.near else ())]
        return Known(columns={c: "boolean" if c in TRUTHS else "number" for c in columns})

    def compute(self, data: Pairs | Responses) -> Features:
        from ._duplicates import find_duplicates

        return find_duplicates(data, self)
