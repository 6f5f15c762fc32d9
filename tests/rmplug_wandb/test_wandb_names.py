"""Names that Weights & Biases refuses, drops or mixes up arrive, each as another one."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from wandb_file import logged, run_of

from rmplug import Fit, Metrics
from rmplug.records import RunRecord
from rmplug_wandb import Wandb
from rmplug_wandb._names import MOST_OF_CELL, MOST_OF_STEP, cell, distinct, name_part, step_part
from rmplug_wandb._tracking import MOST_ROWS, Destination, start

HOSTILE = (
    "", "_step", "_runtime", "_wandb", "a/b", "a\\b", "..", "../../x", "a\nb", "a\x00b", "a.b", "*",
    "\u202eabc", "x" * 5000, "x" * 4999 + "y", "\u2028", "steps", "é", "e\u0301", " a", "a ",
)  # fmt: skip


def test_hostile_names_stay_apart_visible_and_short():
    for made in ([name_part(n) for n in HOSTILE], [step_part(n) for n in HOSTILE]):
        assert len(set(made)) == len(HOSTILE)
        assert all(name.isprintable() and 0 < len(name) <= 120 for name in made)
    assert name_part("a\u202eb") == "a⟨U+202E⟩b"
    assert step_part("a/b") == "a⟨U+002F⟩b"
    assert max(map(len, map(step_part, HOSTILE))) == MOST_OF_STEP


def test_names_that_are_the_same_are_counted():
    assert distinct(["x", "x (2)", "x", "x"]) == ["x", "x (2)", "x (3)", "x (4)"]


def test_a_long_text_in_a_cell_is_cut_and_says_so():
    assert cell("x" * 5000) == "x" * MOST_OF_CELL + "… (5,000 characters)"
    assert cell(["x" * 5000]).endswith("… (5,004 characters)")
    assert cell("short") == "short" and cell(1.5) == 1.5 and cell(None) is None


def metrics(name, rows):
    bare = {"subset": "all", "low": None, "high": None, "n": 1}
    return Metrics(pa.Table.from_pylist([{**bare, **row} for row in rows]), name)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A run whose steps, models, metrics and columns have hostile names, logged offline."""
    folder = tmp_path_factory.mktemp("run")
    about = Destination("audits", None, "a\n" + "x" * 500, (), "offline", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_DATA_DIR", str(folder / "data"))
        tracker = start(
            about, RunRecord("id", "name", {"": 1}, "spec.yaml", 1), tables=True, report=True
        )
        for number, step in enumerate(HOSTILE):
            row = {"metric": "accuracy", "model": "m", "value": float(number)}
            tracker.result(metrics(step, [row]))
            tracker.progress(step, 1, {"done": 0.5, "loss": float(number)})
        columns = {f"column {name}": name for name in HOSTILE}
        rows = [
            {"metric": name, "model": name, "value": float(number), **columns}
            for number, name in enumerate(HOSTILE)
        ]
        both = ({"model": "a/b", "metric": "c"}, {"model": "a", "metric": "b/c"})
        rows += [{**one, "value": 7.0 + number} for number, one in enumerate(both)]
        tracker.result(metrics("many", rows))
        table = pa.table({"feature": ["x"] * (MOST_ROWS + 3)})
        tracker.result(Fit(folder, Wandb, [], {"coefficients": table}, "why"))
        tracker.finish(RunRecord("id", "name", {}, "spec.yaml", 1, "finished"))
    return folder, logged(folder)[1]


def test_every_number_of_every_step_arrives(hostile):
    folder, history = hostile
    for number, step in enumerate(HOSTILE):
        assert history[f"{step_part(step)}/m/accuracy"] == number
        assert history[f"{step_part(step)}/loss"] == number
        assert history[f"{step_part(step)}/done"] == 1
        assert history[f"{step_part(step)}/done (2)"] == 0.5
        assert history[step_part(step)]["nrows"] == 1
    assert history["why/coefficients"]["nrows"] == MOST_ROWS
    assert history["why/coefficients/rows-left-out"] == 3
    assert run_of(folder).display_name.startswith("a⟨U+000A⟩xxx")


def test_every_number_of_every_metric_arrives(hostile):
    _, history = hostile
    numbers = {key: value for key, value in history.items() if key.startswith("many/")}
    assert sorted(numbers.values()) == sorted([*map(float, range(len(HOSTILE))), 7.0, 8.0])
    assert (numbers["many/a/b/c"], numbers["many/a/b/c (2)"]) == (7.0, 8.0)


def test_tables_have_every_column_and_bounded_cells(hostile):
    folder, history = hostile
    [run] = (folder / "wandb").glob("offline-run-*")
    table = json.loads((run / "files" / history["many"]["path"]).read_text())
    assert len(set(table["columns"])) == len(table["columns"]) == 7 + len(HOSTILE)
    assert max(len(str(value)) for row in table["data"] for value in row) < MOST_OF_CELL + 30


@pytest.mark.parametrize("project", ["a/b", "a#", "a\n", "a\\b", "\u202ea"])
def test_a_project_that_is_refused_later_is_a_mistake(project, tmp_path):
    [(where, message)] = Wandb(project=project, directory=tmp_path).mistakes({})
    assert where == "project"
    assert message.endswith("cannot be in the name of a project; leave it out")
