"""pandas is imported where it is asked for, and nowhere else."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

RUN = """
import json, sys
from pathlib import Path
import rmplug
folder = Path(sys.argv[1])
rows = [{"id": str(n), "prompt": "p", "chosen": "c", "rejected": f"r{n}"} for n in range(3)]
(folder / "pairs.jsonl").write_text("\\n".join(map(json.dumps, rows)))
spec = {"steps": {
    "pairs": {"kind": "pairs-file", "params": {"path": str(folder / "pairs.jsonl")}},
    "words": {"kind": "lexical", "inputs": "pairs"},
}}
found = rmplug.run(spec, store=folder / "store")
before = "pandas" in sys.modules
frame = found["pairs"].to_pandas()
print(json.dumps([before, list(frame["id"]), "pandas" in sys.modules]))
"""
LATER = """
import sys
from rmplug.data.pandas_on_demand import keep_pandas_out
keep_pandas_out()
keep_pandas_out()
import pyarrow as pa
plain = pa.array([1.0, float("nan")]).null_count
assert "pandas" not in sys.modules
from importlib.util import find_spec
assert find_spec("pandas") is not None and "pandas" not in sys.modules
import pandas as pd
series = pd.Series([1.0, float("nan")])
print([plain, pa.array(series).null_count, pa.table(pd.DataFrame({"a": series})).num_rows,
       pa.array(pd.Categorical(["x", "y"])).type == pa.dictionary(pa.int8(), pd_text())])
""".replace("pd_text()", "pa.array(pd.Categorical(['x'])).type.value_type")


def output(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_run_does_not_import_pandas_and_to_pandas_works_afterwards(tmp_path):
    pytest.importorskip("pandas")
    assert json.loads(output(RUN, str(tmp_path))) == [False, ["0", "1", "2"], True]


def test_pyarrow_knows_pandas_as_soon_as_anything_has_imported_it():
    pytest.importorskip("pandas")
    assert output(LATER).strip() == "[0, 1, 2, True]"
