"""Steps inside loops, and steps in files of their own, are checked like those of a spec."""

from __future__ import annotations

from pathlib import Path

import pytest
from check_specs import load, refusal, told

from rmplug import Features, Pairs
from rmplug._spec.source import read_source
from rmplug.known import Ref

PAIRS = "  pairs: {kind: some-pairs}\n"


class TestLoops:
    def test_the_steps_of_a_loop_see_those_around_it_and_its_item(self):
        spec = load("""\
            steps:
              loop:
                kind: for-each
                params:
                  values: [1, 2]
                  collect: [words]
                  steps:
                    words: {kind: count, inputs: {data: pairs, scale: item}}
              pairs: {kind: some-pairs}
              page: {kind: page, inputs: [loop, loop.words, loop.first]}
            """)
        loop = spec.graph.nodes["loop"]
        assert list(spec.graph.nodes) == ["pairs", "loop", "page"]
        assert loop.gives.types == (Features,)
        assert loop.body.nodes["words"].bound == {"scale": Ref("item")}
        assert loop.body.outer == (Ref("pairs"),)

    def test_problems_inside_are_positioned_like_all_others(self):
        assert told("""\
            steps:
              pairs: {kind: some-pairs}
              loop:
                kind: for-each
                params:
                  values: [1]
                  collect: [words, nothing]
                  steps:
                    words:
                      kind: count
                      inputs: pears
                      params: {scael: 1}
            """) == [
            "11:19: steps.loop.params.steps.words.inputs: no step 'pears'; did you mean 'pairs'? "
            "(steps: pairs, loop, item)",
            "12:20: steps.loop.params.steps.words.params.scael: unknown field; "
            "did you mean 'scale'?",
        ]

    def test_a_wrong_loop_does_not_hide_what_is_wrong_inside(self):
        found = told("""\
            steps:
              loop:
                kind: repeat
                inputs: {data: pairs}
                params:
                  rounds: 0
                  carry: {data: words}
                  steps:
                    words: {kind: count, inputs: data, params: {scale: x}}
              pairs: {kind: some-pairs}
            """)
        assert [entry.split(": ")[1] for entry in found] == [
            "steps.loop.params.rounds",
            "steps.loop.params.steps.words.params.scale",
        ]

    def test_what_is_collected_must_be_a_table_of_a_step_inside(self):
        body = "steps: {m: {kind: teach, inputs: pairs}, w: {kind: count, inputs: pairs}}"
        text = "steps:\n" + PAIRS + "  loop: {kind: for-each, params: {values: [1], %s, " + body
        assert told(text % "collect: [w, mm]" + "}}\n") == [
            "3:61: steps.loop.params.collect.1: no step 'mm' inside the loop (steps: m, w)"
        ]
        assert told(text % "collect: [w, m]" + "}}\n") == [
            "3:61: steps.loop.params.collect.1: 'm' gives Checkpoint; only tables can be collected"
        ]

    def test_each_value_that_sets_a_parameter_is_checked(self):
        found = told("""\
            steps:
              pairs: {kind: some-pairs}
              loop:
                kind: for-each
                params:
                  values: [1, 0, x, 2]
                  collect: [words]
                  steps:
                    words: {kind: count, inputs: {data: pairs, scale: item}}
                    mixed: {kind: teach, inputs: {data: pairs, seed: item}}
            """)
        inside = "steps.loop.params.steps"
        assert found == [
            f"9:59: {inside}.words.inputs.scale: must be more than 0.0, not 0",
            f"9:59: {inside}.words.inputs.scale: must be a number, not 'x'",
            f"10:58: {inside}.mixed.inputs.seed: "
            "a seed must be a whole number of 0 or more, not 'x'",
        ]

    @pytest.mark.parametrize(
        ("inputs", "problem"),
        [
            ("{data: pairs, scale: item.c}", "item.c: an item has no entry 'c'"),
            ("{data: pairs, scale: item.a.x}", "item.a.x: an item has no entry 'a.x'"),
            ("{data: pairs, scale: [item.a]}", "scale is a parameter: one value of a loop can"),
            ("{data: item}", "data takes Pairs | Responses, but item gives Value"),
        ],
    )
    def test_an_entry_of_an_item_can_set_a_parameter(self, inputs: str, problem: str):
        text = (
            "steps:\n" + PAIRS + "  loop: {kind: for-each, params: {collect: [w], "
            "values: [{a: 1, b: x}, {a: 2, b: y}], steps: {w: {kind: count, inputs: %s}}}}"
        )
        assert told(text % "{data: pairs, scale: item.a, weights: item.b}") == []
        (found,) = told(text % inputs)
        assert problem in found

    def test_a_parameter_cannot_be_set_twice(self):
        (found,) = told(
            "steps:\n" + PAIRS + "  loop: {kind: for-each, params: {collect: [w], values: [1], "
            "steps: {w: {kind: count, inputs: {data: pairs, scale: item}, params: {scale: 2}}}}}"
        )
        assert found.endswith("w.inputs.scale: scale is set twice: here and in params")

    def test_files_that_a_loop_names_are_found_and_checked(self, tmp_path: Path):
        (tmp_path / "a.jsonl").touch()
        text = (
            "steps: {loop: {kind: for-each, params: {collect: [p], values: [a.jsonl, b.jsonl], "
            "steps: {p: {kind: some-responses, inputs: {path: item}}}}}}"
        )
        (found,) = told(text, folder=tmp_path)
        assert f"p.inputs.path: no such file or folder: {tmp_path / 'b.jsonl'}; did you" in found
        (tmp_path / "b.jsonl").touch()
        node = load(text, folder=tmp_path).graph.nodes["loop"].body.nodes["p"]
        assert node.configured({"path": "b.jsonl"}).path == tmp_path / "b.jsonl"

    @pytest.mark.parametrize(
        ("loop", "problem"),
        [
            ("params: {%s}", "give either params.values or inputs.items, and not both"),
            (
                "inputs: pairs, params: {values: [1], %s}",
                "give either params.values or inputs.items, and not both",
            ),
            (
                "inputs: {items: [pairs], data: pairs}, params: {%s}",
                "no such input; steps inside can name 'data' directly",
            ),
            (
                "inputs: model, params: {%s}",
                "one step must give a table with a column 'item'; else list steps",
            ),
            ("params: {values: [1, 1], %s}", "1 is there 2 times"),
        ],
    )
    def test_a_loop_needs_items(self, loop: str, problem: str):
        body = "collect: [w], steps: {w: {kind: count, inputs: pairs}}"
        text = f"steps:\n{PAIRS}  model: {{kind: length-model}}\n  l: {{kind: for-each, "
        (found,) = told(text + loop % body + "}\n")
        assert found.endswith(": " + problem)

    @pytest.mark.parametrize(
        ("items", "problem"),
        [
            ("[pairs, mixed]", None),
            ("pairs", None),
            (
                "[pairs, words]",
                "data takes Pairs | Responses, but item gives Features; "
                "what fits here: pairs, mixed",
            ),
        ],
    )
    def test_items_are_steps_or_the_parts_of_a_table(self, items: str, problem: str | None):
        found = told(
            "steps:\n" + PAIRS + "  mixed: {kind: shuffle, inputs: pairs}\n"
            "  words: {kind: count, inputs: pairs}\n"
            f"  loop: {{kind: for-each, inputs: {items}, params: {{collect: [w], "
            "steps: {w: {kind: count, inputs: item}}}}\n"
        )
        assert [entry.split(": ", 2)[2] for entry in found] == ([problem] if problem else [])

    def test_columns_of_items_are_known_where_all_give_the_same(self):
        text = (
            "steps:\n" + PAIRS + "  a: {kind: count, inputs: pairs}\n"
            "  b: {kind: ask, inputs: {model: {model}, data: pairs}}\n"
            "  model: {kind: length-model}\n"
            "  loop: {kind: for-each, inputs: ITEMS, params: {collect: [m], "
            "steps: {m: {kind: mean, inputs: [item.x]}}}}\n"
        ).replace("{model}", "model")
        assert "no column 'x'" in told(text.replace("ITEMS", "[a]"))[0]
        assert told(text.replace("ITEMS", "[a, b]")) == []

    def test_what_a_round_gives_is_what_the_next_one_takes(self):
        text = """\
            steps:
              pairs: {kind: some-pairs}
              loop:
                kind: repeat
                inputs: {data: pairs}
                params:
                  rounds: 3
                  carry: {data: NAME}
                  collect: [mixed]
                  steps:
                    mixed: {kind: shuffle, inputs: data}
                    words: {kind: count, inputs: mixed}
              page: {kind: page, inputs: [loop.data, loop.mixed]}
            """
        spec = load(text.replace("NAME", "mixed"))
        assert spec.graph.nodes["loop"].gives.results["data"].types == (Pairs,)
        assert told(text.replace("NAME", "words")) == [
            "8:21: steps.loop.params.carry.data: "
            "the first round takes Pairs, but 'words' gives Features"
        ]
        assert told(text.replace("NAME", "nothing")) == [
            "8:21: steps.loop.params.carry.data: "
            "no step 'nothing' inside the loop (steps: mixed, words)"
        ]
        assert told(text.replace("{data: pairs}", "{dat: pairs}").replace("NAME", "mixed")) == [
            "5:5: steps.loop.inputs: must name what the first round takes: data",
        ]

    def test_one_of_several_results_must_be_named(self):
        (found,) = told(
            "steps:\n" + PAIRS + "  loop: {kind: for-each, params: {values: [1], "
            "collect: [a, b], steps: {a: {kind: count, inputs: pairs}, "
            "b: {kind: count, inputs: a2}, a2: {kind: shuffle, inputs: pairs}}}}\n"
            "  m: {kind: mean, inputs: [loop]}\n"
        )
        assert found == "4:28: steps.m.inputs.0: loop: name one of its results: a, b"

    @pytest.mark.parametrize("collect", ["[a]", "[a, b]"])
    def test_a_step_inside_that_is_not_collected_cannot_be_named(self, collect: str):
        (found,) = told(
            "steps:\n" + PAIRS + "  loop: {kind: for-each, params: {values: [1], collect: "
            f"{collect}, steps: {{a: {{kind: count, inputs: pairs}}, "
            "b: {kind: count, inputs: a2}, a2: {kind: shuffle, inputs: pairs}}}}\n"
            "  m: {kind: mean, inputs: [loop.a2]}\n"
        )
        assert found == (
            "4:28: steps.m.inputs.0: loop.a2: the step 'a2' inside the loop is not collected: "
            "add it to collect"
        )

    def test_a_column_may_have_the_name_of_a_step_inside(self):
        text = (
            "steps:\n" + PAIRS + "  loop: {kind: for-each, params: {values: [1], collect: [a], "
            "steps: {a: {kind: count, inputs: first}, first: {kind: shuffle, inputs: pairs}}}}\n"
            "  m: {kind: mean, inputs: [loop.first]}\n"
        )
        assert told(text) == []

    def test_loops_stand_in_loops(self):
        text = """\
            steps:
              outer:
                kind: for-each
                params:
                  values: [1, 2]
                  collect: [inner]
                  steps:
                    inner:
                      kind: for-each
                      params:
                        values: [3, 4]
                        collect: [words]
                        steps:
                          words: {kind: count, inputs: {data: DATA, scale: item}}
              pairs: {kind: some-pairs}
            """
        assert list(load(text.replace("DATA", "pairs")).graph.nodes) == ["pairs", "outer"]
        inner = "steps.outer.params.steps.inner.params.steps.words"
        assert told(text.replace("DATA", "pears")) == [
            f"14:51: {inner}.inputs.data: no step 'pears'; did you mean 'pairs'? "
            "(steps: outer, pairs, item, inner)"
        ]

    def test_a_loop_that_takes_itself_is_a_cycle(self):
        found = told(
            "steps: {loop: {kind: for-each, params: {values: [1], collect: [w], "
            "steps: {w: {kind: count, inputs: loop}}}}}"
        )
        assert found == ["1:9: steps.loop: steps need each other: loop → loop"]

    def test_a_cycle_through_the_steps_of_a_loop_is_named(self):
        found = told(
            "steps:\n  loop: {kind: for-each, params: {values: [1], collect: [w], "
            "steps: {w: {kind: count, inputs: mixed}}}}\n  mixed: {kind: shuffle, inputs: loop}\n"
        )
        assert found == ["2:3: steps.loop: steps need each other: loop → mixed → loop"]


class TestSubSpecs:
    def test_a_file_of_steps_is_read_once(self, tmp_path, monkeypatch):
        (tmp_path / "inner").mkdir()
        body = "steps: {words: {kind: count, inputs: {data: pairs, scale: item}}}"
        (tmp_path / "inner" / "body.yaml").write_text(body)
        files = []

        def counted(path):
            files.append(path.name)
            return read_source(path)

        monkeypatch.setattr("rmplug._spec.step_draft.read_source", counted)
        load(self.LOOP, folder=tmp_path)
        assert files == ["body.yaml"]

    LOOP = (
        "steps:\n  pairs: {kind: some-pairs}\n  loop: {kind: for-each, "
        "params: {values: [1, 2], collect: [words], steps: inner/body.yaml}}\n"
    )

    @staticmethod
    def write(folder: Path, **files: str) -> None:
        (folder / "inner").mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / "inner" / f"{name}.yaml").write_text(text, encoding="utf-8")

    def test_the_steps_of_a_loop_may_be_a_file(self, tmp_path: Path):
        words = "steps:\n  words: {kind: count, inputs: {data: pairs, scale: item}}\n"
        self.write(tmp_path, body=words)
        assert list(load(self.LOOP, folder=tmp_path).graph.nodes["loop"].body.nodes) == ["words"]

    def test_problems_are_told_in_that_file(self, tmp_path: Path):
        self.write(tmp_path, body="steps:\n  words: {kind: cuont, inputs: pairs}\n")
        assert refusal(self.LOOP, folder=tmp_path) == (
            f"{tmp_path}/inner/body.yaml:2:17: steps.words.kind: "
            "unknown kind 'cuont'; did you mean 'count'?\n"
            "  2 |   words: {kind: cuont, inputs: pairs}\n"
            "    |                 ^^^^^"
        )

    def test_a_file_that_is_not_there_is_told(self, tmp_path: Path):
        assert refusal(self.LOOP, folder=tmp_path) == f"{tmp_path}/inner/body.yaml: no such file"

    def test_it_is_read_from_its_own_folder_and_its_needs_come_first(self, tmp_path: Path):
        inner = (
            "steps: {words: {kind: for-each, params: "
            "{values: [1], collect: [w], steps: deep.yaml}}}"
        )
        self.write(tmp_path, body=inner, deep="steps: {w: {kind: count, inputs: pairs}}")
        text = self.LOOP.replace("  pairs: {kind: some-pairs}\n", "") + PAIRS
        assert list(load(text, folder=tmp_path).graph.nodes) == ["pairs", "loop"]

    def test_a_file_inside_itself_is_refused(self, tmp_path: Path):
        again = "steps:\n  words:\n    kind: for-each\n    params: "
        self.write(tmp_path, body=again + "{values: [1], collect: [words], steps: body.yaml}")
        (found,) = told(self.LOOP, folder=tmp_path)
        assert found == "1:1: steps: this file is inside itself: the loop would never end"
