"""Scores of single responses from result files of other tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rmplug.data.raw_texts import BadRow, Text, split_pair, text_from
from rmplug.data.row_files import identifier, need, number

MIRRORED = 1e-9


@dataclass(frozen=True)
class ResponseScore:
    """The score of a response, by its possible ids and by its texts; without a prompt, of any."""

    ids: Sequence[str]
    prompt: Text | None
    response: Text | None
    score: float


@dataclass(frozen=True)
class RowScores:
    """The scores of a row, and a flag if they change with the order of the responses."""

    scored: Sequence[ResponseScore]
    order_matters: bool = False


def layout_of(row: Mapping[str, Any]) -> str:
    """Return the layout that a row looks like."""
    if "judgments" in row and "response_A" in row:
        return "judgebench"
    if "scores_chosen" in row and "scores_rejected" in row:
        return "rewardbench"
    return "scores"


def rewardbench(row: Mapping[str, Any]) -> RowScores:
    """Read a row of ``<model>_outputs.jsonl``, or of a file with a list for each column.

    ``text_chosen`` and ``text_rejected`` are conversations, or texts that went through a chat
    template: these cannot be separated into prompt and response, so such a row needs its id, or
    the responses as they were (``chosen``, ``rejected``).
    """
    scores = [_score(need(row, f"scores_{side}"), f"scores_{side}") for side in SIDES]
    texts = [row.get(f"text_{side}") for side in SIDES]
    prompt: Text | None = None
    responses: list[Text | None] = [None, None]
    if all(isinstance(text, list) for text in texts):
        prompt, *responses = split_pair(None, *(text_from(t, "text", "auto") for t in texts))
    elif all(row.get(side) is not None for side in SIDES):
        responses = [_response(row[side], side) for side in SIDES]
    ids = _ids(row)
    if not ids and responses[0] is None:
        raise BadRow(
            "neither an id nor the responses",
            "text_chosen and text_rejected are texts of a chat template; add the columns id, or "
            "chosen and rejected",
        )
    return RowScores([
        ResponseScore([f"{one}/{side}" for one in ids], prompt, response, score)
        for side, response, score in zip(SIDES, responses, scores, strict=True)
    ])  # fmt: skip


SIDES = ("chosen", "rejected")


def _score(value: Any, name: str) -> float:
    if isinstance(value, list) and len(value) != 1:
        raise BadRow(f"{name} is a list of {len(value)} numbers", "one number was expected")
    score = number(value, name)
    return float("nan") if score is None else score


def _response(value: Any, name: str) -> Text:
    text = text_from(value, name, "auto")
    return text if isinstance(text, str) else text[-1:]


def _ids(row: Mapping[str, Any]) -> list[str]:
    """Return the id, and with its subset before it where it is a number that repeats."""
    if row.get("id") is None:
        return []
    name = identifier(row["id"], "id")
    subset = row.get("subset")
    return [f"{subset}:{name}"] if isinstance(subset, str) and name.isdigit() else [name]


def judgebench(row: Mapping[str, Any]) -> RowScores:
    """Read a row with one or two games; the second has the responses, and so the scores,
    swapped."""
    label = need(row, "label")
    if label not in ("A>B", "B>A"):
        raise BadRow("label is neither 'A>B' nor 'B>A'", f"but {label!r}")
    games = [_game(game) for game in need(row, "judgments")]
    if not games:
        raise BadRow("no judgments")
    games = [game if number % 2 == 0 else game[::-1] for number, game in enumerate(games)]
    swayed = any(
        abs(a - b) > MIRRORED for game in games for a, b in zip(game, games[0], strict=True)
    )
    means = [sum(scores) / len(games) for scores in zip(*games, strict=True)]
    name, prompt = identifier(need(row, "pair_id"), "pair_id"), _text(row, "question")
    sides = SIDES if label == "A>B" else SIDES[::-1]
    return RowScores([
        ResponseScore([f"{name}/{side}"], prompt, _text(row, f"response_{letter}"), mean)
        for side, letter, mean in zip(sides, "AB", means, strict=True)
    ], swayed)  # fmt: skip


def _text(row: Mapping[str, Any], name: str) -> Text:
    return text_from(need(row, name), name, "text")


def _game(game: Any) -> list[float]:
    """Return the scores of the first and the second response of one game."""
    judgment = game.get("judgment") if isinstance(game, dict) else None
    scores = judgment.get("scores") if isinstance(judgment, dict) else None
    if not isinstance(scores, list) or len(scores) != 2:
        raise BadRow("a judgment has no two scores", "only reward models' files have them")
    return [_score(score, "scores") for score in scores]


LAYOUTS = {"rewardbench": rewardbench, "judgebench": judgebench}
