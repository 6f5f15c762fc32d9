"""The grammar of programs: what a step may be, and how programs are drawn and varied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from rmplug_audit.perturbations.changes import Change, Edit
from rmplug_audit.perturbations.phrase import Phrase

from ._programs import Program, key_of

QUOTE = "“"
PLACES: tuple[Literal["start", "end"], ...] = ("end", "start")


@dataclass(frozen=True)
class Slot:
    """What a step may be: a perturbation at any of its doses, or a phrase at any place."""

    name: str
    edits: tuple[Edit, ...]

    @property
    def middle(self) -> Edit:
        """The edit that stands for the slot before anything is known."""
        return self.edits[len(self.edits) // 2] if len(self.edits) > 2 else self.edits[0]


class Grammar:
    """All programs of at most ``steps`` slots, each slot once."""

    def __init__(self, changes: Iterable[Change], phrases: Sequence[str], steps: int) -> None:
        self.slots = [_slot_of(change) for change in changes]
        self.slots += [Slot(quoted(text), _placed(text)) for text in phrases]
        self.steps = steps
        self._slot_of = {key_of((edit,)): slot for slot in self.slots for edit in slot.edits}

    def slot_of(self, edit: Edit) -> str:
        """Return the name of the slot that an edit belongs to."""
        return self._slot_of[key_of((edit,))].name

    def slots_of(self, program: Program) -> frozenset[str]:
        """Return the slots of a program: programs with the same do the same, but for doses, places
        and order."""
        return frozenset(self.slot_of(edit) for edit in program)

    def draw(self, random: Random) -> Program:
        """Draw a program: its length, its slots and their doses, each uniformly."""
        length = random.randint(1, min(self.steps, len(self.slots)))
        return tuple(random.choice(slot.edits) for slot in random.sample(self.slots, length))

    def vary(self, program: Program, worth: Mapping[str, float], random: Random) -> Program:
        """Change one thing about a program: another dose, a step more, fewer or in the place of
        another, or another order. Slots of more worth are taken more often."""
        ways = ["dose", "replace"]
        ways += ["add", "add"] if len(program) < self.steps else []
        ways += ["drop", "turn"] if len(program) > 1 else []
        way, at = random.choice(ways), random.randrange(len(program))
        if way == "drop":
            return program[:at] + program[at + 1 :]
        if way == "turn":
            return (*program[at:], *program[:at]) if at else (*program[1:], program[0])
        if way == "dose":
            edit = random.choice(self._slot_of[key_of((program[at],))].edits)
            return (*program[:at], edit, *program[at + 1 :])
        free = [slot for slot in self.slots if slot.name not in self.slots_of(program)]
        if not free:
            return program
        edit = random.choice(self._drawn(free, worth, random).edits)
        if way == "add":
            return (*program[: at + 1], edit, *program[at + 1 :])
        return (*program[:at], edit, *program[at + 1 :])

    def cross(self, one: Program, other: Program, random: Random) -> Program:
        """Put the steps of two programs together, as many as there may be."""
        taken, slots = list(one), set(self.slots_of(one))
        for edit in other:
            if self.slot_of(edit) not in slots:
                slots.add(self.slot_of(edit))
                taken.insert(random.randint(0, len(taken)), edit)
        return tuple(taken[: self.steps])

    def _drawn(self, slots: Sequence[Slot], worth: Mapping[str, float], random: Random) -> Slot:
        """Draw a slot by the rank of its worth: the best twice as often as the second."""
        ranked = sorted(slots, key=lambda slot: (-worth.get(slot.name, 0.0), slot.name))
        weights = [1 / (1 + rank) for rank in range(len(ranked))]
        return random.choices(ranked, weights)[0]


def quoted(text: str) -> str:
    """Return the name of the slot of a phrase."""
    return f"{QUOTE}{text}”"


def _slot_of(change: Change) -> Slot:
    [edit] = change.edits
    made = edit.perturbation
    name = quoted(made.text) if isinstance(made, Phrase) else change.name
    return Slot(name, tuple(Edit(made, dose) for dose in change.doses))


def _placed(text: str) -> tuple[Edit, ...]:
    return tuple(Edit(Phrase(text=text, place=place), 1) for place in PLACES)
