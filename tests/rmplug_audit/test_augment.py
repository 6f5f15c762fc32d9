"""Added pairs say who should win after a change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rmplug import Fit, Pairs, text_of
from rmplug.families import Estimator
from rmplug.notices import collect_notices
from rmplug.testing import check_step, small_pairs
from rmplug_audit.augmenting import Augment
from rmplug_audit.perturbing import Perturb


def rows_of(made: Pairs) -> list[dict[str, object]]:
    texts = {side: text_of(made[side]).to_pylist() for side in ("chosen", "rejected")}
    names = ("id", "origin", "weight")
    return [
        {**{name: row[name] for name in names}, "chosen": chosen, "rejected": rejected}
        for row, chosen, rejected in zip(made.table.to_pylist(), *texts.values(), strict=True)
    ]


def copies(data: Pairs, name: str, seed: int) -> dict[str, str]:
    table = Perturb(perturbations=name).sample(data, seed=seed).table
    texts = text_of(table["response"]).to_pylist()
    return dict(zip(table["id"].to_pylist(), texts, strict=True))


def test_better_responses_win_whatever_a_change_that_keeps_quality() -> None:
    data = small_pairs(2)
    made = rows_of(Augment(perturbations="closing", copies=1, weight=0.5).sample(data, seed=3))
    text = copies(data, "closing", 3)
    assert [(r["id"], r["origin"], r["weight"]) for r in made[:3]] == [
        ("pair-0", "original", 1.0),
        ("pair-0~closing~1/1", "closing", 0.5),
        ("pair-0~closing~1/2", "closing", 0.5),
    ]
    chosen, rejected = text["pair-0/chosen"], text["pair-0/rejected"]
    assert [(row["chosen"], row["rejected"]) for row in made[:3]] == [
        (chosen, rejected),
        (chosen, text["pair-0/rejected~closing~1"]),
        (text["pair-0/chosen~closing~1"], rejected),
    ]


def test_ties_come_in_both_orders_with_half_the_weight() -> None:
    data = small_pairs(1)
    step = Augment(perturbations="closing", copies=1, keeps="ties")
    made = rows_of(step.sample(data, seed=3))
    assert [row["weight"] for row in made] == [1, 0.5, 0.5, 0.5, 0.5]
    assert made[1]["chosen"] == made[2]["rejected"] and made[1]["rejected"] == made[2]["chosen"]
    both = rows_of(Augment(perturbations="closing", copies=1, keeps="both").sample(data, seed=3))
    assert [row["weight"] for row in both] == [1, 1, 1, 0.5, 0.5, 0.5, 0.5]


def test_an_original_beats_a_copy_that_is_worse() -> None:
    data = small_pairs(1)
    made = rows_of(Augment(perturbations="injection", copies=1).sample(data, seed=3))
    assert [row["chosen"] for row in made[1:]] == [made[0]["chosen"], made[0]["rejected"]]
    for row in made[1:]:
        assert str(row["rejected"]).startswith(str(row["chosen"]))


def test_changes_are_drawn_from_those_that_apply() -> None:
    data = small_pairs(50)
    names = ("reverse-list", "closing", "emoji", "flattery")
    with collect_notices() as found:
        made = rows_of(Augment(perturbations=names, copies=2).sample(data, seed=1))
    drawn = [row["origin"] for row in made if row["origin"] != "original"]
    assert set(drawn) == {"closing", "emoji", "flattery"}
    assert len({row["id"] for row in made}) == len(made)
    assert not found
    with collect_notices() as found:
        rows_of(Augment(perturbations=names, copies=8).sample(data, seed=1))
    assert found["fewer than 8 changes apply", "kept"].count == 50


def test_a_change_is_drawn_at_its_other_doses_after_all_others() -> None:
    step = Augment(perturbations=["flattery", "closing"], copies=3)
    made = rows_of(step.sample(small_pairs(20), seed=1))
    drawn: dict[str, list[str]] = {}
    for row in made:
        name, _, rest = str(row["id"]).partition("~")
        if rest.endswith("/1"):
            drawn.setdefault(name, []).append(rest.removesuffix("/1"))
    assert len(drawn) == 20
    for changes in drawn.values():
        assert len(set(changes)) == 3 and {change[:7] for change in changes[:2]} == {
            "closing", "flatter"}  # fmt: skip
    assert {change for changes in drawn.values() for change in changes} == {
        "closing~1", "flattery~1", "flattery~2", "flattery~4"}  # fmt: skip


def test_a_change_is_made_at_a_dose_at_which_it_applies() -> None:
    step = Augment(perturbations=[{"name": "typos", "doses": [1, 64]}], copies=1)
    with collect_notices() as found:
        made = rows_of(step.sample(small_pairs(50), seed=1))
    assert not found
    assert {row["id"].split("~")[2][0] for row in made if row["origin"] == "typos"} == {"1"}


def test_weights_count_for_what_is_added_and_margins_of_originals_stay() -> None:
    table = small_pairs(3).table.append_column("weight", [[2.0, None, 0.0]])
    table = table.append_column("margin", [[1.5, 0.5, 1.0]])
    made = Augment(perturbations="closing", copies=1, weight=0.5).sample(Pairs(table), seed=1)
    # what was left out of the training is not brought in by its copies
    assert made["weight"].to_pylist() == [2.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.0, 0.0, 0.0]
    assert made["margin"].to_pylist() == [1.5, None, None, 0.5, None, None, 1.0, None, None]


def test_found_exploits_are_changes(tmp_path: Path) -> None:
    program = {"name": "exploit-1", "steps": [{"perturbation": "injection", "dose": 2}]}
    (tmp_path / "exploits.json").write_text(json.dumps({"exploits": [program]}))
    step = Augment(perturbations=(), copies=1)
    made = rows_of(step.sample(small_pairs(2), exploits=Fit(tmp_path, Estimator), seed=1))
    assert [row["origin"] for row in made[:3]] == ["original", "exploit-1", "exploit-1"]


def test_nothing_to_add_is_a_mistake() -> None:
    assert list(Augment(perturbations=()).mistakes({})) == [
        ("perturbations", "there is no change to make; name one, or give exploits")
    ]


@pytest.mark.parametrize("keeps", ["wins", "ties", "both"])
def test_augment_conforms(keeps: str) -> None:
    names = ["closing", "off-topic", "typos"]
    check_step(Augment, {"perturbations": names, "keeps": keeps}, {"data": small_pairs()})
