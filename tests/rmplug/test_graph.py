from __future__ import annotations

import pytest
from spec_tools import load

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
from rmplug._spec.graph import Gives, Ref, order

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


class TestGives:
    def test_a_column_of_a_table_is_a_feature(self):
        gives = Gives((Features,), ("first", "last"))
        assert gives.at("") is gives
        assert gives.at("last") == Gives((Features,), ("last",))
        assert gives.at("lats") == "no column 'lats'; did you mean 'last'? (it gives first, last)"

    def test_columns_that_are_not_known_may_be_there(self):
        assert Gives((Pairs,)).at("margin") == Gives((Features,), ("margin",))
        assert Gives((Fit,)).at("rows") == Gives((Features,), ("rows",))

    @pytest.mark.parametrize("kind", [Metrics, Checkpoint, RewardModel])
    def test_what_is_no_table_of_rows_has_no_columns(self, kind: type[Artifact]):
        assert Gives((kind,)).at("x") == f"{kind.__name__} has no columns"

    def test_an_entry_of_every_item_is_a_value(self):
        gives = Gives((Value,), values=({"a": 1}, {"a": 2, "b": 3}))
        assert gives.at("a") == Gives((Value,), values=(1, 2))
        assert gives.at("b") == "an item has no entry 'b'"
        assert Gives((Value,), values=(1,)).at("a") == "the item 1 has no entries"

    def test_the_only_result_of_a_loop_need_not_be_named(self):
        words = Gives((Features,), ("first",))
        assert Gives((Artifact,), results={"words": words}).at("") is words
        assert Gives((Artifact,), results={"words": words}).at("words.first") == words
        assert Gives((Artifact,), results={"words": words}).at("first") == words

    def test_one_of_several_results_is_named(self):
        gives = Gives((Artifact,), results={"a": Gives((Pairs,)), "b": Gives((Metrics,))})
        assert gives.at("") == "name one of its results: a, b"
        assert gives.at("b") == Gives((Metrics,))
        assert gives.at("b.x") == "Metrics has no columns"


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
