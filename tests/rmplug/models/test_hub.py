"""Names on the hub: the commit that a name stands for, as the local cache has it."""

from __future__ import annotations

import pytest
from huggingface_hub import constants

from rmplug import DataError
from rmplug.models.hub import commit_of, fetched

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def hold(cache, folder, revision):
    (cache / folder / "refs").mkdir(parents=True, exist_ok=True)
    (cache / folder / "refs" / revision).write_text(COMMIT)


def test_a_commit_stands_for_itself():
    assert commit_of("some/encoder", COMMIT) == COMMIT


def test_a_name_stands_for_the_commit_that_the_cache_holds(cache):
    hold(cache, "models--some--encoder", "main")
    hold(cache, "models--some--encoder", "v2")
    assert commit_of("some/encoder") == commit_of("some/encoder", "v2") == COMMIT
    with pytest.raises(DataError, match=r"hub model some/encoder \(v3\) is not in the local cache"):
        commit_of("some/encoder", "v3")


def test_models_and_data_sets_of_one_name_are_told_apart(cache):
    hold(cache, "datasets--some--pairs", "main")
    assert commit_of("some/pairs", kind="dataset") == COMMIT
    with pytest.raises(DataError, match=r"the hub model some/pairs \(main\) is not in the local"):
        commit_of("some/pairs")


def test_what_is_neither_in_the_cache_nor_to_be_fetched_is_one_sentence():
    sentence = r"some/encoder \(main\) is not in the local cache and cannot be fetched \(HF_HUB_OF"
    with pytest.raises(DataError, match=sentence):
        fetched("some/encoder", None, ("*.json",))
    with pytest.raises(DataError, match=rf"some/encoder \({COMMIT}\) is not in the local cache"):
        fetched("some/encoder", COMMIT, ("*.json",))


@pytest.mark.parametrize("name", ["some//encoder", "./folder", "a/b/c", ""])
def test_what_cannot_be_a_name_is_refused(name):
    with pytest.raises(DataError, match="is no name on the hub; for a folder write path"):
        commit_of(name)
