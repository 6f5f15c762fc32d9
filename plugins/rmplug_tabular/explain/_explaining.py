"""The explanation of a target by families of features: measured, tested, written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from rmplug import DataError, Features, Pairs, Responses, notice
from rmplug.stats.folds import deal_folds
from rmplug.stats.intervals import held_out_freedom
from rmplug.stats.metric_rows import number
from rmplug_tabular._boosted_line import BoostedLine
from rmplug_tabular._collinear import without_sums
from rmplug_tabular._estimation import Fitted, noticed_warnings
from rmplug_tabular._feature_matrix import Examples, as_numbers, read_examples
from rmplug_tabular._fit_files import write_fit
from rmplug_tabular._learners import Learned, Preparation, PreparedModel, Task
from rmplug_tabular._lightgbm_models import LightGBMModel
from rmplug_tabular._sklearn_models import LinearModel

from ._drift import drift_numbers, turns_before
from ._families import families_of
from ._moments import PARTS, Design, Moments, Part, Products
from ._shares import WORDS, PartModels, PartShares, Question, Share, part_of, row_of, shares_of
from ._sparse import Net, explain_sparsely
from ._structure import by_prompt
from ._surprises import surprises
from ._trees import HeldOutTrees, boosted, held_out_trees, learner_of
from ._variance import variance_numbers

if TYPE_CHECKING:
    from .explaining import Explain

MOST_NUMBERS = 2048
FEWEST_PROMPTS = 10


@dataclass(frozen=True)
class Explained:
    """What was found of one part; ``predicted`` (rows,) is held out."""

    name: str
    shares: list[Share]
    found: PartShares
    models: PartModels
    predicted: np.ndarray
    sparse: pa.Table | None


def explain(
    step: Explain, features: Sequence[Features], target: Features, data: Pairs | Responses | None,
    seed: int, directory: Path,
) -> Fitted:  # fmt: skip
    """Explain the target, write the fit of all rows to ``directory``, and return its numbers and
    tables."""
    examples = as_numbers(
        read_examples(
            features, target, include=step.include, exclude=step.exclude, missing=step.missing
        ),
        "explain",
    )
    _check_size(examples)
    order, prompts = by_prompt(examples)
    examples = _taken(examples, order)
    # One thread: sums of floats depend on how they are shared out between threads.
    with threadpool_limits(1), noticed_warnings("explain"):
        preparation = Preparation.of(examples.matrix, step.missing == "impute-median", True)
        matrix = preparation(examples.matrix)
        # Folds do not look at the target: they would be evener for it than for a permuted one.
        folds = min(step.folds, len(prompts.sizes))
        fold = deal_folds(prompts.of, folds, seed)
        question = Question(
            Design(matrix, prompts.means(matrix), prompts, fold),
            examples.target,
            families_of(examples, step.families),
            tuple(sorted(step.strengths)),
            step.permutations,
            seed,
        )
        margins = step.are_margins(target.values[0])
        parts = list(_explained(step, question, examples, margins))
        learned = _learn_all(step, question, parts[0])
        write_fit(directory, PreparedModel(preparation, learned), examples, step.missing)
        tables = _tables(step, question, examples, parts, order)
        numbers = [*_numbers(question, parts, margins), *_drift(question, examples, data, parts[0])]
    return Fitted(numbers, tables)


def _check_size(examples: Examples) -> None:
    groups, width = int(examples.groups.max()) + 1, examples.matrix.shape[1]
    if groups < FEWEST_PROMPTS:
        raise DataError(
            f"explain needs {FEWEST_PROMPTS} groups (prompts) at least, there are {groups}; give "
            "more data"
        )
    if width > MOST_NUMBERS:
        raise DataError(
            f"explain takes {MOST_NUMBERS:,} numbers at most, the features have {width:,}; leave "
            "vectors out (exclude), or give embeddings of a smaller model"
        )


def _taken(examples: Examples, order: np.ndarray) -> Examples:
    rows = pa.array(order)
    return replace(
        examples,
        matrix=examples.matrix[order],
        target=examples.target[order],
        ids=examples.ids.take(rows),
        group_names=examples.group_names.take(rows),
        groups=examples.groups[order],
    )


def _parts(question: Question, margins: bool) -> Iterator[tuple[Part, Moments, Products, Products]]:
    """Yield the parts that the target has, with the sums that models need, of the target and of
    permuted ones: rows first. Margins are differences within a prompt: rows are all there is."""
    parts: list[Part] = ["all"]
    sizes = question.prompts.sizes
    if not margins and (sizes > 1).any() and len(sizes) > 1:
        parts += [p for p in PARTS[1:] if np.ptp(question.target_of(p)) > 1e-12]
    elif not margins:
        notice("every prompt has one row: no part within prompts", ["target"], of="targets")
    moments = question.design.moments()
    real = question.design.of_target(question.target)
    permuted = question.shuffler.permuted(question.target, question.permutations)
    null = question.design.products(*permuted, parts)
    for part in parts:
        if moments[part].variances().any():
            yield part, moments[part], real[part], null[part]
        elif part == "all":
            raise DataError("no feature differs between rows: there is nothing to explain with")
        else:
            notice(f"no feature differs {WORDS[part]}", [part], "dropped", of="parts of the target")


def _explained(
    step: Explain, question: Question, examples: Examples, margins: bool
) -> Iterator[Explained]:
    """Yield what is found of each part, rows as they are first."""
    trees: HeldOutTrees | None = None
    names, numbers = _single_numbers(examples, question.seed)
    net = Net(step.l1_ratio, step.resamples, step.stability)
    for part, moments, real, null in _parts(question, margins):
        name = "within" if margins else part
        models = PartModels(question, part, moments, real, null)
        found = shares_of(models)
        shares, predicted = found.shares, found.predicted
        if step.model == "lightgbm":
            if trees is None:  # rows as they are come first
                asked = (step.rounds, step.tree_permutations)
                trees = held_out_trees(question, models, found, *asked)
            shares = [*shares, *boosted(question, models, found, trees)]
            predicted = predicted + part_of(question.prompts, trees.predicted, part)
        sparse = explain_sparsely(question, part, names, numbers, null, net)
        yield Explained(name, shares, found, models, predicted, _of_part(sparse, name))


def _of_part(sparse: pa.Table | None, name: str) -> pa.Table | None:
    if sparse is None:
        return None
    names = pa.array([name] * sparse.num_rows, pa.string())
    return sparse.add_column(0, "part", names)


def _single_numbers(examples: Examples, seed: int) -> tuple[list[str], np.ndarray]:
    """Return the features of one number, without those that others add up to, and where they
    stand."""
    kept = {column.name for column in without_sums(examples, seed).columns if not column.vector}
    chosen = [(c.name, block.start) for c, block in examples.blocks() if c.name in kept]
    return [name for name, _ in chosen], np.array([at for _, at in chosen], dtype=int)


def _learn_all(step: Explain, question: Question, rows: Explained) -> Learned:
    """Learn from all rows what ``predict`` applies: ridge, and trees on its errors."""
    paths = rows.found.paths
    weights, intercept = paths.learn_all(rows.models.real, rows.found.search.strength)
    matrix = question.design.matrix
    every = np.zeros(matrix.shape[1])
    every[paths.scaling.numbers] = weights
    line = LinearModel(every[None], np.array([intercept]), "identity")
    if step.model == "ridge":
        return line
    errors = question.target - line.scores(matrix)
    task = Task(matrix, errors, question.prompts.of, 0, question.seed)
    trees = learner_of(step.rounds).learn(task)
    assert isinstance(trees, LightGBMModel)
    return BoostedLine(line, trees)


def _tables(
    step: Explain, question: Question, examples: Examples, parts: Sequence[Explained],
    order: np.ndarray,
) -> dict[str, pa.Table]:  # fmt: skip
    groups, folds = question.prompts.of, question.design.folds
    freedom = held_out_freedom(len(question.prompts.sizes), folds)
    shares = [
        row_of(share, one.name, _rows_of(question, one), groups, freedom)
        for one in parts
        for share in one.shares
    ]
    whole = parts[0]
    target = pa.array(examples.target)
    guess = pa.array(whole.predicted)
    rows = pa.table(
        {
            "id": examples.ids,
            "group": examples.group_names,
            "target": target,
            "prediction": guess,
            "residual": pa.array(examples.target - whole.predicted),
        }
    ).take(pa.array(np.argsort(order)))
    tables = {"rows": rows, "shares": pa.Table.from_pylist(shares, SHARES)}
    sparse = [one.sparse for one in parts if one.sparse is not None]
    if sparse:
        tables["sparse"] = pa.concat_tables(sparse)
    tables["surprises"] = surprises(
        examples, question.design.matrix, question.families, question.prompts, whole.predicted,
        step.surprises, step.neighbours,
    )  # fmt: skip
    return tables


SHARES = pa.schema(
    [
        *((name, pa.string()) for name in ("part", "share", "family")),
        *((name, pa.float64()) for name in ("value", "low", "high")),
        ("n", pa.int64()),
        *((name, pa.float64()) for name in ("null_high", "p", "p_holm")),
        ("beyond_chance", pa.bool_()),
    ]
)


def _rows_of(question: Question, one: Explained) -> int:
    """Count the rows that say something of a part: prompts between prompts, and within prompts the
    rows of those that have several."""
    sizes = question.prompts.sizes
    if one.models.part == "between":
        return len(sizes)
    return int(sizes[sizes > 1].sum()) if one.models.part == "within" else int(sizes.sum())


def _numbers(
    question: Question, parts: Sequence[Explained], margins: bool
) -> Iterator[dict[str, Any]]:
    """Yield the shares as numbers, a cell of family and part each, and what they rest on."""
    groups, folds = question.prompts.of, question.design.folds
    freedom = held_out_freedom(len(question.prompts.sizes), folds)
    whole = row_of(parts[0].shares[0], "all", len(groups), groups, freedom)
    yield number("r2", whole["value"], whole["n"], whole["low"], whole["high"])
    yield number("better-than-chance", float(bool(whole["beyond_chance"])), len(groups))
    for one in parts:
        for share in one.shares:
            row = row_of(share, one.name, _rows_of(question, one), groups, freedom)
            metric = f"r2-{share.share.replace(' ', '-')}"
            cell = number(metric, row["value"], row["n"], row["low"], row["high"], one.name)
            tests = {key: row[key] for key in ("null_high", "p", "p_holm")}
            yield {**cell, "row": share.family or "all families", "column": one.name, **tests}
        yield from one.found.search.numbers(one.name)
    if not margins and len(parts) > 1:
        yield from variance_numbers(question.target, question.prompts, question.seed)
    yield number("folds", folds, len(groups))
    yield number("groups", len(question.prompts.sizes), len(groups))
    yield number("permutations", question.permutations, len(groups))


def _drift(
    question: Question, examples: Examples, data: Pairs | Responses | None, whole: Explained
) -> list[dict[str, Any]]:
    if data is None:
        return []
    turns = turns_before(data, examples.ids)
    return drift_numbers(
        examples, question.prompts, turns, whole.predicted, question.shuffler,
        question.permutations,
    )  # fmt: skip
