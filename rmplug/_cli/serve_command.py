"""The command ``serve``: a reward model behind an address."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rmplug._addresses import THIS_MACHINE
from rmplug.errors import RmplugError, printable

from .model_commands import model_parameters

if TYPE_CHECKING:
    from rmplug._serve.server import Settings

MIB = 1 << 20


def serve(options: argparse.Namespace) -> int:
    """Serve a reward model: vLLM's /classify and /score, OpenRLHF's /get_reward, /rank.

    Requests that arrive together are scored together. Scores are those of `rmplug score`, as raw
    as there unless a request asks for an activation. GET /health, /metrics (for Prometheus) and
    /v1/models tell of the server. It listens on this machine alone unless --host says otherwise.
    Ctrl-C or SIGTERM ends it, after what waits has been answered."""
    _check_installed()
    from rmplug._serve.server import serve as serve_model
    from rmplug.models.scorer import load

    settings = _settings(options)
    scorer = load(options.model, options.kind, **model_parameters(options))
    if not scorer.outputs:
        raise RmplugError(f"{options.model} gives no scores; serve a reward model")
    if settings.address not in THIS_MACHINE and not settings.token:
        print(
            f"rmplug: --host {settings.address} lets other machines ask, and no token is needed; "
            "name the variable of one with --token-variable",
            file=sys.stderr,
        )

    def tell(address: str) -> None:
        """Say where the server is, before the first request is answered."""
        outputs = ", ".join(scorer.outputs)
        print(printable(f"serving {settings.name} ({outputs}) at {address}"), flush=True)

    serve_model(scorer, settings, tell)
    return 0


def _check_installed() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        named = ", ".join(missing)
        raise RmplugError(f"serve needs {named}; install it with: pip install 'rmplug[serve]'")


def _settings(options: argparse.Namespace) -> Settings:
    from rmplug._serve.batching import Limits
    from rmplug._serve.connections import Bounds
    from rmplug._serve.server import Settings

    return Settings(
        name=options.name or Path(options.model).name or options.model,
        address=options.host,
        port=options.port,
        token=_token(options.token_variable),
        most_bytes=options.max_body * MIB,
        most_rows=options.max_rows,
        most_text=options.max_text,
        bounds=Bounds(options.max_connections, options.max_seconds),
        limits=Limits(options.batch_rows, options.wait / 1000, options.queue_rows),
        raw_queries=options.raw_queries,
        endings=tuple(options.ending),
    )


def _token(variable: str | None) -> str:
    """Read the token from the environment variable that is named, if one is."""
    if variable is None:
        return ""
    token = os.environ.get(variable, "").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise RmplugError(
            f"the environment variable {variable}, which --token-variable names, holds no token; "
            "set it to a secret of letters, digits and signs"
        )
    return token
