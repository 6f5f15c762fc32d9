"""Numbers of tokens of prompt and responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import model_validator

from rmplug import FeatureComputer, Features, InputPath, Known, Pairs

LENGTHS = ("prompt_len", "len_shorter", "len_longer", "token_len_diff")


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
        """Return the commit of a name on the hub."""
        if self.path is not None or self.tokenizer == "whitespace":
            return {}
        from rmplug.models.hub import commit_of

        return {"commit": commit_of(self.tokenizer, self.revision)}

    def compute(self, data: Pairs) -> Features:
        from ._token_lengths import TokenCounterOpener, TokenCounts

        opener = TokenCounterOpener(self.tokenizer, self.revision, self.path)
        return data.map(TokenCounts(), open=opener)

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(columns=LENGTHS)
