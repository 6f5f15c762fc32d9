"""The package that fetches compiled code from a hub stays out, wherever a library looks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DECOY = """
import pathlib

def __getattr__(name):
    pathlib.Path(__file__).with_name("fetched").write_text(name)
    raise AttributeError(name)
"""
"""A package of the name that writes down what it is asked for."""
LIBRARIES = """
import rmplug_hf, bitsandbytes, peft
from transformers import utils
assert not utils.is_kernels_available(), "transformers would fetch"
"""
PLUGINS = ("armorm", "embeddings", "hf", "hybrid", "trl")
"""Those that use transformers."""


@pytest.fixture
def kernels(tmp_path: Path) -> Path:
    """An installed package of the name."""
    (tmp_path / "kernels-0.18.5.dist-info").mkdir()
    (tmp_path / "kernels-0.18.5.dist-info/METADATA").write_text("Name: kernels\nVersion: 0.18.5\n")
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels/__init__.py").write_text(DECOY)
    return tmp_path


def run(code: str, kernels: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(kernels), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


def test_no_library_fetches_kernels_from_the_hub_or_speaks_of_it(kernels: Path) -> None:
    pytest.importorskip("bitsandbytes")
    done = run(LIBRARIES, kernels)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (kernels / "kernels/fetched").exists()


@pytest.mark.parametrize("plugin", PLUGINS)
def test_every_plugin_that_uses_transformers_hides_kernels_from_it(
    kernels: Path, plugin: str
) -> None:
    code = f"import importlib.util as i, rmplug_{plugin}; print(i.find_spec('kernels'))"
    assert run(code, kernels).stdout == "None\n"


def test_a_process_that_has_imported_kernels_itself_keeps_them(kernels: Path) -> None:
    code = "import kernels, rmplug_hf, importlib.util as i; print(i.find_spec('kernels').name)"
    assert run(code, kernels).stdout == "kernels\n"
