"""Numbers as a person reads and finds them."""

from __future__ import annotations

import math

import pytest

from rmplug.stats.numbers import Number, Numbers, named_numbers


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Number(0.82098, 0.77501, 0.85927, 324), "0.821 (95 % CI 0.775–0.859), n = 324"),
        (Number(-0.02, -0.083, 0.0447, 1324), "−0.02 (95 % CI −0.08 to 0.04), n = 1,324"),
        (Number(324.0), "324"),
        (Number(-0.00001234), "−1.234e−05"),
        (Number(None), "–"),
    ],
)
def test_a_number_is_told_with_its_interval_and_n(number: Number, text: str) -> None:
    assert str(number) == text and repr(number) == f"<Number {text}>"


def test_what_is_no_number_is_missing() -> None:
    row = {"metric": "a", "value": float("nan"), "low": "x", "high": True, "n": 3.5}
    assert Number.of(row) == Number(None) and math.isnan(float(Number.of(row)))


ROWS = [
    {"metric": "accuracy", "subset": "all", "value": 0.8, "model": "ngram"},
    {"metric": "accuracy", "subset": "code", "value": 0.7, "model": "ngram"},
    {"metric": "accuracy", "subset": "all", "value": 0.6, "model": "minilm"},
    {"metric": "gain", "subset": "all", "value": 0.5, "at": 0.25},
    {"metric": "gain", "subset": "all", "value": 0.4, "at": 0.5},
]


def test_numbers_are_found_by_the_parts_of_their_names_that_only_they_have() -> None:
    numbers = Numbers(named_numbers("test", ROWS))
    assert numbers["test / ngram / accuracy / code"].value == 0.7
    assert numbers["ngram", "accuracy"].value == 0.8  # that of all rows
    assert numbers["code"].value == 0.7
    assert numbers["gain", "at 0.25"].value == 0.5 and len(numbers) == 5
    assert "test / minilm / accuracy / all: 0.6" in repr(numbers)
    assert "<td>test / minilm / accuracy / all</td>" in numbers._repr_html_()


def test_the_points_of_a_training_curve_have_names_of_their_own() -> None:
    rows = [
        {"metric": "loss", "subset": "training", "value": 0.7, "step": 10},
        {"metric": "loss", "subset": "training", "value": 0.4, "step": 20},
    ]
    numbers = Numbers(named_numbers("model", rows))
    assert list(numbers) == [
        "model / loss / at step 10 / training",
        "model / loss / at step 20 / training",
    ]
    assert numbers["loss", "at step 20"].value == 0.4


def test_cells_places_and_findings_have_names_of_their_own() -> None:
    both = [{"row": "a", "column": "b"}, {"row": "a", "column": "c"}]
    labels = [
        *both,
        {"place": "layer-0"},
        {"place": "layer-1"},
        {"finding": "copies.copy"},
        {"other": "minilm"},
    ]
    rows = [{"metric": "r2", "subset": "all", "value": n, **one} for n, one in enumerate(labels)]
    numbers = Numbers(named_numbers("why", rows))
    assert [number.value for number in numbers.values()] == [0, 1, 2, 3, 4, 5]
    assert numbers["a", "c"].value == 1 and numbers["r2", "layer-1"].value == 3
    assert numbers["why / copies.copy / r2 / all"].value == 4


def test_parts_of_a_name_may_stand_between_dots_or_slashes() -> None:
    numbers = Numbers(named_numbers("folds.test", ROWS))
    assert numbers["folds.test.ngram.accuracy.code"].value == 0.7
    assert numbers["accuracy/minilm"].value == 0.6
    assert numbers["folds.test / gain . at 0.25"].value == 0.5
    assert numbers["minilm / accuracy", "folds.test"].value == 0.6
    assert numbers.full_name("ngram.accuracy") == "folds.test / ngram / accuracy / all"


def test_one_word_with_a_dot_is_meant_before_two_words() -> None:
    rows = [
        {"metric": "a.b", "value": 1.0, "model": "whole"},
        {"metric": "b", "value": 2.0, "model": "a"},
    ]
    assert Numbers(named_numbers("test", rows))["a.b"].value == 1


AUDIT = [
    {"metric": "accuracy", "value": 0.8, "theme": "", "perturbation": "", "dose": 0},
    {"metric": "theme-effect", "value": 0.5, "theme": "length", "perturbation": "", "dose": None},
    {"metric": "effect", "value": 0.3, "theme": "length", "perturbation": "padding", "dose": 1},
    {"metric": "effect", "value": 0.5, "theme": "length", "perturbation": "padding", "dose": 2},
    {"metric": "flipped", "value": 0.1, "theme": "length", "perturbation": "padding", "dose": 2},
    {"metric": "theme-effect", "value": 0.1, "theme": "emoji", "perturbation": "", "dose": None},
]


def test_an_effect_of_a_theme_is_found_before_those_of_its_changes() -> None:
    rows = [{**row, "subset": "all", "model": "minilm"} for row in AUDIT]
    numbers = Numbers(named_numbers("audit", rows))
    assert list(numbers)[:3] == [
        "audit / minilm / accuracy / all",
        "audit / minilm / length / theme-effect / all",
        "audit / minilm / length / padding / effect / at dose 1 / all",
    ]
    assert numbers.full_name("audit.length.effect") == list(numbers)[1]
    assert numbers["audit.length.theme-effect"] == numbers["length.effect"]
    assert numbers["padding.effect.at dose 2"].value == 0.5
    assert numbers["audit.length.flipped"].value == 0.1
    with pytest.raises(KeyError, match="2 numbers are called 'audit.padding.effect'"):
        numbers["audit.padding.effect"]
    with pytest.raises(KeyError, match="2 numbers are called 'audit.effect': .*length.*emoji"):
        numbers["audit.effect"]


def test_the_only_model_beside_its_baselines_is_meant() -> None:
    row = {"metric": "accuracy", "subset": "all", "value": 0.5, "kind": "baseline"}
    rules = [{**row, "model": name} for name in ("longer", "n-gram")]
    model = {**row, "model": "reward", "kind": "model", "value": 0.8}
    numbers = Numbers(named_numbers("test", [model, *rules]))
    assert numbers["accuracy"].value == numbers["test.accuracy"].value == 0.8
    assert numbers["accuracy.longer"].value == 0.5
    beside = ["test / longer / accuracy / all", "test / n-gram / accuracy / all"]
    assert numbers.baselines_beside("accuracy") == beside
    assert numbers.baselines_beside("n-gram.accuracy") == []
    assert numbers.baselines_beside("test / reward / accuracy / all") == []


def test_of_several_models_it_is_said_what_to_write() -> None:
    rows = [{"metric": "accuracy", "subset": "all", "value": 0.8, "model": name} for name in "ab"]
    numbers = Numbers(named_numbers("test", rows))
    with pytest.raises(KeyError, match="write more of the name, such as 'a.accuracy'"):
        numbers["accuracy"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("acuracy", "no number 'acuracy'; did you mean 'accuracy'?"),
        ("test.ngrm.accuracy", ": 'ngrm' is no part of any; did you mean 'ngram'?"),
        ("minilm.gain", "there are test / minilm / accuracy / all; test / gain / at 0.25 / all"),
        ("25", "no number '25'; did you mean 'at 0.25'?"),
        ("xyz", "; there are test / ngram / accuracy / all; "),
        ("", "no number ''; there are"),
        (".", "no number '.'; there are"),
    ],
)
def test_a_name_that_no_number_has_tells_which_part_is_wrong(name: str, hint: str) -> None:
    with pytest.raises(KeyError) as caught:
        Numbers(named_numbers("test", ROWS))[name]
    assert hint in caught.value.args[0]


def test_without_any_number_there_is_nothing_to_suggest() -> None:
    with pytest.raises(KeyError, match="^\"no number 'accuracy'\"$"):
        Numbers({})["accuracy"]


def test_a_name_that_several_numbers_have_or_none_is_explained() -> None:
    numbers = Numbers(named_numbers("test", ROWS))
    with pytest.raises(KeyError, match="2 numbers are called 'accuracy': test / ngram / accuracy"):
        numbers["accuracy"]
    with pytest.raises(KeyError, match="no number 'acuracy'"):
        numbers["acuracy"]
