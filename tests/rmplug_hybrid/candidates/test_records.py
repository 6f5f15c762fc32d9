"""The record form of the hybrid preference router."""

from __future__ import annotations

import json

import pytest
from hybrid_data import case

from rmplug import DataError, Pairs, Report, Selection
from rmplug.notices import collect_notices
from rmplug.testing import check_step, run_step, small_pairs
from rmplug_hybrid import HybridFile, Swap, TrainingFile


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row_of(label, name="q"):
    return {
        "id": name,
        "text": "P",
        "completion_a": "A",
        "completion_b": "B",
        "model_a": "ma",
        "model_b": "mb",
        "source": "s",
        "pref_human": label,
        "pref_gpt4": "tie",
    }


def records(pairs, folder, **params):
    report = TrainingFile(**params).report(pairs, directory=folder)
    assert report.entry == "training.jsonl"
    return [json.loads(line) for line in (folder / report.entry).read_text().splitlines()]


def all_human(pairs):
    """The pairs as a training set of nothing but human labels."""
    return Swap().sample(pairs, pairs, Selection({"id": pairs["id"].to_pylist()}), seed=0)


def test_labels_become_the_published_records(tmp_path):
    known = json.loads(case("03_dpo_conversion/cases.json").read_text())
    assert len(known) == 9
    for entry in known:
        file = write(tmp_path / "pairs.jsonl", row_of(entry["label"]))
        if isinstance(entry["out"], str):
            with pytest.raises(
                DataError,
                match=r'line 1 of pairs.jsonl: pref_human is "c-is-better" \(labels are a-is',
            ):
                assert HybridFile(path=file).load().table
            continue
        with collect_notices() as found:
            pairs = Pairs(HybridFile(path=file).load().table)
        if entry["out"] is None:
            assert (len(pairs), [(n.what, n.ids) for n in found.values()]) == (
                0,
                [("pref_human is a tie", ["q"])],
            )
            continue
        assert records(all_human(pairs), tmp_path, layout="original") == [entry["out"]]


@pytest.mark.parametrize("model", ["linear", "quadratic"])
@pytest.mark.parametrize("budget", ["15", "30"])
def test_routed_sets_become_the_published_training_files(tmp_path, model, budget):
    folder = case("08_chain60")
    chosen = json.loads((folder / f"{model}_topk_selection.json").read_text())[budget]
    human, ai = (
        HybridFile(path=folder / "features.jsonl", label=label).load()
        for label in ("pref_human", "pref_gpt4")
    )
    everything = HybridFile(path=folder / "features.jsonl", label=None).load()
    assert len(everything) == 60
    made = Swap().sample(human, ai, Selection({"id": chosen["topk_ids_by_gain"]}), seed=0)
    found = {row["id"]: row for row in records(made, tmp_path, layout="original")}
    lines = (folder / f"{model}_topk_{budget}.jsonl").read_text().splitlines()
    assert found == {row["id"]: row for row in map(json.loads, lines)}
    order = list(found)
    for pairs in (human, ai):
        mine = set(pairs["id"].to_pylist())
        listed = [one for one in everything["id"].to_pylist() if one in mine & set(order)]
        assert [one for one in order if one in mine] == listed


def test_without_a_label_all_pairs_are_there_and_scores_and_tags_are_kept(tmp_path):
    first = {**row_of("tie", "q1"), "rouge": 0.5, "languages": ["English"]}
    file = write(tmp_path / "pairs.jsonl", first, {**row_of("b-is-better", "q2"), "rouge": 1})
    pairs = HybridFile(path=file, label=None).load()
    assert pairs["id"].to_pylist() == ["q1", "q2"]
    assert pairs["chosen_model"].to_pylist() == ["ma", "ma"]
    assert pairs["rouge"].to_pylist() == [0.5, 1]
    assert pairs["languages"].to_pylist() == [["English"], None]


def test_columns_of_other_names_are_told_by_parameters(tmp_path):
    row = {"key": 7, "question": "P", "response_a": "A", "response_b": "B", "mine": "b-is-better"}
    file = write(tmp_path / "pairs.jsonl", row)
    names = {"id_column": "key", "prompt_column": "question", "label": "mine"}
    pairs = HybridFile(path=file, a_column="response_a", b_column="response_b", **names).load()
    assert pairs["id"].to_pylist() == ["7"]
    assert pairs["chosen"].to_pylist()[0][0]["content"] == "B"
    with pytest.raises(
        DataError, match="no row has 'completion_a'; found: .*; say what it is called there"
    ):
        assert HybridFile(path=file, **names).load().table


def test_a_missing_label_is_refused_by_id(tmp_path):
    file = write(tmp_path / "pairs.jsonl", row_of("a-is-better"), row_of(None, "q2"))
    with pytest.raises(
        DataError, match=r"line 2 of pairs.jsonl: pref_human is null \(labels are a-is-sli"
    ):
        assert HybridFile(path=file).load().table
    dropped = HybridFile(path=file, bad_rows="drop").load()
    assert dropped["id"].to_pylist() == ["q"]


def test_a_file_that_is_no_json_is_refused(tmp_path):
    file = tmp_path / "pairs.jsonl"
    file.write_text(json.dumps(row_of("tie")) + "\nnot json\n")
    with pytest.raises(DataError, match="line 2 of pairs.jsonl: not valid JSON"):
        assert HybridFile(path=file).load().table


def test_further_columns_never_hide_those_of_pairs(tmp_path):
    row = {**row_of("b-is-better"), "chosen": "x", "tags": {"topic": "law"}}
    pairs = HybridFile(path=write(tmp_path / "pairs.jsonl", row)).load()
    assert pairs["file.chosen"].to_pylist() == ["x"]
    assert pairs["tags"].to_pylist() == ['{"topic": "law"}']
    assert (pairs["chosen_model"][0].as_py(), pairs["pref_gpt4"][0].as_py()) == ("mb", "tie")


def test_plain_training_files_hold_all_columns_and_can_be_read_as_pairs(tmp_path):
    found = records(small_pairs(), tmp_path)
    again = Pairs({name: [row[name] for row in found] for name in found[0]})
    assert again.table.equals(small_pairs().table)


def test_conversations_keep_their_turns_in_original_records(tmp_path):
    turns = [("user", "one"), ("assistant", "two"), ("user", "three")]
    prompt = [{"role": role, "content": text} for role, text in turns]
    pairs = Pairs({"id": ["x"], "prompt": [prompt], "chosen": ["yes ✓"], "rejected": ["no"]})
    [record] = records(pairs, tmp_path, layout="original")
    assert record["prompt"] == "one\n\ntwo\n\nthree"
    assert [turn["content"] for turn in record["chosen"]] == ["one", "two", "three", "yes ✓"]
    assert (record["chosen_model"], record["is_swapped"]) == ("", False)


def test_hybrid_and_training_files_conform(tmp_path):
    file = write(tmp_path / "pairs.jsonl", row_of("a-is-better"), row_of("b-is-better", "q2"))
    check_step(HybridFile, {"path": file})
    check_step(TrainingFile, {"layout": "original"})
    assert isinstance(run_step(TrainingFile(), {"data": small_pairs()}, tmp_path / "s"), Report)
