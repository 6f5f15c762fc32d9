"""The results of steps in the store: looked for, loaded by name, kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any

from rmplug import artifacts
from rmplug._kinds.registry import Registry
from rmplug._store.files import guarded
from rmplug._store.serialize import read_artifact, write_table
from rmplug._store.store import Store
from rmplug.artifacts import Artifact, Checkpoint, Fit, Opens, Tabular
from rmplug.errors import DataError, StoreError
from rmplug.known import Ref, column_of

from .read_tables import ReadTables
from .scope import Handle, Training

if TYPE_CHECKING:
    import pyarrow as pa

    from rmplug.data.rows import Rows

OPENED_BY_KIND = (Fit.__name__, Checkpoint.__name__)
"""Types of artifacts whose files only the kind that wrote them can open."""


@dataclass(frozen=True)
class Results:
    """Everything that steps gave, in one store."""

    registry: Registry
    store: Store
    shard_rows: int
    """Rows of each file of a table that is kept."""
    note_problem: Callable[[str], None] = lambda _: None
    """Called with a sentence when a damaged table is made anew."""
    read_tables: ReadTables = field(default_factory=ReadTables)
    """Small tables that several items of a loop take."""

    def has(self, key: str) -> bool:
        """Check whether an artifact is in the store and whole."""
        return self.store.find(key) is not None and not self.store.damage(key)

    def handle_of(self, key: str) -> Handle:
        """A handle of a complete artifact."""
        manifest = self.store.manifest(key)
        trainings = tuple(
            Training(tuple(tables), *more) for tables, *more in manifest.get("trainings", ())
        )
        found = getattr(artifacts, manifest.get("type", ""), None)
        if not (isinstance(found, type) and issubclass(found, Artifact)):
            raise StoreError(
                f"{key} in the store holds a {manifest.get('type')!r:.80}, which this version does "
                "not know; remove it, or use another store"
            )
        return Handle(key, found, trainings=trainings)

    def load(self, handle: Handle, ref: Ref, read: bool = True) -> Artifact:
        """The artifact behind a handle, named as the spec names it. With ``read``, a small table
        is read at once and kept for a while: the next item of a loop may take it too."""
        if handle.live is not None:
            return handle.live
        folder = self.store.find(handle.key)
        if folder is None:
            raise DataError(f"the result of {ref} is gone from the store; run again")
        manifest = self.store.manifest(handle.key)
        by_kind = manifest["type"] in OPENED_BY_KIND
        maker = self.registry.find(manifest["kind"]).cls if by_kind else None
        opener = maker if maker is not None and issubclass(maker, Opens) else None
        name = ref.step if not ref.column or handle.column else str(ref)
        artifact = read_artifact(folder, manifest, name, opener)
        if isinstance(artifact, Checkpoint) and handle.loader is not None:
            artifact.settings = handle.loader.settings_to_reopen
        if read and isinstance(artifact, Tabular):
            artifact = self.read_tables.read(artifact, manifest["files"])
        return column_of(artifact, handle.column) if handle.column else artifact

    def keep(
        self,
        key: str,
        type: type[Artifact],
        what: str,
        table: pa.Table | Rows,
        trainings: tuple[Training, ...] = (),
    ) -> Handle:
        """Put a table that no step gave (an item, the results of a loop) into the store."""
        if not self.has(key):
            with self.store.lock(key), guarded(f"make {key}"):
                if not self.has(key):
                    facts = {"kind": what, "type": type.__name__, "trainings": trainings}
                    self._write(key, facts, table)
        self.store.touch(key)
        return Handle(key, type, trainings=trainings)

    def _write(self, key: str, facts: dict[str, Any], table: pa.Table | Rows) -> None:
        damage = self.store.damage(key)
        if damage:
            self.note_problem(f"{key} was damaged ({damage}) and is made anew")
        parts = list(write_table(Tabular(table), self.store.begin(key), self.shard_rows))
        facts["trainings"] = [astuple(training) for training in facts["trainings"]]
        more = {"parts": parts, "rows": sum(parts), "notices": [], "ingredients": {}}
        self.store.commit(key, {**facts, **more})
