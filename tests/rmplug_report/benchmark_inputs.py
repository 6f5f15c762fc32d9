"""Inputs of reports about benchmarks, comparisons, curves, attributes and gates."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
from report_inputs import Lines, pairs_of

from rmplug import Features, Fit, Metrics

TEXTS = ("metric", "subset", "model", "kind", "level", "other", "axis", "row", "column", "sentence")
NUMBERS = ("value", "low", "high", "at", "p", "p_holm", "chance")
MODELS = {"Skywork-27B": 0.643, "InternLM2-20B": 0.634, "GRM-Gemma-2B": 0.594}
SUBSETS = ("knowledge", "reasoning", "math", "coding")


def metrics(rows, name):
    """Rows as mappings; what a row does not say is null."""
    columns = {key: pa.array([row.get(key) for row in rows], pa.string()) for key in TEXTS}
    columns |= {key: pa.array([row.get(key) for row in rows], pa.float64()) for key in NUMBERS}
    columns["n"] = pa.array([row.get("n") for row in rows], pa.int64())
    return Metrics(pa.table(columns), name)


def row(metric, value, half=0.05, subset="all", n=350, **more):
    ends = {} if half is None else {"low": value - half, "high": value + half}
    return {"metric": metric, "subset": subset, "value": value, "n": n, **ends, **more}


def benchmark(models=MODELS, subsets=SUBSETS, name="judgebench"):
    """Subsets, two sections and the whole, with a baseline, a published number and a warning."""
    rng = np.random.default_rng(3)
    rows = []
    for model, kind in ((*((m, "model") for m in models), ("longer", "baseline"),
                         ("first-character", "baseline"))):  # fmt: skip
        whole = models.get(model, 0.52 if model == "longer" else 0.50)
        told = {"model": model, "kind": kind}
        rows.append(row("score", whole, level="overall", **told))
        for section in ("facts", "work"):
            value = whole + rng.uniform(-0.04, 0.04)
            rows.append(row("score", value, 0.06, section, 175, level="section", **told))
        for subset in subsets:
            value = float(np.clip(whole + rng.uniform(-0.2, 0.2), 0, 1))
            rows.append(row("accuracy", value, 0.09, subset, 88, level="subset", **told))
    first = next(iter(models))
    told = {"model": first, "kind": "model", "level": "overall"}
    rows.append(row("score-published", models[first] - 0.006, None, **told))
    rows.append(row("missing", 2.0, None, "math", level="subset", model=first, kind="model"))
    sentence = (
        "On coding the rule longer is right on 73.8 % of 42 items: accuracy there says little."
    )
    rows.append(row("accuracy", 0.738, 0.1, "coding-easy", 42, level="subset", model="longer",
                    kind="baseline", sentence=sentence))  # fmt: skip
    return metrics(rows, name)


def comparison(models=MODELS, name="compare"):
    """Every two models compared, and their ranks."""
    rows = []
    for a, b in itertools.combinations(models, 2):
        value = models[a] - models[b]
        sentence = f"{a} and {b} cannot be told apart here: difference {100 * value:.1f} ± 3.4."
        rows.append(row("difference", value, 0.034, model=a, other=b, p=0.2, p_holm=0.41,
                        sentence=sentence))  # fmt: skip
    rows[-1] |= {"low": 0.01, "high": 0.09, "p": 0.004, "p_holm": 0.012, "sentence": None}
    for place, model in enumerate(models, 1):
        low, high = max(1, place - 1), min(len(models), place + 1)
        rows.append(
            {**row("rank", float(place), model=model, kind="model"), "low": low, "high": high}
        )
    return metrics(rows, name)


def styles(models=MODELS, name="rm-bench"):
    """The three styles of right responses against those of wrong ones."""
    names = ("concise", "plain", "markdown")
    rows = [
        row("accuracy", 0.7 - 0.12 * (j - i) + 0.02 * k, 0.04, model=model, kind="model",
            level="cell", row=names[i], column=names[j], n=798)
        for k, model in enumerate(models)
        for i in range(3)
        for j in range(3)
    ]  # fmt: skip
    return metrics(rows, name)


def large_matrix(name="attributes"):
    """Twelve attributes with long names on eight subsets."""
    rng = np.random.default_rng(5)
    rows = [
        row("spearman", float(rng.uniform(-0.2, 0.7)), 0.08, row=f"helpsteer-attribute-{i:02d}",
            column=f"alpacaeval-subset-{j}", n=120)
        for i in range(12)
        for j in range(8)
    ]  # fmt: skip
    return metrics(rows, name)


def best_of(models=MODELS, name="best-of-n"):
    """Gold score against N, to 64."""
    rows = []
    for k, (model, start) in enumerate(models.items()):
        for n in (1, 2, 4, 8, 16, 32, 64):
            value = start - 0.3 + 0.07 * np.log2(n) - 0.004 * k * np.log2(n) ** 2
            rows.append(row("accuracy", value, 0.03, model=model, kind="model", at=n, axis="N"))
    for n in (1, 64):
        rows.append(row("accuracy", 0.3, None, model="random", kind="baseline", at=n, axis="N"))
    return metrics(rows, name)


def budget(name="budget"):
    """Benchmark score against the share of human labels, with the ends beside it."""
    rows = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        told = {"at": share, "axis": "share of human labels"}
        value = 0.6 + 0.08 * np.sqrt(share)
        rows.append(row("score", value, 0.012, model="routed", kind="model", n=10, **told))
        value = 0.6 + 0.08 * share
        rows.append(row("score", value, 0.012, model="random", kind="baseline", n=10, **told))
        rows.append(row("score", 0.68, None, model="all human", kind="baseline", n=10, **told))
    rows[6]["sentence"] = "Routing half of the pairs to people is worth 5.7 points over none."
    return metrics(rows, name)


def deciles(models=MODELS, name="accuracy"):
    rows = [
        row("accuracy", value + 0.02 * (at - 5), 0.06, model=model, kind="model", at=at,
            axis="length-gap decile", n=35)
        for model, value in models.items()
        for at in range(1, 11)
    ]  # fmt: skip
    return metrics(rows, name)


ATTRIBUTES = ("helpfulness", "correctness", "coherence", "verbosity", "safety", "instruction")


def ridge(directory, name="heads"):
    """Held-out error of each attribute, and correlations with length before and after."""
    rng = np.random.default_rng(7)
    numbers = []
    for place, attribute in enumerate(ATTRIBUTES):
        error, before = float(rng.uniform(0.3, 0.9)), 0.5 - 0.09 * place
        numbers += [
            row("mse", error, 0.05, attribute, 400),
            row("correlation-before", before, 0.06, attribute, 400),
            row("correlation-after", before * 0.15, 0.06, attribute, 400),
        ]
    return Fit(directory, Lines, numbers, name=name)


def gated(pairs, name="explained"):
    """Contributions of six attributes to both sides, which add up to the scores."""
    rng = np.random.default_rng(11)
    raw = rng.gamma(1.0, size=(len(pairs), len(ATTRIBUTES)))
    weights = raw / raw.sum(axis=1, keepdims=True)
    columns = {"id": pairs["id"], "group": pairs["group"]}
    sides = {}
    for side, shift in (("chosen", 0.4), ("rejected", 0.0)):
        rewards = rng.normal(shift, 1, size=weights.shape)
        for place, attribute in enumerate(ATTRIBUTES):
            columns[f"{side}.contribution.{attribute}"] = (weights * rewards)[:, place]
        sides[side] = (weights * rewards).sum(axis=1)
    columns |= {f"weight.{one}": weights[:, place] for place, one in enumerate(ATTRIBUTES)}
    return Features({**columns, **sides, "margin": sides["chosen"] - sides["rejected"]}, name)


def benchmarked(directory):
    """One of each thing that benchmarks, comparisons, curves and interpretable heads tell."""
    pairs = pairs_of(300)
    return [pairs, gated(pairs), benchmark(), comparison(), styles(), large_matrix(), best_of(),
            budget(), deciles(), ridge(directory)]  # fmt: skip
