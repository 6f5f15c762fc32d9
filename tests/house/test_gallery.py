"""The gallery has every recipe, and shows what the recipe finds today.

What is kept of a recipe that takes longer than ten seconds is compared in ``.ci/gallery``, which
runs all of them; here it is held to be of the recipe and the data as they are now.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from generators.gallery import FOLDER, MOST_BYTES, SHOWN, content_of, own_recipes, read_shown
from make_gallery import run

RECIPES = own_recipes()
SHORT = [name for name, recipe in RECIPES.items() if recipe.needs.startswith("10 seconds")]


def test_every_recipe_is_in_the_gallery_with_a_small_picture() -> None:
    assert {*RECIPES} == {*SHOWN} == {*read_shown()}
    pictures = {file.stem: file.stat().st_size for file in FOLDER.glob("*.webp")}
    assert {*pictures} == {*SHOWN}
    assert {name for name, size in pictures.items() if not 0 < size <= MOST_BYTES} == set()


@pytest.mark.parametrize("name", RECIPES)
def test_the_run_that_is_shown_was_of_the_recipe_as_it_is(name: str) -> None:
    stale = f"run: python docs/make_gallery.py {name}"
    assert read_shown()[name].recipe == content_of(RECIPES[name]), stale


@pytest.mark.parametrize("name", SHORT)
def test_a_short_recipe_finds_what_is_shown(name: str, tmp_path: Path) -> None:
    _, found = run(name, tmp_path)
    assert found == read_shown()[name], f"run: python docs/make_gallery.py {name}"
