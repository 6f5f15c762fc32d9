"""The decision whether a stored result may be used, or the reason why its step has to run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from rmplug._store.fingerprint import difference
from rmplug._store.run_records import PreviousSteps
from rmplug._store.store import Store
from rmplug.errors import StoreError
from rmplug.records import StepRecord

from .step import Prepared


@dataclass(frozen=True)
class Reuse:
    """The state on which reuse depends: damaged, absent and forced results."""

    store: Store
    previous: PreviousSteps | Mapping[str, StepRecord] = field(default_factory=dict)
    """The latest record of each step of this spec, by step id: tells what has changed since."""
    forced: frozenset[str] = frozenset()
    """Ids of steps to run even if their results are there."""
    since: float = 0.0
    """The start of this run, in seconds since the epoch by the clock of the file system: a forced
    step whose result is younger was made by this run and is not made again."""

    def reason_to_run(self, prepared: Prepared) -> str:
        """Return the reason why the step has to run; ``""`` if its result exists, is whole, and may
        be used."""
        damage = self.store.damage(prepared.key)
        if damage:
            return f"the stored result is damaged: {damage}"
        if self.store.find(prepared.key) is None:
            return self._change(prepared)
        if prepared.node.id in self.forced and self.store.made_at(prepared.key) < self.since:
            return "forced"
        return ""

    def _change(self, prepared: Prepared) -> str:
        """Describe the difference from the latest run of the step."""
        before = self.previous.get(prepared.node.id)
        if before is None:
            return "not done before"
        if before.kind != prepared.node.provider.name:
            return f"kind: {before.kind} → {prepared.node.provider.name}"
        if before.artifact == prepared.key:
            return "its result is not in the store"
        with suppress(StoreError):
            earlier = self.store.manifest(before.artifact)["ingredients"]
            return difference(earlier, prepared.ingredients)
        return "the earlier result is not in the store"
