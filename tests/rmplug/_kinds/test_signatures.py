from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest
import sample_plugin as kinds

from rmplug import (
    Artifact,
    Checkpoint,
    Engine,
    FeatureComputer,
    Features,
    Metrics,
    Pairs,
    PluginError,
    Responses,
    Sampler,
    Trainer,
)
from rmplug._kinds.loops import ForEach
from rmplug._kinds.signatures import check_class, signature_of
from rmplug._run.local_engine import Local

Bound = TypeVar("Bound", bound=Features)


@pytest.mark.parametrize(
    ("cls", "shown"),
    [
        (kinds.PairsLoader, "nothing → Pairs"),
        (kinds.LengthLoader, "nothing → RewardModel"),
        (kinds.Ask, "model: RewardModel, data: Pairs | Responses → Features"),
        (kinds.Line, "features: list of Features, target: Features → Fit"),
        (kinds.Shuffle, "data: Pairs | Responses → Pairs | Responses"),
        (kinds.Pick, "data: Pairs, scores: Features (optional) → Selection"),
        (kinds.Page, "items: list of Artifact → Report"),
    ],
)
def test_a_signature_is_read_from_annotations(cls: type, shown: str):
    assert str(signature_of(cls)) == shown


def test_a_list_of_features_is_a_sequence_of_them():
    class Many(FeatureComputer):
        """Takes a list."""

        kind = "many"

        def compute(self, features: list[Features]) -> Features:
            return features[0]

    assert str(signature_of(Many)) == "features: list of Features → Features"


def test_another_container_of_features_is_refused():
    class Odd(FeatureComputer):
        """Takes a set."""

        kind = "odd"

        def compute(self, features: set[Features]) -> Features:
            raise NotImplementedError

    with pytest.raises(PluginError, match=r"Odd.compute: features is annotated set\["):
        signature_of(Odd)


def test_a_class_without_a_method_that_it_needs_is_refused_by_name():
    class Shut(Trainer):
        """Trains what cannot be opened."""

        kind = "shut"

        def train(self, data: Pairs) -> Checkpoint:
            raise NotImplementedError

    class Idle(Engine):
        """Runs nothing."""

        kind = "idle"

    class Undone(Trainer):
        """Does not train."""

        kind = "undone"

    with pytest.raises(PluginError, match="Shut has no method 'open', which a step of the family"):
        check_class(Shut, Trainer)
    with pytest.raises(PluginError, match="Idle has no method 'map', which a step of the family"):
        check_class(Idle, Engine)
    with pytest.raises(PluginError, match="Undone has no method 'train', the work of a trainer"):
        check_class(Undone, Trainer)


def test_what_the_core_supplies_is_no_input():
    assert signature_of(kinds.Teach).supplied == {"seed", "directory"}
    assert [entry.name for entry in signature_of(kinds.Teach).inputs] == ["data"]


def test_a_type_variable_gives_what_was_given():
    signature = signature_of(kinds.Shuffle)
    assert signature.output({"data": (Responses,)}) == (Responses,)
    assert signature.output({"data": (Pairs, Responses)}) == (Pairs, Responses)
    assert signature.output({}) == (Artifact,)


def test_the_one_type_of_a_result_is_known_and_a_union_is_not():
    assert signature_of(kinds.Mean).output({}) == (Metrics,)
    assert signature_of(kinds.Either).output({"data": (Pairs,)}) == (Artifact,)


def test_a_bound_type_variable_and_an_optional_list_are_read():
    class Some(FeatureComputer):
        """Some."""

        kind = "some"

        def compute(self, data: Bound, more: Sequence[Pairs] | None = None) -> Bound:
            return data

    assert str(signature_of(Some)) == "data: Features, more: list of Pairs (optional) → Features"


@pytest.mark.parametrize("cls", [Local, ForEach, kinds.Watch])
def test_what_the_core_runs_itself_has_no_inputs(cls: type):
    assert signature_of(cls).inputs == ()


def made(method: Callable[..., object] | None, **fields: object) -> type[Sampler]:
    """A sampler with this method."""
    named = {"sample": method} if method else {}
    about = {"kind": "wrong", "__doc__": "Wrong.", "__module__": __name__}
    cls = type("Wrong", (Sampler,), {**about, **named, **fields})
    assert issubclass(cls, Sampler)
    return cls


def takes_a_number(self: Sampler, data: int) -> Pairs: ...
def takes_anything(self: Sampler, data) -> Pairs: ...
def says_not_what_it_gives(self: Sampler, data: Pairs): ...
def asks_for_colour(self: Sampler, data: Pairs, *, colour: int) -> Pairs: ...
def names_what_is_not_there(self: Sampler, data: Pears) -> Pairs: ...  # noqa: F821
def takes_any_number(self: Sampler, *data: Pairs) -> Pairs: ...
def takes_any_name(self: Sampler, **data: Pairs) -> Pairs: ...
def takes_a_parameter(self: Sampler, share: Pairs) -> Pairs: ...


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (None, "Wrong has no method 'sample', the work of a sampler"),
        (
            takes_a_number,
            "Wrong.sample: data is annotated <class 'int'>; write artifact types, such as "
            "Pairs, Pairs | Responses or Sequence[Features]",
        ),
        (takes_anything, "Wrong.sample: data has no annotation; write artifact types, such as "),
        (says_not_what_it_gives, "Wrong.sample: return has no annotation; write artifact types"),
        (
            asks_for_colour,
            "Wrong.sample asks for colour; keyword-only parameters are supplied by the core: "
            "directory, plan, progress, seed, seen, work",
        ),
        (
            names_what_is_not_there,
            "Wrong.sample: name 'Pears' is not defined; import artifact types at module level",
        ),
        (takes_any_number, "Wrong.sample takes *data; name each input, or take one Sequence"),
        (takes_any_name, "Wrong.sample takes **data; name each input, or take one Sequence"),
    ],
)
def test_a_method_that_cannot_be_called_from_a_spec_is_refused(
    method: Callable[..., object] | None, message: str
):
    with pytest.raises(PluginError) as error:
        signature_of(made(method))
    assert str(error.value).startswith(message)


def test_an_input_and_a_parameter_have_different_names():
    cls = made(takes_a_parameter, share=1.0, __annotations__={"share": float})
    with pytest.raises(PluginError) as error:
        signature_of(cls)
    assert str(error.value) == "Wrong.sample: share is also a parameter; name one of them anew"


class TestCheckClass:
    @pytest.mark.parametrize("given", [3, Pairs, kinds.Shuffle, kinds.Teach()])
    def test_what_is_no_class_of_the_family_is_refused(self, given: object):
        with pytest.raises(PluginError, match=r"is not a class of family 'trainer'$"):
            check_class(given, Trainer)

    @pytest.mark.parametrize("name", ["", "Big", "a b", "-a", "a--b", "plugin:a", "ä", 3, None])
    def test_a_kind_is_lower_case_digits_and_hyphens(self, name: object):
        cls = type("Wrong", (kinds.Shuffle,), {"kind": name, "__doc__": "Wrong."})
        with pytest.raises(PluginError) as error:
            check_class(cls, Sampler)
        assert str(error.value) == (f"Wrong.kind is {name!r}; use lower case, digits and hyphens")

    def test_a_class_without_a_docstring_is_refused(self):
        cls = type("Mute", (kinds.Shuffle,), {"kind": "mute", "__doc__": None})
        with pytest.raises(PluginError) as error:
            check_class(cls, Sampler)
        assert str(error.value) == "Mute has no docstring; its first line is shown to users"

    @pytest.mark.parametrize("name", ["a", "judge-bench-2", "3d"])
    def test_a_documented_class_of_the_family_is_taken(self, name: str):
        check_class(type("Good", (kinds.Shuffle,), {"kind": name, "__doc__": "Good."}), Sampler)
