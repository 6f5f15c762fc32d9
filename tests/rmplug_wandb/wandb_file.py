"""Reads the file of an offline run of Weights & Biases: its own messages, in a LevelDB log."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path

BLOCK = 32768
HEADER = 7
PATIENCE = 30.0


def records(folder: Path):
    """Every message of the one run below ``folder``, which has ended: the service of the library
    writes its last ones after the run was told that it is finished."""
    [file] = folder.glob("wandb/offline-run-*/run-*.wandb")
    until = time.monotonic() + PATIENCE
    while True:
        found = [_record(data) for data in _chunks(file.read_bytes())]
        if any(record.WhichOneof("record_type") == "exit" for record in found):
            return found
        assert time.monotonic() < until, f"{file} has no end"
        time.sleep(0.05)


def _record(data: bytes):
    from wandb.proto.wandb_internal_pb2 import Record

    record = Record()
    record.ParseFromString(data)
    return record


def _chunks(content: bytes):
    assert content[:4] == b":W&B"
    place, waiting = HEADER, b""
    while place + HEADER <= len(content):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
            continue
        length, kind = struct.unpack("<HB", content[place + 4 : place + HEADER])
        waiting += content[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (1, 4):
            yield waiting
            waiting = b""


def logged(folder: Path):
    """The config, everything in the history (last value of each key), and the summary."""
    config, history, summary = {}, {}, {}
    for record in records(folder):
        which = record.WhichOneof("record_type")
        if which == "run":
            config |= _values(record.run.config.update)
        elif which == "config":
            config |= _values(record.config.update)
        elif which == "history":
            history |= _values(record.history.item)
        elif which == "summary":
            summary |= _values(record.summary.update)
    return config, history, summary


def _values(items):
    found = {}
    for item in items:
        first, *rest = item.nested_key or [item.key]
        value = json.loads(item.value_json)
        for name in reversed(rest):
            value = {name: value}
        found[first] = {**found.get(first, {}), **value} if rest else value
    return found


def run_of(folder: Path):
    """What the run is called."""
    return next(r.run for r in records(folder) if r.WhichOneof("record_type") == "run")
