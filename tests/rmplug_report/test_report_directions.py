"""What states know, on the page: by layer, beside shuffled labels, no more than was tested."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from report_inputs import Lines
from test_report_words import NOTHING

from rmplug import Fit, Metrics
from rmplug_report.figures._render import _draw
from rmplug_report.findings._directions import directions_findings, what_places_know
from rmplug_report.inputs._inputs import gather
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.sections._page_order import sections

LAYERS = (0, 3, 6)


def rows_of(target, metric, values, half=0.03, layers=LAYERS, **more):
    return [
        {"metric": metric, "subset": target, "value": value, "low": value - half,
         "high": value + half, "n": 200, "place": f"states.layer-{place}", "layer": layer, **more}
        for value, place, layer in zip(values, LAYERS, layers, strict=True)
    ]  # fmt: skip


def probes(directory, target="words.characters", metric="r2", values=(0.5, 0.81, 0.7), **more):
    over = [value - 0.01 for value in values]
    numbers = [
        *rows_of(target, metric, values, **more),
        *rows_of(target, metric, (0.01,) * 3, kind="baseline", model="shuffled labels", **more),
        *rows_of(target, f"{metric}-over-shuffled", over, **more),
    ]
    if metric == "accuracy":
        numbers += rows_of(target, "accuracy-of-majority", (0.55,) * 3, **more)
    return Fit(directory, Lines, numbers, name="knows")


def effects(target="words.characters"):
    rows = rows_of(target, "reward-change-removed", (0.1, 0.42, 0.3), kind=None, model=None)
    for sign, metric in ((1, "plus"), (-1, "minus")):
        values = tuple(sign * value for value in (0.1, 0.2, 0.3))
        rows += rows_of(target, f"reward-change-{metric}", values, kind=None, model=None)
    rows += rows_of("random direction", "reward-change-removed", (0.05, 0.12, 0.1),
                    kind="baseline", model="random direction")  # fmt: skip
    rows += rows_of(target, "cosine", (0.0, 0.0, -0.25), kind=None, model=None)[-1:]
    return Metrics({key: pa.array([row[key] for row in rows]) for key in rows[0]}, "matters")


def inputs_of(*items):
    return gather(list(items), NOTHING)


def shown(inputs):
    return sections(inputs, MetricLookup(inputs.metrics, inputs.plan.seen))


def plain(text):
    return text.replace("\x02", "").replace("\x03", "").replace("\N{NO-BREAK SPACE}", " ")


def test_several_directions_are_told_beside_as_many_random_ones(tmp_path):
    rows = effects().table.to_pylist()
    counts = [3 if row["subset"] == "words.characters" else 1 for row in rows]
    three = [{**row, "subset": "3 random directions", "value": 0.4} for row in rows
             if row["kind"] == "baseline"]  # fmt: skip
    whole = [*({**r, "directions": n} for r, n in zip(rows, counts, strict=True)),
             *({**row, "directions": 3} for row in three)]  # fmt: skip
    changed = Metrics(pa.Table.from_pylist(whole), "matters")
    [found] = directions_findings(inputs_of(probes(tmp_path), changed))
    assert "0.390–0.450; 3 random directions: 0.40)" in plain(found.text)


def test_the_sentence_says_where_a_target_is_known_and_what_taking_it_out_does(tmp_path):
    inputs = inputs_of(probes(tmp_path), effects())
    [found] = directions_findings(inputs)
    assert plain(found.text) == (
        "Layer 3, the best of 3, knows words.characters (held-out R² 0.81, 95 % CI 0.780–0.840; "
        "with shuffled labels 0.01), and taking it out changes the reward by 0.42 deviations "
        "within prompts (95 % CI 0.390–0.450; a random direction: 0.12)."
    )


def test_classes_stand_beside_the_most_frequent_one(tmp_path):
    inputs = inputs_of(probes(tmp_path, "subset", "accuracy", (0.5, 0.9, 0.7)))
    [text] = what_places_know(inputs)
    assert plain(text) == (
        "Layer 3, the best of 3, knows subset (held-out accuracy 90.0 %, 95 % CI 87.0–93.0; with "
        "shuffled labels 1.0 %; the most frequent class 55.0 %)."
    )


@pytest.mark.parametrize(
    ("metric", "values"), [("r2", (0.0, 0.02, -0.1)), ("accuracy", (0.5, 0.57, 0.4))]
)
def test_nothing_is_said_to_be_known_that_is_not_beyond_chance(tmp_path, metric, values):
    [text] = what_places_know(inputs_of(probes(tmp_path, "x", metric, values)))
    assert plain(text).startswith("None of 3 places knows x beyond chance (held-out")


def test_the_section_draws_probes_and_effects_by_layer_and_no_other_shows_them(tmp_path):
    both = probes(tmp_path)
    both.numbers += probes(tmp_path, "subset", "accuracy", (0.6, 0.9, 0.7)).numbers
    [section] = shown(inputs_of(both, effects()))
    assert section.id == "directions"
    names = [drawing.name for drawing in section.drawings]
    assert names == ["probes-r2", "probes-accuracy", "direction-effects-0", "direction-effects-1"]
    numbers = section.drawings[0].numbers
    assert numbers.columns[1] == "layer"
    assert [row[1:4] for row in numbers.rows[:3]] == [
        ("0", "probe", "0.50"), ("3", "probe", "0.81"), ("6", "probe", "0.70"),
    ]  # fmt: skip
    assert {row[2] for row in numbers.rows} == {"probe", "shuffled labels"}
    [table] = section.tables
    assert [row[:3] for row in table.numbers.rows] == [
        ("Cosine", "words.characters", "states.layer-6")
    ]
    [note] = section.notes
    assert "knows" in note and "subset" in note


def test_series_can_be_told_without_colour(tmp_path):
    inputs = inputs_of(probes(tmp_path, "subset", "accuracy", (0.6, 0.9, 0.7)), effects("subset"))
    [section] = shown(inputs)
    marks = []
    for drawing in section.drawings:
        figure = drawing.draw(700)
        lines = [line for line in figure.axes[0].lines if line.get_marker() != "None"]
        faces = [line.get_markerfacecolor() != line.get_color() for line in lines]
        marks.append(
            [(line.get_marker(), hollow) for line, hollow in zip(lines, faces, strict=True)]
        )
        assert len(set(marks[-1])) == len(lines) > 1
        intervals = [line for line in figure.axes[0].lines if line.get_marker() == "None"]
        assert len(intervals) >= 3 * len(lines)
    assert marks[0] == [("o", False), ("o", True), ("x", True)]
    assert marks[2] == [("^", False), ("v", False)]


def test_places_without_layers_are_named_and_may_be_one_alone(tmp_path):
    inputs = inputs_of(probes(tmp_path, layers=(None,) * 3))
    [text] = what_places_know(inputs)
    assert plain(text).startswith("states.layer-3, the best of 3, knows words.characters")
    [section] = shown(inputs)
    assert section.drawings[0].numbers.columns[1] == "place"
    alone = probes(tmp_path)
    alone.numbers = [row for row in alone.numbers if row["layer"] == 3]
    [text] = what_places_know(inputs_of(alone))
    assert plain(text).startswith("Layer 3 knows words.characters")
    svg = _draw(shown(inputs_of(alone))[0].drawings[0], 400).svg
    assert svg.startswith("<?xml")


def test_names_of_strangers_stay_text(tmp_path):
    hostile = probes(tmp_path, "<script>alert(1)</script>" + "x" * 200)
    from report_inputs import report

    report([hostile, effects()], tmp_path / "page", NOTHING)
    page = (tmp_path / "page/index.html").read_text()
    assert "<script>alert" not in page
    found = json.loads((tmp_path / "page/metrics.json").read_text())
    assert np.isclose(found["fits"][0]["numbers"][1]["value"], 0.81)
