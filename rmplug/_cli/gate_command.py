"""The command ``gate``: the numbers of a run held to limits, for CI."""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmplug.errors import RmplugError, printable
from rmplug.stats.numbers import BETWEEN, Number, Numbers, number_name

from .failures import MISTAKE
from .gate_rules import Gate, Judged, Rule
from .gate_summary import summary_of
from .tables import show_rows, status_of

if TYPE_CHECKING:
    from rmplug._store.store import Store
    from rmplug.records import RunRecord

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable in which GitHub Actions names the file of a step's summary."""


def gate(options: argparse.Namespace) -> int:
    """Hold the numbers of a run to limits: exit code 2, with the reasons, if one is broken.

    A rule such as `accuracy < 0.7` or `audit.length.effect > 0.2` says when the gate fails. Its
    left side is a number of the run, by any parts of its name (`rmplug show --numbers` lists them)
    between dots or slashes; of a model and its baselines, that of the model is meant. A rule fails
    where it holds in the whole 95 % interval of the number, passes where it holds in no part of it,
    and cannot tell in between; a number without interval is judged by its value. A name that is
    unknown or means several numbers, a number without a value, and a run that has not finished, do
    not pass."""
    from rmplug._store.run_records import find_record
    from rmplug._store.store_folder import open_store
    from rmplug._store.user_paths import user_path

    rules = _read(options.fail_on)
    store = open_store(options.store)
    judged = judge_run(store, find_record(store, options.run), rules, options.when_unsure == "pass")
    if options.json:
        print(json.dumps(_as_json(judged), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        _print(judged)
    _write_summaries(judged, user_path(options.summary) if options.summary else None)
    return 0 if judged.passed else MISTAKE


def _read(texts: Sequence[str]) -> list[Rule]:
    """Read all rules; every one that is none is told."""
    rules, problems = [], []
    for text in texts:
        try:
            rules.append(Rule.read(text))
        except RmplugError as error:
            problems.append(str(error))
    if problems:
        raise RmplugError("\n".join(problems))
    return rules


def judge_run(store: Store, record: RunRecord, rules: Sequence[Rule], unsure_passes: bool) -> Gate:
    """Judge the numbers of a run by rules."""
    from rmplug._store.run_numbers import metric_rows

    found: dict[str, list[Number]] = {}
    for step, rows in metric_rows(store, record):
        for row in rows:
            if "metric" in row:
                numbers = found.setdefault(number_name(step, row), [])
                number = Number.of(row)
                numbers += [number] if number not in numbers else []
    named = Numbers({name: numbers[0] for name, numbers in found.items()})
    judged = [_judge(rule, named, found, record) for rule in rules]
    status = status_of(record)
    return Gate(
        run=record.id,
        spec=record.name,
        seed=record.seed,
        status=status,
        problem="" if status == "finished" else "; ".join(_unfinished(record, status)),
        notes=list(dict.fromkeys(note for one in judged for note in _notes(one, named, record))),
        rules=judged,
        unsure_passes=unsure_passes,
    )


def _judge(
    rule: Rule, named: Numbers, found: Mapping[str, Sequence[Number]], record: RunRecord
) -> Judged:
    try:
        name = named.full_name(rule.name)
    except KeyError as error:
        return Judged(rule, "failed", "; ".join([error.args[0], *_gone(rule, named, record)]))
    if len(found[name]) > 1:
        return Judged(rule, "failed", f"{len(found[name])} different numbers have this name", name)
    return Judged(rule, *rule.judge(named[name]), name, named[name])


def _gone(rule: Rule, named: Numbers, record: RunRecord) -> Iterator[str]:
    """Say of a step that a rule names why it has no numbers."""
    measured = {_step_of(name) for name in named}
    for step in record.steps.values():
        begins = rule.name.startswith((f"{step.id}.", f"{step.id}/", f"{step.id} "))
        if begins and step.id not in measured:
            yield f"the step {step.id!r} ({status_of(step)}) has no numbers in the store"


def _step_of(name: str) -> str:
    """Return the step in the name of a number, the loop of one inside."""
    return name.split(BETWEEN)[0].partition(".")[0]


def _notes(one: Judged, named: Numbers, record: RunRecord) -> Iterator[str]:
    """Say what a reader has to know of the number that a rule means."""
    if one.name and (beside := named.baselines_beside(one.rule.name)):
        yield (
            f"{one.rule.name!r} means {one.name}; {len(beside)} of its baselines have this number, "
            f"too, such as {beside[0]}"
        )
    yield from _in_sample(one, record)


def _in_sample(one: Judged, record: RunRecord) -> Iterator[str]:
    """Say how many rows behind a number a model was trained on."""
    step = record.steps.get(_step_of(one.name))
    if step is None:
        return
    for reward, rows in step.seen.items():
        if rows.seen:
            yield (
                f"{step.id}: {rows.seen:,} of {rows.rows:,} rows are in-sample: "
                f"the model behind {reward} was trained on them or on their prompts"
            )


def _unfinished(record: RunRecord, status: str) -> Iterator[str]:
    """Say why a run does not pass: it goes on, was stopped, or some steps of it failed."""
    words = {"running": "goes on", "failed": "failed", "interrupted": "was interrupted"}
    yield f"the run {words.get(status, f'is {status}')}"
    for step in record.steps.values():
        if step.status in ("failed", "interrupted"):
            yield f"step {step.id} {step.status}: {step.message}".rstrip(": ")
    if record.not_run:
        yield f"not run: {', '.join(record.not_run)}"


def _print(gate: Gate) -> None:
    outcome = "passed" if gate.passed else "failed"
    print(printable(f"gate {outcome}: {gate.counts}; run {gate.run}, seed {gate.seed}"))
    if gate.problem:
        print(printable(gate.problem))
    show_rows(
        [
            {
                "verdict": one.verdict,
                "fails if": one.rule.text,
                "number": one.name,
                "value": one.number.text if one.name else "",
                "95 % interval": one.interval,
                "n": "" if one.number.n is None else f"{one.number.n:,}",
            }
            for one in gate.rules
        ],
        False,
    )
    for one in gate.rules:
        print(printable(f"{one.verdict}: {one.rule.text}: {one.reason}"))
    for note in gate.notes:
        print(printable(note))


def _as_json(gate: Gate) -> dict[str, Any]:
    """Return the gate for programs; what is not finite is null there."""
    return {
        "run": gate.run,
        "spec": gate.spec,
        "seed": gate.seed,
        "status": gate.status,
        "passed": gate.passed,
        "problem": gate.problem or None,
        "notes": list(gate.notes),
        "when_unsure": "pass" if gate.unsure_passes else "fail",
        "rules": [
            {
                "rule": one.rule.text,
                "verdict": one.verdict,
                "passes": gate.passes(one),
                "reason": one.reason,
                "number": one.name or None,
                "value": _finite(one.number.value),
                "low": _finite(one.number.low),
                "high": _finite(one.number.high),
                "n": one.number.n,
            }
            for one in gate.rules
        ],
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _write_summaries(gate: Gate, file: Path | None) -> None:
    """Write the summary into a file, and add it to that of a step of GitHub Actions; where they are
    one file, it is only added, as other steps write there too."""
    text = summary_of(gate)
    of_step = os.environ.get(STEP_SUMMARY)
    try:
        if file is not None and not (of_step and file.resolve() == Path(of_step).resolve()):
            file.write_text(text, encoding="utf-8")
        if of_step:
            file = Path(of_step)
            with file.open("a", encoding="utf-8") as summary:
                summary.write(f"\n{text}")
    except OSError as error:
        raise RmplugError(f"cannot write the summary {file}: {error.strerror}") from error
