"""Encoders that are installed as packages."""

from __future__ import annotations

import hashlib
import re

import pytest

from rmplug import DataError
from rmplug.models.installed_encoders import InstalledEncoder


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    """An encoder whose package is installed, with weights of a few bytes."""
    folder = tmp_path / "small_encoder" / "model"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    about = tmp_path / "small_encoder-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: small-encoder\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    digest = hashlib.sha256(b"weights").hexdigest()
    model = "small_encoder/model"
    return InstalledEncoder("small", "owner/small", "small-encoder", model, digest, "small"), folder


def test_an_installed_encoder_is_found_in_its_package(packaged):
    encoder, folder = packaged
    assert encoder.folder() == folder


def test_other_weights_are_refused_with_both_digests(packaged):
    encoder, folder = packaged
    file = folder / "model.safetensors"
    file.write_bytes(b"other")
    message = (
        f"the weights in {file} are not those of owner/small (SHA-256 d9298a10d1b0… instead of "
        f"{encoder.weights[:12]}…); reinstall small-encoder, or give the folder as path if you "
        "mean to use other weights"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        encoder.folder()


def test_weights_that_are_not_there_are_named(packaged):
    encoder, folder = packaged
    file = folder / "model.safetensors"
    file.unlink()
    message = f"cannot read the encoder's weights {file}: No such file or directory"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        encoder.folder()


def test_an_encoder_that_is_not_installed_is_told_with_what_to_write():
    encoder = InstalledEncoder("small", "owner/small", "no-such-package", "model", "0" * 64, "hf")
    message = (
        "the encoder small is the package no-such-package, which is not installed: pip install "
        "'rmplug[hf]', or name the model on the hub, owner/small, or give its folder as path"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        encoder.folder()
