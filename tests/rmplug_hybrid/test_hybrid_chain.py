from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pytest
from scipy.stats import rankdata

from rmplug import Features, Fit, Selection
from rmplug_hybrid import PerformanceModel, Route
from rmplug_hybrid.performance._ensemble import open_ensemble

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[2] / "../shared/data")
)
REFERENCE = SHARED.parent / "golden/hybrid/08_chain60"
RANKED = ("token_len_diff", "prompt_len", "len_shorter", "len_longer")


def has(rows: list[dict], feature: str) -> np.ndarray:
    """Which pairs have a feature when they are routed: open bins, ranks over all pairs."""
    name, _, rest = feature.partition("::")
    values = dict(part.split("=", 1) for part in rest.split("|"))
    if name == "analyzer_closed_set":
        return np.array([values["constraints"] in row[values["feature_name"]] for row in rows])
    if name == "analyzer_scalar":
        return np.array([row[values["feature_name"]] == values["value"] for row in rows])
    if name == "analyzer_open_set":
        return np.array([bool(row[values["feature_name"]]) for row in rows])
    numbers = np.array([float(row[name]) for row in rows])
    if name in RANKED:
        numbers = rankdata(numbers) / len(numbers)
    return (float(values["min_val"]) < numbers) & (numbers < float(values["max_val"]))


@pytest.fixture(scope="module")
def membership() -> Features:
    if not REFERENCE.exists():
        pytest.skip(f"{REFERENCE} is not there")
    rows = [json.loads(line) for line in (REFERENCE / "features.jsonl").read_text().splitlines()]
    lines = (REFERENCE / "linear_model/coef.jsonl").read_text().splitlines()
    names = [json.loads(line)["feat"] for line in lines]
    columns = {name: has(rows, name).astype(float) for name in names}
    return Features({"id": [row["id"] for row in rows], **columns}, "membership")


def fitted(model: str, folder: Path) -> Fit:
    table = arrow_csv.read_csv(REFERENCE / "eval_runs.csv")
    kept = [n for n in table.column_names if "::" in n or n in ("Overall", "budget")]
    columns = {n: table[n].combine_chunks().cast(pa.float64()) for n in kept}
    runs = Features({"id": table["uuid"].to_pylist(), **columns}, "runs")
    step = PerformanceModel(
        model=model,
        compat="original",
        column="Overall",
        folds=2,
        repeats=1,
        splits=1,
        resamples=100,
    )
    return step.fit(runs, None, seed=0, directory=folder)


def published(name: str) -> dict[str, float]:
    with (REFERENCE / name).open() as lines:
        return {row["id"]: float(row["gain"]) for row in csv.DictReader(lines)}


def by_item(routes: Selection, column: str) -> dict[str, list]:
    found: dict[str, list] = {}
    for item, value in zip(routes["item"].to_pylist(), routes[column].to_pylist(), strict=True):
        found.setdefault(item, []).append(value)
    return found


def test_the_linear_chain_gives_the_published_weights_gains_and_selections(membership, tmp_path):
    fit = fitted("linear", tmp_path)
    lines = (REFERENCE / "linear_model/coef.jsonl").read_text().splitlines()
    known = {row["feat"]: row["coef"] for row in map(json.loads, lines)}
    table = fit.tables["coefficients"].to_pydict()
    own = dict(zip(table["feature"], table["coefficient"], strict=True))
    assert [own[name] for name in known] == pytest.approx(list(known.values()), abs=1e-10)
    summary = json.loads((REFERENCE / "linear_model/summary.json").read_text())
    intercept = next(n["value"] for n in fit.numbers if n["metric"] == "intercept")
    assert intercept == pytest.approx(summary["intercept"], rel=1e-9)
    routes = Route(budgets=(0.25, 0.5, 1)).sample(membership, fit, seed=0)
    ids, gain = by_item(routes, "id"), by_item(routes, "gain")
    gains = published("linear_gain_sorted.csv")
    assert ids["top-k at 100 %"] == list(gains)
    assert gain["top-k at 100 %"] == pytest.approx(list(gains.values()), abs=1e-12)
    chosen = json.loads((REFERENCE / "linear_topk_selection.json").read_text())
    for size, item in (("15", "top-k at 25 %"), ("30", "top-k at 50 %")):
        assert ids[item] == chosen[size]["topk_ids_by_gain"]


def test_the_published_counts_have_the_published_prediction(membership, tmp_path):
    fitted("linear", tmp_path)
    form = open_ensemble(tmp_path).whole
    for chosen in json.loads((REFERENCE / "linear_topk_selection.json").read_text()).values():
        counts = np.array([[chosen["counts"][name] for name in membership.values]], dtype=float)
        assert form.values(counts, np.zeros(1))[0] == pytest.approx(chosen["predicted"], rel=1e-9)


def test_the_quadratic_chain_chooses_the_published_sets(membership, tmp_path):
    fit = fitted("quadratic", tmp_path)
    routes = Route(budgets=(15, 30, 45, 60)).sample(membership, fit, seed=0)
    ids, gain = by_item(routes, "id"), by_item(routes, "gain")
    everything = "top-k at 60 labels"
    own = dict(zip(ids[everything], gain[everything], strict=True))
    known = published("quadratic_gain_sorted.csv")
    assert [own[name] for name in known] == pytest.approx(list(known.values()), abs=5e-6)
    for size in (15, 30, 45):
        assert set(ids[f"top-k at {size} labels"]) == set(list(known)[:size])
