"""A stranger's package adds a perturbation of its own by one entry point, without a change here."""

from __future__ import annotations

from pathlib import Path

import pytest
from planted_rewards import Planted, preferences
from pydantic import ValidationError

import rmplug
from rmplug import Pairs, Responses
from rmplug.testing import check_step, run_step, small_pairs
from rmplug_audit.perturbations.perturbation import Perturbation
from rmplug_audit.perturbing import Perturb

PACKAGE = '''"""Whispering: an aside in brackets after the first word."""

from __future__ import annotations

from random import Random

from rmplug import Estimator, Sampler, hookimpl
from rmplug_audit.perturbations.perturbation import Perturbation, Row
from rmplug_audit.perturbing import Perturb
from rmplug_audit.search.finding import FindExploits


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


class WhisperingSearch(FindExploits):
    """Find exploits, whispered ones too."""

    kind = "whispering-search"
    battery = (Whispering,)


@hookimpl
def rmplug_samplers() -> list[type[Sampler]]:
    return [WhisperingPerturb]


@hookimpl
def rmplug_estimators() -> list[type[Estimator]]:
    return [WhisperingSearch]
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


def test_a_search_finds_what_a_perturbation_of_a_package_does_and_perturb_applies_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rmplug_whispering_three.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    import rmplug_whispering_three as package

    pairs = preferences(tmp_path / "pairs")
    model = Planted(lambda text: 2.0 * text.count("psst"))
    step = package.WhisperingSearch(
        budget=400, perturbations=[{"name": "whispering", "aside": "psst"}, "closing", "typos"]
    )
    fit = run_step(step, {"model": model, "data": pairs}, tmp_path / "found")
    [best, *_] = [row for row in fit.tables["exploits"].to_pylist() if row["confirmed"]]
    assert best["words"] == "whispering, dose 2 (put an aside in brackets after the first word)"
    assert fit.open().changes[0].edits[0].perturbation == package.Whispering(aside="psst")
    inputs = {"data": pairs.take([0, 1]), "exploits": fit}
    copies = run_step(Perturb(perturbations=[]), inputs, tmp_path / "copies").table.to_pylist()
    changed = [r["response"][0]["content"] for r in copies if r["perturbation"] == "exploit-1"]
    assert len(changed) == 4
    assert all("(psst, psst)" in text for text in changed)


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


def test_one_mapping_instead_of_a_list_is_refused() -> None:
    with pytest.raises(ValidationError, match="is one mapping; write a list of names and mappings"):
        Perturb(perturbations={"name": "bold"})


def test_a_battery_of_ones_own_conforms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rmplug_whispering_two.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    import rmplug_whispering_two as package

    pairs: Pairs = small_pairs()
    check_step(package.WhisperingPerturb, {"perturbations": ["whispering"]}, {"data": pairs})
