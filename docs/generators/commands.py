"""The reference of commands and their options, from the parsers themselves."""

from __future__ import annotations

import argparse

from rmplug._cli.commands import COMMANDS, parser

from .markdown import docstring, table

EVERYWHERE = ("--help", "--disable", "--traceback")


def write_commands() -> str:
    """Write the page of all commands, in the order of ``rmplug --help``."""
    top = parser()
    [choices] = [a for a in top._actions if isinstance(a, argparse._SubParsersAction)]
    lead = (
        "What each command does, with its arguments and options. Every command also takes "
        "`--help`, `--disable PLUGIN` (leave a plugin out; also the environment variable "
        "`RMPLUG_DISABLE`) and `--traceback` (show where in the code an error arose). "
        "A mistake of yours ends with one message and exit code 2, a bug with code 1, "
        "Ctrl-C with code 130."
    )
    parts = ["# Commands", lead]
    parts += [_command(name, choices.choices[name]) for name, _, _ in COMMANDS]
    return "\n\n".join(parts) + "\n"


def _command(name: str, command: argparse.ArgumentParser) -> str:
    usage = " ".join(_usage(action) for action in _actions(command))
    parts = [f"## rmplug {name}", f"```text\nrmplug {name} {usage}".rstrip() + "\n```"]
    parts.append(docstring(command.description))
    rows = [(f"`{_name(action)}`", docstring(action.help)) for action in _actions(command)]
    if rows:
        parts.append(table(("argument", "meaning"), rows))
    return "\n\n".join(parts)


def _actions(command: argparse.ArgumentParser) -> list[argparse.Action]:
    own = [a for a in command._actions if not {*EVERYWHERE} & {*a.option_strings}]
    return sorted(own, key=lambda action: bool(action.option_strings))


def _name(action: argparse.Action) -> str:
    if not action.option_strings:
        return _value(action)
    names = ", ".join(action.option_strings)
    return names if action.nargs == 0 else f"{names} {_value(action)}"


def _value(action: argparse.Action) -> str:
    if action.metavar is None and action.choices:
        return "|".join(map(str, action.choices))
    metavar = action.metavar or action.dest.upper()
    return metavar if isinstance(metavar, str) else " ".join(metavar)


def _usage(action: argparse.Action) -> str:
    value = _value(action)
    many = {"+": f"{value} …", "*": f"[{value} …]", "?": f"[{value}]"}
    if isinstance(action.nargs, int) and action.nargs > 0:
        value = " ".join([value] * action.nargs)
    shown = many.get(str(action.nargs), value)
    if not action.option_strings:
        return shown
    option = action.option_strings[0]
    whole = option if action.nargs == 0 else f"{option} {shown}"
    return whole if action.required else f"[{whole}]"
