from __future__ import annotations

import re

import numpy as np
import pytest
from check_specs import load

from rmplug import (
    Artifact,
    Checkpoint,
    Features,
    Fit,
    Metrics,
    Pairs,
    Responses,
    RewardModel,
    Value,
)
from rmplug._kinds.signatures import Input
from rmplug._spec.graph import order
from rmplug.known import Known, Ref, UnknownName, known_of
from rmplug.testing import LengthModel, small_pairs

CHAIN = """\
steps:
  pairs: {kind: some-pairs}
  words: {kind: count, inputs: pairs}
  mixed: {kind: shuffle, inputs: pairs}
  loop:
    kind: for-each
    params:
      values: [1, 2]
      collect: [inner]
      steps:
        inner: {kind: count, inputs: {data: mixed, scale: item}}
  mean: {kind: mean, inputs: [words]}
  page: {kind: page, inputs: [loop, mean]}
"""


@pytest.mark.parametrize(
    ("text", "step", "column"),
    [
        ("a", "a", ""),
        ("a.b", "a", "b"),
        ("a.b.c", "a", "b.c"),
        ("loop.words.first", "loop", "words.first"),
    ],
)
def test_a_reference_names_a_step_and_what_of_it(text: str, step: str, column: str):
    assert Ref.parse(text) == Ref(step, column)
    assert str(Ref(step, column)) == text


def test_steps_are_ordered_by_their_needs_and_keep_their_order_otherwise():
    needs = {"c": ["b"], "x": [], "b": ["a", "outside"], "a": []}
    ordered, cycles = order(needs)
    assert sorted(ordered) == ["a", "b", "c", "x"]
    assert ordered.index("a") < ordered.index("b") < ordered.index("c")
    assert cycles == []
    assert order({"a": [], "b": [], "c": []})[0] == ["a", "b", "c"]


def test_each_cycle_is_found_and_all_steps_are_ordered_all_the_same():
    ordered, cycles = order({"a": ["b"], "b": ["a"], "c": ["c"], "d": ["a"]})
    assert sorted(map(sorted, cycles)) == [["a", "a", "b"], ["c", "c"]]
    assert sorted(ordered) == ["a", "b", "c", "d"]


def test_no_more_cycles_are_looked_for_than_anybody_reads():
    _, cycles = order({f"s{n}": [f"s{n}"] for n in range(1000)})
    assert len(cycles) == 20


def test_the_steps_that_a_step_needs_are_found_through_loops():
    graph = load(CHAIN).graph
    assert graph.needed(["loop"]) == {"loop", "mixed", "pairs"}
    assert graph.needed(["mean"]) == {"mean", "words", "pairs"}
    assert graph.needed([]) == set()


def test_the_steps_that_depend_on_a_step_are_found_through_loops():
    graph = load(CHAIN).graph
    assert graph.dependents("mixed") == {"mixed", "loop", "page"}
    assert graph.dependents("page") == {"page"}


def test_a_step_takes_parameters_from_values():
    node = load(CHAIN).graph.nodes["loop"].body.nodes["inner"]
    assert node.step is None
    assert node.configured({"scale": 3}).scale == 3.0
    assert load(CHAIN).graph.nodes["words"].configured({}).scale == 1.0


class TestKnown:
    def test_a_column_of_a_table_is_a_feature(self):
        known = Known((Features,), ("first", "last"))
        assert known.at("") is known
        assert known.at("last") == Known((Features,), ("last",))
        with pytest.raises(
            UnknownName,
            match=re.escape("no column 'lats'; did you mean 'last'? (it gives first, last)"),
        ):
            known.at("lats")

    def test_columns_that_are_not_known_may_be_there(self):
        assert Known((Pairs,)).at("margin") == Known((Features,), ("margin",))
        assert Known((Fit,)).at("rows") == Known((Features,), ("rows",))

    def test_a_column_of_text_is_no_feature(self):
        known = Known((Pairs,), {"subset": "text", "weight": "number"})
        assert known.at("weight") == Known((Features,), {"weight": "number"})
        with pytest.raises(UnknownName, match="column 'subset' holds text; as features, columns"):
            known.at("subset")

    def test_what_is_known_of_an_artifact_are_its_columns_and_their_types(self):
        known = known_of(small_pairs(), "pairs")
        assert (known.types, known.step) == ((Pairs,), "pairs")
        assert [known.type_of(name) for name in ("id", "chosen", "subset")] == [
            "text",
            "messages",
            "text",
        ]
        features = Features({"id": ["a"], "x": [1.0], "yes": [True], "v": np.zeros((1, 2))})
        assert known_of(features).columns == {"x": "number", "yes": "boolean", "v": "vector"}
        assert known_of(LengthModel()).outputs == ("reward",)

    @pytest.mark.parametrize("kind", [Metrics, Checkpoint, RewardModel])
    def test_what_is_no_table_of_rows_has_no_columns(self, kind: type[Artifact]):
        with pytest.raises(UnknownName, match=re.escape(f"{kind.__name__} has no columns")):
            Known((kind,)).at("x")

    def test_an_entry_of_every_item_is_a_value(self):
        known = Known((Value,), values=({"a": 1}, {"a": 2, "b": 3}))
        assert known.at("a") == Known((Value,), values=(1, 2))
        with pytest.raises(UnknownName, match=re.escape("an item has no entry 'b'")):
            known.at("b")
        with pytest.raises(UnknownName, match=re.escape("the item 1 has no entries")):
            Known((Value,), values=(1,)).at("a")

    def test_the_only_result_of_a_loop_need_not_be_named(self):
        words = Known((Features,), ("first",))
        assert Known((Artifact,), results={"words": words}).at("") is words
        assert Known((Artifact,), results={"words": words}).at("words.first") == words
        assert Known((Artifact,), results={"words": words}).at("first") == words

    def test_one_of_several_results_is_named(self):
        known = Known((Artifact,), results={"a": Known((Pairs,)), "b": Known((Metrics,))})
        with pytest.raises(UnknownName, match=re.escape("name one of its results: a, b")):
            known.at("")
        assert known.at("b") == Known((Metrics,))
        with pytest.raises(UnknownName, match=re.escape("Metrics has no columns")):
            known.at("b.x")


@pytest.mark.parametrize(
    ("taken", "given", "fits"),
    [
        ((Pairs,), Pairs, True),
        ((Pairs,), Responses, False),
        ((Pairs, Responses), Responses, True),
        ((Artifact,), Metrics, True),
        ((RewardModel,), Checkpoint, True),
        ((Checkpoint,), RewardModel, False),
        ((Pairs,), Artifact, True),
    ],
)
def test_an_input_takes_what_it_is_annotated_with(
    taken: tuple[type[Artifact], ...], given: type[Artifact], fits: bool
):
    assert Input("data", taken).takes(given) is fits
