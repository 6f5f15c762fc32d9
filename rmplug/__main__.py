"""``python -m rmplug``: the command line."""

from __future__ import annotations

from ._cli.commands import console

if __name__ == "__main__":
    console()
