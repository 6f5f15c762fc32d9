"""The reference of Python tells what an author of plugins needs to use a name."""

from __future__ import annotations

from dataclasses import fields

from generators.python_names import write_kits, write_names

from rmplug import PlanStep
from rmplug.data.row_files import Row, RowFiles


def section(name: str) -> str:
    return write_names().partition(f"### {name}\n")[2].partition("\n### ")[0]


def test_the_fields_of_a_step_of_the_plan_are_told() -> None:
    told = section("PlanStep")
    assert "PlanStep(\n    id: str," in told and "= field(" not in told
    assert [f.name for f in fields(PlanStep) if f"| `{f.name}: " not in told] == ["kind"]


def test_it_is_told_how_a_fit_is_made() -> None:
    told = section("Fit")
    assert "class Fit(Folder)\nFit(\n    directory: Path,\n    made_by: type[Opens],\n" in told
    assert "__init__" not in told


def test_the_kits_tell_fields_methods_and_types() -> None:
    kits = write_kits()
    assert "| `RowFiles(paths: Sequence[Path], format: str = 'auto', bad_rows: Policy" in kits
    assert [f.name for f in fields(RowFiles) if f"| `RowFiles.{f.name}: " not in kits] == []
    assert [f.name for f in fields(Row) if f"| `Row.{f.name}: " not in kits] == ["file"]
    assert "| `RowFiles.convert(convert: Callable[[Row], Result], hint: str)" in kits
    assert "| `RowConverter = Callable[[Row], Sequence[Entry]]` | Makes the rows" in kits
    assert "| `Statistic = Callable[[Mapping[str, Array]], Array]` | A function from the" in kits
