"""The reward model of recorded scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from rmplug import DataError, RewardModel, notice, text_of
from rmplug.arrays import Array
from rmplug.data.raw_texts import MISSING, BadRow, Text, find, shown, split_response, text_from
from rmplug.data.row_files import NotPlain, Row, RowFiles, identifier, need, number
from rmplug.data.seen_texts import hash_texts
from rmplug.errors import did_you_mean, some

from ._pairs import written
from ._recorded_columns import read_plain_scores
from ._recorded_layouts import LAYOUTS, RowScores, layout_of
from ._score_table import ScoreRows, ScoreTable, text_keys

if TYPE_CHECKING:
    from .recorded import Recorded

MOST_MODELS = 20
OWN_FIELDS = ("id", "side", "chosen", "rejected", "prompt", "response")
"""Fields that, once named, say that the layout of the file is the user's own."""


@dataclass(frozen=True)
class Lookup:
    """The ways to find responses, and the policies for no score and for several."""

    by: str = "auto"
    missing: str = "error"
    duplicates: str = "error"


class RecordedScores(RewardModel):
    """A reward model that looks scores up by id or text."""

    def __init__(
        self,
        step: Recorded,
        lookup: Lookup,
        ids: ScoreTable,
        texts: ScoreTable,
        models: Sequence[str],
        any_prompt: bool = False,
    ) -> None:
        self.step = step
        self.lookup = lookup
        self.ids = ids
        self.texts = texts
        self.models = tuple(models)
        self.any_prompt = any_prompt

    def __reduce__(self) -> Any:
        """Read scores again in the process that this is sent to: its hashes of texts are others."""
        return type(self.step).load, (self.step,)

    def score(self, responses: pa.RecordBatch) -> np.ndarray:
        """Return scores of shape (rows,)."""
        ids = responses.column("id")
        scores, left = np.full(len(ids), np.nan), np.arange(len(ids))
        if self.lookup.by != "text":
            left = self._look_up(self.ids, hash_texts(ids), ids, left, scores)
        if self.lookup.by != "id" and len(left):
            part = responses if len(left) == len(ids) else responses.take(pa.array(left))
            left = self._look_up(self.texts, self._text_keys(part), ids, left, scores)
        self._handle_missing(ids.take(pa.array(left)).to_pylist())
        empty = np.isnan(scores)
        empty[left] = False
        notice("recorded score is null or NaN", ids.filter(pa.array(empty)).to_pylist())
        return scores

    def _text_keys(self, responses: pa.RecordBatch) -> Array:
        prompts, texts = (text_of(responses.column(name)) for name in ("prompt", "response"))
        keys = hash_texts(prompts, texts)
        if not self.any_prompt:
            return keys
        return np.where(self.texts.find(keys) < 0, hash_texts(texts), keys)

    def _look_up(
        self, table: ScoreTable, keys: Array, ids: pa.Array, rows: Array, scores: Array
    ) -> Array:
        """Fill in the scores of some rows by their keys; return the rows that have none."""
        at = table.find(keys)
        found = at >= 0
        scores[rows[found]] = table.values[at[found]]
        if self.lookup.duplicates == "error":
            self._check_clear(table, at[found], ids, rows[found])
        return rows[~found]

    def _check_clear(self, table: ScoreTable, at: Array, ids: pa.Array, rows: Array) -> None:
        """Check that none of the rows' keys has different scores."""
        unclear = np.flatnonzero(table.unclear[at])
        if not len(unclear):
            return
        names = ids.take(pa.array(rows[unclear])).to_pylist()
        first = ", ".join(f"{score:g}" for score in table.scores_of(at[unclear[0]])[:5])
        advice = (
            f"choose a model, one of {some(self.models)}"
            if len(self.models) > 1
            else "narrow the rows with where"
        )
        raise DataError(
            f"{len(names)} responses have different recorded scores "
            f"({some(names)}; the first has {first}): {advice}, or set duplicates: mean or first"
        )

    def _handle_missing(self, ids: Sequence[str]) -> None:
        if not ids:
            return
        if self.lookup.missing == "error":
            raise DataError(
                f"{len(ids)} responses have no recorded score ({some(ids)}); "
                "set missing: nan to go on without, or filter the data first"
            )
        notice("no recorded score", ids)


def plain(text: Text) -> str:
    """Return a text's contents, a blank line between messages."""
    return text if isinstance(text, str) else "\n\n".join(turn["content"] for turn in text)


class ScoreReader:
    """A reader of the scores of the wanted rows."""

    def __init__(
        self,
        lookup: Lookup,
        fields: Mapping[str, Any],
        sides: Mapping[str, Sequence[Any]],
        wanted: Mapping[str, Sequence[Any]],
        form: str,
        layout: str = "scores",
    ) -> None:
        self.lookup = lookup
        self.layout = layout
        self.fields = fields
        self.sides = {written(value): side for side in sides for value in sides[side]}
        self.wanted = {path: {written(value) for value in wanted[path]} for path in wanted}
        self.form = form
        self.ids, self.texts = ScoreRows(hash_texts), ScoreRows(text_keys)
        self.models: dict[str, None] = {}
        self.met: dict[str, dict[str, None]] = {path: {} for path in wanted}
        self.taken = 0
        self.any_prompt = False

    def take(self, row: Row) -> None:
        """Record a row's score under its id and its texts."""
        if not self._is_wanted(row):
            return
        self.taken += 1
        layout = layout_of(row.value) if self.layout == "auto" else self.layout
        if layout != "scores" and not any(self.fields[name] for name in OWN_FIELDS):
            self._take_layout(LAYOUTS[layout](row.value), row.location)
            return
        if self.fields["chosen"] or self.fields["rejected"]:
            name = self._id(row)
            for side in ("chosen", "rejected"):
                if self.fields[side]:
                    self.ids.add((f"{name}/{side}",), self._score(row, self.fields[side]))
            return
        score = self._score(row, self.fields["score"])
        if self.lookup.by != "text":
            self._take_id(row, score)
        if self.lookup.by != "id":
            self._take_text(row, score)

    def _take_layout(self, scores: RowScores, row: str) -> None:
        """Record the scores of another tool's row, under all ids that it may have."""
        if scores.order_matters:
            notice("scores change with the order of the responses; their mean is taken", [row])
        for scored in scores.scored:
            for name in scored.ids if self.lookup.by != "text" else ():
                self.ids.add((name,), scored.score)
            if scored.response is not None and self.lookup.by != "id":
                prompt = None if scored.prompt is None else plain(scored.prompt)
                self.texts.add((prompt, plain(scored.response)), scored.score)
                self.any_prompt |= scored.prompt is None

    def _is_wanted(self, row: Row) -> bool:
        for path, values in self.wanted.items():
            value = written(need(row.value, path))
            if value not in values:
                if len(self.met[path]) < MOST_MODELS:
                    self.met[path][value] = None
                return False
        model = find(row.value, self.fields["model"] or "model")
        if isinstance(model, str) and len(self.models) < MOST_MODELS:
            self.models[model] = None
        return True

    def _score(self, row: Row, path: str) -> float:
        value = need(row.value, path)
        if isinstance(value, list) and len(value) != 1:
            raise BadRow(
                f"{path} is a list of {len(value)} numbers", f"name one of them, such as {path}.0"
            )
        score = number(value, path)
        return float("nan") if score is None else score

    def _id(self, row: Row) -> str:
        return identifier(need(row.value, self.fields["id"] or "id"), "id")

    def _take_id(self, row: Row, score: float) -> None:
        must = self.lookup.by == "id" or self.fields["id"] or self.fields["side"]
        if not must and "id" not in row.value:
            return
        name = self._id(row)
        if self.fields["side"]:
            value = need(row.value, self.fields["side"])
            side = self.sides.get(written(value))
            if side is None:
                raise BadRow("an unknown side", f"{shown(value)}; say what it means with sides")
            name = f"{name}/{side}"
        self.ids.add((name,), score)

    def _take_text(self, row: Row, score: float) -> None:
        prompt, response = (self._text(row, name) for name in ("prompt", "response"))
        if response is None:
            return
        prompt, response = split_response(prompt, response)
        self.texts.add((plain(prompt), plain(response)), score)

    def _text(self, row: Row, name: str) -> Text | None:
        path = self.fields[name]
        value = need(row.value, path or name) if path or self.lookup.by == "text" else MISSING
        if value is MISSING:
            value = row.value.get(name, MISSING)
        return None if value is MISSING else text_from(value, name, self.form)

    def finish(self, step: Recorded) -> RewardModel:
        """Return the model of a step; at least one row must have been wanted."""
        if not self.taken:
            path, met = next((path, met) for path, met in self.met.items() if met)
            asked = ", ".join(sorted(self.wanted[path]))
            raise DataError(
                f"no row has {path}: {asked}{did_you_mean(asked, met)}; found: {some(met, 10)}"
            )
        mean = self.lookup.duplicates == "mean"
        ids, texts = self.ids.table(mean), self.texts.table(mean)
        if not len(ids) and not len(texts):
            raise DataError(
                "the recorded scores have neither an id nor prompt and response; "
                "say where they stand with fields: {id: NAME}"
            )
        return RecordedScores(step, self.lookup, ids, texts, list(self.models), self.any_prompt)


def take_columns(reader: ScoreReader, source: RowFiles) -> bool:
    """Take all scores of plain files by columns; return False if the files are not plain."""
    ids, texts = ScoreRows(hash_texts), ScoreRows(text_keys)
    models, taken = dict[str, None](), 0
    lookup, layout = reader.lookup, reader.layout
    try:
        for part in read_plain_scores(
            source, reader.fields, lookup.by, layout, reader.form, reader.wanted
        ):
            for names, scores in part.by_id:
                ids.extend([names], scores.to_numpy())
            for prompts, responses, scores in part.by_texts:
                texts.extend([prompts, responses], scores.to_numpy())
            models |= dict.fromkeys(part.models)
            taken += part.rows
    except NotPlain:
        return False
    reader.ids, reader.texts, reader.taken = ids, texts, taken
    reader.models = dict.fromkeys([*models][:MOST_MODELS])
    return taken > 0


def load_scores(step: Recorded, source: RowFiles, reader: ScoreReader) -> RewardModel:
    """Return the scores of a step's files as a reward model."""
    if not take_columns(reader, source):
        hint = "say where it stands with fields: {score: NAME, ...}"
        for _ in source.convert(reader.take, hint):
            pass
    return reader.finish(step)
