from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from rmplug.testing.tiny_models import tiny_model

MODULES = ("Transformer", "Pooling", "Normalize")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tests share the machine: threads that wait for each other are slower than one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory) -> Path:
    """The folder of a sentence-transformers model of 32 dimensions that reads 40 tokens."""
    folder = tiny_model("bert", tmp_path_factory.mktemp("encoder"), head="none")
    paths = ("", "1_Pooling", "2_Normalize")
    modules = [
        {"idx": n, "name": str(n), "path": paths[n], "type": f"sentence_transformers.models.{name}"}
        for n, name in enumerate(MODULES)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    settings = {"max_seq_length": 40, "do_lower_case": False}
    (folder / "sentence_bert_config.json").write_text(json.dumps(settings))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder
