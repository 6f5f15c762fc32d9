"""Candidates, simulations and top-k in plain pandas, for ``hybrid.py``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from rmplug_hybrid.names.dimensions import DIMENSIONS
from rmplug_hybrid.names.feature_names import LENGTHS, SCORES, list_features, parse_feature

CANDIDATES, SIMULATIONS, BUDGETS = 200, 500, (0.25, 0.5, 0.75)
SIDES = ("a-is-clearly-better", "a-is-slightly-better", "b-is-slightly-better", "tie")


def made_up(rows: int, seed: int = 0) -> pd.DataFrame:
    """Pairs with nine measures, eight tags and two labels."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"id": [f"p{row}" for row in range(rows)]})
    for column, words in (("text", 40), ("completion_a", 120), ("completion_b", 120)):
        frame[column] = [f"{column} {row} " + "word " * words for row in range(rows)]
    for name in SCORES:
        frame[name] = rng.beta(2, 2, rows)
    for name in LENGTHS:
        frame[name] = rng.geometric(0.01, rows).astype(float)
    for name, dimension in DIMENSIONS.items():
        values = dimension.values or ("table", "list")
        drawn = rng.choice(len(values), size=rows, p=_often(len(values), rng))
        held = rng.random(rows) < (1.0 if dimension.form == "scalar" else 0.9)
        texts = [values[place] if there else None for place, there in zip(drawn, held, strict=True)]
        single = dimension.form == "scalar"
        frame[name] = texts if single else [[text] if text else [] for text in texts]
    for name in ("pref_human", "pref_gpt4"):
        frame[name] = rng.choice(SIDES, size=rows, p=[0.4, 0.2, 0.3, 0.1])
    return frame


def _often(count: int, rng: np.random.Generator) -> np.ndarray:
    often = rng.permutation(1 / np.arange(1, count + 1))
    return np.asarray(often / often.sum())


def plain_ids(frame: pd.DataFrame, feature: str, inclusive: str) -> list[str]:
    about, keys = parse_feature(feature)
    if about == "analyzer_closed_set":
        inside = frame[keys["feature_name"]].apply(lambda tags: keys["constraints"] in tags)
    elif about == "analyzer_scalar":
        inside = frame[keys["feature_name"]] == keys["value"]
    elif about == "analyzer_open_set":
        inside = frame[keys["feature_name"]].apply(lambda tags: tags is not None and len(tags) > 0)
    else:
        inside = frame[about].between(keys["min_val"], keys["max_val"], inclusive=inclusive)
    return frame.loc[inside, "id"].tolist()


def plain_features(frame: pd.DataFrame, inclusive: str = "both") -> dict[str, list[str]]:
    ranked = frame.copy()
    for name in LENGTHS:
        ranked[name] = ranked[name].rank(pct=True)
    return {name: plain_ids(ranked, name, inclusive) for name in list_features()}


def plain_fill(features: dict[str, list[str]], budget: int, rng: np.random.Generator) -> list[str]:
    chosen: list[str] = []
    seen: set[str] = set()
    for name in rng.permutation(list(features)):
        ids = list(features[name])
        rng.shuffle(ids)
        for one in ids:
            if len(chosen) == budget:
                return chosen
            if one not in seen:
                seen.add(one)
                chosen.append(one)
    return chosen


def plain_records(frame: pd.DataFrame, chosen: list[str]) -> list[dict[str, Any]]:
    swapped = frame["id"].isin(set(chosen))
    frame = frame.assign(
        pref=frame["pref_human"].where(swapped, frame["pref_gpt4"]), is_swapped=swapped
    )
    records = []
    for _, row in frame.iterrows():
        if row["pref"] == "tie":
            continue
        sides = ("completion_a", "completion_b")
        first, second = sides if row["pref"].startswith("a") else reversed(sides)
        records.append(
            {
                "id": row["id"],
                "prompt": row["text"],
                "chosen": plain_turns(row["text"], row[first]),
                "rejected": plain_turns(row["text"], row[second]),
                "is_swapped": row["is_swapped"],
            }
        )
    return records


def plain_turns(prompt: str, response: str) -> list[dict[str, str]]:
    return [{"content": prompt, "role": "user"}, {"content": response, "role": "assistant"}]


def plain_candidate(
    frame: pd.DataFrame, chosen: list[str], folder: Path, tag: str
) -> dict[str, int]:
    records = pd.DataFrame(plain_records(frame, chosen))
    records.to_json(folder / f"{tag}.jsonl", orient="records", lines=True)
    inside = frame[frame["id"].isin(set(records.loc[records["is_swapped"], "id"]))]
    counts = {name: len(ids) for name, ids in plain_features(inside).items()}
    (folder / f"{tag}.json").write_text(json.dumps(counts, indent=4))
    return counts


def plain_candidates(frame: pd.DataFrame, budgets: np.ndarray, folder: Path) -> float:
    """Seconds for these candidates, after the features have been found."""
    features, rng = plain_features(frame), np.random.default_rng(0)
    weights = np.random.default_rng(1).normal(size=len(features))
    start = time.process_time()
    for place, budget in enumerate(budgets):
        chosen = plain_fill(features, int(budget), rng)
        counts = plain_candidate(frame, chosen, folder, f"{place}")
        float(np.dot(list(counts.values()), weights))
    return time.process_time() - start


def pandas_candidates(rows: int, measured: int) -> float:
    budgets = np.linspace(1, rows, measured + 2)[1:-1].astype(int)
    with TemporaryDirectory() as folder:
        seconds = plain_candidates(made_up(rows), budgets, Path(folder))
    return seconds / measured * CANDIDATES


def pandas_simulations(rows: int, measured: int) -> float:
    with TemporaryDirectory() as folder:
        seconds = plain_candidates(made_up(rows), np.full(measured, rows // 2), Path(folder))
    return seconds / measured * SIMULATIONS


def pandas_top_k(rows: int, measured: int) -> float:
    frame = made_up(rows)
    weights = np.random.default_rng(1).normal(size=len(list_features()))
    start = time.process_time()
    gains = pd.Series(0.0, index=frame["id"])
    for weight, ids in zip(weights, plain_features(frame, "neither").values(), strict=True):
        gains.loc[ids] += weight
    order = gains.sort_values(ascending=False).index.tolist()
    with TemporaryDirectory() as folder:
        for budget in BUDGETS:
            plain_candidate(frame, order[: int(rows * budget)], Path(folder), f"{budget}")
    return time.process_time() - start
