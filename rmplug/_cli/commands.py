"""The command line: reads arguments, calls, and shows."""

from __future__ import annotations

import argparse
import gc as garbage
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from rmplug.errors import RmplugError, SpecError, some

from .options import (
    compare_options,
    compare_texts_options,
    describe_options,
    gc_options,
    init_options,
    plugins_options,
    rank_options,
    run_options,
    schema_options,
    score_options,
    show_options,
    spec_options,
    store_options,
)
from .tables import Row, kind_page, run_row, show_rows, shown_path, status_of, step_row


def console() -> NoReturn:
    """What the script ``rmplug`` calls: one command, in a process of its own."""
    code = main()
    if "rmplug._run.run" in sys.modules:  # observers and workers tidy up on their way out
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # taking all modules apart is a tenth of the time of a check


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a person's mistake is one message and exit code 2, Ctrl-C is 130."""
    # pydantic would read the entry points of every installed distribution once more
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    options = parser().parse_args(arguments)
    collecting = garbage.isenabled()
    garbage.disable()  # imports leave none, and looking for it is a tenth of the time to start
    try:
        code = options.command(options)
        sys.stdout.flush()
    except SpecError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        print(f"{len(error.problems)} problem{'s' * (len(error.problems) > 1)}", file=sys.stderr)
        return 2
    except RmplugError as error:
        print(f"rmplug: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("rmplug: interrupted; run the same command to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    finally:
        if collecting:
            garbage.enable()
    return int(code or 0)


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(
        prog="rmplug", description="Train, choose and audit reward models from one spec file."
    )
    top.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, function, configure in COMMANDS:
        summary = (function.__doc__ or "").splitlines()[0]
        command = commands.add_parser(name, help=summary, description=function.__doc__)
        command.set_defaults(command=function)
        command.add_argument(
            "--disable", action="append", default=[], metavar="PLUGIN", help="leave a plugin out"
        )
        configure(command)
    return top


class _Version(argparse.Action):
    """Looks the version up only when it is asked for: that takes as long as all the rest."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("rmplug")
        except PackageNotFoundError:
            number = "0"
        print(f"rmplug {number}")
        parser.exit()


def check(options: argparse.Namespace) -> int:
    """Prove that a spec will run, without loading anything heavy."""
    from rmplug._spec.check import open_spec

    spec = open_spec(options.spec, options.set, _registry(options))
    count = len(spec.graph.nodes)
    print(f"{options.spec}: {count} step{'s' * (count != 1)}, no problems")
    if spec.doubts:
        print(f"not checked, as only running tells: {some(spec.doubts, 12)}")
    return 0


def run(options: argparse.Namespace) -> int:
    """Run a spec; results that the store has are reused."""
    if options.dry_run:
        return _dry_run(options)
    from rmplug._run.run import run as run_spec

    from .progress import progress_observer

    garbage.enable()
    finished = run_spec(
        options.spec,
        assign=options.set,
        only=options.only,
        start=getattr(options, "from"),
        force=options.force,
        store=options.store,
        observers=[progress_observer()],
        registry=_registry(options),
    )
    print(f"record: {shown_path(finished.record_path)}")
    for page in finished.reports:
        print(f"report: {shown_path(page)}")
    return 0


def _dry_run(options: argparse.Namespace) -> int:
    from rmplug._run.run import choose, forced_steps, open_store, plan
    from rmplug._spec.check import open_spec

    registry = _registry(options)
    spec = open_spec(options.spec, options.set, registry)
    selected, asked = choose(spec, options.only, getattr(options, "from"))
    forced = forced_steps(spec, asked) if options.force else set()
    planned = plan(spec, open_store(options.store), registry, selected, forced)
    rows = [{"step": p.id, "kind": p.kind, "action": p.action, "why": p.why} for p in planned]
    show_rows(rows, options.json)
    return 0


def plugins(options: argparse.Namespace) -> int:
    """List plugins, the kinds they give, and those that could not be loaded."""
    registry = _registry(options)
    rows: list[Row] = [
        {
            "plugin": p.name,
            "distribution": f"{p.distribution} {p.version}",
            "status": "failed" if p.problem else "loaded",
            "kinds": p.problem or ", ".join(p.kinds),
        }
        for p in registry.plugins
    ]
    show_rows(rows, options.json)
    return 1 if options.strict and registry.failed else 0


def describe(options: argparse.Namespace) -> int:
    """Say everything about a kind; without one, list all kinds."""
    from rmplug._kinds.describe import describe as tell
    from rmplug.families import family_of

    registry = _registry(options)
    if options.kind:
        told = tell(registry.find(options.kind))
        print(json.dumps(told, indent=1, ensure_ascii=False) if options.json else kind_page(told))
        return 0
    rows: list[Row] = [
        {
            "kind": p.kind,
            "family": family_of(p.cls).family,
            "plugin": p.plugin,
            "what": _first(p.cls),
        }
        for p in registry.all()
    ]
    show_rows(rows, options.json)
    return 0


def schema(options: argparse.Namespace) -> int:
    """Print the JSON Schema of a spec (with the kinds installed here) or of a record."""
    from rmplug._kinds.schema import record_schema, run_schema

    registry = _registry(options)
    if options.built_in:
        registry.keep("rmplug")
    made = record_schema() if options.what == "record" else run_schema(registry)
    print(json.dumps(made, indent=1, ensure_ascii=False, sort_keys=True))
    return 0


def init(options: argparse.Namespace) -> int:
    """Write a commented spec to start from; without a recipe, list the recipes."""
    from .recipes import recipes, write_recipe

    if not options.recipe:
        show_rows([{"recipe": r.name, "what": r.summary} for r in recipes()], options.json)
        return 0
    for path in write_recipe(options.recipe, Path(options.folder), options.force):
        print(f"wrote {shown_path(path)}")
    return 0


def runs(options: argparse.Namespace) -> int:
    """List the runs that a store knows."""
    from rmplug._run.run import open_store
    from rmplug._store.run_records import all_records

    records = all_records(open_store(options.store))
    show_rows([run_row(record) for record in records], options.json)
    return 0


def show_run(options: argparse.Namespace) -> int:
    """Show what a run did: by its id, the beginning of it, its spec's name, or ``last``."""
    from rmplug._run.run import open_store, report_pages
    from rmplug._store.record_files import record_data
    from rmplug._store.run_records import find_record

    store = open_store(options.store)
    record = find_record(store, options.run)
    if options.json:
        print(json.dumps(record_data(record), indent=1, ensure_ascii=False, default=str))
        return 0
    print(f"{record.id}: {status_of(record)}, {record.seconds:.1f} s, seed {record.seed}")
    if record.note:
        print(record.note)
    show_rows([step_row(step) for step in record.steps.values()], False)
    for step in record.steps.values():
        for notice in step.notices:
            ids = ", ".join(notice["ids"][:3])
            print(
                f"{step.id}: {notice['count']:,} × {notice['what']}, {notice['action']} ({ids} …)"
            )
        if step.message:
            print(f"{step.id}: {step.message}")
    for page in report_pages(store, record):
        print(f"report: {shown_path(page)}")
    return 0


def compare(options: argparse.Namespace) -> int:
    """Compare two runs: what differs in their specs, results and numbers."""
    from rmplug._run.run import open_store
    from rmplug._store.compare import compare_runs
    from rmplug._store.run_records import find_record

    store = open_store(options.store)
    show_rows(
        compare_runs(store, *(find_record(store, name) for name in options.runs)), options.json
    )
    return 0


def gc(options: argparse.Namespace) -> int:
    """Remove results that no run of the store refers to, and debris."""
    from rmplug._run.run import open_store
    from rmplug._store.gc import collect_garbage

    found = collect_garbage(open_store(options.store), options.keep, options.dry_run)
    if options.json:
        print(json.dumps(asdict(found), indent=1))
        return 0
    for note in found.notes:
        print(f"kept: {note}")
    verb = "would remove" if options.dry_run else "removed"
    print(f"{verb} {len(found.names)} results, {found.bytes / 1e6:.1f} MB; {found.kept} runs kept")
    return 0


def score(options: argparse.Namespace) -> int:
    """Score responses: from --prompt and --response, or rows of JSON with prompt and response."""
    from rmplug.models.scorer import score_rows

    given = {"prompt": options.prompt, "response": options.response}
    return _answer(options, score_rows, given)


def rank(options: argparse.Namespace) -> int:
    """Rank responses to a prompt: from arguments, or rows of JSON with prompt and responses."""
    from rmplug.models.scorer import rank_rows

    given = {"prompt": options.prompt, "responses": options.responses}
    return _answer(options, rank_rows, given)


def compare_texts(options: argparse.Namespace) -> int:
    """Compare two responses to a prompt: from arguments, or rows of JSON with prompt, a and b."""
    from rmplug.models.scorer import compare_rows

    return _answer(
        options, compare_rows, {"prompt": options.prompt, "a": options.a, "b": options.b}
    )


def _answer(options: argparse.Namespace, ask: Callable[..., Any], given: Row) -> int:
    """Ask a model about what the arguments, a file or standard input give; write JSON Lines."""
    from rmplug.models.scorer import load, read_rows

    named = {name: value for name, value in given.items() if value}
    if named and len(named) < len(given):
        missing = ", ".join(f"--{name}" for name in given if name not in named)
        raise RmplugError(f"{missing}: missing, or give rows of JSON in a file or standard input")
    rows = [named] if named else read_rows(options.file)
    params = dict(entry.split("=", 1) for entry in options.param)
    scorer = load(options.model, options.kind, **params)
    for row in ask(scorer, rows):
        print(json.dumps(row, ensure_ascii=False))
    return 0


def _registry(options: argparse.Namespace) -> Any:
    from rmplug._kinds.registry import discover

    return discover(options.disable)


def _first(cls: type) -> str:
    return (cls.__doc__ or "").strip().splitlines()[0]


Command = tuple[str, Callable[[argparse.Namespace], int], Callable[[argparse.ArgumentParser], None]]
COMMANDS: tuple[Command, ...] = (
    ("check", check, spec_options),
    ("run", run, run_options),
    ("plugins", plugins, plugins_options),
    ("describe", describe, describe_options),
    ("schema", schema, schema_options),
    ("init", init, init_options),
    ("runs", runs, store_options),
    ("show", show_run, show_options),
    ("compare", compare, compare_options),
    ("gc", gc, gc_options),
    ("score", score, score_options),
    ("rank", rank, rank_options),
    ("compare-texts", compare_texts, compare_texts_options),
)

if __name__ == "__main__":
    console()
