"""Mistakes in specs that need no run to be found: a check names each where it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rmplug import SpecError
from rmplug._kinds.registry import discover
from rmplug._spec.check import Spec, open_spec

KINDS = discover()
PAIR = {"prompt": "a?", "chosen": "b", "rejected": "c", "topic": "x", "meta": {"source": "s"}}
SCORE = {"id": "1/chosen", "score": 1.0, "kind": "x"}


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small data in every format, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("pairs.jsonl").write_text(json.dumps(PAIR) + "\n", encoding="utf-8")
    flat = {name: str(value) for name, value in PAIR.items() if name != "meta"}
    text = ",".join(flat) + "\n" + ",".join(flat.values()) + "\n"
    Path("pairs.csv").write_text(text, encoding="utf-8")
    pq.write_table(pa.Table.from_pylist([PAIR]), "pairs.parquet")
    Path("scores.jsonl").write_text(json.dumps(SCORE) + "\n", encoding="utf-8")
    Path("a-file").write_text("not a folder", encoding="utf-8")


STEPS: dict[str, Any] = {
    "pairs": {"kind": "pairs-file", "params": {"path": "pairs.csv"}},
    "lines": {"kind": "pairs-file", "params": {"path": "pairs.jsonl"}},
    "made": {"kind": "synthetic", "params": {"size": 10}},
    "answers": {"kind": "to-responses", "inputs": "made"},
    "scores": {"kind": "recorded", "params": {"path": "scores.jsonl"}},
    "reward": {"kind": "reward", "inputs": {"model": "scores", "data": "made"}},
    "words": {"kind": "lexical", "inputs": "made", "params": {"measures": ["words", "digits"]}},
}


def checked(kind: str, inputs: Any = None, params: Any = None, **more: Any) -> Spec:
    """The checked spec with a step ``last`` of this kind beside the steps above."""
    last = {"kind": kind, "inputs": inputs, "params": params}
    return open_spec({"steps": {**STEPS, **more, "last": last}}, (), KINDS)


def mistakes(kind: str, inputs: Any = None, params: Any = None, **more: Any) -> list[str]:
    """What a check finds: the path below ``steps.last``, and the message."""
    with pytest.raises(SpecError) as caught:
        checked(kind, inputs, params, **more)
    return [f"{p.path.removeprefix('steps.last.')}: {p.message}" for p in caught.value.problems]


REWARD_COLUMNS = "(it gives chosen, rejected, margin, probability, loss)"
TEN = "(it gives prompt.words, prompt.digits, chosen.words, chosen.digits, rejected.words, "


@pytest.mark.parametrize(
    ("kind", "inputs", "params", "found"),
    [
        (
            "html",
            ["reward.margn"],
            None,
            "inputs.0: reward.margn: no column 'margn'; did you mean 'margin'? " + REWARD_COLUMNS,
        ),
        (
            "html",
            ["words.chosen.wrds"],
            None,
            "inputs.0: words.chosen.wrds: no column 'chosen.wrds'; did you mean 'chosen.words'? "
            + TEN,
        ),
        (
            "html",
            ["made.subset"],
            None,
            "inputs.0: made.subset: column 'subset' holds text; as fea",
        ),
        (
            "relabel",
            {"data": "made", "reward": "reward"},
            {"by": "magrin"},
            "params.by: reward gives no column 'magrin'; did you mean 'margin'? " + REWARD_COLUMNS,
        ),
        (
            "pseudo-label",
            {"data": "made", "reward": "words"},
            None,
            "inputs.reward: words gives no column 'margin' (it gives prompt.words",
        ),
        (
            "pairwise",
            {"data": "made", "rewards": ["reward", "words"]},
            None,
            "inputs.rewards.1: words has no column 'margin' (it has prompt.words, prompt.digits, ",
        ),
        (
            "agreement",
            {"data": "answers", "rewards": ["words"]},
            None,
            "inputs.rewards.0: words has no column 'reward' (it has prompt.words, prompt.digits, ",
        ),
        (
            "agreement",
            {"data": "answers", "rewards": ["words.chosen.words"]},
            {"repeats": ["ratings.help"]},
            "params.repeats: write 'help' for the column 'ratings.help'",
        ),
        (
            "filter",
            {"data": "pairs"},
            {"where": "topc == 'x'"},
            "params.where: where, at position 1: no column 'topc'; did you mean 'topic'?; ther",
        ),
        (
            "filter",
            {"data": "pairs", "features": ["words", "reward"]},
            {"where": "topic == 'x' and reward.margn > 0"},
            "params.where: where, at position 18: no column 'reward.margn'; did you mean 'rewa",
        ),
        (
            "filter",
            {"data": "pairs"},
            None,
            "params.where: filter has nothing to keep by: give where, or the input selection",
        ),
        (
            "split",
            {"data": "pairs"},
            {"by": "topc"},
            "params.by: pairs gives no column 'topc'; did you mean 'topic'? (it gives id, group, ",
        ),
        (
            "pairs-file",
            None,
            {"path": "pairs.csv", "fields": {"chosen": "chsen"}},
            "params.fields.chosen: pairs.csv has no 'chsen'; did you mean 'chosen'?; found: pr",
        ),
        (
            "pairs-file",
            None,
            {"path": ["pairs.parquet"], "fields": {"group": "meta.sorce"}},
            "params.fields.group: pairs.parquet has no 'meta.sorce'; found: prompt, chosen, re",
        ),
        (
            "pairs-file",
            None,
            {"path": "pairs.jsonl", "fields": {"subset": "tpic"}},
            "params.fields.subset: the first row of pairs.jsonl has no 'tpic'; did you mean 't",
        ),
        (
            "ab-file",
            None,
            {"path": "pairs.csv", "fields": {"response_a": "chosen", "response_b": "rejected"}},
            "params.fields.label: pairs.csv has no 'label'; found: prompt, chosen, rejected, topic",
        ),
        (
            "recorded",
            None,
            {"path": "scores.jsonl", "fields": {"score": "scor"}},
            "params.fields.score: the first row of scores.jsonl has no 'scor'; did you mean 's",
        ),
        (
            "recorded",
            None,
            {"path": "pairs.csv", "where": {"kind": "x"}},
            "params.where.kind: pairs.csv has no 'kind'; found: prompt, chosen, rejected, topic",
        ),
        (
            "sklearn",
            {"features": ["words"], "target": "reward.margin"},
            {"name": "Ridge", "args": {"alhpa": 1}},
            "params.args: Ridge has no parameter 'alhpa'; did you mean 'alpha'?; it has alpha, fit",
        ),
        (
            "sklearn",
            {"features": ["words"], "target": "reward.margin"},
            {
                "name": "BaggingRegressor",
                "args": {"estimator": {"name": "Ridge", "args": {"a": 1}}},
            },
            "params.args: Ridge has no parameter 'a'; it has alpha, fit_intercept",
        ),
        (
            "sklearn",
            {"features": ["words"], "target": "reward.margin"},
            {"name": "StackingRegressor"},
            "params.args: StackingRegressor needs estimators in args; an estimator is written",
        ),
        (
            "lightgbm",
            {"features": ["words"], "target": "reward.margin"},
            {"args": {"num_leafs": 3}},
            "params.args: LightGBM has no parameter 'num_leafs'; did you mean 'num_leaf'?; its doc",
        ),
        (
            "sklearn",
            {"features": ["words.chosen.words", "words.chosen.digits"], "target": "reward.margin"},
            {"name": "Ridge"},
            "inputs.features: words is named twice; name each step once, as a whole",
        ),
        (
            "sklearn",
            {"features": ["words"], "target": "reward"},
            {"name": "Ridge"},
            "inputs.target: reward gives several columns; name one: reward.chosen, reward.rejected",
        ),
        (
            "neighbours",
            "embedded",
            None,
            "inputs: embedded gives several columns; name one vector: embedded.prompt, embedded.c",
        ),
        (
            "responses-file",
            None,
            {"path": "scores.jsonl", "candidates": {"zzz": "x"}},
            "params.candidates.zzz: unknown field; known: responses, text, rank, best, score, ",
        ),
        ("neighbours", "reward.margin", None, "inputs: reward.margin holds numbers; name a vector"),
        (
            "reward",
            {"model": "encoder", "data": "made"},
            None,
            "inputs.model: encoder gives no scores; name a reward model",
        ),
        (
            "gate",
            {"heads": "heads", "states": "states", "data": "made", "debias": "freed"},
            None,
            "inputs.debias: freed debiases against words.chosen.digits, which cannot be taken",
        ),
        (
            "per-response",
            "reward.margin",
            None,
            "inputs: reward gives no columns chosen and rejected, or chosen.x and rejected.x,",
        ),
    ],
)
def test_a_mistake_is_found_before_anything_runs(
    kind: str, inputs: Any, params: Any, found: str, tiny_folder: str
) -> None:
    more: dict[str, Any] = {}
    if inputs and "embedd" in str(inputs):
        embedding = {"path": tiny_folder}
        more["embedded"] = {"kind": "sentence-embedding", "inputs": "made", "params": embedding}
    if kind in ("reward", "gate"):
        more["encoder"] = {"kind": "encoder", "params": {"path": tiny_folder}}
    if kind == "gate":
        both = {"model": "encoder", "data": "made"}
        more["states"] = {"kind": "hidden-state", "inputs": both, "params": {"part": "both"}}
        more["answered"] = {"kind": "hidden-state", "inputs": {**both, "data": "answers"}}
        more["heads"] = {
            "kind": "multi-objective-ridge",
            "inputs": {"states": ["answered"], "data": ["answers"]},
            "params": {"attributes": {"help": {"column": "label", "low": 0, "high": 1}}},
        }
        more["rewards"] = {"kind": "predict", "inputs": {"fit": "heads", "features": ["answered"]}}
        more["freed"] = {
            "kind": "debias",
            "inputs": {"rewards": "rewards", "measures": ["words"]},
            "params": {"against": ["words.chosen.digits"]},
        }
    told = mistakes(kind, inputs, params, **more)
    assert [one[: len(found)] for one in told] == [found]


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a model, of which a check reads the config and the headers at most."""
    folder = tmp_path_factory.mktemp("tiny")
    config = {"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 8}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    return str(folder)


@pytest.mark.parametrize(
    ("kind", "inputs", "params"),
    [
        ("html", ["reward.margin", "words.chosen.words", "made.probability"], None),
        ("html", ["lines.topic"], None),
        ("filter", {"data": "pairs"}, {"where": "topic == 'x' and len(chosen) > 1"}),
        ("filter", {"data": "pairs", "features": ["reward"]}, {"where": "reward.margin > 0"}),
        ("filter", {"data": "made", "features": "loop.a"}, {"where": "loop.a.margin > 0"}),
        ("filter", {"data": "made", "features": "loop.a.margin"}, {"where": "loop.margin > 0"}),
        ("filter", {"data": "nested"}, {"where": "meta.source == 's'"}),
        ("filter", {"data": "lines"}, {"where": "anything > 1"}),
        ("pairs-file", None, {"path": "pairs.jsonl", "fields": {"group": "meta.source"}}),
        ("pairs-file", None, {"path": "pairs.parquet", "fields": {"group": "meta.source"}}),
        ("pairs-file", None, {"path": "pairs.jsonl", "fields": {"id": "x"}, "bad_rows": "drop"}),
        ("recorded", None, {"path": "scores.jsonl", "where": {"kind": "x"}}),
        ("recorded", None, {"path": "scores.jsonl", "where": {"k": "x"}, "fields": {"id": "i"}}),
        ("lightgbm", {"features": "words", "target": "reward.margin"}, {"args": {"eta": 0.1}}),
        ("pairwise", {"data": "made", "rewards": ["reward", "words.chosen.words"]}, None),
        (
            "agreement",
            {"data": "answers", "rewards": ["words.chosen.words"]},
            {"repeats": ["help"]},
        ),
    ],
)
def test_what_may_be_right_is_not_refused(kind: str, inputs: Any, params: Any) -> None:
    nested = {"kind": "pairs-file", "params": {"path": "pairs.parquet"}}
    body = dict.fromkeys(("a", "b"), STEPS["reward"])
    twice = {"values": [1, 2], "collect": ["a", "b"], "steps": body}
    loop = {"kind": "for-each", "params": twice}
    checked(kind, inputs, params, nested=nested, loop=loop)


def test_what_a_file_of_rows_has_is_not_checked_and_said_so() -> None:
    spec = checked("filter", {"data": "lines"}, {"where": "anything > 1"})
    assert spec.doubts == ("column 'anything' of lines",)


@pytest.mark.parametrize("fields", [{}, {"chosen": "topic", "group": "meta.source"}])
def test_the_columns_of_pairs_in_a_table_are_those_that_they_will_have(fields: Any) -> None:
    params = {"path": "pairs.parquet", "fields": fields}
    foreseen = checked("pairs-file", None, params).graph.nodes["last"]
    assert foreseen.step is not None
    loaded = foreseen.step.load()  # type: ignore[attr-defined]
    assert set(foreseen.gives.columns or ()) == set(loaded.columns)


def test_a_folder_that_cannot_be_made_is_found_before_running() -> None:
    pytest.importorskip("wandb")
    spec = {"steps": STEPS, "track": {"wandb": {"directory": "a-file/logs"}}}
    with pytest.raises(SpecError, match=r"a-file/logs cannot be made: .*a-file is no folder"):
        open_spec(spec, (), KINDS)


def test_a_check_imports_no_library_for_models_or_tables() -> None:
    """The parameters of estimators are read from where they stand, not by importing them."""
    import subprocess
    import sys

    steps = {
        **STEPS,
        "fit": {
            "kind": "lightgbm",
            "inputs": {"features": "words", "target": "reward.margin"},
            "params": {"args": {"num_leaves": 3}},
        },
        "line": {
            "kind": "sklearn",
            "inputs": {"features": "words", "target": "reward.margin"},
            "params": {"name": "Ridge", "args": {"alpha": 1}},
        },
        "some": {"kind": "filter", "inputs": "pairs", "params": {"where": "topic == 'x'"}},
    }
    Path("spec.yaml").write_text(json.dumps({"steps": steps}), encoding="utf-8")
    code = (
        "import sys; from rmplug._cli.commands import main; main(['check', 'spec.yaml']);"
        "print([n for n in ('sklearn', 'lightgbm', 'numpy', 'pyarrow') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def looped(values: list[Any], **steps: Any) -> dict[str, Any]:
    collect = list(steps)[-1:]
    return {"kind": "for-each", "params": {"values": values, "collect": collect, "steps": steps}}


FIT = {
    "kind": "lightgbm",
    "inputs": {"features": ["words"], "target": "reward.margin", "args": "item"},
}


def test_a_step_whose_parameters_an_item_sets_is_asked_for_its_mistakes() -> None:
    predicted = {"kind": "predict", "inputs": {"fit": "fit", "features": ["words"]}}
    loop = looped([{"num_leaves": 5}, {"num_leafs": 3}], fit=FIT, predicted=predicted)
    with pytest.raises(SpecError) as caught:
        open_spec({"steps": {**STEPS, "loop": loop}}, (), KINDS)
    [problem] = caught.value.problems
    assert problem.path == "steps.loop.params.steps.fit.inputs.args"
    assert problem.message.startswith("LightGBM has no parameter 'num_leafs'; did you mean 'num_l")
    assert problem.message.endswith("(where the loop sets args: {'num_leafs': 3})")


def test_a_mistake_that_all_items_share_is_told_once_and_without_them() -> None:
    inputs = {"features": ["words"], "target": "reward.margin", "rounds": "item"}
    fit = {"kind": "lightgbm", "inputs": inputs, "params": {"args": {"num_leafs": 3}}}
    predicted = {"kind": "predict", "inputs": {"fit": "fit", "features": ["words"]}}
    loop = looped([3, 4], fit=fit, predicted=predicted)
    with pytest.raises(SpecError) as caught:
        open_spec({"steps": {**STEPS, "loop": loop}}, (), KINDS)
    [problem] = caught.value.problems
    assert problem.path == "steps.loop.params.steps.fit.params.args"
    assert problem.message.endswith("; its documentation lists them")


def test_what_all_items_foresee_is_known_inside_a_loop() -> None:
    half = {"kind": "split", "inputs": {"data": "pairs", "fold": "item"}, "params": {"folds": 2}}
    kept = {"kind": "filter", "inputs": {"data": "half"}, "params": {"where": "topc == 'x'"}}
    with pytest.raises(SpecError, match="no column 'topc'; did you mean 'topic'"):
        open_spec({"steps": {**STEPS, "loop": looped([0, 1], half=half, kept=kept)}}, (), KINDS)
    measured = {"kind": "lexical", "inputs": {"data": "made", "measures": "item"}}
    kept = {
        "kind": "filter",
        "inputs": {"data": "made", "features": "measured"},
        "params": {"where": "chosen.words > 3"},
    }
    loop = looped([["words"], ["digits"]], measured=measured, kept=kept)
    spec = open_spec({"steps": {**STEPS, "loop": loop}}, (), KINDS)
    body = spec.graph.nodes["loop"].body
    assert body is not None and body.nodes["measured"].gives.columns is None
