"""A stranger's package adds a perturbation of its own by one entry point, without a change here."""

from __future__ import annotations

from pathlib import Path

import pytest

import rmplug
from rmplug import Pairs, Responses
from rmplug.testing import check_step, small_pairs
from rmplug_audit.perturbations.perturbation import Perturbation
from rmplug_audit.perturbing import Perturb

PACKAGE = '''"""Whispering: an aside in brackets after the first word."""

from __future__ import annotations

from random import Random

from rmplug import Sampler, hookimpl
from rmplug_audit.perturbations.perturbation import Perturbation, Row
from rmplug_audit.perturbing import Perturb


class Whispering(Perturbation):
    """Put an aside in brackets after the first word; the dose is the number of times it is said."""

    name = "whispering"
    theme = "whispering"
    intention = "keeps"
    doses = (1, 2)

    aside: str = "between us"
    """What is whispered."""

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        first, space, rest = row.response.partition(" ")
        return f"{first} ({', '.join([self.aside] * dose)}){space}{rest}" if space else None

    def fault(self, before: str, after: str, dose: int) -> str | None:
        return None if len(after) > len(before) else "it was not whispered"


class WhisperingPerturb(Perturb):
    """Make changed copies of responses, whispered ones too."""

    kind = "whispering-perturb"
    battery = (Whispering,)


@hookimpl
def rmplug_samplers() -> list[type[Sampler]]:
    return [WhisperingPerturb]
'''
SPEC = {
    "name": "whispered",
    "seed": 1,
    "steps": {
        "pairs": {"kind": "pairs-file", "params": {"path": "PAIRS"}},
        "copies": {
            "kind": "whispering-perturb",
            "inputs": "pairs",
            "params": {
                "perturbations": [{"name": "whispering", "aside": "psst"}, "closing"],
                "compositions": [["whispering", "flattery"]],
            },
        },
    },
}


def test_a_perturbation_of_a_package_is_used_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rmplug_whispering.py").write_text(PACKAGE)
    about = tmp_path / "rmplug_whispering-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: rmplug-whispering\nVersion: 1.0\n"
    )
    (about / "entry_points.txt").write_text("[rmplug]\nwhispering = rmplug_whispering\n")
    monkeypatch.syspath_prepend(tmp_path)
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"prompt": "How?", "chosen": "Like this, say.", "rejected": "No."}\n')
    SPEC["steps"]["pairs"]["params"]["path"] = str(pairs)  # type: ignore[index]
    run = rmplug.run(SPEC, store=tmp_path / "store", quiet=True)
    copies = run["copies"]
    assert isinstance(copies, Responses)
    whispered = [
        (row["dose"], row["theme"], row["response"][0]["content"])
        for row in copies.table.to_pylist()
        if row["perturbation"] == "whispering"
    ]
    assert whispered == [
        (1, "whispering", "Like (psst) this, say."),
        (2, "whispering", "Like (psst, psst) this, say."),
    ]
    made = copies.table["perturbation"].to_pylist()
    assert [name for name in dict.fromkeys(made) if name] == [
        "whispering",
        "closing",
        "whispering+flattery",
    ]


class OwnClosing(Perturbation):
    """Say goodbye."""

    name = "closing"
    theme = "framing"
    intention = "keeps"


class Clashing(Perturb):
    """Make changed copies, with a name that is there already."""

    kind = "clashing-perturb"
    battery = (OwnClosing,)


def test_a_name_that_is_there_already_is_refused() -> None:
    with pytest.raises(ValueError, match="are both named 'closing'"):
        Clashing()


def test_a_battery_of_ones_own_conforms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rmplug_whispering_two.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    import rmplug_whispering_two as package

    pairs: Pairs = small_pairs()
    check_step(package.WhisperingPerturb, {"perturbations": ["whispering"]}, {"data": pairs})
