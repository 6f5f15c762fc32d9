"""Changed copies of responses: each beside its original, the same whatever else is asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from rmplug import DataError, Fit, Pairs, Responses, RewardModel
from rmplug.families import Estimator
from rmplug.known import Known, known_of
from rmplug.models.text_generator import Prompt, TextGenerator, as_conversation
from rmplug.notices import collect_notices
from rmplug.testing import LengthModel, check_step, small_pairs, small_responses, tiny_models
from rmplug_audit.perturbing import Perturb
from rmplug_audit.variants import Variants

TEXT = (
    "The tower is 330 metres high. It was built in 1889 by a company of engineers. "
    "People come from everywhere, and they are happy with the view. Many of them take the stairs."
)


def answers(*texts: str) -> Responses:
    names = [f"r{number}" for number in range(len(texts))]
    prompts = [f"Tell me about the famous tower number {number}." for number in range(len(texts))]
    return Responses({"id": names, "prompt": prompts, "response": list(texts)}, "answers")


def rows(made: Responses) -> list[dict[str, object]]:
    return made.table.to_pylist()


def text(row: dict[str, list[dict[str, str]]]) -> str:
    return row["response"][-1]["content"]


def test_an_original_stands_before_its_copies_which_keep_its_columns() -> None:
    made = Perturb(perturbations=("bullets", "typos")).sample(small_responses(4), seed=1)
    assert isinstance(made, Responses)
    listed = rows(made)
    originals = small_responses(4).table.to_pylist()
    assert [row["id"] for row in listed if not row["perturbation"]] == [r["id"] for r in originals]
    by_id = {row["id"]: row for row in originals}
    for row in listed:
        own = by_id[row["original"]]
        assert {k: row[k] for k in own if k not in ("id", "response")} == {
            k: own[k] for k in own if k not in ("id", "response")
        }
        if row["perturbation"]:
            assert row["id"] == f"{row['original']}~{row['perturbation']}~{row['dose']}"
            assert row["response"] != own["response"]
        else:
            assert (row["theme"], row["dose"], row["intention"]) == ("", 0, "")
            assert row["response"] == own["response"]
    assert {row["intention"] for row in listed} == {"", "keeps", "worsens"}


def test_pairs_become_responses_with_labels() -> None:
    made = Perturb(perturbations="trailing-lines").sample(small_pairs(2), seed=1)
    listed = [(row["id"], row["label"]) for row in rows(made)]
    assert listed[:5] == [
        ("pair-0/chosen", 1),
        ("pair-0/chosen~trailing-lines~1", 1),
        ("pair-0/chosen~trailing-lines~2", 1),
        ("pair-0/chosen~trailing-lines~4", 1),
        ("pair-0/rejected", 0),
    ]
    assert len(listed) == 16


def test_the_last_message_of_a_conversation_is_changed() -> None:
    talk = [
        {"role": "assistant", "content": "First I ask."},
        {"role": "user", "content": "Go on."},
        {"role": "assistant", "content": TEXT},
    ]
    data = Responses({"id": ["a"], "prompt": ["p"], "response": [talk]})
    copy = rows(Perturb(perturbations="closing").sample(data, seed=1))[1]
    assert copy["response"][:2] == talk[:2]
    assert text(copy).startswith(TEXT) and text(copy) != TEXT


def test_a_copy_does_not_depend_on_what_else_is_made() -> None:
    data = answers(TEXT, TEXT + " It is old.", "Nobody knows. I have never been there myself.")
    whole = {row["id"]: text(row) for row in rows(Perturb().sample(data, seed=4))}
    few = Perturb(perturbations=("typos", {"name": "padding", "doses": [4]}), prompts=2).sample(
        data, seed=4
    )
    assert few.table.num_rows > 8
    for row in rows(few):
        assert whole[row["id"]] == text(row)
    other = {row["id"]: text(row) for row in rows(Perturb().sample(data, seed=5))}
    assert sum(whole[name] != other[name] for name in whole if name in other) > 40


def test_a_higher_dose_has_what_a_lower_one_has() -> None:
    listed = rows(Perturb(perturbations=("emoji", "exclamation")).sample(answers(TEXT), seed=2))
    by_dose = {(row["perturbation"], row["dose"]): text(row) for row in listed}
    places = [
        {at for at, end in enumerate(by_dose["exclamation", dose]) if end == "!"}
        for dose in (1, 2, 4)
    ]
    assert places[0] < places[1] < places[2] and [len(each) for each in places] == [1, 2, 4]
    assert len(by_dose["emoji", 4]) == len(TEXT) + 8


def test_prompts_are_drawn_by_seed_whatever_their_order() -> None:
    data, step = small_pairs(7), Perturb(perturbations="closing", prompts=3)
    one = step.sample(data, seed=1)
    assert len(set(one["group"].to_pylist())) == 3
    turned = step.sample(data.take([*range(6, -1, -1)]), seed=1)
    assert sorted(one["id"].to_pylist()) == sorted(turned["id"].to_pylist())
    drawn = [frozenset(step.sample(data, seed=seed)["group"].to_pylist()) for seed in range(20)]
    assert len(set(drawn)) > 5


def test_what_could_not_be_made_is_counted_by_change() -> None:
    data = answers("Yes", TEXT, "", "1 2")
    with collect_notices() as found:
        made = Perturb(perturbations=("bullets", "cut", "upper-case")).sample(data, seed=1).table
    counts = {what: (entry.count, entry.action, entry.of) for (what, _), entry in found.items()}
    assert counts == {
        "response without text: not changed": (1, "kept", "rows"),
        "bullets: does not apply": (6, "dropped", "changed copies"),
        "cut: does not apply": (6, "dropped", "changed copies"),
        "upper-case: does not apply": (1, "dropped", "changed copies"),
    }
    assert made.num_rows == 4 + 3 * 3 + 3 + 3 + 3 - 6 - 6 - 1 + 3


def test_off_topic_text_comes_from_other_prompts() -> None:
    data = answers(*(f"{TEXT} Number {number}." for number in range(30)))
    listed = rows(Perturb(perturbations="off-topic").sample(data, seed=1))
    own = {row["id"]: text(row) for row in listed if not row["perturbation"]}
    copies = [row for row in listed if row["perturbation"]]
    assert len(copies) == 30
    assert all(text(row) in own.values() and text(row) != own[row["original"]] for row in copies)


def test_compositions_are_made_one_after_the_other() -> None:
    step = Perturb(perturbations=("emoji", "flattery"), compositions=(("emoji", "flattery"),))
    by_id = {row["id"]: row for row in rows(step.sample(answers(TEXT), seed=1))}
    both = by_id["r0~emoji+flattery~2"]
    assert (both["theme"], both["intention"]) == ("composition", "keeps")
    emoji, flattery = text(by_id["r0~emoji~2"]), text(by_id["r0~flattery~2"])
    assert text(both) == flattery.removesuffix(TEXT) + emoji


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"perturbations": ["bulets"]}, "no perturbation 'bulets'; did you mean 'bullets'\\?"),
        ({"perturbations": [{"nme": "bullets"}]}, "a perturbation has no name"),
        ({"perturbations": ["phrase"]}, "phrase: text: Field required .*text, place"),
        ({"perturbations": [{"name": "bold", "doses": [2, 1]}]}, "whole numbers in rising order"),
        ({"perturbations": [{"name": "bold", "doses": [0]}]}, "numbers from 1 to 64"),
        (
            {"perturbations": ["bold", "bold"]},
            "bold is named twice; give one",
        ),
        ({"perturbations": [{"name": "bold", "as": "a~b"}]}, "give a name without"),
        ({"compositions": [["cut", "keywords"], ["cut", "keywords"]]}, "named twice"),
        ({"compositions": [["keywords", "apology"]]}, None),
        ({"compositions": [["paraphrase", "apology"]]}, "cannot be one of two"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(params: dict, message: str | None) -> None:
    if message is None:
        assert Perturb(**params).changes(asking=False)[-1].doses == [2]
        return
    with pytest.raises(ValueError, match=message):
        Perturb(**params)


def test_two_phrases_have_names_of_their_own() -> None:
    step = Perturb(
        perturbations=(
            {"name": "phrase", "text": "Trust me.", "as": "trust"},
            {"name": "phrase", "text": "The end.", "place": "end", "as": "end"},
        )
    )
    listed = rows(step.sample(answers(TEXT), seed=1))
    assert [row["perturbation"] for row in listed] == ["", "trust", "end"]
    assert [text(row) for row in listed] == [TEXT, f"Trust me. {TEXT}", f"{TEXT} The end."]


def found(folder: Path, content: object) -> Fit:
    folder.mkdir(exist_ok=True)
    (folder / "exploits.json").write_text(json.dumps(content))
    return Fit(folder, Estimator)


def test_edit_programs_of_a_search_are_applied(tmp_path: Path) -> None:
    steps = [
        {"perturbation": "phrase", "params": {"text": "wow", "place": "end"}},
        {"perturbation": "typos", "dose": 2},
        {"perturbation": "phrase", "params": {"text": "Hm."}},
    ]
    fit = found(tmp_path, {"exploits": [{"name": "exploit-1", "steps": steps, "lift": 2.5}]})
    step = Perturb(perturbations="typos")
    listed = rows(step.sample(answers(TEXT), exploits=fit, seed=1))
    exploit = listed[-1]
    assert exploit["id"] == "r0~exploit-1~1"
    assert (exploit["theme"], exploit["intention"]) == ("found", "worsens")
    assert text(exploit).startswith("Hm. ") and text(exploit).endswith(" wow")


def program(**step: object) -> dict[str, object]:
    return {"exploits": [{"name": "a", "steps": [step]}]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "must hold one JSON object"),
        ({"exploits": [{"name": "a", "steps": []}]}, "exploits.0.steps"),
        ({"exploits": [{"name": "../a", "steps": [{"perturbation": "cut"}]}]}, "exploits.0.name"),
        (program(perturbation="os.system"), "no perturbation 'os.system'"),
        (program(perturbation="paraphrase"), "no perturbation 'paraphrase'"),
        (program(perturbation="cut", dose=10**9), "exploits.0.steps.0.dose"),
        (program(perturbation="cut", run="rm"), "exploits.0.steps.0.run"),
        (program(perturbation="phrase", params={"text": "x" * 10_001}), "phrase: text"),
        (program(perturbation="flattery", params={"phrases": ["x" * 10_001]}), "phrases.0"),
        (program(perturbation="confidence", params={"phrases": []}), "phrases"),
        (program(perturbation="citations", params={"authors": []}), "authors"),
        (program(perturbation="emoji", params={"signs": []}), "signs"),
        (program(perturbation="headings", params={"titles": [""]}), "titles.0"),
        ({"exploits": [{"name": "bullets", "steps": [{"perturbation": "cut"}]}]}, "both named"),
        ({"exploits": program(perturbation="cut")["exploits"] * 2}, "there twice"),
    ],
)
def test_a_file_of_exploits_that_is_not_one_is_refused(
    tmp_path: Path, content: object, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Perturb().sample(answers(TEXT), exploits=found(tmp_path, content), seed=1)


def test_what_a_program_adds_is_bounded(tmp_path: Path) -> None:
    step = {"perturbation": "phrase", "dose": 64, "params": {"text": "x" * 10_000}}
    fit = found(tmp_path, program(**step))
    with collect_notices() as notices:
        [original] = rows(Perturb(perturbations=()).sample(answers(TEXT), exploits=fit, seed=1))
    assert original["id"] == "r0"
    [(what, _)] = notices
    assert what == "a: more than 100,000 characters longer"


def test_an_original_with_the_id_of_a_copy_is_refused() -> None:
    data = Responses({"id": ["a", "a~cut~1"], "prompt": ["p", "q"], "response": [TEXT, TEXT]})
    with pytest.raises(DataError, match=r"1 ids in the data are those of copies .*\(a~cut~1\)"):
        Perturb(perturbations="cut").sample(data, seed=1).table  # noqa: B018
    assert len(rows(Perturb(perturbations="bold").sample(data, seed=1))) > 2


def test_rows_without_a_group_are_drawn_too() -> None:
    columns = {"id": ["a", "b"], "group": [None, "g"], "prompt": ["p", "q"], "response": [TEXT] * 2}
    drawn = rows(Perturb(perturbations="bold", prompts=2).sample(Responses(columns), seed=1))
    assert {row["original"] for row in drawn} == {"a", "b"}


class Rewriter(RewardModel, TextGenerator):
    """A generator by rules: it puts other words for some."""

    def score(self, responses: pa.RecordBatch) -> np.ndarray:
        raise NotImplementedError

    def generate(
        self, prompts: Sequence[Prompt], max_new_tokens: int = 100, temperature: float = 0.0
    ) -> list[str]:
        said = [as_conversation(prompt)[-1]["content"].partition("\n\n")[2] for prompt in prompts]
        return [f"Paraphrase: {text.replace('high', 'tall')}" for text in said]


def test_a_paraphrase_is_what_the_generator_writes() -> None:
    data = answers("The tower is high.", "The tower is old.", "It is high:\n```\ncode\n```")
    made = rows(Perturb(perturbations="paraphrase").sample(data, generator=Rewriter(), seed=1))
    assert [(row["id"], text(row)) for row in made if row["perturbation"]] == [
        ("r0~paraphrase~1", "The tower is tall.")
    ]


def test_what_a_generator_writes_at_random_is_no_paraphrase(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from rmplug_hf.queries.likelihood import CausalLM

    generator = CausalLM(path=tiny_models.tiny_model("llama", tmp_path, head="lm")).load()
    step = Perturb(perturbations=("paraphrase", "closing"))
    with collect_notices() as found:
        made = rows(step.sample(answers("The tower is high."), generator=generator, seed=1))
    assert [row["perturbation"] for row in made] == ["", "closing"]
    assert ("paraphrase: the numbers are not the same", "dropped") in found


def test_a_generator_is_asked_for_before_anything_runs() -> None:
    step = Perturb(perturbations=("paraphrase",))
    message = "paraphrase asks a language model; give the input generator"
    assert list(step.mistakes({"data": [known(small_pairs())]})) == [("perturbations", message)]
    with pytest.raises(DataError, match=message):
        table_of(step.sample(small_pairs(), seed=1))
    with pytest.raises(DataError, match="LengthModel generates no text; give a model of the kind"):
        table_of(step.sample(small_pairs(), generator=LengthModel(), seed=1))


def table_of(made: Responses) -> pa.Table:
    return made.table


def known(data: Pairs | Responses) -> Known:
    return known_of(data, data.name)


def test_changed_copies_are_not_changed_again() -> None:
    table = Perturb(perturbations="closing").sample(small_pairs(2), seed=1).table
    made = Responses(table, "made")
    with pytest.raises(DataError, match="made has a column 'original' already"):
        table_of(Perturb().sample(made, seed=1))
    assert [where for where, _ in Perturb().mistakes({"data": [known(made)]})] == ["data"] * 5


def test_copies_of_other_steps_are_put_below() -> None:
    data = small_responses(6)
    other = Responses(Perturb(perturbations="closing").sample(data, seed=1).table, "closing")
    step = Perturb(perturbations="trailing-lines")
    made = step.sample(data, more=[other], seed=1)
    names = made["id"].to_pylist()
    assert len(names) == len(set(names)) == 6 * 5
    assert names[-1] == "pair-2/rejected~closing~1"
    copies = Responses(other.table.filter(pc.greater(other["dose"], 0)), "copies")
    with collect_notices() as notices:
        part = step.sample(data.take([0, 1]), more=[copies], seed=1).table
    assert part.num_rows == 2 * 5
    assert notices["copy in copies without its original", "dropped"].count == 4


def test_a_variant_that_is_an_original_too_gets_the_id_of_a_copy() -> None:
    data = small_responses(4)
    step = Variants(base={"label": 1}, variants={"wrong": {"label": 0}}, within=())
    variants = Responses(step.sample(data).table, "variants")
    with collect_notices() as notices:
        made = Perturb(perturbations="closing").sample(data, more=[variants, variants], seed=1)
        listed = rows(made)
    assert [row["id"] for row in listed[8:]] == [
        "pair-0/chosen~wrong~1",
        "pair-1/chosen~wrong~1",
    ]
    assert listed[8]["response"] == listed[2]["response"]
    assert notices["copy in variants that is there already", "dropped"].count == 2
    part = Perturb(perturbations="closing", prompts=1).sample(data, more=[variants], seed=1)
    assert len(part) == 2 * 2 + 1


def test_perturb_conforms() -> None:
    params = {"perturbations": ["bullets", "off-topic"], "prompts": 3}
    check_step(Perturb, params, {"data": small_pairs()})
    check_step(Perturb, {}, {"data": small_responses()})
