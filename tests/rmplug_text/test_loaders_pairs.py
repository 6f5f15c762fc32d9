"""Preference pairs from files: formats, column names, conversations."""

from __future__ import annotations

import csv
import gzip
import json
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pair_files import GOOD, lines, load, texts, write
from pydantic import ValidationError

from rmplug.notices import collect_notices
from rmplug.testing import check_step
from rmplug_text.loaders import PairsFile

ROWS = [
    {"id": "a", "prompt": "Why?", "chosen": "Because.", "rejected": "No.", "stars": 5},
    {"id": "b", "prompt": "Who, me?", "chosen": 'You "said"\nso', "rejected": "", "stars": 4},
]


def as_csv(folder, delimiter, name):
    with (folder / name).open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(ROWS[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(ROWS)
    return (folder / name).read_bytes()


def as_parquet(folder):
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "x.parquet")
    return (folder / "x.parquet").read_bytes()


FORMATS = {
    "rows.jsonl": lambda folder: lines(*ROWS),
    "bom.jsonl": lambda folder: "\ufeff" + lines(*ROWS).replace("\n", "\r\n"),
    "blank.jsonl": lambda folder: "\n" + lines(ROWS[0]) + "\n \n" + lines(ROWS[1]).rstrip(),
    "array.json": lambda folder: json.dumps(ROWS, indent=2),
    "columns.json": lambda folder: json.dumps({name: [r[name] for r in ROWS] for name in ROWS[0]}),
    "index.json": lambda folder: json.dumps(
        {name: {str(n): row[name] for n, row in enumerate(ROWS)} for name in ROWS[0]}, indent=1
    ),
    "lines.json": lambda folder: lines(*ROWS),
    "unknown.txt": lambda folder: lines(*ROWS),
    "comma.csv": lambda folder: as_csv(folder, ",", "x"),
    "tab.tsv": lambda folder: as_csv(folder, "\t", "x"),
    "bom.csv": lambda folder: b"\xef\xbb\xbf" + as_csv(folder, ",", "x"),
    "table.parquet": as_parquet,
}


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_rows(tmp_path, name, ending):
    table = load(write(tmp_path, name + ending, FORMATS[name](tmp_path)))
    assert table.column_names == ["id", "group", "prompt", "chosen", "rejected", "stars"]
    assert table["id"].to_pylist() == ["a", "b"]
    assert texts(table, "prompt") == [["Why?"], ["Who, me?"]]
    assert texts(table, "chosen") == [["Because."], ['You "said"\nso']]
    assert texts(table, "rejected") == [["No."], [""]]
    assert table["stars"].to_pylist() == [5, 4]
    assert table["stars"].type == pa.int64()


def test_a_gzip_file_is_known_by_its_content_not_its_name(tmp_path):
    path = write(tmp_path, "rows.jsonl", gzip.compress(lines(*ROWS).encode()))
    assert load(path).num_rows == 2


def test_many_files_are_read_in_order_and_same_names_are_told_apart(tmp_path):
    for part in ("one", "two"):
        (tmp_path / part).mkdir()
        row = {"prompt": part, "chosen": "x", "rejected": "y"}
        write(tmp_path / part, "rows.jsonl", lines(row, row))
    paths = [tmp_path / "two" / "rows.jsonl", tmp_path / "one" / "rows.jsonl"]
    names = ["two/rows.jsonl:1", "two/rows.jsonl:2", "one/rows.jsonl:1", "one/rows.jsonl:2"]
    assert load(paths)["id"].to_pylist() == names
    assert load(tmp_path / "*" / "rows.jsonl")["id"].to_pylist() == names[2:] + names[:2]


def test_names_reach_into_nested_values_and_the_rest_is_kept_flat(tmp_path):
    row = {
        "key": 7,
        "meta": {"question": "Q", "group": "g", "level": {"deep": True}},
        "answers": [{"text": "yes", "by": "x"}, {"text": "no", "by": "y"}],
        "prompt": "another prompt",
        "odd.name": 1.5,
    }
    fields = {
        "id": "key",
        "prompt": "meta.question",
        "chosen": "answers.0.text",
        "rejected": "answers.1.text",
        "group": "meta.group",
        "weight": "odd.name",
    }
    (found,) = load(write(tmp_path, "x.jsonl", lines(row)), fields=fields).to_pylist()
    assert found == {
        "id": "7",
        "group": "g",
        "prompt": [{"role": "user", "content": "Q"}],
        "chosen": [{"role": "assistant", "content": "yes"}],
        "rejected": [{"role": "assistant", "content": "no"}],
        "weight": 1.5,
        "meta.level.deep": True,
        "answers": '[{"text": "yes", "by": "x"}, {"text": "no", "by": "y"}]',
        "file.prompt": "another prompt",
    }


def test_further_columns_have_one_type_over_all_batches(tmp_path):
    values = [None, 1, 2.5, None] * 1500
    mixed = [None] * 5999 + ["late"]
    rows = [
        {
            "prompt": "p",
            "chosen": str(n),
            "rejected": "r",
            "real": value,
            "late": late,
            "whole": n,
            "flag": n % 2 == 0,
            "mixed": [n] if n % 2 else f"text {n}",
            "big": 2**70 if n == 5000 else n,
        }
        for n, (value, late) in enumerate(zip(values, mixed, strict=True))
    ]
    batches = list(PairsFile(path=write(tmp_path, "x.jsonl", lines(*rows))).load().rows.tables())
    assert len(batches) > 2
    assert len({str(batch.schema) for batch in batches}) == 1
    types = {name: str(batches[0].schema.field(name).type) for name in batches[0].column_names[5:]}
    assert types == {
        "real": "double",
        "late": "string",
        "whole": "int64",
        "flag": "bool",
        "mixed": "string",
        "big": "string",
    }
    assert batches[-1]["late"].to_pylist()[-1] == "late"
    assert batches[0]["mixed"].to_pylist()[:2] == ["text 0", "[1]"]


def test_csv_numbers_are_numbers_only_where_all_are(tmp_path):
    text = "prompt,chosen,rejected,margin,code,half\np,a,b,1,007,0.5\np,c,d,,12,\n"
    table = load(write(tmp_path, "x.csv", text))
    assert table["margin"].to_pylist() == [1.0, None]
    assert table["code"].to_pylist() == ["007", "12"]
    assert table["half"].to_pylist() == [0.5, None]


def test_a_mapping_with_hundreds_of_keys_stays_one_column(tmp_path):
    rows = [
        {"prompt": "p", "chosen": "c", "rejected": str(n), "votes": {f"user-{n}": n}, "ok": 1}
        for n in range(300)
    ]
    table = load(write(tmp_path, "x.jsonl", lines(*rows)))
    assert table.column_names[5:] == ["ok", "votes"]
    assert table["votes"][0].as_py() == '{"user-0": 0}'
    assert table["votes"][299].as_py() == '{"user-299": 299}'


USER, REPLY = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}
MORE, YES, NO = (
    {"role": "user", "content": "More?"},
    {"role": "assistant", "content": "Yes"},
    {"role": "assistant", "content": "No"},
)


def conversation(folder, row, **params):
    (found,) = load(write(folder, "x.jsonl", lines(row)), **params).to_pylist()
    return found["prompt"], found["chosen"], found["rejected"]


def test_of_whole_conversations_the_prompt_is_what_both_begin_with(tmp_path):
    row = {"chosen": [USER, REPLY, MORE, YES], "rejected": [USER, REPLY, MORE, NO]}
    assert conversation(tmp_path, row) == ([USER, REPLY, MORE], [YES], [NO])
    assert conversation(tmp_path, {**row, "prompt": "Hi"})[0] == [USER, REPLY, MORE]


def test_conversations_that_part_early_keep_the_rest_in_the_responses(tmp_path):
    other = {"role": "user", "content": "Other?"}
    row = {"chosen": [USER, REPLY, MORE, YES], "rejected": [USER, REPLY, other, NO]}
    assert conversation(tmp_path, row) == ([USER], [REPLY, MORE, YES], [REPLY, other, NO])


def test_identical_conversations_keep_their_last_turn_as_response(tmp_path):
    row = {"chosen": [USER, REPLY, MORE, YES], "rejected": [USER, REPLY, MORE, YES]}
    assert conversation(tmp_path, row) == ([USER, REPLY, MORE], [YES], [YES])


def test_transcripts_are_read_as_turns(tmp_path):
    start = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: More?\n\nAssistant:"
    row = {"chosen": start + " Yes", "rejected": start + " No"}
    assert conversation(tmp_path, row) == ([USER, REPLY, MORE], [YES], [NO])
    row = {"prompt": start, "chosen": "Yes", "rejected": "No"}
    assert conversation(tmp_path, row) == ([USER, REPLY, MORE], [YES], [NO])
    row = {"chosen": start.strip() + " Yes", "rejected": start.strip() + " No"}
    assert conversation(tmp_path, row, form="transcript") == ([USER, REPLY, MORE], [YES], [NO])


def test_form_text_takes_transcripts_literally(tmp_path):
    row = {"prompt": "\n\nHuman: Hi\n\nAssistant:", "chosen": "a", "rejected": "b"}
    prompt, _, _ = conversation(tmp_path, row, form="text")
    assert prompt == [{"role": "user", "content": row["prompt"]}]


def test_other_ways_to_write_messages_are_understood(tmp_path):
    shared = [{"from": "human", "value": "Hi"}]
    row = {
        "prompt": shared,
        "chosen": {"role": "assistant", "content": [{"type": "text", "text": "Yes"}]},
        "rejected": [{"from": "gpt", "value": "No"}],
    }
    assert conversation(tmp_path, row) == ([USER], [YES], [NO])


def test_messages_in_a_csv_cell_are_read_when_the_form_says_so(tmp_path):
    path = tmp_path / "x.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["prompt", "chosen", "rejected"])
        writer.writerow([json.dumps([USER, REPLY, MORE]), json.dumps([YES]), "No"])
    (found,) = load(path, form="messages").to_pylist()
    assert (found["prompt"], found["chosen"], found["rejected"]) == (
        [USER, REPLY, MORE],
        [YES],
        [NO],
    )


def test_halves_of_surrogate_pairs_are_replaced_and_counted(tmp_path):
    text = (
        r'{"prompt": "p\ud83d", "chosen": "\ud83d\ude00", "rejected": "r", "a": ["\udc00"]}' + "\n"
    )
    with collect_notices() as notices:
        (found,) = load(write(tmp_path, "x.jsonl", text)).to_pylist()
    assert found["prompt"][0]["content"] == "p\ufffd"
    assert found["chosen"][0]["content"] == "😀"
    assert found["a"] == '["\ufffd"]'
    ((key, entry),) = notices.items()
    assert key == ("half of a surrogate pair replaced by U+FFFD", "changed")
    assert entry.ids == ["line 1 of x.jsonl"]


def test_line_separators_nul_and_a_megabyte_in_one_line_are_just_text(tmp_path):
    hard = "a\u2028b\u2029c\x85d\x0be\x00f\r\ng" + "x" * 1_000_000
    row = {"prompt": hard, "chosen": hard, "rejected": hard}
    for name, content in (
        ("x.jsonl", json.dumps(row, ensure_ascii=False) + "\n"),
        ("x.json", json.dumps([row, row], ensure_ascii=False)),
    ):
        assert texts(load(write(tmp_path, name, content)), "chosen")[0] == [hard]


def test_limit_takes_the_first_usable_rows(tmp_path):
    path = write(tmp_path, "x.jsonl", lines(*ROWS[:1]) + "{\n" + lines(*ROWS[1:]) + "{\n" * 5)
    table = load(path, limit=2, bad_rows="drop")
    assert table["id"].to_pylist() == ["a", "b"]
    assert load(path, limit=1)["id"].to_pylist() == ["a"]


def test_rows_without_a_group_get_the_hash_of_their_prompt(tmp_path):
    rows = [{**GOOD, "group": "g"}, GOOD, GOOD, {**GOOD, "prompt": "other"}]
    groups = load(write(tmp_path, "x.jsonl", lines(*rows)))["group"].to_pylist()
    plain = load(write(tmp_path, "y.jsonl", lines(GOOD)))["group"].to_pylist()
    assert groups[:3] == ["g", plain[0], plain[0]]
    assert groups[3] not in groups[:3]


def test_memory_holds_a_batch_not_the_file(tmp_path):
    def peak(rows):
        path = write(tmp_path, "x.jsonl.gz", lines({**GOOD, "chosen": "word " * 200}) * rows)
        tracemalloc.start()
        total = sum(batch.num_rows for batch in PairsFile(path=path).load().rows.tables())
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert total == rows
        return most

    assert peak(9_000) < 1.2 * peak(3_000)


def test_an_unknown_field_is_refused():
    with pytest.raises(ValidationError, match="promt"):
        PairsFile(path="x", fields={"promt": "y"})


def test_the_step_conforms(tmp_path):
    check_step(PairsFile, {"path": str(write(tmp_path, "x.jsonl", lines(*ROWS)))})
