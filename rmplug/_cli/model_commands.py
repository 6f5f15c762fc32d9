"""Commands on a model: ``score``, ``rank`` and ``compare-texts``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from rmplug.errors import RmplugError

from .tables import Row


def score(options: argparse.Namespace) -> int:
    """Score responses: from --prompt and --response, or rows of JSON with prompt and response."""
    from rmplug.models.scorer import score_rows

    arguments = {"prompt": options.prompt, "response": options.response}
    return _answer(options, score_rows, arguments)


def rank(options: argparse.Namespace) -> int:
    """Rank responses to a prompt: from arguments, or rows of JSON with prompt and responses."""
    from rmplug.models.scorer import rank_rows

    arguments = {"prompt": options.prompt, "responses": options.responses}
    return _answer(options, rank_rows, arguments)


def compare_texts(options: argparse.Namespace) -> int:
    """Compare two responses to a prompt: from arguments, or rows of JSON with prompt, a and b."""
    from rmplug.models.scorer import compare_rows

    return _answer(
        options, compare_rows, {"prompt": options.prompt, "a": options.a, "b": options.b}
    )


def _answer(options: argparse.Namespace, ask: Callable[..., Any], arguments: Row) -> int:
    """Ask a model about the rows of the arguments, a file or standard input; write JSON Lines."""
    from rmplug.models.scorer import load, read_rows

    named = {name: value for name, value in arguments.items() if value}
    if named and len(named) < len(arguments):
        missing = ", ".join(f"--{name}" for name in arguments if name not in named)
        raise RmplugError(f"{missing}: missing, or give rows of JSON in a file or standard input")
    rows = [named] if named else read_rows(options.file)
    scorer = load(options.model, options.kind, **model_parameters(options))
    for row in ask(scorer, rows):
        print(json.dumps(row, ensure_ascii=False))
    return 0


def model_parameters(options: argparse.Namespace) -> dict[str, str]:
    """Return the parameters for the loader of a model."""
    return dict(_param(entry) for entry in options.param)


def _param(entry: str) -> tuple[str, str]:
    name, equals, value = entry.partition("=")
    if not equals or not name:
        raise RmplugError(f"--param {entry}: write it as NAME=VALUE, such as device=cpu")
    return name, value
