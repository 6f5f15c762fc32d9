"""Candidates, simulations and top-k beside plain pandas, and how candidates and routes scale.

The pandas side does what the hybrid preference router describes (arXiv 2410.19133): a random greedy
fill, labels turned into training records and written, and features counted in the chosen pairs,
where lengths are ranked anew. Only a few of its candidates are made; its seconds are scaled up.
Seconds are of processor time on one thread, without imports; each part has a process of its own.

Run: python benchmarks/hybrid.py [--rows 10000] [--measured 10]
     python benchmarks/hybrid.py --scale 1000000 10000
     python benchmarks/hybrid.py --route 1000000
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
import pyarrow as pa
from hybrid_plain import (
    BUDGETS,
    CANDIDATES,
    SIMULATIONS,
    made_up,
    pandas_candidates,
    pandas_simulations,
    pandas_top_k,
)

from rmplug import Features, Fit, Pairs, Selection
from rmplug_hybrid import (
    BudgetCurve,
    Candidates,
    Membership,
    PerformanceModel,
    Route,
    Swap,
    Tags,
    TrainingFile,
)
from rmplug_hybrid.membership._matrix import read_matrix
from rmplug_hybrid.names.dimensions import DIMENSIONS
from rmplug_hybrid.names.feature_names import LENGTHS, SCORES, list_features


def pairs_of(frame: pd.DataFrame, label: str) -> Pairs:
    """The pairs as one of the labels has them, as the loader gives them."""
    kept = frame[frame[label] != "tie"]
    first = kept[label].str.startswith("a")
    chosen = kept["completion_a"].where(first, kept["completion_b"])
    rejected = kept["completion_b"].where(first, kept["completion_a"])
    columns = {"id": kept["id"], "prompt": kept["text"], "chosen": chosen, "rejected": rejected}
    return Pairs({name: pa.array(column, pa.string()) for name, column in columns.items()}, label)


def scores_of(frame: pd.DataFrame) -> Features:
    columns = {name: frame[name].to_numpy() for name in (*SCORES, *LENGTHS)}
    return Features({"id": frame["id"].tolist(), **columns}, "scores")


def members_of(frame: pd.DataFrame, bins: str) -> Features:
    data = pairs_of(frame.assign(all="a"), "all").table
    for name in DIMENSIONS:
        data = data.append_column(name, pa.array(frame[name].tolist()))
    tags = Features(Tags(missing="none").compute(Pairs(data)).table, "tags")
    made = Membership(bins=bins, give="original").compute([scores_of(frame), tags])
    return Features(made.table, "membership")


def candidates_seconds(rows: int, step: Candidates) -> float:
    frame = made_up(rows)
    small = made_up(50, seed=1)
    inputs = [
        [members_of(one, "closed"), pairs_of(one, "pref_human"), pairs_of(one, "pref_gpt4")]
        for one in (small, frame)
    ]
    tiny = step.model_copy(update={"n": 2})
    tiny.sample(*inputs[0], scores_of(small), seed=0)
    scores = scores_of(frame)
    start = time.process_time()
    made = step.sample(*inputs[1], scores, seed=0)
    counts = np.column_stack([made[name] for name in made.values if name.startswith("count.")])
    float((counts @ np.random.default_rng(1).normal(size=counts.shape[1])).max())
    return time.process_time() - start


def rmplug_candidates(rows: int, measured: int) -> float:
    return candidates_seconds(rows, Candidates(n=CANDIDATES))


def rmplug_candidates_as_published(rows: int, measured: int) -> float:
    return candidates_seconds(rows, Candidates(n=CANDIDATES, design="fill", compat="original"))


def rmplug_simulations(rows: int, measured: int) -> float:
    return candidates_seconds(rows, Candidates(n=SIMULATIONS, budgets=(0.5,)))


def rmplug_simulations_as_published(rows: int, measured: int) -> float:
    step = Candidates(n=SIMULATIONS, budgets=(0.5,), design="fill", compat="original")
    return candidates_seconds(rows, step)


def rmplug_top_k(rows: int, measured: int) -> float:
    seconds = 0.0
    for size in (50, rows):
        frame = made_up(size)
        weights = np.random.default_rng(1).normal(size=len(list_features()))
        human, ai = pairs_of(frame, "pref_human"), pairs_of(frame, "pref_gpt4")
        start = time.process_time()
        membership = members_of(frame, "half-open")
        order = np.argsort(-(read_matrix(membership)[1] @ weights), kind="stable")
        with TemporaryDirectory() as folder:
            for budget in BUDGETS:
                chosen = membership["id"].take(pa.array(order[: int(size * budget)]))
                made = Swap().sample(human, ai, Selection({"id": chosen}), seed=0)
                TrainingFile(layout="original").report(made, directory=Path(folder))
        seconds = time.process_time() - start
    return seconds


def members_drawn(rows: int) -> Features:
    """Members that are drawn at once, without pairs: 18 features for each."""
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {"id": pa.array(np.arange(rows).astype(str))}
    for place, name in enumerate(list_features()):
        columns[name] = rng.random(rows, dtype=np.float32) < (1 / 3 if place < 27 else 1 / 7)
    return Features(columns, "membership")


def rmplug_scale(rows: int, candidates: int) -> float:
    membership = members_drawn(rows)
    start = time.process_time()
    Candidates(n=candidates).sample(membership, seed=0)
    return time.process_time() - start


def performance(membership: Features, folder: Path) -> tuple[Fit, float]:
    """A ridge learned from 100 candidates whose results follow their counts, and its seconds."""
    made, rng = Candidates(n=100).sample(membership, seed=0), np.random.default_rng(1)
    names = [name for name in made.values if name.startswith("count.")]
    shares = np.column_stack([made[name] for name in names]) / len(membership)
    score = 0.6 + shares @ rng.normal(0, 0.02, len(names)) + rng.normal(0, 0.002, len(shares))
    step = PerformanceModel(column="score")
    start = time.process_time()
    fit = step.fit(made, Features({"id": made["id"], "score": score}), seed=0, directory=folder)
    return fit, time.process_time() - start


def rmplug_performance_model(rows: int, _: int) -> float:
    with TemporaryDirectory() as folder:
        return performance(members_drawn(rows), Path(folder))[1]


def route_seconds(rows: int, strategy: str) -> float:
    membership = members_drawn(rows)
    step = Route(budgets=BUDGETS, strategies=(strategy,), simulations=SIMULATIONS)
    with TemporaryDirectory() as folder:
        model, _ = performance(membership, Path(folder))
        start = time.process_time()
        BudgetCurve().evaluate(step.sample(membership, model, seed=0))
        return time.process_time() - start


def rmplug_route_top_k(rows: int, _: int) -> float:
    return route_seconds(rows, "top-k")


def rmplug_route_simulated(rows: int, _: int) -> float:
    return route_seconds(rows, "simulated")


def rmplug_route_positive_gain(rows: int, _: int) -> float:
    return route_seconds(rows, "positive-gain")


def measure(part: Callable[[int, int], float], rows: int, more: int) -> tuple[float, float]:
    """Seconds of a part, and the most memory of its process in GB."""
    return part(rows, more), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def alone(part: Callable[[int, int], float], rows: int, more: int) -> float:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        seconds, peak = pool.submit(measure, part, rows, more).result()
    print(f"{part.__name__.replace('_', ' '):34s} {seconds:9.2f} s of CPU, peak {peak:.2f} GB")
    return seconds


# How much can be learned.


def told_apart(counts: np.ndarray, size: np.ndarray, members: np.ndarray) -> str:
    """What counts hold apart from size: their rank, the ratio of their largest to their smallest
    singular value, and the standard error of a pair's gain by least squares in units of the noise
    of one candidate."""
    frame = np.column_stack([np.ones(len(size)), size])
    rest = counts - frame @ np.linalg.lstsq(frame, counts, rcond=None)[0]
    length = np.linalg.norm(rest, axis=0)
    known = length > 1e-6
    values = np.linalg.svd(rest[:, known] / length[known], compute_uv=False)
    rank = int((values > 1e-8 * values[0]).sum())
    _, raw, axes = np.linalg.svd(rest, full_matrices=False)
    gains = (members - members.mean(axis=0)) @ axes[:rank].T / raw[:rank]
    error = np.sqrt((gains**2).sum(axis=1).mean())
    return f"rank {rank}, condition {values[0] / values[rank - 1]:7.1f}, error {error:.5f}"


def designs(rows: int) -> None:
    frame = made_up(rows)
    print(f"{CANDIDATES} candidates of {rows} pairs, counts apart from the number of labels:")
    for bins, design, compat in (
        ("closed", "fill", "original"),
        *(("half-open", name, None) for name in ("fill", "uniform", "stratified", "space-filling")),
    ):
        membership = members_of(frame, bins)
        step = Candidates(n=CANDIDATES, design=design, compat=compat)
        made = step.sample(membership, None, None, scores_of(frame), seed=0)
        counts = [made[name] for name in made.values if name.startswith("count.")]
        members = read_matrix(membership)[1].toarray().astype(float)
        told = told_apart(np.column_stack(counts), np.asarray(made["size"]), members)
        print(f"{design + (' as published' if compat else ''):24s} {told}")


def routes(rows: int) -> None:
    """A performance model, and routes with their budget curve, at a tenth of the pairs and all."""
    print(f"90 features, a linear model; budgets {BUDGETS}, {SIMULATIONS} simulations")
    for part in (
        rmplug_performance_model,
        rmplug_route_top_k,
        rmplug_route_positive_gain,
        rmplug_route_simulated,
    ):
        print(f"{rows // 10} and {rows} pairs")
        few = alone(part, rows // 10, 0)
        print(f"    growth for ten times the pairs: {alone(part, rows, 0) / few:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--measured", type=int, default=10)
    parser.add_argument("--scale", type=int, nargs=2, metavar=("ROWS", "CANDIDATES"))
    parser.add_argument("--route", type=int, metavar="ROWS")
    given = parser.parse_args()
    if given.route:
        routes(given.route)
        return
    if given.scale:
        print(f"{given.scale[1]} candidates of {given.scale[0]} pairs, 90 features")
        alone(rmplug_scale, *given.scale)
        return
    rows, measured = given.rows, given.measured
    print(f"{rows} pairs, 90 features; {CANDIDATES} candidates, {SIMULATIONS} simulations, top-k")
    print(f"pandas makes {measured} candidates and simulations; its seconds are scaled up")
    for plain, ours in (
        (pandas_candidates, (rmplug_candidates, rmplug_candidates_as_published)),
        (pandas_simulations, (rmplug_simulations, rmplug_simulations_as_published)),
        (pandas_top_k, (rmplug_top_k,)),
    ):
        slow = alone(plain, rows, measured)
        for part in ours:
            print(f"    ratio: {slow / alone(part, rows, measured):.0f}")
    designs(rows)


if __name__ == "__main__":
    main()
