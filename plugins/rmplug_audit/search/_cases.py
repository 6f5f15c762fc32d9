"""The cases of a search: of each prompt a bad response that is changed, and a good one to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Pairs, Responses, notice
from rmplug.arrays import Array
from rmplug.data.choices import choice_of_each
from rmplug_audit.perturbations.perturbation import Row

OTHERS = 4
"""Responses to other prompts that a case offers to perturbations."""
MOST_READ = 2000
"""Pairs of the searching half whose texts phrases are mined from."""


@dataclass(frozen=True)
class Side:
    """A response as its turns, with its id."""

    id: str
    turns: list[dict[str, str]]

    @property
    def text(self) -> str:
        """The text of its last turn."""
        return (self.turns[-1]["content"] or "") if self.turns else ""

    def with_text(self, text: str) -> list[dict[str, str]]:
        """Return its turns with another last text."""
        return [*self.turns[:-1], {**self.turns[-1], "content": text}]


@dataclass(frozen=True)
class Case:
    """One prompt with a good and a bad response."""

    id: str
    """The id of the pair, or of the bad response where there are no pairs."""
    group: str
    prompt: list[dict[str, str]]
    good: Side
    bad: Side
    others: tuple[str, ...] = ()

    @property
    def row(self) -> Row:
        """The bad response as perturbations take it."""
        asked = (self.prompt[-1]["content"] or "") if self.prompt else ""
        return Row(asked, self.bad.text, self.others)


@dataclass(frozen=True)
class Cases:
    """The cases of the search, those that confirm, and all that may be read for phrases."""

    search: list[Case]
    confirm: list[Case]
    readable: list[Case]

    def fewer(self, prompts: int) -> Cases:
        """Return the first of both parts, so many in all, at least two of each."""
        share = min(1.0, prompts / (len(self.search) + len(self.confirm)))
        search, confirm = (
            part[: max(2, round(share * len(part)))] for part in (self.search, self.confirm)
        )
        return Cases(search, confirm, self.readable)


def read_cases(
    data: Pairs | Responses, start: str, prompts: int, confirm: float, seed: int
) -> Cases:
    """Deal prompts into those of the search and those that confirm, and draw a case of each."""
    table, good, bad = _sides(data)
    groups = np.asarray(table["group"].combine_chunks().dictionary_encode().indices)
    rng = np.random.default_rng([seed, 1])
    order = rng.permutation(len(good))
    _, first = np.unique(groups[good[order]], return_index=True)
    drawn = order[np.sort(first)]  # one case per prompt, in random order
    usable = (at for at in drawn if _is_usable(table, int(good[at]), int(bad[at]), data))
    used = list(islice(usable, prompts))
    if len(used) < 4:
        raise DataError(
            f"find-exploits needs good and bad responses to at least 4 prompts, half of which "
            f"confirm what is found; {data.name or 'the data'} has {len(used)} that can be used"
        )
    confirming = min(max(round(len(used) * confirm), 2), len(used) - 2)
    aside = set(groups[good[used[:confirming]]].tolist())
    readable = [place for place in order.tolist() if groups[good[place]] not in aside]
    sides = (data, table, good, bad)
    cases = [_case(*sides, int(place)) for place in used]
    if start == "off-topic":
        cases = _off_topic(cases)
    cases = [_with_others(cases, index) for index in range(len(cases))]
    return Cases(
        cases[confirming:],
        cases[:confirming],
        [_case(*sides, place) for place in readable[:MOST_READ]],
    )


def _sides(data: Pairs | Responses) -> tuple[pa.Table, Array, Array]:
    """Return the table, and the rows of the good and of the bad response of each choice."""
    if isinstance(data, Pairs):
        rows = np.arange(len(data))
        return data.table, rows, rows
    table = data.table
    if "label" not in table.column_names:
        raise DataError(
            f"{data.name or 'the data'} have no column label, which says what is good; give pairs, "
            "or responses with label"
        )
    labels = np.asarray(pc.fill_null(table["label"].cast(pa.float64()), np.nan), dtype=np.float64)
    choices = choice_of_each(table)
    rows = np.flatnonzero(np.isfinite(labels))
    ranked = rows[np.lexsort((rows, labels[rows], choices[rows]))]
    _, starts = np.unique(choices[ranked], return_index=True)
    worst = ranked[starts]
    best = ranked[np.append(starts[1:], len(ranked)) - 1] if len(ranked) else worst
    differ = labels[best] > labels[worst]
    alone = table["id"].take(pa.array(worst[~differ])).to_pylist()
    notice("responses to the prompt have no better and worse label", alone, "dropped")
    return table, best[differ], worst[differ]


def _is_usable(table: pa.Table, good: int, bad: int, data: Pairs | Responses) -> bool:
    sides = ("chosen", "rejected") if isinstance(data, Pairs) else ("response", "response")
    one, two = table[sides[0]][good].as_py(), table[sides[1]][bad].as_py()
    fault = None
    if not one or not two or not (two[-1]["content"] or "").strip():
        fault = "a response is empty"
    elif one == two:
        fault = "good and bad response are the same"
    if fault:
        notice(f"{fault}: not used by the search", [str(table["id"][bad].as_py())], "dropped")
    return fault is None


def _case(data: Pairs | Responses, table: pa.Table, good: Array, bad: Array, place: int) -> Case:
    better, worse = int(good[place]), int(bad[place])
    name = str(table["id"][worse].as_py())
    prompt = _turns(table["prompt"][worse].as_py())
    group = str(table["group"][worse].as_py())
    if isinstance(data, Pairs):
        one = Side(f"{name}/chosen", _turns(table["chosen"][better].as_py()))
        two = Side(f"{name}/rejected", _turns(table["rejected"][worse].as_py()))
    else:
        one = Side(str(table["id"][better].as_py()), _turns(table["response"][better].as_py()))
        two = Side(name, _turns(table["response"][worse].as_py()))
    return Case(name, group, prompt, one, two)


def _turns(turns: Sequence[dict[str, Any]] | None) -> list[dict[str, str]]:
    return [{"role": turn["role"], "content": turn["content"]} for turn in turns or ()]


def _off_topic(cases: list[Case]) -> list[Case]:
    """Put the good response to another prompt in the place of each bad one: cases of both halves
    take theirs from their neighbour in a random order."""
    after = [*cases[1:], cases[0]]
    return [
        Case(case.id, case.group, case.prompt, case.good, Side(case.bad.id, other.good.turns))
        for case, other in zip(cases, after, strict=True)
    ]


def _with_others(cases: list[Case], index: int) -> Case:
    case, count = cases[index], len(cases)
    places = [(index + 1 + step) % count for step in range(min(OTHERS, count - 1))]
    others = tuple(cases[place].good.text for place in places)
    return Case(case.id, case.group, case.prompt, case.good, case.bad, others)
