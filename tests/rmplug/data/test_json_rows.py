"""Lines of JSON: what is parsed quickly is what Python's own parser gives."""

from __future__ import annotations

import json
import random

import pytest

from rmplug.data.row_files import data_files, json_rows, read_rows

VALUES = (
    "NaN", "-Infinity", "-NaN", "+1", "1.", ".5", "01", "-0", "-0.0", "1e400", "1E5", "9" * 4300,
    "9" * 4301, "1" * 4400 + "e5", "0." + "9" * 5000, "9223372036854775808", '"\\ud800"',
    '"\\udc00"', '"\\ud83d\\ude00"', '"\\ud83d\\u0041"', '"\\u0000"', '"\x7f"', '"\x01"', '"\t"',
    '"\\x"', '"\\/"', "nul", "[1,]", '1, "a": 2', '1, "\\u0061": 2', '1, "\\ud800": 2', "1}{", "[",
    "[" * 99 + "]" * 99, "[" * 100 + "]" * 100, "[" * 300 + "]" * 300,
    '{"a":' * 150 + "1" + "}" * 150, '"' + "[" * 150 + '"',
    '["' + "[" * 150 + '"]', "[{}" + ",{}" * 150 + "]",
)  # fmt: skip
LINES = [
    *(f'{{"a": {value}}}' for value in VALUES),
    *("null", "3", '"a"', "[]", "[{}]", "{,}", "{1: 2}", "{'a': 1}", "{}", '{"": 1}', '{"a": 1}\0'),
    *(' \t{"a": 1} \r', '\x0b{"a": 1}', '{"a": 1}\x0c', '\xa0{"a": 1}', '{"a": 1}//x'),
]
BYTES = [b'{"a": "\xff"}', b'{"a": "\xed\xa0\x80"}', b'{"a": "\xc0\x80"}', b'\xef\xbb\xbf{"a": 1}']
ROW = {"p": 'aé😀"\\ \n\u2028', "s": [1, 2.5, -3e-10, None, True, {"x": ""}], "n": 10**20, "f": 0.1}
PIECES = b'{}[]",:\\u0123456789dDeE+-.abfnrtNaIi \t\r\x00\x1f\x7f\x80\xc3\xa9\xed\xa0\xf0\x9f'


def mutated(chance):
    line = bytearray(json.dumps(ROW, ensure_ascii=chance.random() < 0.5).encode())
    for _ in range(chance.choice((1, 1, 2, 3))):
        at, piece = chance.randrange(len(line)), chance.choice(PIECES)
        line[at : at + chance.choice((0, 1))] = bytes([piece])[: chance.choice((0, 1))]
    return bytes(line)


def test_a_line_gives_the_same_row_or_fault_as_by_pythons_parser(tmp_path, monkeypatch):
    chance, path = random.Random(3), tmp_path / "x.jsonl"
    lines = [*map(str.encode, LINES), *BYTES, *(mutated(chance) for _ in range(5000))]
    path.write_bytes(b"\n".join(lines))
    taken = [json_rows._parsed_quickly(line) is not None for line in lines]
    assert 1000 < sum(taken) < len(lines) - 1000
    quickly = list(map(repr, read_rows(data_files([path]))))
    monkeypatch.setattr(json_rows, "_parsed_quickly", lambda line: None)
    assert quickly == list(map(repr, read_rows(data_files([path]))))


@pytest.mark.parametrize("depth", [100, 101])
def test_a_row_nested_too_deep_is_not_taken_quickly(depth):
    line = b'{"a":' * depth + b"1" + b"}" * depth
    assert (json_rows._parsed_quickly(line) is None) == (depth > json_rows.DEEPEST)
