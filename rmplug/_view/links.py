"""Links between the pages: to a server, or between files that lie beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

INDEX = "index.html"


@dataclass(frozen=True)
class Links:
    """Addresses as one page writes them. ``above`` is None for pages of a server; for a page that
    is written as a file, it is how many folders the file is below the first page."""

    above: int | None = None

    @property
    def is_static(self) -> bool:
        """True for pages that are files."""
        return self.above is not None

    def page(self, *parts: str) -> str:
        """Return the address of a page by the parts of its path."""
        if not self.is_static:
            return self._start + "".join(f"{_quoted(part)}/" for part in parts)
        return self.file(*parts, INDEX)

    def file(self, *parts: str) -> str:
        """Return the address of a file."""
        return self._start + "/".join(map(_quoted, parts))

    @property
    def _start(self) -> str:
        return "/" if self.above is None else "../" * self.above


def _quoted(part: str) -> str:
    return quote(part, safe="")
