"""Each published layout, from files as they are published."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rmplug import DataError, Pairs, Responses, RmplugError
from rmplug.notices import collect_notices
from rmplug.testing import check_step, run_step
from rmplug_bench import rmplug_dataset_loaders
from rmplug_bench.layouts.published import (
    BENCHMARKS,
    PPE,
    RMB,
    JudgeBench,
    LLMBar,
    MRewardBench,
    RewardBench,
    RewardBench2,
    RewardMath,
    RMBench,
)

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("RMPLUG_SHARED_DATA", ROOT / "../shared/data"))

PAIR = {"prompt": "Hi?", "chosen": "Hello.", "rejected": "Go away."}
ROWS = {
    "rewardbench": {
        **PAIR,
        "subset": "hep-go",
        "id": 7,
        "chosen_model": "a",
        "rejected_model": "b",
    },
    "m-rewardbench": {**PAIR, "subset": "hep-go", "id": 7, "language": "deu_Latn"},
    "rewardbench-2": {
        "id": "tied:3",
        "prompt": "Name a colour.",
        "chosen": ["Red.", "Blue."],
        "rejected": ["Cat."],
        "num_correct": 2,
        "subset": "Ties",
        "models": ["m1", "m2", "m3"],
    },
    "rm-bench": {
        "id": 8,
        "prompt": "Hi?",
        "chosen": ["c", "p", "m"],
        "rejected": ["C", "P", "M"],
        "domain": "chat",
    },
    "judgebench": {
        "pair_id": "x1",
        "source": "mmlu-pro-law",
        "question": "Which?",
        "response_A": "first",
        "response_B": "second",
        "label": "B>A",
        "response_model": "w",
    },
    "llmbar": {"input": "Do it.", "output_1": "done", "output_2": "no", "label": 1},
    "rmb": {
        "pair_uid": "14",
        "conversation_input": [{"role": "user", "content": "Hi", "language": "English"}],
        "chosen": {"llm_name": "a", "answer": "Hello"},
        "reject": {"llm_name": "b", "answer": "No"},
        "category_path": "Pairwise_set/Helpfulness/Chat/Discussion",
    },
    "rewardmath": {
        "problem": "1+1?",
        "problem_id": 5,
        "id": 50,
        "eval_solution": ["One and one", "is 2."],
        "solution_type": "chosen",
        "solution_reference": "human",
        "subject": "Algebra",
    },
    "ppe": {
        "question_id": 9,
        "prompt": "Which?",
        "model_name": "m",
        "scores": [False, True, True],
        **{f"response_{i}": f"answer {i}" for i in (1, 2, 3)},
    },
}


def written(folder, rows, name="rows.jsonl"):
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def text(turns):
    return "".join(turn["content"] for turn in turns)


@pytest.mark.parametrize("step", BENCHMARKS, ids=lambda step: step.kind)
def test_each_layout_passes_the_checks_of_every_step(step, tmp_path):
    assert step in rmplug_dataset_loaders()
    file = written(tmp_path, [ROWS[step.kind]])
    check_step(step, {"path": str(file)})
    data = step(path=file).load()
    assert set(step(path=file).foresee({}).columns) == set(data.columns)


def test_ids_of_rewardbench_that_are_numbers_carry_their_subset(tmp_path):
    rows = [
        ROWS["rewardbench"],
        {**ROWS["rewardbench"], "subset": "hep-js"},
        {**PAIR, "subset": "x"},
    ]
    data = RewardBench(path=written(tmp_path, rows)).load()
    assert data["id"].to_pylist() == ["hep-go:7", "hep-js:7", "rows.jsonl:3"]
    assert data["chosen_model"].to_pylist() == ["a", "a", None]


def test_an_id_that_was_there_before_is_numbered_and_told(tmp_path):
    rows = [ROWS["rewardbench"], {**ROWS["rewardbench"], "chosen": "Other."}]
    with collect_notices() as notices:
        data = RewardBench(path=written(tmp_path, rows)).load()
        assert data["id"].to_pylist() == ["hep-go:7", "hep-go:7#2"]
    [told] = notices.values()
    assert (told.what, told.action, told.ids) == (
        "id was there before: numbered",
        "changed",
        ["hep-go:7"],
    )


def test_the_same_pair_in_two_languages_is_one_group(tmp_path):
    rows = [ROWS["m-rewardbench"], {**ROWS["m-rewardbench"], "language": "fra_Latn"}]
    data = MRewardBench(path=written(tmp_path, rows)).load()
    assert data["id"].to_pylist() == ["deu_Latn:hep-go:7", "fra_Latn:hep-go:7"]
    assert data["group"].to_pylist() == ["hep-go:7"] * 2


def test_ref_and_tied_rows_of_one_number_are_one_group(tmp_path):
    ref = {**ROWS["rewardbench-2"], "id": "ref:3", "chosen": ["Red."], "models": None}
    plain = {**ROWS["rewardbench-2"], "id": "12", "subset": "Focus"}
    data = RewardBench2(path=written(tmp_path, [ROWS["rewardbench-2"], ref, plain])).load()
    rows = data.table.to_pylist()
    assert [row["id"] for row in rows][:5] == [
        "tied:3/0",
        "tied:3/1",
        "tied:3/2",
        "ref:3/0",
        "ref:3/1",
    ]
    assert [row["label"] for row in rows] == [1, 1, 0, 1, 0, 1, 1, 0]
    assert [row["kind"] for row in rows][2:6] == ["tied", "ref", "ref", None]
    assert {row["group"] for row in rows[:5]} == {"ties:3"} and len(rows[5]["group"]) == 16
    assert [row["model"] for row in rows][:4] == ["m1", "m2", "m3", None]


def test_rm_bench_gives_six_responses_by_side_and_style(tmp_path):
    rows = RMBench(path=written(tmp_path, [ROWS["rm-bench"]])).load().table.to_pylist()
    assert [row["id"] for row in rows][::5] == ["chat:8/chosen/concise", "chat:8/rejected/markdown"]
    assert "".join(text(row["response"]) for row in rows) == "cpmCPM"
    assert {row["case"] for row in rows} == {"chat:8"}


def test_judgebench_and_llmbar_say_at_which_place_the_right_response_stood(tmp_path):
    [row] = JudgeBench(path=written(tmp_path, [ROWS["judgebench"]])).load().table.to_pylist()
    assert (text(row["chosen"]), text(row["rejected"]), row["place"]) == ("second", "first", 1)
    assert (row["id"], row["subset"], row["source"]) == ("x1", "knowledge", "mmlu-pro-law")
    file = written(tmp_path, [ROWS["llmbar"]], "Dataset/LLMBar/Adversarial/Neighbor/dataset.json")
    [row] = LLMBar(path=file).load().table.to_pylist()
    assert (text(row["chosen"]), row["place"]) == ("done", 0)
    assert (row["id"], row["subset"]) == (
        "LLMBar/Adversarial/Neighbor:1",
        "LLMBar/Adversarial/Neighbor",
    )


def test_rmb_gives_pairs_or_choices(tmp_path):
    [row] = RMB(path=written(tmp_path, [ROWS["rmb"]])).load().table.to_pylist()
    assert (row["id"], row["subset"]) == (
        "Helpfulness/Chat/Discussion:14",
        "Helpfulness/Chat/Discussion",
    )
    assert (text(row["rejected"]), row["rejected_model"]) == ("No", "b")
    listed = {
        "bon_uid": "3",
        "conversation_input": ROWS["rmb"]["conversation_input"],
        "bon_best": ROWS["rmb"]["chosen"],
        "loser_list": [ROWS["rmb"]["reject"]] * 2,
        "category_path": "BoN_set/Harmlessness/S1",
    }
    rows = RMB(path=written(tmp_path, [listed]), rows="best-of-n").load().table.to_pylist()
    assert [(row["id"], row["label"], row["model"]) for row in rows] == [
        ("bon:Harmlessness/S1:3/0", 1, "a"),
        ("bon:Harmlessness/S1:3/1", 0, "b"),
        ("bon:Harmlessness/S1:3/2", 0, "b"),
    ]


def test_solutions_of_one_problem_are_one_choice(tmp_path):
    wrong = {**ROWS["rewardmath"], "id": 51, "solution_type": "rejected", "eval_solution": ["3"]}
    rows = RewardMath(path=written(tmp_path, [ROWS["rewardmath"], wrong])).load().table.to_pylist()
    assert [(row["case"], row["id"], row["label"]) for row in rows] == [
        ("5", "5/50", 1),
        ("5", "5/51", 0),
    ]
    assert text(rows[0]["response"]) == "One and one\nis 2."


def test_sampled_responses_of_ppe_keep_their_place_and_the_name_of_the_set(tmp_path):
    file = written(tmp_path, [ROWS["ppe"]], "PPE-MMLU-Pro-Best-of-K/train.jsonl")
    rows = PPE(path=file).load().table.to_pylist()
    assert [row["label"] for row in rows] == [0, 1, 1]
    assert [row["place"] for row in rows] == [0, 1, 2]
    assert (rows[0]["id"], rows[0]["subset"]) == ("MMLU-Pro:9/0", "MMLU-Pro")


def test_the_same_rows_may_be_an_array_lines_columns_gzip_or_parquet(tmp_path):
    rows = [ROWS["rewardbench"], {**ROWS["rewardbench"], "id": 8}]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    lines = "\n".join(json.dumps(row) for row in rows)
    (tmp_path / "array.json").write_text(json.dumps(rows, indent=1))
    (tmp_path / "lines.json").write_text("\ufeff" + lines + "\n\n")
    (tmp_path / "columns.json").write_text(json.dumps(columns))
    (tmp_path / "lines.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    files = sorted(tmp_path.iterdir())
    tables = [RewardBench(path=file).load().table for file in files]
    assert len(files) == 5 and all(table.equals(tables[0]) for table in tables)
    assert tables[0]["id"].to_pylist() == ["hep-go:7", "hep-go:8"]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (
            [{"prompt": "a", "chosen": "b"}],
            "no row has 'subset'; found: prompt, chosen; give rows in the layout of rewardbench, "
            "as they were published",
        ),
        (
            [{"prompt": "a", "chosen": "b"}, {**PAIR, "subset": "x"}],
            "1 row cannot be used: line 1 of rows.jsonl: no subset; set bad_rows: drop to "
            "leave such rows "
            "out",
        ),
        (
            [{**PAIR, "subset": "x", "chosen": 3}],
            "line 1 of rows.jsonl: chosen is not text (but 3)",
        ),
        (
            [{**PAIR, "subset": "x", "rejected": None}],
            "1 row cannot be used: line 1 of rows.jsonl: rejected is null; set bad_rows: drop",
        ),
        ([["a"]], "line 1 of rows.jsonl: not a JSON object"),
    ],
)
def test_a_row_of_another_layout_is_an_error_that_names_it(tmp_path, rows, told):
    with pytest.raises(DataError) as error:
        assert RewardBench(path=written(tmp_path, rows)).load().table
    assert told in str(error.value)


def test_rows_of_another_layout_may_be_dropped_and_are_counted(tmp_path):
    file = written(tmp_path, [ROWS["judgebench"], {**ROWS["judgebench"], "label": "A=B"}])
    with collect_notices() as notices:
        assert len(JudgeBench(path=file, bad_rows="drop").load()) == 1
    [told] = notices.values()
    assert (told.what, told.ids) == (
        "unusable row: label is neither 'A>B' nor 'B>A'",
        ["line 2 of rows.jsonl"],
    )
    file.write_text(json.dumps({"pair_id": 1, "label": "A=B"}))
    with pytest.raises(
        DataError, match="none of the 1 rows can be used: line 1 of rows.jsonl: label is"
    ):
        assert JudgeBench(path=file, bad_rows="drop").load().table


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"prompt,chosen\n", "line 1 of rows.jsonl: not valid JSON"),
        (
            json.dumps(ROWS["rewardbench"]).encode() + b'\n{"a": \n',
            "line 2 of rows.jsonl: not valid JSON",
        ),
        (b'{"a": "\xff"}', "line 1 of rows.jsonl: not valid UTF-8 (at byte 8)"),
        (
            gzip.compress(b"{}" * 99, mtime=0)[:-9],
            "is cut off in the middle of its gzip data; fetch it again",
        ),
        (b"PAR1nothing", "is not valid Parquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_sentence(tmp_path, content, told):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(content)
    with pytest.raises(DataError) as error:
        assert RewardBench(path=file).load().table
    assert told in str(error.value)


def test_odd_rows_are_treated_as_by_every_loader(tmp_path):
    same = {**PAIR, "subset": "x", "id": 1, "rejected": PAIR["chosen"]}
    file = written(tmp_path, [same, ROWS["rewardbench"]])
    dropped = RewardBench(path=file, odd_rows={"identical": "drop"})
    data = run_step(dropped, {}, tmp_path / "store")
    assert data["id"].to_pylist() == ["hep-go:7"]
    refused = RewardBench(path=file, odd_rows={"identical": "error"})
    with pytest.raises(RmplugError, match=r"chosen and rejected identical: 1 row \(x:1\)"):
        run_step(refused, {}, tmp_path / "other")


def test_either_a_path_or_a_name_is_needed(tmp_path):
    with pytest.raises(ValueError, match="give either path"):
        RewardBench()
    with pytest.raises(ValueError, match="revision, config and split belong to name"):
        RewardBench(path=tmp_path / "x", split="test")
    with pytest.raises(ValueError, match="is no name on the hub"):
        RewardBench(name="a/b/c")


@pytest.mark.parametrize(
    ("step", "file", "kind", "rows"),
    [
        (RewardBench, "rewardmath/pairs", Pairs, 279),
        (JudgeBench, "judgebench/pairs", Pairs, 370),
        (LLMBar, "llmbar/pairs", Pairs, 715),
        (RMB, "rmb/pairs", Pairs, 8788),
        (RMBench, "rm_bench/bench", Responses, 464 * 6),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_each_layout_reads_the_rows_that_are_at_hand(step, file, kind, rows):
    path = SHARED / f"{file}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    data = step(path=path).load()
    assert isinstance(data, kind) and len(data) == rows


HUB = """
import sys
sys.path.insert(0, sys.argv[1])
from small_hub import COMMIT, SmallHub
import json, os
rows = [{"prompt": "Hi?", "chosen": "Yes", "rejected": "No", "subset": "hep-go", "id": i}
        for i in range(3)]
files = {"test.jsonl": "".join(json.dumps(row) + "\\n" for row in rows).encode()}
with SmallHub("org/bench", files) as hub:
    os.environ["HF_ENDPOINT"] = hub.address
    os.environ["HF_HUB_OFFLINE"] = "0"
    from rmplug_bench.layouts.published import RewardBench
    step = RewardBench(name="org/bench", split="test")
    print(json.dumps([step.identity()["commit"] == COMMIT, step.load()["id"].to_pylist()]))
"""


def test_a_benchmark_is_read_from_the_hub_by_name(tmp_path):
    pytest.importorskip("datasets")
    found = {**os.environ, "HF_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    code = [sys.executable, "-c", HUB, str(ROOT / "tests/rmplug_hf")]
    done = subprocess.run(code, capture_output=True, text=True, env=found, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [True, ["hep-go:0", "hep-go:1", "hep-go:2"]]


def test_a_name_that_cannot_be_fetched_is_refused_in_one_sentence(tmp_path):
    pytest.importorskip("datasets")
    code = (
        "from rmplug_bench.layouts.published import RewardBench; from rmplug import DataError\n"
        "try: RewardBench(name='org/none').identity()\n"
        "except DataError as error: print(error)"
    )
    found = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=found, check=True
    )
    assert "the hub data set org/none (main) is not in the local cache" in done.stdout
