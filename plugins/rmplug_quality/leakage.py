"""The feature computer ``leakage``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from rmplug import FeatureComputer, Features, Known, Pairs, Responses

from .duplicates import Shingle, Threshold


class Leakage(FeatureComputer):
    """Find rows whose texts are also in other data, such as training pairs that a benchmark has.

    Compares each prompt with the prompts of the references, and each response with all their
    responses. Gives `leaked`, 1 where any side of the row has `overlap` or `similarity` of its
    limit, else 0; and for each side (`prompt`, and `chosen` and `rejected`, or `response`):

    | column | is |
    |---|---|
    | `prompt.overlap` | share of the text's n-grams that any reference text of that side has, 0 to 1 |
    | `prompt.similarity` | greatest Jaccard similarity of shingles to one reference text, 0 where none reaches `threshold` |
    | `prompt.partner` | the row of that text, from 0, counted through the references in their order; NaN where there is none |

    N-grams are runs of `ngram` words in lower case, without punctuation; a text with fewer words is
    one n-gram, which only the same text as a whole has. 13 words is usual for contamination (Brown
    et al., 2020, appendix C). Similar texts are found by MinHash and compared by all their shingles,
    as in `duplicates`.

    Row-wise. Each process holds the references' n-grams and shingles (24 bytes for each word of
    them); data of any size pass by.
    """  # noqa: E501

    kind = "leakage"
    requires = ("rensa",)
    extra = "quality"

    sides: Annotated[tuple[Literal["prompt", "response"], ...], Field(min_length=1)] = ("prompt",)
    """The texts to compare: the prompt, the response (in pairs: chosen and rejected), or both."""
    ngram: Shingle = 13
    """Words, or characters, of an n-gram."""
    overlap: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the n-grams of a text, found in the references, from which the row is leaked."""
    threshold: Threshold = 0.8
    """Jaccard similarity to one reference text from which the row is leaked, 0.3 to 1."""
    shingle: Shingle = 3
    """Words, or characters, of a shingle."""
    unit: Literal["words", "characters"] = "words"
    """The unit of n-grams and shingles: words (a Chinese character or kana is a word of its own),
    or characters."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        data = inputs["data"][0]
        if not data.is_a(Pairs, Responses):
            return Known()
        measures = ("overlap", "similarity", "partner")
        columns = [column for column, _ in self._sides(data.is_a(Pairs))]
        numbers = [f"{column}.{one}" for column in columns for one in measures]
        return Known(columns={"leaked": "boolean", **dict.fromkeys(numbers, "number")})

    def compute(self, data: Pairs | Responses, references: Sequence[Pairs | Responses]) -> Features:
        from ._leakage import MeasureLeakage, Settings

        settings = Settings(self.ngram, self.shingle, self.unit, self.threshold, self.overlap)
        rows = tuple(one.rows for one in references)
        return data.map(MeasureLeakage(rows, self._sides(isinstance(data, Pairs)), settings))

    def _sides(self, pairs: bool) -> tuple[tuple[str, str], ...]:
        """Return each column of text with the side that it is."""
        responses = ("chosen", "rejected") if pairs else ("response",)
        of = {"prompt": ("prompt",), "response": responses}
        sides = dict.fromkeys(self.sides)
        return tuple((column, side) for side in sides for column in of[side])
