"""Names of metrics and baselines on the page, and the format of their numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ._wording import amount, signed, span

PUBLISHED = "-published"

TITLES = {
    "r2": "explained variance (R²)",
    "mse": "mean squared error (MSE)",
    "rmse": "root mean squared error (RMSE)",
    "mae": "mean absolute error (MAE)",
    "spearman": "rank correlation (Spearman)",
    "pearson": "correlation (Pearson)",
    "kappa": "Cohen’s κ",
    "cohen-kappa": "Cohen’s κ",
    "fleiss-kappa": "Fleiss’ κ",
    "krippendorff-alpha": "Krippendorff’s α",
    "krippendorff-alpha-nominal": "Krippendorff’s α (nominal)",
    "krippendorff-alpha-ordinal": "Krippendorff’s α (ordinal)",
    "krippendorff-alpha-interval": "Krippendorff’s α (interval)",
    "raw-agreement": "share of two labels that are the same",
    "unanimous": "share of rows with the same label from all",
    "same-label": "share of the same labels",
    "reliability-of-annotator": "reliability (Dawid and Skene)",
    "found": "share of rows in which it was found",
    "wrong-labels": "share of wrong labels",
    "more-in-chosen": "share of pairs with more of it in the chosen response",
    "ece": "expected calibration error (ECE)",
    "ece-plug-in": "calibration error without bias correction (plug-in ECE)",
    "ece-by-chance": "ECE of an exactly calibrated model by chance",
    "log-loss": "log-loss",
    "score": "score",
    "ties": "share of ties",
    "missing": "responses or pairs without a score",
    "accuracy-longer-chosen": "accuracy where the longer response was chosen",
    "accuracy-shorter-chosen": "accuracy where the shorter response was chosen",
    "accuracy-over-majority": "accuracy above always predicting the majority class",
    "better-than-chance": "better than chance (1: yes, 0: no)",
    "length-controlled-accuracy": "length-controlled accuracy",
    "prefers-longer": "share preferring the longer response",
    "margin-mean": "mean margin",
    "margin-median": "median margin",
    "margin-sd": "standard deviation of margins",
    "margin-length-pearson": "correlation of margin and length gap (Pearson)",
    "margin-length-spearman": "rank correlation of margin and length gap (Spearman)",
    "raw-score-length-spearman": "rank correlation of reward and length (Spearman)",
    "margin-spearman": "rank correlation of margins (Spearman)",
    "kendall": "rank correlation within prompts (Kendall’s τ)",
    "kendall-over-prompts": "rank correlation over prompts (Kendall’s τ)",
    "spearman-over-prompts": "rank correlation over prompts (Spearman)",
    "gamma": "Goodman and Kruskal’s γ",
    "somers-d": "Somers’ D",
    "same-decision": "share of the same decisions",
    "opposite-decision": "share of pairs decided the other way",
    "all-right": "share of pairs that all models are right on",
    "all-wrong": "share of pairs that all models are wrong on",
    "minimum-detectable-difference": "minimum detectable difference",
    "not-significantly-different": "models that do not differ significantly",
    "best-of-n-accuracy": "accuracy of the best of N",
    "best-of-n-proxy": "proxy reward of the best of N",
    "best-n": "best N",
    "alpha": "penalty strength (alpha)",
    "alpha-at-edge": "penalty strength at the edge of the grid",
    "variance-between": "share of the variance between prompts",
    "variance-within": "share of the variance within prompts",
    "drift": "difference from the mean",
    "drift-per-turn": "change per turn of the conversation",
    "weight": "weight",
    "predicted": "predicted result",
    "bought": "labels bought",
}
"""Metrics that need other words than their own names."""

WORDS = {
    "r2": "R²", "mse": "MSE", "rmse": "RMSE", "mae": "MAE", "mape": "MAPE", "auc": "AUC",
    "ece": "ECE", "f1": "F1", "kl": "KL", "ndcg": "NDCG", "mrr": "MRR", "nll": "NLL", "ai": "AI",
    "bleu": "BLEU", "rouge": "ROUGE", "rougel": "ROUGE-L", "llm": "LLM", "gpu": "GPU",
    "spearman": "Spearman", "pearson": "Pearson", "kendall": "Kendall", "brier": "Brier",
}  # fmt: skip
"""Words of other names that are not written in small letters."""

FLOORS = {
    "mean": "by predicting the mean",
    "majority": "by the majority",
    "base-rate": "by the base rate",
    "length": "by length alone",
    "longer": "by choosing the longer response",
}
"""Words for the rule behind the floor of a metric ``<name>-of-<floor>``."""

SHARES = ("accuracy", "score", "pair-accuracy", "easy", "normal", "hard", "prefers", "ties",
          "length-controlled-accuracy", "top-1", "mrr", "agreement", "same-decision",
          "same-choice", "opposite-decision", "all-right", "all-wrong", "share", "difference",
          "minimum-detectable-difference", "found", "wrong-labels", "more-in-chosen",
          "raw-agreement", "unanimous", "same-label", "reliability-of-annotator",
          "confusion")  # fmt: skip
"""Prefixes of the names of metrics whose values are shares, written in per cent."""


def metric_title(metric: str) -> str:
    """Return a metric's name in a sentence: ``mse-of-mean`` is the mean squared error by predicting
    the mean."""
    if metric in TITLES:
        return TITLES[metric]
    if metric.endswith(PUBLISHED):
        return f"{metric_title(metric.removesuffix(PUBLISHED))}, as published"
    stem, over, baseline = metric.partition("-over-")
    if over and stem and baseline:
        return f"{metric_title(stem)} over the {baseline_name(baseline)}"
    if floor_of(metric):
        stem, floor = split_floor(metric)
        return f"{metric_title(stem)} {FLOORS[floor]}"
    return " ".join(WORDS.get(word.lower(), word) for word in re.split(r"[-_\s]+", metric) if word)


def titled(metric: str) -> str:
    """Return a metric's name for the beginning of a title or of a table's line."""
    title = metric_title(metric)
    return title[:1].upper() + title[1:]


def split_floor(metric: str) -> tuple[str, str]:
    """Split ``mse-of-mean`` into ``mse`` and ``mean``; without such a floor, return ``(metric,
    "")``."""
    stem, _, floor = metric.partition("-of-")
    return (stem, floor) if stem and floor in FLOORS else (metric, "")


def floor_of(metric: str) -> str:
    return split_floor(metric)[1]


def baseline_name(baseline: str) -> str:
    """Return a baseline's name in a sentence: ``n-gram baseline``."""
    return f"{baseline} baseline"


def is_share(metric: str) -> bool:
    return metric.startswith(SHARES) or "accuracy" in metric


def is_points(metric: str) -> bool:
    """Check whether the values are differences of shares, written in percentage points."""
    stem, over, _ = metric.partition("-over-")
    return (bool(over) and is_share(stem)) or metric.endswith("difference")


def in_percent(metric: str, rows: Iterable[Mapping[str, Any]]) -> bool:
    """Check whether these values of a metric are shares: by its name, and none above 1 in size."""
    return is_share(metric) and all(abs(row["value"]) <= 1 for row in rows)


def value_of(row: Mapping[str, Any]) -> str:
    """Return a row's value in the unit of its metric: in per cent, in points, or as a number."""
    metric = str(row["metric"])
    share = in_percent(metric, [row])
    if share and is_points(metric):
        return f"{signed(row['value'], True)} points"
    return amount(row["value"], share)


def span_of(row: Mapping[str, Any]) -> str:
    """Return a row's interval in the unit of its metric."""
    return span(row.get("low"), row.get("high"), in_percent(str(row["metric"]), [row]))
