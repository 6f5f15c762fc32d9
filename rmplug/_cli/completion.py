"""The completion of commands, options, kinds, recipes, runs and steps in a shell."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from rmplug.errors import RmplugError

if TYPE_CHECKING:
    from rmplug._store.store import Store

WORDS = "RMPLUG_COMPLETE"
"""The variable in which the shell gives the words of a command, one on each line, the last of them
to be completed."""

PLAIN = re.compile(r"[\w.:@%+,/-]+")
"""The names that are offered: of others, a shell would read signs as commands, and names of steps
and runs may be a stranger's."""

SCRIPT = f"""\
# eval "$(rmplug completion)" in ~/.bashrc or ~/.zshrc
if [ -n "${{ZSH_VERSION-}}" ]; then
    autoload -U +X compinit bashcompinit && compinit && bashcompinit
fi
_rmplug() {{
    local word IFS=$'\\n'
    local words="${{COMP_WORDS[*]:1:COMP_CWORD}}"
    COMPREPLY=()
    while read -r word; do
        COMPREPLY+=("$word")
    done < <({WORDS}="$words" rmplug completion 2>/dev/null)
}}
complete -o default -F _rmplug rmplug
"""


def completion(options: argparse.Namespace) -> int:
    """Print what completes commands in bash and zsh: eval "$(rmplug completion)" turns it on."""
    if WORDS not in os.environ:
        print(SCRIPT, end="")
        return 0
    words = os.environ[WORDS].split("\n")
    for word in candidates(options.top, words):
        print(word)
    return 0


def candidates(top: argparse.ArgumentParser, words: Sequence[str]) -> list[str]:
    """Return what the last of the words may be completed to; none where it may be any text."""
    *before, current = words
    commands = next(a.choices for a in top._actions if isinstance(a, argparse._SubParsersAction))
    if not before:
        return _beginning(current, commands)
    command = commands.get(before[0])
    if command is None:
        return []
    if current.startswith("-"):
        return _beginning(current, command._option_string_actions)
    given, action = _read(command, before[1:])
    if action is None:
        return []
    if action.choices is not None:
        return _beginning(current, map(str, action.choices))
    complete = _COMPLETE.get(action.dest)
    with suppress(RmplugError, OSError):
        return _beginning(current, complete(given)) if complete else []
    return []


def _beginning(current: str, known: Iterable[str]) -> list[str]:
    return [name for name in known if name.startswith(current) and PLAIN.fullmatch(name)]


def _read(
    command: argparse.ArgumentParser, words: Sequence[str]
) -> tuple[Mapping[str, str], argparse.Action | None]:
    """Return the values that are given so far, by destination, and the argument that comes next."""
    positional = [action for action in command._actions if not action.option_strings]
    given: dict[str, str] = {}
    waiting: argparse.Action | None = None
    count = 0
    for word in words:
        if word.startswith("-"):
            waiting = command._option_string_actions.get(word)
            waiting = None if waiting is None or waiting.nargs == 0 else waiting
        elif waiting is not None:
            given[waiting.dest] = word
            waiting = waiting if waiting.nargs == "+" else None
        elif count < len(positional):
            given.setdefault(positional[count].dest, word)
            count += not isinstance(positional[count].nargs, int)
    following = positional[count] if count < len(positional) else None
    return given, waiting or following


def _kinds(given: Mapping[str, str]) -> Iterable[str]:
    from rmplug._kinds.registry import discover

    return sorted(discover().providers)


def _plugins(given: Mapping[str, str]) -> Iterable[str]:
    from importlib.metadata import entry_points

    from rmplug._kinds.registry import CORE, GROUP

    return sorted({entry.name for entry in entry_points(group=GROUP)} - {CORE})


def _recipes(given: Mapping[str, str]) -> Iterable[str]:
    from .recipes import recipes

    return [recipe.name for recipe in recipes()]


def _runs(given: Mapping[str, str]) -> Iterable[str]:
    """List names of specs and ids of runs, the latest first; no record is read."""
    from rmplug._store.run_records import record_paths

    ids = [path.parent.name for path in record_paths(_store(given))][::-1]
    names = [identity.split("-", 3)[-1].rpartition("-")[0] for identity in ids]
    return ["last", *dict.fromkeys(filter(None, names)), *ids]


def _store(given: Mapping[str, str]) -> Store:
    """Return the store that is named; of one at an address what is on this machine: a key that was
    pressed waits for no network."""
    from rmplug._store.store import Store
    from rmplug._store.store_folder import open_store

    return Store(open_store(given.get("store")).root)


def _numbers(given: Mapping[str, str]) -> Iterable[str]:
    """List the names of a run's numbers as a rule has them: parts between dots."""
    from rmplug._store.run_numbers import numbers_of
    from rmplug._store.run_records import find_record
    from rmplug.stats.numbers import BETWEEN

    store = _store(given)
    names = numbers_of(store, find_record(store, given.get("run", "last")))
    return [name.removesuffix(f"{BETWEEN}all").replace(BETWEEN, ".") for name in names]


def _steps(given: Mapping[str, str]) -> Iterable[str]:
    from rmplug._spec.source import read_source
    from rmplug._store.user_paths import user_path

    data = read_source(user_path(given["spec"])).data if "spec" in given else {}
    steps = data.get("steps") if isinstance(data, dict) else None
    return list(map(str, steps)) if isinstance(steps, dict) else []


_COMPLETE: Mapping[str, Callable[[Mapping[str, str]], Iterable[str]]] = {
    "kind": _kinds,
    "disable": _plugins,
    "recipe": _recipes,
    "run": _runs,
    "runs": _runs,
    "only": _steps,
    "from": _steps,
    "fail_on": _numbers,
}
