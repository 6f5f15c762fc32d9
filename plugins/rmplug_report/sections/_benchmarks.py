"""Sections of benchmarks: parts, sections and the whole, with baselines; matrices and curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rmplug_report.figures import _curves, _parts
from rmplug_report.figures._heat_maps import Matrix, colours_of, heat, middle_of
from rmplug_report.figures._palette import reward_colour
from rmplug_report.figures._render import Drawing, Numbers
from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.inputs._metric_names import PUBLISHED, in_percent, span_of, titled, value_of
from rmplug_report.inputs._row_forms import (
    LEVELS,
    by,
    distinct,
    is_cell,
    is_level,
    is_point,
    sentences,
    valued,
)
from rmplug_report.inputs._wording import amount, label, left_out

from ._section import Section, Table

ENOUGH_MODELS, ENOUGH_PARTS = 2, 3
DIFFERENT = 5e-5
"""Smallest difference of two shares that can change their last printed digit."""
MOST_MATRICES = 8
MOST_WHOLES = 16
"""Most heat maps where they are of the whole."""

LEAD = (
    "The benchmark's own rule for the whole and for each part, with 95 % intervals, beside "
    "baselines that do not understand texts."
)


def benchmarks(inputs: Inputs, _: MetricLookup) -> Section | None:
    """Return the section of benchmarks, one part for each step whose numbers have levels."""
    steps = by(valued(inputs.metrics, is_level), "step")
    parts = [
        _benchmark(inputs, step, rows, n + 1) for n, ((step,), rows) in enumerate(steps.items())
    ]
    if not parts:
        return None
    if len(parts) > 1:
        return Section("benchmark", "Benchmarks and baselines", [LEAD], parts=parts)
    (only,) = parts
    return Section(
        "benchmark",
        "Benchmark and baselines",
        [LEAD],
        drawings=only.drawings,
        tables=only.tables,
        notes=only.notes,
        legend=only.legend,
    )


def _benchmark(inputs: Inputs, step: str, rows: Sequence[Row], tag: int) -> Section:
    main = principal(rows)
    whole = [row for row in main if row["level"] != "subset"]
    parts = [row for row in main if row["level"] == "subset"]
    drawings = []
    if whole:
        drawings = [
            _parts.parts(inputs, f"levels-{tag}", "The whole and sections", _with_strongest(whole))
        ]
    drawings += model_by_subset(f"parts-{tag}", [row for row in parts if not _is_baseline(row)])
    if not drawings:
        drawings = [_parts.parts(inputs, f"levels-{tag}", "Part by part", _with_strongest(parts))]
    tables = [_table(rows, main), _baselines_table(main), _other_table(rows, main)]
    models = distinct([row for row in main if not _is_baseline(row)], "model")
    legend = [(label(one), reward_colour(inputs.number(one))) for one in models]
    return Section(f"benchmark-{tag}", label(step or "benchmark"), drawings=drawings,
                   legend=legend if len(legend) > 1 else (),
                   tables=[one for one in tables if one is not None],
                   notes=sentences(rows))  # fmt: skip


def _is_baseline(row: Row) -> bool:
    return row.get("kind") == "baseline"


def principal(rows: Sequence[Row]) -> list[Row]:
    """Select the rows of each part's main metric: the first one it has."""
    first: dict[tuple[str, str], str] = {}
    for row in rows:
        if not str(row["metric"]).endswith(PUBLISHED):
            first.setdefault((str(row["level"]), str(row["subset"])), str(row["metric"]))
    kept = [
        row for row in rows if first.get((str(row["level"]), str(row["subset"]))) == row["metric"]
    ]
    return sorted(kept, key=lambda row: LEVELS.index(row["level"]))


def _with_strongest(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of models, and on each part that of the strongest baseline."""
    models = [row for row in rows if not _is_baseline(row)]
    strongest: dict[str, Row] = {}
    for row in rows:
        best = strongest.get(str(row["subset"]))
        if _is_baseline(row) and (best is None or row["value"] > best["value"]):
            strongest[str(row["subset"])] = row
    return [*models, *({**row, "model": "strongest baseline"} for row in strongest.values())]


def _table(rows: Sequence[Row], main: Sequence[Row]) -> Table:
    """Return a table of every part: each model's value, interval, and published number if
    different."""
    models = distinct([row for row in main if not _is_baseline(row)], "model")
    published = {
        (str(row["model"]), str(row["subset"]), str(row["metric"]).removesuffix(PUBLISHED)): row
        for row in rows
        if str(row["metric"]).endswith(PUBLISHED)
    }
    body = []
    for (level, part), inside in by(main, "level", "subset").items():
        by_model = {str(row["model"]): row for row in inside if not _is_baseline(row)}
        baselines = [row for row in inside if _is_baseline(row)]
        best = max(baselines, key=lambda row: float(row["value"]), default=None)
        strongest = "–" if best is None else f"{value_of(best)} ({label(best['model'], 24)})"
        sizes = [row["n"] for row in inside if row.get("n") is not None]
        values = [_value(by_model.get(model), published) for model in models]
        title = "the whole" if level == "overall" and part == "all" else label(part, 60)
        body.append((title, level, *values, strongest, max(sizes, default=None)))
    columns = ("part", "level", *(label(model, 32) for model in models), "strongest baseline", "n")
    return Table("Each part with its 95 % CI", Numbers(columns, body), len(body) > 40)


def _value(row: Row | None, published: dict[tuple[str, str, str], Row]) -> str:
    if row is None:
        return "–"
    share = in_percent(str(row["metric"]), [row])
    text = value_of(row)
    if interval := span_of(row):
        text += f" ({interval})"
    theirs = published.get((str(row["model"]), str(row["subset"]), str(row["metric"])))
    if theirs is not None and abs(theirs["value"] - row["value"]) >= DIFFERENT:
        digits = 1 if abs(theirs["value"] - row["value"]) >= 0.001 else 2
        text += f"; published rule {amount(theirs['value'], share, digits)}"
    return text


def _baselines_table(main: Sequence[Row]) -> Table | None:
    baselines = [row for row in main if _is_baseline(row)]
    names = distinct(baselines, "model")
    if not names:
        return None
    body = []
    for (part,), inside in by(baselines, "subset").items():
        by_baseline = {str(row["model"]): value_of(row) for row in inside}
        body.append((label(part), *(by_baseline.get(one, "–") for one in names)))
    return Table("Every baseline, part by part",
                 Numbers(("part", *names), body), folded=True)  # fmt: skip


def _other_table(rows: Sequence[Row], main: Sequence[Row]) -> Table | None:
    """Return a table of the further numbers of each part."""
    shown = {id(row) for row in main}
    body = [
        (str(row["model"]), titled(str(row["metric"])), str(row["subset"]), value_of(row),
         span_of(row), row.get("n"))
        for row in rows
        if id(row) not in shown and not _is_baseline(row)
    ]  # fmt: skip
    columns = ("model", "metric", "part", "value", "95 % CI", "n")
    return Table("More numbers of each part", Numbers(columns, body), folded=True) if body else None


def model_by_subset(file: str, rows: Sequence[Row]) -> list[Drawing]:
    """Draw models against subsets where there are enough of both."""
    models, subsets = distinct(rows, "model"), distinct(rows, "subset")
    if len(models) < ENOUGH_MODELS or len(subsets) < ENOUGH_PARTS:
        return []
    cells = {(str(row["subset"]), str(row["model"])): row for row in reversed(rows)}
    matrix = Matrix(subsets, models, cells, share=True, middle=middle_of(rows, True),
                    row_title="subset", column_title="model")  # fmt: skip
    return [heat(file, "Accuracy by model and subset", colours_of(matrix), matrix)]


def matrices(inputs: Inputs, _: MetricLookup) -> Section | None:
    """Return the section of heat maps: one for each model, metric and subset of matrix cells."""
    cells = [
        _whole_matrix(row)
        for row in valued(inputs.metrics, is_cell)
        if not is_gate_weight(inputs, row)
    ]
    first = sorted(cells, key=lambda row: (str(row["subset"] or "all") != "all", _is_baseline(row)))
    groups = by(first, "step", "metric", "model", "subset")
    wholes = sum(key[3] in ("", "all") for key in groups)
    most = max(MOST_MATRICES, min(wholes, MOST_WHOLES))
    parted = len({key[3] for key in groups}) > 1
    measured = Counter(key[1:] for key in groups)
    drawings = [
        _matrix(f"matrix-{index + 1}", key, rows, parted, measured[key[1:]] > 1)
        for index, (key, rows) in enumerate(list(groups.items())[:most])
    ]
    if not drawings:
        return None
    lead = [
        "One number by two labels, such as accuracy by model and subset.",
        *left_out(len(groups) - len(drawings), "more heat map"),
    ]
    return Section("matrices", "Matrices", lead, drawings=drawings, notes=sentences(cells))


def is_gate_weight(inputs: Inputs, row: Row) -> bool:
    """Check whether a row is a mean weight that the section of the gate shows from each pair's
    weights."""
    contributions = inputs.contributions
    shown = (
        contributions is not None
        and bool(contributions.weights)
        and row["row"] in contributions.attributes
    )
    return shown and row["metric"] == "weight"


def _whole_matrix(row: Row) -> Row:
    """Assign a cell whose column is its subset to the one matrix of all subsets."""
    return {**row, "subset": ""} if row["column"] == (row["subset"] or "all") else row


def _matrix(
    file: str, key: tuple[str, ...], rows: Sequence[Row], parted: bool, repeated: bool
) -> Drawing:
    """Draw a matrix; name its part where there are several, its step where others measure the
    same."""
    step, metric, model, subset = key
    cells = {(str(row["row"]), str(row["column"])): row for row in rows}
    share = in_percent(metric, rows)
    sides = (distinct(rows, "row"), distinct(rows, "column"))
    if set(sides[1]) <= set(sides[0]):
        sides = (sides[0], [one for one in sides[0] if one in sides[1]])
    matrix = Matrix(*sides, cells, share, middle_of(rows, share and "accuracy" in metric))
    title = f"{titled(metric)}: {model}" if model else titled(metric)
    title += f", {subset}" if parted and subset not in ("", "all") else ""
    title += f", by {step}" if repeated else ""
    against = share and "accuracy" in metric and set(sides[0]) == set(sides[1])
    note = ("Down: the right response. Across: the wrong one. " if against else "") + colours_of(
        matrix
    )
    drawn = matrix if against else matrix.longer_side_down()
    return heat(file, title, note, drawn)


def curves(inputs: Inputs, _: MetricLookup) -> Section | None:
    """Return the section of curves from points of metrics and of the numbers of fits."""
    points = valued([*inputs.metrics, *inputs.numbers], is_point)
    drawings, left = [], 0
    for index, rows in enumerate(by(points, "step").values()):
        shown, more = _curves.figures(inputs, rows, str(index + 1))
        drawings += shown
        left += more
    if not drawings:
        return None
    lead = [
        "Numbers along what was varied, with 95 % bands where they are known.",
        *left_out(left, "more figure"),
    ]
    return Section("curves", "Curves", lead, drawings=drawings, notes=sentences(points))
