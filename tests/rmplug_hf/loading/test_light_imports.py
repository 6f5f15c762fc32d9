"""A process that scores imports what scoring needs; everything else still works in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import transformers
from transformers.utils.import_utils import define_import_structure, fetch__all__

from rmplug_hf.loading._light_imports import _listed, _names_in

SCORE = """
import json, sys

looked_into = []
part = "transformers/models/albert/modeling_albert.py"
sys.addaudithook(lambda what, of: what == "open" and looked_into.append(str(of[0]).endswith(part)))

from rmplug.data.pandas_on_demand import keep_pandas_out
from rmplug.data.rows import one_batch
from rmplug.testing import small_responses
from rmplug_hf import SequenceClassifier

keep_pandas_out()
model = SequenceClassifier(path=sys.argv[1], device="cpu").load()
scores = model.score(one_batch(small_responses(4).table)).tolist()
loaded = [name for name in json.loads(sys.argv[2]) if name in sys.modules]
looks = sum(looked_into)

import torch
from transformers.loss import loss_for_object_detection
from transformers.modeling_utils import PreTrainedModel

rows, _ = loss_for_object_detection.linear_sum_assignment([[2.0, 1.0], [1.0, 2.0]])
compiled = torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2)).tolist()
marked = id(vars(PreTrainedModel)["can_record_outputs"].fget)
allowed = marked in torch._dynamo.trace_rules._allowed_callable_ids.function_ids
print(json.dumps([scores, loaded, looks, list(map(int, rows)), compiled, allowed]))
"""
UNUSED = [
    "scipy", "pandas", "sklearn", "accelerate", "peft", "datasets", "bitsandbytes",
    "torch._dynamo", "torch._inductor", "torch.distributed.tensor", "torch.distributed.fsdp",
    "torch.distributed.checkpoint", "torch.fx.experimental.symbolic_shapes", "sympy",
]  # fmt: skip


def test_scoring_needs_no_scipy_pandas_sympy_or_compiler_and_they_work_when_asked(tiny):
    found = subprocess.run(
        [sys.executable, "-c", SCORE, str(tiny("bert")), json.dumps(UNUSED)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    scores, loaded, looks, rows, compiled, allowed = json.loads(found.stdout)
    assert loaded == []
    assert looks == 1  # at a model that is not used, for its names
    assert len(scores) == 4
    assert (rows, compiled) == ([0, 1], [2.0, 2.0])
    assert allowed


def test_the_models_of_transformers_are_listed_as_it_lists_them_itself():
    models = Path(transformers.__file__).parent / "models"
    for path, prefix in (
        (str(models / "__init__.py"), None),
        (str(models / "bert" / "__init__.py"), None),
        (models, "models"),
    ):
        own = define_import_structure(path, prefix)
        assert own
        assert _listed(define_import_structure, path, prefix) == own


def test_the_names_of_a_file_are_those_that_transformers_finds():
    one_line = '__all__ = ["First", "Second"]\n'
    many_lines = '__all__ = [\n    "First",\n    "Second",\n]\n'
    before = 'import os\n    __all__ = 1\nif "__all__":\n    pass\n'
    for content in (
        one_line, many_lines, before + one_line, before + many_lines, one_line + many_lines,
        "\n" + many_lines + before, before + "\x0c" + one_line, before, "", "__all__",
        many_lines.replace("\n", "\r\n"),
    ):  # fmt: skip
        assert _names_in(fetch__all__, content) == fetch__all__(content)
    assert _names_in(fetch__all__, before + many_lines) == ["First", "Second"]
