"""Recorded scores served as a reward model: how responses are found, and what is refused."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rmplug import DataError, Responses
from rmplug.notices import collect_notices
from rmplug.testing import check_step
from rmplug_text.loaders import PairsFile
from rmplug_text.recorded import Recorded

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[2] / "../shared/data")
)
ROWS = [
    {"id": "s1", "prompt": "p", "response": "a", "model": "m/one", "score": 1.5, "good": 1},
    {"id": "s2", "prompt": "p", "response": "b", "model": "m/one", "score": [-2], "good": 0},
    {"id": "s3", "prompt": "p", "response": "a", "model": "m/two", "score": "3", "good": 1},
]


def write(folder, rows=ROWS):
    path = folder / "scores.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def asked(*rows):
    """Responses from (id, prompt, response)."""
    ids, prompts, responses = zip(*rows, strict=True)
    table = Responses({"id": list(ids), "prompt": list(prompts), "response": list(responses)}).table
    return table.combine_chunks().to_batches()[0]


BOTH = asked(("x/chosen", "p", "a"), ("x/rejected", "p", "b"))


def scores(path, batch=BOTH, **params):
    return Recorded(path=path, **params).load().score(batch).tolist()


def refusal(path, batch=BOTH, **params):
    with pytest.raises(DataError) as error:
        scores(path, batch, **params)
    return str(error.value)


def test_scores_are_found_by_the_texts_of_prompt_and_response(tmp_path):
    assert scores(write(tmp_path), model="m/one") == [1.5, -2.0]
    assert scores(write(tmp_path), where={"model": "m/one"}, by="text") == [1.5, -2.0]


def test_scores_are_found_by_id_before_text(tmp_path):
    batch = asked(("s2", "p", "a"), ("other", "p", "a"))
    assert scores(write(tmp_path), batch, model="m/one") == [-2.0, 1.5]


def test_ids_are_made_of_a_pair_and_a_side(tmp_path):
    rows = [row | {"pair": "x"} for row in ROWS[:2]]
    fields = {"id": "pair", "side": "good"}
    assert scores(write(tmp_path, rows), fields=fields, by="id") == [1.5, -2.0]
    sides = {"chosen": 0, "rejected": 1}
    assert scores(write(tmp_path, rows), fields=fields, by="id", sides=sides) == [-2.0, 1.5]


def test_a_row_may_have_the_scores_of_both_responses(tmp_path):
    rows = [{"id": "x", "meta": {"c": 2, "r": 1}}]
    fields = {"chosen": "meta.c", "rejected": "meta.r"}
    assert scores(write(tmp_path, rows), fields=fields) == [2.0, 1.0]


def test_texts_may_be_messages_on_either_side(tmp_path):
    turns = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "a"}]
    rows = [{"response": turns, "score": 7}]
    assert scores(write(tmp_path, rows), asked(("x", "p", "a"))) == [7.0]


def test_an_unknown_model_names_those_that_are_there(tmp_path):
    assert refusal(write(tmp_path), model="m/on") == (
        "no row has model: m/on; did you mean 'm/one'?; found: m/one, m/two"
    )


def test_different_scores_of_one_response_are_refused_unless_a_rule_is_given(tmp_path):
    path = write(tmp_path)
    assert refusal(path) == (
        "1 responses have different recorded scores (x/chosen; the first has 1.5, 3): choose a "
        "model, one of m/one, m/two, or set duplicates: mean or first"
    )
    assert scores(path, duplicates="mean") == [2.25, -2.0]
    assert scores(path, duplicates="first") == [1.5, -2.0]


def test_equal_scores_of_one_response_are_no_conflict(tmp_path):
    assert scores(write(tmp_path, [*ROWS[:2], {**ROWS[0], "id": "again"}])) == [1.5, -2.0]


def test_responses_without_a_score_are_refused_or_counted(tmp_path):
    batch = asked(("x", "p", "a"), ("y", "p", "unknown"))
    path = write(tmp_path, ROWS[:2])
    assert refusal(path, batch) == (
        "1 responses have no recorded score (y); set missing: nan to go on without, or filter the "
        "data first"
    )
    with collect_notices() as notices:
        found = scores(path, batch, missing="nan")
    assert found[0] == 1.5 and np.isnan(found[1])
    assert {key: entry.ids for key, entry in notices.items()} == {
        ("no recorded score", "kept"): ["y"]
    }


@pytest.mark.parametrize("empty", [None, float("nan")])
def test_null_and_nan_scores_are_given_as_nan_and_counted(tmp_path, empty):
    with collect_notices() as notices:
        found = scores(write(tmp_path, [{**ROWS[0], "score": empty}, ROWS[1]]))
    assert np.isnan(found[0]) and found[1] == -2.0
    assert {what: entry.ids for (what, _), entry in notices.items()} == {
        "recorded score is null or NaN": ["x/chosen"]
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"score": "high"}, 'score is not a number (but "high")'),
        ({"score": True}, "score is not a number (but true)"),
        ({"score": [1, 2]}, "score is a list of 2 numbers (name one of them, such as score.0)"),
    ],
)
def test_a_score_that_is_no_number_is_refused(tmp_path, change, reason):
    assert refusal(write(tmp_path, [ROWS[0] | change, ROWS[1]])) == (
        f"1 row cannot be used: line 1 of scores.jsonl: {reason}; set bad_rows: drop to leave "
        f"such rows out"
    )


def test_a_file_that_identifies_nothing_is_refused(tmp_path):
    assert refusal(write(tmp_path, [{"score": 1}])).startswith(
        "the recorded scores have neither an id nor prompt and response; say where they stand"
    )


def test_a_model_that_was_pickled_scores_the_same(tmp_path):
    model = pickle.loads(pickle.dumps(Recorded(path=write(tmp_path), model="m/one").load()))
    assert model.score(BOTH).tolist() == [1.5, -2.0]
    assert model.outputs == ("reward",)


def test_no_rows_give_no_scores(tmp_path):
    assert Recorded(path=write(tmp_path)).load().score(BOTH.slice(0, 0)).shape == (0,)


def test_the_step_conforms(tmp_path):
    check_step(Recorded, {"path": str(write(tmp_path)), "missing": "nan", "model": "m/one"})


@pytest.fixture(scope="module")
def judged():
    """The GPT-4o pairs of JudgeBench as responses, chosen and rejected by turns."""
    folder = SHARED / "judgebench"
    if not folder.exists():
        pytest.skip(f"{folder} is not on this machine")
    rows = PairsFile(path=folder / "pairs.jsonl.gz").load().table.to_pylist()
    rows = [row for row in rows if row["meta.response_model"].startswith("gpt-4o")]
    sides = [(row, side) for row in rows for side in ("chosen", "rejected")]
    table = Responses(
        {
            "id": [f"{row['id']}/{side}" for row, side in sides],
            "prompt": [row["prompt"] for row, _ in sides],
            "response": [row[side] for row, side in sides],
        }
    ).table
    assert table.num_rows == 432
    return folder / "scored.jsonl.gz", pa.RecordBatch.from_struct_array(
        table.to_struct_array().combine_chunks()
    )


@pytest.mark.parametrize(
    ("model", "accuracy", "mean"),
    [
        ("Ray2333/GRM-Gemma-2B-rewardmodel-ft", 0.5787, -1.8314),
        ("Skywork/Skywork-Reward-Gemma-2-27B", 0.6389, 6.4524),
        ("Skywork/Skywork-Reward-Llama-3.1-8B", 0.6343, 1.9521),
        ("internlm/internlm2-20b-reward", 0.6389, 0.4654),
        ("internlm/internlm2-7b-reward", 0.6065, 1.2379),
    ],
)
@pytest.mark.parametrize("by", ["text", "id"])
def test_published_reward_models_have_the_known_accuracy(judged, model, accuracy, mean, by):
    path, batch = judged
    fields = {"id": "meta.pair_id", "side": "label"} if by == "id" else {}
    found = Recorded(path=path, model=model, by=by, fields=fields).load().score(batch)
    assert round(float(found.mean()), 4) == mean
    assert round(float(np.mean(found[::2] > found[1::2])), 4) == accuracy


def result(**more):
    """A row as rewardbench writes it."""
    texts = {
        f"text_{side}": [{"role": "user", "content": "p"}, {"role": "assistant", "content": text}]
        for side, text in (("chosen", "a"), ("rejected", "b"))
    }
    scores = {"scores_chosen": [1.5], "scores_rejected": [-2.0], "results": 1}
    return {"prompt": "<|user|>p<|end|>", **texts, **scores, **more}


def templated(**more):
    """A row whose texts went through a chat template."""
    texts = {"text_chosen": "<|user|>p<|end|>a", "text_rejected": "<|user|>p<|end|>b"}
    return result(**texts, **more)


def test_rewardbench_rows_are_known_by_their_columns(tmp_path):
    assert scores(write(tmp_path, [result()])) == [1.5, -2.0]
    assert scores(write(tmp_path, [result(scores_chosen=3, scores_rejected="4")])) == [3.0, 4.0]
    assert scores(write(tmp_path, [result(scores_chosen=[None])]), missing="nan")[1] == -2.0


def test_templated_rewardbench_rows_are_found_by_response_or_by_id(tmp_path):
    assert scores(write(tmp_path, [templated(chosen="a", rejected="b")])) == [1.5, -2.0]
    assert scores(write(tmp_path, [templated(id="x")]), by="id") == [1.5, -2.0]
    batch = asked(("hep-cpp:7/chosen", "q", "c"), ("hep-cpp:7/rejected", "q", "d"))
    assert scores(write(tmp_path, [templated(id=7, subset="hep-cpp")]), batch) == [1.5, -2.0]


def test_a_response_with_different_scores_on_different_prompts_is_unclear(tmp_path):
    rows = [templated(chosen="a", rejected="b"), templated(chosen="a", rejected="b")]
    rows[1]["scores_chosen"] = [9.0]
    assert "1 responses have different recorded scores" in refusal(write(tmp_path, rows))


def test_templated_rows_that_nothing_finds_are_refused(tmp_path):
    assert "neither an id nor the responses" in refusal(write(tmp_path, [templated()]))


def test_an_object_with_a_list_for_each_column_is_read(tmp_path):
    rows = [templated(id="x"), templated(id="y", scores_chosen=[7.0])]
    path = tmp_path / "all.json"
    path.write_text(json.dumps({key: [row[key] for row in rows] for key in rows[0]}))
    batch = asked(("x/chosen", "", "?"), ("y/chosen", "", "?"), ("y/rejected", "", "?"))
    assert scores(path, batch) == [1.5, 7.0, -2.0]


def test_two_numbers_of_one_response_are_refused(tmp_path):
    assert "scores_chosen is a list of 2 numbers" in refusal(
        write(tmp_path, [result(scores_chosen=[1.0, 2.0])])
    )


def games(label="B>A", second=(1.5, -2.0), **more):
    """A row as JudgeBench's reward models write it: A is b, B is a."""
    played = [{"judgment": {"judge_model": "m", "scores": list(one)}, "decision": "B>A"}
             for one in ((-2.0, 1.5), second)]  # fmt: skip
    return {"pair_id": "x", "question": "p", "response_A": "b", "response_B": "a", "label": label,
            "judgments": played, **more}  # fmt: skip


@pytest.mark.parametrize("by", ["id", "text", "auto"])
def test_judgebench_rows_give_the_labelled_response_as_chosen(tmp_path, by):
    assert scores(write(tmp_path, [games()]), by=by) == [1.5, -2.0]


def test_scores_that_change_with_the_order_are_averaged_and_counted(tmp_path):
    with collect_notices() as notices:
        assert scores(write(tmp_path, [games(second=(2.5, -1.0))])) == [2.0, -1.5]
    (found,) = notices.values()
    assert found.what.startswith("scores change with the order") and found.count == 1
    one_game = games(judgments=games()["judgments"][:1])
    assert scores(write(tmp_path, [one_game])) == [1.5, -2.0]


def test_a_judge_without_scores_is_refused(tmp_path):
    row = games(judgments=[{"judgment": {"response": "[[A]]"}, "decision": "A>B"}])
    assert "a judgment has no two scores" in refusal(write(tmp_path, [row]))
    assert "label is neither" in refusal(write(tmp_path, [games(label="A")]))


def test_fields_that_are_named_overrule_the_layout(tmp_path):
    rows = [result(id="x")]
    fields = {"chosen": "scores_rejected", "rejected": "scores_chosen"}
    assert scores(write(tmp_path, rows), fields=fields) == [-2.0, 1.5]


def test_real_scores_in_judgebenchs_layout_are_found_by_text(judged, tmp_path):
    path, batch = judged
    before = Recorded(path=path, model="Skywork/Skywork-Reward-Gemma-2-27B").load().score(batch)
    rows = batch.to_pylist()
    outputs = [
        {"pair_id": str(place), "question": one["prompt"][-1]["content"],
         "response_A": one["response"][-1]["content"], "label": "A>B",
         "response_B": other["response"][-1]["content"],
         "judgments": [{"judgment": {"scores": [float(a), float(b)]}},
                       {"judgment": {"scores": [float(b), float(a)]}}]}
        for place, (one, other, a, b) in enumerate(
            zip(rows[::2], rows[1::2], before[::2], before[1::2], strict=True)
        )
    ]  # fmt: skip
    again = scores(write(tmp_path, outputs), batch)
    np.testing.assert_array_equal(again, before)
