"""Models made again from what made them."""

from __future__ import annotations

import json

import pytest

import rmplug
from rmplug import DataError, Origin, PluginError, RmplugError, open_folder, reopen
from rmplug.testing import LengthModel


def test_a_model_that_cannot_say_what_made_it_has_no_origin():
    assert LengthModel().origin() is None


def test_only_a_loader_can_make_a_model_again(tmp_path):
    with pytest.raises(RmplugError, match="'lexical' is a feature computer, not a model loader"):
        reopen(Origin("lexical", {}), tmp_path)
    with pytest.raises(PluginError, match="unknown kind 'recordedd'; did you mean 'recorded'"):
        reopen(Origin("recordedd", {}), tmp_path)


def test_a_model_whose_place_is_gone_is_named(tmp_path):
    with pytest.raises(DataError, match="encoder .*gone, which is not there; say where it is now"):
        reopen(Origin("encoder", {"path": str(tmp_path / "gone")}), tmp_path)


@pytest.mark.parametrize("text", ["{}", "no json", "[]"])
def test_a_folder_that_names_no_trainer_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(DataError, match="names no kind of trainer .* give the folder that a train"):
        open_folder(tmp_path)


def test_a_folder_of_what_trains_no_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"kind": "lexical"}))
    with pytest.raises(RmplugError, match="was made by lexical, which trains no model"):
        open_folder(tmp_path)
    assert rmplug.open_folder is open_folder
