"""Feature computers from texts alone: lexical measures, ROUGE, bins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from rmplug import FeatureComputer, Features, Known, Pairs, Responses
from rmplug.errors import some

LexicalMeasure = Literal[
    "characters",
    "words",
    "sentences",
    "average_word_length",
    "type_token_ratio",
    "headings",
    "bullets",
    "numbered",
    "code",
    "bold",
    "tables",
    "links",
    "markdown",
    "digits",
    "punctuation",
    "urls",
    "questions",
    "exclamations",
    "refusals",
    "hedges",
    "first_person",
    "flattery",
    "overlap",
    "latin",
    "cjk",
    "cyrillic",
    "arabic",
    "other_script",
    "compression",
]
Side = Literal["prompt", "response", "difference"]
CHEAP: tuple[LexicalMeasure, ...] = tuple(
    measure for measure in get_args(LexicalMeasure) if measure != "compression"
)
"""The measures that need no compression of the text: at least 20,000 pairs per second together."""


class Lexical(FeatureComputer):
    """Count visible properties of texts: length, words, markdown, refusals, flattery and more.

    Gives for each measure ``m``: from pairs ``prompt.m``, ``chosen.m``, ``rejected.m`` and
    ``difference.m`` (chosen minus rejected); from responses ``prompt.m`` and ``response.m``. A
    conversation is read as its turns with a blank line between them.

    A *word* is a run without white space. A *token* is a run of letters, digits and combining marks,
    where each Chinese character or kana is a token of its own; tokens are compared without regard
    to case (each letter lower-cased on its own). A share or mean of nothing is 0.

    | measure | is |
    |---|---|
    | `characters` | Unicode code points |
    | `words` | words |
    | `sentences` | stretches with at least one token, ended by a line break, by `。！？`, or by `.!?…` before white space, a closing quote or bracket, or the end |
    | `average_word_length` | characters per word |
    | `type_token_ratio` | distinct tokens / tokens, 0 to 1 |
    | `headings` | lines whose first word is one to six `#` |
    | `bullets` | lines whose first word is `-`, `*`, `+` or `•` |
    | `numbered` | lines whose first word is one to nine digits and `.` or `)` |
    | `code` | blocks fenced by lines that begin with three backquotes, and spans between backquotes in a line |
    | `bold` | spans between `**` in a line |
    | `tables` | lines of only `-`, `|`, `:` and white space with at least one `-` and one `|` |
    | `links` | `[text](address)` in a line |
    | `markdown` | the sum of the seven measures above |
    | `digits` | decimal digits |
    | `punctuation` | ASCII punctuation and the Unicode categories P |
    | `urls` | tokens `http` or `https` before `://`, and `www` before a dot and not after `/` |
    | `questions`, `exclamations` | `?` `？` `؟`, and `!` `！` |
    | `refusals`, `hedges` | phrases such as "I can't help" and "as an AI", or "perhaps" and "I think"; punctuation between tokens is passed over |
    | `first_person` | I, me, my, mine, myself |
    | `flattery` | praise such as "great question" that begins among the first ten tokens |
    | `overlap` | share of a response's tokens that the prompt has, 0 to 1 (not for the prompt) |
    | `latin`, `cjk`, `cyrillic`, `arabic`, `other_script` | share of the letters, 0 to 1 |
    | `compression` | bytes after zlib / bytes of UTF-8; slow, so only on request |

    Headings, bullets, numbered lines and tables inside fenced code do not count.
    """  # noqa: E501

    kind = "lexical"

    measures: Annotated[tuple[LexicalMeasure, ...], Field(min_length=1)] = CHEAP
    """The measures; by default all but `compression`."""
    sides: Annotated[tuple[Side, ...], Field(min_length=1)] = ("prompt", "response", "difference")
    """The texts to measure: the prompt, the response (in pairs: chosen and rejected), and in pairs
    their difference."""

    def compute(self, data: Pairs | Responses) -> Features:
        from ._lexical import Measure

        columns = tuple(self._columns(isinstance(data, Pairs)))
        responses = ("chosen", "rejected") if isinstance(data, Pairs) else ("response",)
        return data.map(Measure(responses, self.measures, columns))

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        data = inputs["data"][0]
        if not data.is_a(Pairs, Responses):
            return Known()
        return Known(columns=[column for column, _, _ in self._columns(data.is_a(Pairs))])

    def _columns(self, pairs: bool) -> Iterator[tuple[str, str, str]]:
        """Return each column's name with its side and measure."""
        of = {
            "prompt": ("prompt",),
            "response": ("chosen", "rejected") if pairs else ("response",),
            "difference": ("difference",) if pairs else (),
        }
        for side in (side for asked in dict.fromkeys(self.sides) for side in of[asked]):
            for measure in dict.fromkeys(self.measures):
                if (side, measure) != ("prompt", "overlap"):
                    yield f"{side}.{measure}", side, measure


class Rouge(FeatureComputer):
    """Measure the word overlap of chosen and rejected, and of each response and its prompt.

    ROUGE-N and ROUGE-L (Lin, 2004) without stemming, as in Google's `rouge-score`: overlap of
    N-grams, or the longest common subsequence, over tokens, each from 0 to 1. Where a text has no
    tokens the score is 0.

    Gives from pairs `responses.rouge1`, … (precision is of chosen, recall of rejected),
    `chosen.rouge1`, … and `rejected.rouge1`, … (with the prompt: precision is of the response,
    recall of the prompt); from responses `response.rouge1`, …. The F-measure has the plain name;
    precision and recall are `responses.rouge1_precision` and `responses.rouge1_recall`.
    """

    kind = "rouge"

    measures: Annotated[tuple[Literal["rouge1", "rouge2", "rougeL"], ...], Field(min_length=1)] = (
        "rouge1",
        "rouge2",
        "rougeL",
    )
    """Shared words, shared pairs of neighbouring words, longest common subsequence of words."""
    scores: Annotated[tuple[Literal["f", "precision", "recall"], ...], Field(min_length=1)] = ("f",)
    """F-measure, precision, recall."""
    between: Annotated[tuple[Literal["responses", "prompt"], ...], Field(min_length=1)] = (
        "responses",
        "prompt",
    )
    """The two responses of a pair with each other, and each response with its prompt."""
    tokens: Literal["ascii", "words"] = "ascii"
    """`ascii`: runs of a-z and 0-9 in the lower-cased text, as in `rouge-score`; `words`: runs of
    letters and digits of any script, each Chinese character or kana on its own."""

    def compute(self, data: Pairs | Responses) -> Features:
        from ._rouge import RougeColumns

        pairs = tuple(self._pairs(isinstance(data, Pairs)))
        return data.map(RougeColumns(pairs, self.measures, self.scores, self.tokens))

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        data = inputs["data"][0]
        if not data.is_a(Pairs, Responses):
            return Known()
        columns = [
            f"{name}.{measure}" + ("" if score == "f" else f"_{score}")
            for name, _, _ in self._pairs(data.is_a(Pairs))
            for measure in dict.fromkeys(self.measures)
            for score in dict.fromkeys(self.scores)
        ]
        return Known(columns=columns)

    def _pairs(self, pairs: bool) -> Iterator[tuple[str, str, str]]:
        """Return each comparison's name with the two columns that it compares."""
        if pairs and "responses" in self.between:
            yield "responses", "chosen", "rejected"
        if "prompt" in self.between:
            for response in ("chosen", "rejected") if pairs else ("response",):
                yield response, response, "prompt"


class Bins(FeatureComputer):
    """Cut numbers into bins, by edges or into bins with equally many rows.

    Gives for each column of the input the number of its bin, from 0, under the same name; NaN where
    the value is missing or outside the edges. A bin holds its lower edge and not its upper one,
    except that the last holds both. Bins of equal counts are cut over the whole table; values that
    occur often can make them fewer or uneven.
    """

    kind = "bins"

    only: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The columns to cut; by default all of them."""
    edges: Annotated[tuple[float, ...], Field(min_length=2)] | None = None
    """The limits of the bins, ascending: `[0, 10, 100]` makes two bins."""
    count: Annotated[int, Field(ge=2)] | None = None
    """Into how many bins with equally many rows."""

    @model_validator(mode="after")
    def _one_way(self) -> Bins:
        if (self.edges is None) == (self.count is None):
            raise ValueError("give edges or count, one of the two")
        if self.edges and list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges must ascend, each above the one before")
        return self

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        columns = self.only or inputs["features"][0].columns
        return Known(columns=None if columns is None else tuple(columns))

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        for one in inputs.get("features", ()):
            yield from (
                ("only", message) for name in self.only or () if (message := one.lacks(name))
            )

    def compute(self, features: Features) -> Features:
        from ._bins import Cut, quantile_edges

        chosen = features.select(*(self.only or features.values))
        if self.edges is not None:
            return features.map(Cut(tuple((name, self.edges) for name in chosen.values)))
        table, count = chosen.table, self.count or 2
        edges = [(name, quantile_edges(name, table[name], count)) for name in chosen.values]
        return features.map(Cut(tuple(edges)))


class PerResponse(FeatureComputer):
    """Turn features of pairs into features of their responses, without computing them again.

    Gives two rows for each pair, with the ids `<id>/chosen` and `<id>/rejected` that `to-responses`
    gives them. Columns `chosen` and `rejected` become `response`, `chosen.x` and `rejected.x`
    become `response.x`; columns about the pair as a whole, such as `prompt`, are kept for both.
    """

    kind = "per-response"

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        from ._response_names import own_names

        columns = inputs["features"][0].columns
        return Known(columns=None if columns is None else tuple(own_names(tuple(columns))))

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        from ._response_names import own_names

        features = inputs["features"][0]
        columns = tuple(features.columns or ())
        if columns and len(own_names(columns)) == len(columns):
            yield (
                "features",
                f"{features.step} gives no columns chosen and rejected, or chosen.x and "
                f"rejected.x, to tell its responses apart (it gives {some(columns, 8)})",
            )

    def compute(self, features: Features) -> Features:
        from ._per_response import per_response

        return Features.stream(per_response(features))
