"""Commands on a spec: ``check``, ``run`` and ``init``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from rmplug.errors import Problem, SpecError, some

from .failures import MISTAKE
from .registry import registry_of
from .tables import show_rows, shown_path


def check(options: argparse.Namespace) -> int:
    """Prove that a spec will run, without loading anything heavy."""
    from rmplug._spec.check import open_spec

    try:
        spec = open_spec(options.spec, options.set, registry_of(options))
    except SpecError as error:
        if not options.json:
            raise
        _print_findings(options.spec, error.problems)
        return MISTAKE
    count = len(spec.graph.nodes)
    if options.json:
        _print_findings(options.spec, (), count, spec.doubts)
        return 0
    print(f"{options.spec}: {count} step{'s' * (count != 1)}, no problems")
    if spec.doubts:
        print(f"not checked, as only running tells: {some(spec.doubts, 12)}")
    return 0


def _print_findings(
    file: str, problems: Sequence[Problem], steps: int | None = None, doubts: Sequence[str] = ()
) -> None:
    """Print what a check found as JSON; lines and columns count from 1, 0 where there is none."""
    listed = [
        {
            "file": problem.file,
            "line": problem.line,
            "column": problem.column,
            "where": problem.path,
            "message": problem.message,
        }
        for problem in problems
    ]
    found = {"spec": file, "steps": steps, "problems": listed, "not_checked": list(doubts)}
    print(json.dumps(found, indent=1, ensure_ascii=False))


def run(options: argparse.Namespace) -> int:
    """Run a spec; results that the store has are reused."""
    if options.dry_run:
        return _dry_run(options)
    from rmplug._run.progress import progress_observer
    from rmplug._run.run import run as run_spec

    finished = run_spec(
        options.spec,
        assign=options.set,
        only=options.only,
        start=getattr(options, "from"),
        force=options.force,
        keep_going=options.keep_going,
        store=options.store,
        observers=[] if options.quiet else [progress_observer(options.verbose)],
        registry=registry_of(options),
        quiet=True,
    )
    print(f"record: {shown_path(finished.record_path)}")
    for page in finished.reports:
        print(f"report: {shown_path(page)}")
    return 0


def _dry_run(options: argparse.Namespace) -> int:
    from rmplug._run.run import choose, forced_steps, plan
    from rmplug._spec.check import open_spec
    from rmplug._store.store_folder import open_store

    registry = registry_of(options)
    spec = open_spec(options.spec, options.set, registry)
    selected, asked = choose(spec, options.only, getattr(options, "from"))
    forced = forced_steps(spec, asked) if options.force else set()
    planned = plan(spec, open_store(options.store), registry, selected, forced)
    rows = [{"step": p.id, "kind": p.kind, "action": p.action, "why": p.why} for p in planned]
    show_rows(rows, options.json)
    return 0


def init(options: argparse.Namespace) -> int:
    """Write a commented spec to start from; without a recipe, list the recipes.

    With `--from`, turn an experiment file of the original reward-model analysis into a spec, and
    tell by line what became of it."""
    from rmplug._store.user_paths import user_path

    from .recipes import recipes, write_recipe

    if old := getattr(options, "from"):
        from .convert_command import convert_old

        return convert_old(user_path(old), options)
    if not options.recipe:
        show_rows(
            [{"recipe": r.name, "what": r.summary, "needs": r.needs} for r in recipes()],
            options.json,
        )
        return 0
    for path in write_recipe(options.recipe, user_path(options.folder), options.force):
        print(f"wrote {shown_path(path)}")
    return 0
