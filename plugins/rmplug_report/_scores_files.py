"""Rows of result files: of rewardbench, and of JudgeBench's reward models."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import Artifact, DataError, Pairs, PlanView, notice, text_of

from .inputs._contributions import Floats
from .inputs._inputs import Inputs, RewardColumns, gather

NOT_IN_FILES = re.compile(r"[^A-Za-z0-9._=,/-]+")
Rows = Iterator[dict[str, Any]]


def write(
    items: Sequence[Artifact], plan: PlanView, directory: Path, layout: str, model: str
) -> str:
    """Write the files of every reward; return the name of the first."""
    inputs = gather(items, plan)
    if inputs.pairs is None or not inputs.rewards:
        raise DataError("scores-file needs pairs and a reward on them")
    files = []
    for reward in inputs.rewards:
        name = model or reward.name
        name = f"{name}-{reward.name}" if model and len(inputs.rewards) > 1 else name
        files.append(_write(inputs, inputs.pairs, reward, directory, layout, name))
    return files[0]


def _write(
    inputs: Inputs, pairs: Pairs, reward: RewardColumns, directory: Path, layout: str, model: str
) -> str:
    if reward.chosen is None or reward.rejected is None:
        raise DataError(
            f"scores-file needs the scores of both responses; {reward.name} has only margins"
        )
    missing = ~(np.isfinite(reward.chosen) & np.isfinite(reward.rejected))
    lost = pairs["id"].filter(pa.array(missing)).to_pylist()
    notice("no score of both responses: null in the file", lost)
    scores = (reward.chosen, reward.rejected)
    if layout == "judgebench":
        return _lines(directory / _judgebench_name(pairs, model), judgebench(pairs, scores, model))
    _summary(inputs, scores, directory / f"{_safe(model)}.json", model)
    return _lines(directory / f"{_safe(model)}_outputs.jsonl", rewardbench(pairs, scores))


def _safe(model: str) -> str:
    """Return a model's name with only characters that a file's name may have."""
    return NOT_IN_FILES.sub("_", model).replace("/", "_").strip(".") or "model"


def _lines(path: Path, rows: Rows) -> str:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
    return path.name


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def rewardbench(pairs: Pairs, scores: tuple[Floats, Floats]) -> Rows:
    """Yield the rows of ``<model>_outputs.jsonl``."""
    start = 0
    for batch in pairs.batches():
        texts = {side: text_of(batch.column(side)).to_pylist() for side in ("chosen", "rejected")}
        more = "subset" in batch.schema.names
        for i, row in enumerate(batch.to_pylist()):
            chosen, rejected = (float(side[start + i]) for side in scores)
            prompt = row["prompt"] or []
            alone = len(prompt) == 1 and prompt[0]["role"] == "user"
            yield {
                "prompt": prompt[0]["content"] if alone else prompt,
                "results": int(chosen > rejected),
                "scores_chosen": _number(chosen),
                "scores_rejected": _number(rejected),
                "text_chosen": [*prompt, *row["chosen"]],
                "text_rejected": [*prompt, *row["rejected"]],
                "chosen": texts["chosen"][i],
                "rejected": texts["rejected"][i],
                "id": row["id"],
            } | ({"subset": row["subset"]} if more else {})
        start += batch.num_rows


def _summary(inputs: Inputs, scores: tuple[Floats, Floats], path: Path, model: str) -> None:
    """Write accuracy by rewardbench's rule: a tie and a missing score are lost."""
    right = scores[0] > scores[1]
    parts = {one: float(right[rows].mean()) for one, rows in inputs.rows_by_subset.items()}
    record = {
        "accuracy": float(right.mean()) if len(right) else None,
        "num_prompts": len(right),
        "model": model,
        "ref_model": None,
        "tokenizer": None,
        "chat_template": None,
        "extra_results": parts or None,
    }
    path.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")


def _judgebench_name(pairs: Pairs, model: str) -> str:
    writers = (
        pairs["response_model"].unique().to_pylist() if "response_model" in pairs.columns else []
    )
    writer = _safe(str(writers[0])) if len(writers) == 1 and writers[0] else "unknown"
    head = f"dataset=judgebench,response_model={writer},judge_name=reward_model"
    return f"{head},judge_model={_safe(model)}.jsonl"


def judgebench(pairs: Pairs, scores: tuple[Floats, Floats], model: str) -> Rows:
    """Yield rows with two games; each verdict names the first or the second response."""
    start = 0
    for batch in pairs.batches():
        names = set(batch.schema.names)
        texts = {one: text_of(batch.column(one)).to_pylist() for one in ("prompt", *SIDES)}
        positions = batch.column("place").to_pylist() if "place" in names else [0] * batch.num_rows
        optional = [one for one in ("source", "response_model", "subset") if one in names]
        columns = {one: batch.column(one).to_pylist() for one in optional}
        for i, name in enumerate(batch.column("id").to_pylist()):
            order = SIDES[::-1] if positions[i] else SIDES
            both = {
                side: _number(values[start + i]) for side, values in zip(SIDES, scores, strict=True)
            }
            first = [both[side] for side in order]
            yield {
                "pair_id": name,
                "original_id": name,
                "source": (columns.get("source") or columns.get("subset") or [None] * (i + 1))[i],
                "question": texts["prompt"][i],
                "response_model": columns["response_model"][i]
                if "response_model" in columns
                else None,
                "response_A": texts[order[0]][i],
                "response_B": texts[order[1]][i],
                "label": "B>A" if positions[i] else "A>B",
                "judge_name": "reward_model",
                "judgments": [_game(first, model), _game(first[::-1], model)],
            }
        start += batch.num_rows


SIDES = ("chosen", "rejected")


def _game(scores: Sequence[float | None], model: str) -> dict[str, Any]:
    """Return one game: a tie, or a missing score, is a verdict for the second response."""
    first, second = scores
    above = first is not None and second is not None and first > second
    judgment = {"judge_model": model, "prompt": "", "response": "", "scores": [first, second]}
    return {"judgment": judgment, "decision": "A>B" if above else "B>A"}
