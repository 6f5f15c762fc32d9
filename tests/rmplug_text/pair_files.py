"""Files of preference pairs, written and read."""

from __future__ import annotations

import gzip
import json

import pytest

from rmplug import DataError
from rmplug_text.loaders import PairsFile

GOOD = {"prompt": "p", "chosen": "c", "rejected": "r"}


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def write(folder, name, content):
    path = folder / name
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def load(path, **params):
    return PairsFile(path=path, **params).load().table


def texts(table, name):
    return [[turn["content"] for turn in turns] for turns in table[name].to_pylist()]


def refusal(path, **params):
    with pytest.raises(DataError) as error:
        load(path, **params)
    return str(error.value)
