"""A reward model of one's own, for the loader `custom`: it likes text that says a thing once."""

import zlib
from collections.abc import Sequence


class Redundancy:
    """Score a response by how well it resists compression, and how near it is to a length."""

    outputs = ("reward", "redundancy")

    def __init__(self, length: int = 400, price: float = 1.0) -> None:
        """Take the length in characters that is best, and the price of being twice that long."""
        self.length, self.price = length, price

    def score(self, prompts: Sequence[object], responses: Sequence[str]) -> list[list[float]]:
        """Return reward and redundancy (share of the bytes that compression saves) of each."""
        return [self.rate(text) for text in responses]

    def rate(self, text: str) -> list[float]:
        """Return reward and redundancy of one response."""
        size = max(1, len(text.encode()))
        saved = 1 - len(zlib.compress(text.encode(), 9)) / size
        excess = max(0.0, len(text) / self.length - 1)
        return [-saved - self.price * excess, saved]
