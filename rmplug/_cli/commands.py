"""The command line: arguments read, a command called, its exit code."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from rmplug._run.own_process import settle_own_process
from rmplug.errors import closest, did_you_mean

from .completion import completion
from .failures import Termination, explain
from .gate_command import gate
from .kind_commands import describe, plugins, schema
from .model_commands import compare_texts, rank, score
from .options import (
    ASSIGNED,
    NAMED,
    check_options,
    compare_options,
    compare_texts_options,
    describe_options,
    gate_options,
    gc_options,
    init_options,
    open_options,
    plugins_options,
    rank_options,
    report_options,
    run_options,
    schema_options,
    score_options,
    serve_options,
    show_options,
    store_options,
    train_options,
    view_options,
)
from .report_command import report
from .serve_command import serve
from .spec_commands import check, init, run
from .store_commands import compare, gc, open_page, runs, show_run
from .train_command import train
from .view_command import view


def console() -> NoReturn:
    """Run one command in a process of its own, as the script ``rmplug`` does."""
    Termination.prepare()
    settle_own_process()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # signs that a terminal does not know
    code = main()
    if "rmplug._run.run" in sys.modules:  # observers and workers tidy up on their way out
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # taking all modules apart is a tenth of the time of a check


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 2 with one message for a person's mistake, 1 with
    one message for a bug, 130 after Ctrl-C. Without any argument, print the help."""
    # pydantic would read the entry points of every installed distribution once more
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    words = sys.argv[1:] if arguments is None else list(arguments)
    top = parser()
    if not words:
        top.print_help()
        return 0
    options = top.parse_args(words)
    try:
        code = options.command(options)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        return explain(error, options.traceback)
    return int(code or 0)


class _Parser(argparse.ArgumentParser):
    """A parser that suggests the nearest option or command instead of an unknown one."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Read the arguments; the command that gets an unknown argument reports it."""
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            command = getattr(options, "parser", self)
            command.error(f"unknown argument {unknown[0]!r}{command.suggestion(unknown[0])}")
        return options

    def suggestion(self, text: str) -> str:
        """Suggest the option that is nearest to a text, or one that takes it; empty if there is
        none. A bare word may be meant for an option with several values, and ``--name`` for one
        with named values, such as the parameters of a model or, by ``--set``, of the engine."""
        name = text.partition("=")[0].lstrip("-")
        known = {option.lstrip("-"): option for option in self._option_string_actions}
        near = closest(name, known) if text.startswith("-") else ""
        if near:
            return f"; did you mean {known[near]!r}?"
        for option, action in self._option_string_actions.items():
            if not text.startswith("-") and action.nargs == "+":
                usage = self._get_formatter()._format_args(action, name)
                return f"; write {option} {usage}: {action.help}"
            if text.startswith("--") and (value := _named_value(name, action.metavar)):
                return f"; write {option} '{value}'"
        return ""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            hint = did_you_mean(str(value), map(str, action.choices))
            listed = ", ".join(map(str, action.choices))
            raise argparse.ArgumentError(action, f"unknown: {value!r}{hint} (known: {listed})")


def _named_value(name: str, metavar: str | tuple[str, ...] | None) -> str:
    """Return what an option with named values takes for a name: any parameter of a model, and of a
    spec those of its engine; empty if it takes no such name."""
    if metavar == NAMED:
        return f"{name}=..."
    if metavar != ASSIGNED:
        return ""
    from rmplug._run.local_engine import Local

    field = name.replace("-", "_")
    return f"engine.params.{field}=..." if field in Local.model_fields else ""


def parser() -> _Parser:
    """Build the parser of the commands and their options."""
    top = _Parser(
        prog="rmplug", description="Train, choose and audit reward models from one spec file."
    )
    top.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, function, configure in COMMANDS:
        summary = (function.__doc__ or "").splitlines()[0]
        command = commands.add_parser(name, help=summary, description=function.__doc__)
        command.set_defaults(command=function, parser=command, top=top)
        command.add_argument(
            "--disable", action="append", default=[], metavar="PLUGIN", help="leave a plugin out"
        )
        command.add_argument(
            "--traceback", action="store_true", help="show where in the code an error arose"
        )
        configure(command)
    return top


class _Version(argparse.Action):
    """The option ``--version``, which looks the version up only on request: that takes as long as
    all the rest."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("rmplug")
        except PackageNotFoundError:
            number = "0"
        print(f"rmplug {number}")
        parser.exit()


Command = tuple[str, Callable[[argparse.Namespace], int], Callable[[argparse.ArgumentParser], None]]
COMMANDS: tuple[Command, ...] = (
    ("check", check, check_options),
    ("run", run, run_options),
    ("plugins", plugins, plugins_options),
    ("describe", describe, describe_options),
    ("schema", schema, schema_options),
    ("init", init, init_options),
    ("runs", runs, store_options),
    ("show", show_run, show_options),
    ("open", open_page, open_options),
    ("compare", compare, compare_options),
    ("gate", gate, gate_options),
    ("report", report, report_options),
    ("view", view, view_options),
    ("gc", gc, gc_options),
    ("train", train, train_options),
    ("score", score, score_options),
    ("rank", rank, rank_options),
    ("compare-texts", compare_texts, compare_texts_options),
    ("serve", serve, serve_options),
    ("completion", completion, lambda command: None),
)

if __name__ == "__main__":
    console()
