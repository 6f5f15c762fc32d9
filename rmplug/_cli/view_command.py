"""The command ``view``: a store in a browser."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from rmplug._addresses import THIS_MACHINE
from rmplug.errors import RmplugError, printable

from .registry import registry_of
from .tables import shown_path

if TYPE_CHECKING:
    from rmplug._view.pages import Pages

TOKEN = "RMPLUG_VIEW_TOKEN"
"""The variable with the secret that a server at another address than this machine's asks for."""
SHORTEST = 16
"""Characters of a token, at least."""


def view(options: argparse.Namespace) -> int:
    """Show the runs of a store in a browser, or write their pages as files.

    The pages are read-only and on this machine alone. Runs are listed and searched; a run has its
    plan, numbers, reports, and tables in pages of rows, filtered as by the kind `filter`; several
    runs stand side by side; one that goes on updates itself. Ctrl-C ends the server."""
    from rmplug._store.store_folder import open_store

    _check_installed(() if options.static else ("starlette", "uvicorn"))
    from rmplug._view.pages import Pages

    store = open_store(options.store)
    if not store.runs.is_dir():
        raise RmplugError(f"there are no runs in {store.name}; name another store with --store")
    pages = Pages(store, registry_of(options))
    return _write(pages, options) if options.static else _serve(pages, options)


def _check_installed(more: tuple[str, ...]) -> None:
    from importlib.util import find_spec

    missing = [name for name in ("jinja2", *more) if find_spec(name) is None]
    if missing:
        named = ", ".join(missing)
        raise RmplugError(f"view needs {named}; install it with: pip install 'rmplug[view]'")


def _write(pages: Pages, options: argparse.Namespace) -> int:
    from rmplug._store.user_paths import user_path
    from rmplug._view.static_pages import write_pages

    folder = user_path(options.static)
    for line in write_pages(pages, folder):
        print(printable(f"left out: {line}"))
    first = folder / "index.html"
    print(f"pages: {shown_path(first)}")
    if options.open:
        _open(first.absolute().as_uri())
    return 0


def _serve(pages: Pages, options: argparse.Namespace) -> int:
    from rmplug._view.server import serve

    token = _token(options.host)

    def tell(address: str) -> None:
        """Say where the pages are, before the first request is answered."""
        print(f"view: {address}?token=..." if token else f"view: {address}", end="")
        print(" (Ctrl-C ends it)")
        sys.stdout.flush()
        if options.open:
            _open(address)

    serve(pages, options.host, options.port, token, tell)
    return 0


def _token(host: str) -> str:
    """Return the token that a server at an address asks for; none at this machine's own."""
    if host in THIS_MACHINE:
        return ""
    token = os.environ.get(TOKEN, "")
    if len(token) < SHORTEST:
        raise RmplugError(
            f"--host {host} lets other machines read the store; set {TOKEN} to a secret of at "
            f"least {SHORTEST} characters, which a browser then shows once as ?token=..."
        )
    return token


def _open(address: str) -> None:
    import webbrowser

    webbrowser.open(address)
