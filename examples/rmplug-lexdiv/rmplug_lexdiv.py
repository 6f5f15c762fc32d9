"""Lexical diversity of responses, as a plugin for rmplug."""

from __future__ import annotations

from typing import Any

from rmplug import FeatureComputer, Features, Pairs, hookimpl, text_of


class LexicalDiversity(FeatureComputer):
    """Distinct words per word in the first words of each response: 0 to 1, NaN without words."""

    kind = "lexical-diversity"
    window: int = 50
    """Words looked at: long texts repeat more, so that all are cut to the same length."""

    def compute(self, data: Pairs) -> Features:
        return data.map(self.measure)

    def measure(self, batch: Any) -> dict[str, list[float]]:
        return {side: self.diversity(batch.column(side)) for side in ("chosen", "rejected")}

    def diversity(self, texts: Any) -> list[float]:
        words = [text.lower().split()[: self.window] for text in text_of(texts).to_pylist()]
        return [len(set(found)) / len(found) if found else float("nan") for found in words]


@hookimpl
def rmplug_feature_computers() -> list[type[FeatureComputer]]:
    return [LexicalDiversity]
