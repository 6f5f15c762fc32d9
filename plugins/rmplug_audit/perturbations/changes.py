"""Changes: a perturbation as a spec names it, two of them one after the other, or the edit program
that a search found."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, NamedTuple

from pydantic import ValidationError

from rmplug.errors import did_you_mean, some

from .english import is_english
from .perturbation import Intention, Perturbation, Row

MOST_DOSE = 64
"""The highest dose."""
MOST_ADDED = 100_000
"""Characters by which a copy may be longer than its original: what is put there may be a
stranger's, up to the highest dose, and by several edits."""


class Changed(NamedTuple):
    """A changed response, or why there is none."""

    text: str | None
    reason: str = ""


@dataclass(frozen=True)
class Edit:
    """A perturbation and its dose; None for the dose of the change."""

    perturbation: Perturbation
    dose: int | None = None


@dataclass(frozen=True)
class Change:
    """Edits that are made one after the other, with the name and the doses of the whole."""

    name: str
    theme: str
    intention: Intention
    doses: Sequence[int]
    edits: Sequence[Edit]

    @property
    def asks(self) -> bool:
        """True of one that needs a language model."""
        return any(edit.perturbation.asks for edit in self.edits)

    def apply(self, row: Row, dose: int, identity: str, seed: int) -> Changed:
        """Change a response. The same ``identity`` (the id of the response) and ``seed`` give the
        same text, whatever else is changed."""
        if _has_dos_breaks(row.response):
            # patterns know line feeds alone, and a copy must not differ in its line breaks
            changed = self.apply(_with_line_feeds(row), dose, identity, seed)
            text = changed.text
            return changed if text is None else Changed(text.replace("\n", "\r\n"))
        if not is_english(row.response) and any(_is_english(edit) for edit in self.edits):
            return Changed(None, "the response is not English")
        text, names = row.response, [edit.perturbation.name for edit in self.edits]
        for place, edit in enumerate(self.edits):
            random = random_of(seed, identity, names[place], names[:place].count(names[place]))
            strength = dose if edit.dose is None else edit.dose
            after = edit.perturbation.edit(replace(row, response=text), strength, random)
            if after is None or after == text:
                return Changed(None, "does not apply")
            fault = edit.perturbation.fault(text, after, strength)
            if fault is not None:
                return Changed(None, fault)
            if len(after) > len(row.response) + MOST_ADDED:
                return Changed(None, f"more than {MOST_ADDED:,} characters longer")
            text = after
        return Changed(text)


def _has_dos_breaks(text: str) -> bool:
    """Tell whether every line break of a text, if any, is a carriage return with a line feed."""
    return "\r\n" in text and text.count("\n") == text.count("\r\n")


def _with_line_feeds(row: Row) -> Row:
    """Return a row whose texts have plain line feeds."""
    plain = [text.replace("\r\n", "\n") for text in (row.prompt, row.response, row.written)]
    others = [text.replace("\r\n", "\n") for text in row.others]
    return Row(plain[0], plain[1], others, plain[2])


def _is_english(edit: Edit) -> bool:
    """Tell whether an edit is for English responses only: with phrases of the spec's own it is for
    responses of their language."""
    return edit.perturbation.english and not edit.perturbation.model_fields_set


def random_of(seed: int, identity: str, name: str, repeat: int = 0) -> Random:
    """Return the source of chance of one perturbation of one response. It is the same for every
    dose, so that a higher dose has what a lower one has."""
    return Random(f"{seed}\n{identity}\n{name}\n{repeat}")


def named(entry: str | Mapping[str, Any], known: Mapping[str, type[Perturbation]]) -> Change:
    """Return the change that an entry of a spec names: a name, or ``name`` with parameters of the
    perturbation, ``doses`` and ``as``, another name in the results. Raises ValueError."""
    params = {"name": entry} if isinstance(entry, str) else dict(entry)
    kind = find(params.pop("name", None), known)
    doses, name = params.pop("doses", kind.doses), params.pop("as", kind.name)
    if not isinstance(name, str) or not name or set(name) & set("~+/\n"):
        raise ValueError(f"as of {kind.name} is {name!r}; give a name without ~, + and /")
    perturbation = configured(kind, params)
    return Change(name, kind.theme, kind.intention, _rising(doses, name), (Edit(perturbation),))


def find(name: Any, known: Mapping[str, type[Perturbation]]) -> type[Perturbation]:
    """Return the perturbation of this name. Raises ValueError that tells the known ones."""
    if not isinstance(name, str):
        raise ValueError(f"a perturbation has no name; there are {some(known, 60)}")
    if name not in known:
        shown = name if len(name) < 100 else f"{name[:100]}…"
        hint = did_you_mean(name, known)
        raise ValueError(f"no perturbation {shown!r}{hint} (there are {some(known, 60)})")
    return known[name]


def configured(kind: type[Perturbation], params: Mapping[str, Any]) -> Perturbation:
    """Return a perturbation with parameters. Raises ValueError with the first fault."""
    try:
        return kind.model_validate(params)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        fields = some(kind.model_fields) or "none"
        raise ValueError(
            f"{kind.name}: {where}: {first['msg']} (its parameters are {fields})"
        ) from None


def _rising(doses: Any, name: str) -> tuple[int, ...]:
    listed = tuple(doses) if isinstance(doses, list | tuple) else (doses,)
    whole = all(isinstance(dose, int) and not isinstance(dose, bool) for dose in listed)
    if not listed or not whole or list(listed) != sorted(set(listed)):
        raise ValueError(f"doses of {name} are {doses!r}; give whole numbers in rising order")
    if not 1 <= listed[0] <= listed[-1] <= MOST_DOSE:
        raise ValueError(f"doses of {name} are {doses!r}; give numbers from 1 to {MOST_DOSE}")
    return listed


def composed(first: Change, second: Change) -> Change:
    """Return two changes one after the other, at the doses that both have. Raises ValueError where
    there is none, or where their intentions contradict each other."""
    name = f"{first.name}+{second.name}"
    doses = [dose for dose in first.doses if dose in second.doses]
    if not doses:
        raise ValueError(f"{name}: no dose in common ({first.doses} and {second.doses})")
    if first.asks or second.asks:
        raise ValueError(f"{name}: what a language model writes cannot be one of two")
    intention = joint_intention([first.intention, second.intention])
    if intention is None:
        raise ValueError(f"{name}: one improves and one worsens, so the whole has no known effect")
    return Change(name, "composition", intention, doses, (*first.edits, *second.edits))


def joint_intention(intentions: Collection[Intention]) -> Intention | None:
    """Return what several changes do to quality together; None where they contradict each other."""
    moved = set(intentions) - {"keeps"}
    if len(moved) > 1:
        return None
    return next(iter(moved), "keeps")
