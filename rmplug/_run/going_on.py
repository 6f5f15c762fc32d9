"""Going on after a step that failed: what needs it is not run, and is named at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rmplug._spec.graph import Node
from rmplug.errors import RmplugError, StepError, StoreError, some
from rmplug.records import StepRecord


@dataclass
class Going:
    """The steps of one graph that failed, and those that were not run as they need one of them."""

    keeps: bool
    """Whether a failure is kept for the end; else it is raised at once."""
    failed: dict[str, Exception] = field(default_factory=dict)
    not_run: dict[str, str] = field(default_factory=dict)
    """The reason why each of these steps was not run."""

    def run(self, node: Node, work: Callable[[], StepRecord]) -> StepRecord | None:
        """Run a step unless it needs one that failed; None where it gave no result."""
        reason = self._lacking(node)
        if reason:
            self.not_run[node.id] = reason
            return None
        try:
            return work()
        except StoreError:
            raise  # a store that fails would fail again
        except Exception as error:
            if not self.keeps:
                raise
            self.failed[node.id] = error
            return None

    def _lacking(self, node: Node) -> str:
        needed = dict.fromkeys(ref.step for ref in node.refs())
        failed = [name for name in needed if name in self.failed]
        if failed:
            return f"it needs {some(failed)}, which failed"
        missing = [name for name in needed if name in self.not_run]
        return f"it needs {some(missing)}, which was not run" if missing else ""

    def finish(self) -> None:
        """Raise what failed: a bug before mistakes that a person can mend, several of these as
        one."""
        errors = list(self.failed.values())
        bugs = [error for error in errors if not isinstance(error, RmplugError)]
        if bugs or len(errors) == 1:
            raise (bugs or errors)[0]
        if errors:
            sentences = "\n".join(str(error) for error in errors)
            raise StepError(f"{len(errors)} steps failed:\n{sentences}")
