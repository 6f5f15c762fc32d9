"""Variants that data have become originals and copies, under their own ids."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from rmplug import DataError, Responses
from rmplug.notices import collect_notices
from rmplug.testing import check_step
from rmplug_audit.counterfactual_columns import COLUMNS
from rmplug_audit.variants import Variants

STYLES = ("concise", "plain", "markdown")


def styled(styles: tuple[str, ...] = STYLES, prompts: int = 3) -> Responses:
    """Return right and wrong responses to each prompt in several styles, in a mixed order."""
    rows = [
        (f"p{prompt}", label, style)
        for style in reversed(styles)
        for label in (1, 0)
        for prompt in range(prompts)
    ]
    return Responses(
        {
            "id": [f"{prompt}/{label}/{style}" for prompt, label, style in rows],
            "case": [prompt for prompt, _, _ in rows],
            "prompt": [f"question {prompt}" for prompt, _, _ in rows],
            "response": [f"{prompt} {label} {style}" for prompt, label, style in rows],
            "label": [label for _, label, _ in rows],
            "style": [style for _, _, style in rows],
        },
        "styled",
    )


def listed(made: Responses) -> list[tuple[str, str, str, int, str]]:
    return [tuple(row[name] for name in ("id", *COLUMNS)) for row in made.table.to_pylist()]


def test_each_style_is_a_change_of_the_base() -> None:
    made = listed(Variants(by="style", base="concise").sample(styled()))
    assert len(made) == 18
    assert made[:3] == [
        ("p0/1/concise", "p0/1/concise", "", "", 0, ""),
        ("p0/1/markdown", "p0/1/concise", "markdown", "style", 1, "keeps"),
        ("p0/1/plain", "p0/1/concise", "plain", "style", 1, "keeps"),
    ]
    assert all(row[0].rpartition("/")[0] == row[1].rpartition("/")[0] for row in made)


def test_an_order_makes_doses_of_one_change() -> None:
    step = Variants(by="style", base="concise", order=("plain", "markdown"), theme="markdown")
    made = listed(step.sample(styled(prompts=1)))
    assert [(row[0], *row[2:5]) for row in made[:3]] == [
        ("p0/1/concise", "", "", 0),
        ("p0/1/plain", "style", "markdown", 1),
        ("p0/1/markdown", "style", "markdown", 2),
    ]


def test_a_wrong_response_in_good_style_stands_against_a_right_one_in_bad_style() -> None:
    step = Variants(
        base={"label": 1, "style": "concise"},
        variants={"wrong-in-style": {"label": 0, "style": "markdown"}},
        intention="worsens",
    )
    with collect_notices() as found:
        made = listed(step.sample(styled(prompts=2)))
    assert made == [
        (f"p{n}/{end}", f"p{n}/1/concise", *facts)
        for n in range(2)
        for end, facts in (
            ("1/concise", ("", "", 0, "")),
            ("0/markdown", ("wrong-in-style", "substance", 1, "worsens")),
        )
    ]
    assert found["neither an original nor one of the variants", "dropped"].count == 8


def test_rows_without_their_counterpart_are_counted() -> None:
    data = styled()
    kept = [i for i, name in enumerate(data["id"].to_pylist()) if not name.startswith("p0/1/c")]
    with collect_notices() as found:
        made = Variants(by="style", base="concise").sample(data.take(kept))
    assert len(made) == 15
    alone = found["variant without its original", "dropped"]
    assert sorted(alone.ids) == ["p0/1/markdown", "p0/1/plain"]
    with collect_notices() as found:
        Variants(by="style", base="concise").sample(styled(("concise",)))
    assert found["original without a variant", "kept"].count == 6


@pytest.mark.parametrize("blank", ["", " ", None])
def test_a_variant_without_a_name_is_no_original(blank: str | None) -> None:
    with collect_notices() as notices:
        made = listed(Variants(by="style", base="concise").sample(_blank(blank)))
    assert [row[0] for row in made] == ["p0/1/concise", "p0/1/markdown"]
    assert [notice.ids for notice in notices.values()] == [["p0/1/plain"]]
    assert [row[0] for row in listed(Variants(by="style", base="").sample(_blank("")))] == [
        "p0/1/plain", "p0/1/concise", "p0/1/markdown"]  # fmt: skip


def _blank(name: str | None) -> Responses:
    """Return three right responses of which the plain one has this style."""
    table = styled(prompts=1).table.filter(pc.field("label") == 1)
    styles = [name if style == "plain" else style for style in table["style"].to_pylist()]
    place = table.column_names.index("style")
    return Responses(table.set_column(place, "style", pa.array(styles, pa.string())), "styled")


def test_two_originals_of_one_family_are_refused() -> None:
    step = Variants(by="style", base="concise", within=())
    with pytest.raises(DataError, match="p0/1/concise and p0/0/concise are both originals"):
        step.sample(styled())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"base": "a"}, "give by .* or base .* and variants"),
        ({"by": "style", "base": {"style": "a"}}, "give by .* or base .* and variants"),
        ({"base": {"style": "a"}}, "give by .* or base .* and variants"),
        ({"by": "style", "base": "a", "order": ["a", "b"]}, "lists the values of copies"),
        ({"base": {"style": "a"}, "variants": {"b": {"label": 1}}}, "b needs values of style"),
    ],
)
def test_forms_that_do_not_fit_are_refused(params: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Variants(**params)


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match="styled has no column 'tone'; there are id"):
        Variants(by="tone", base="a").sample(styled())


def test_variants_conforms() -> None:
    check_step(Variants, {"by": "style", "base": "concise"}, {"data": styled()})
    params = {"base": {"label": 1}, "variants": {"wrong": {"label": 0}}, "within": ["style"]}
    check_step(Variants, params, {"data": styled()})
