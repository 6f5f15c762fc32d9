"""The numbers of a run held to limits."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sample_plugin
from markdown_it import MarkdownIt
from run_specs import spec_of

import rmplug
from rmplug import Evaluator, Metrics, Pairs, hookimpl
from rmplug._cli.commands import main, parser
from rmplug._cli.completion import candidates
from rmplug._cli.gate_rules import Rule
from rmplug._store.run_records import live, new_record
from rmplug._store.store import Store
from rmplug.errors import RmplugError
from rmplug.stats.numbers import Number
from rmplug.testing import registry_of


class Given(Evaluator):
    """The rows that the spec gives."""

    kind = "given"

    rows: list[dict[str, Any]]
    """The rows."""

    def evaluate(self, data: Pairs) -> Metrics:
        import pyarrow as pa

        blank = {"subset": "all", "value": None, "low": None, "high": None, "n": None}
        names = {name: None for row in self.rows for name in row}
        rows = [{**dict.fromkeys(names), **blank, **row} for row in self.rows]
        values = [row["value"] and float(row["value"]) for row in rows]  # a spec has NaN as text
        table = pa.Table.from_pylist([{**row, "value": None} for row in rows])
        return Metrics(table.set_column(table.column_names.index("value"), "value", [values]))


@hookimpl
def rmplug_evaluators() -> list[type[Evaluator]]:
    return [Given]


REGISTRY = registry_of(sample_plugin, sys.modules[__name__])
EVIL = "a|b`c\n# <img src=x onerror=alert(1)> [x](http://x.test) **b** @you"
EFFECT = {"model": "minilm", "theme": "length"}
ROWS: list[dict[str, Any]] = [
    {"metric": "accuracy", "model": "minilm", "value": 0.8, "low": 0.75, "high": 0.85, "n": 200},
    {"metric": "accuracy", "model": "ngram", "value": 0.6, "low": 0.55, "high": 0.65, "n": 200},
    {"metric": "theme-effect", **EFFECT, "value": 0.3, "low": 0.1, "high": 0.5, "n": 50},
    {"metric": "effect", **EFFECT, "perturbation": "padding", "value": 0.4, "dose": 2},
    {"metric": "lost", "value": "NaN"},
    {"metric": "open", "value": 2.0, "low": 1.0},
    {"metric": "endless", "value": "inf"},
    {"metric": "twice", "value": 1.0},
    {"metric": "twice", "value": 2.0},
    {"metric": "odd", "model": EVIL, "value": 1.0},
]
"""Numbers with whole intervals, a part of one and none, without value, and of a stranger."""


def run_of(steps: dict[str, Any], store: Path, **options: Any) -> rmplug.Run:
    return rmplug.run(spec_of(steps), store=store, registry=REGISTRY, **options)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("store")
    given = {"kind": "given", "inputs": "pairs", "params": {"rows": ROWS}}
    run_of({"pairs": {"kind": "made-pairs"}, "audit": given}, store)
    return store


@pytest.fixture(autouse=True)
def no_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def asked(store: Path, rules: Sequence[str], *more: str) -> int:
    each = [word for rule in rules for word in ("--fail-on", rule)]
    return main(["gate", *each, "--store", str(store), *more])


def told(store: Path, capsys: pytest.CaptureFixture[str], *rules: str) -> list[dict[str, Any]]:
    asked(store, rules, "--json")
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["rules"]
    return rows


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("accuracy < 0.7", ("accuracy", "<", 0.7)),
        ("audit.length.effect>0.2", ("audit.length.effect", ">", 0.2)),
        (" a / b / at 0.5 >= -1e-3 ", ("a / b / at 0.5", ">=", -0.001)),
        ("n <= .5", ("n", "<=", 0.5)),
        ("effect < −0.2", ("effect", "<", -0.2)),
        ("p < 0.05 > 2", ("p < 0.05", ">", 2.0)),
        ("a\nb < 1", ("a\nb", "<", 1.0)),
    ],
)
def test_a_rule_is_a_name_a_sign_and_a_number(text: str, read: tuple[str, str, float]) -> None:
    rule = Rule.read(text)
    assert (rule.name, rule.sign, rule.limit) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "accuracy",
        "< 1",
        "accuracy = 1",
        "accuracy < ",
        "accuracy < b",
        "a < 70 %",
        "a < nan",
        "a < 0x10",
        "a < 1_0",
        "a < 1e999",
        "a > -1e999",
        "a\udcff < 1",
        "a < __import__('os')",
    ],
)
def test_anything_else_is_refused_and_never_evaluated(text: str) -> None:
    with pytest.raises(RmplugError, match="a rule is the name of a number, one of > >= < <="):
        Rule.read(text)


@pytest.mark.parametrize(
    ("sign", "low", "high", "verdict"),
    [
        (">", 0.3, 0.4, "failed"),
        (">", 0.1, 0.4, "cannot tell"),
        (">", 0.2, 0.4, "cannot tell"),
        (">=", 0.2, 0.4, "failed"),
        (">", 0.0, 0.2, "passed"),
        (">=", 0.0, 0.2, "cannot tell"),
        ("<", 0.0, 0.1, "failed"),
        ("<", 0.2, 0.3, "passed"),
        ("<=", 0.2, 0.3, "cannot tell"),
        ("<", None, 0.1, "failed"),
        ("<", None, 0.3, "cannot tell"),
        (">", 0.3, None, "failed"),
        (">", None, 0.1, "passed"),
    ],
)
def test_an_interval_decides_unless_the_limit_is_inside(
    sign: str, low: float | None, high: float | None, verdict: str
) -> None:
    assert Rule.read(f"x {sign} 0.2").judge(Number(0.15, low, high, 9))[0] == verdict


def test_a_number_without_interval_is_judged_by_its_value_and_one_without_value_fails() -> None:
    rule = Rule.read("x > 0.2")
    assert rule.judge(Number(0.3)) == (
        "failed",
        "it is above 0.2; judged by its value alone, as it has no interval",
    )
    assert rule.judge(Number(0.2))[0] == "passed"
    assert rule.judge(Number(None, 0.0, 0.1)) == ("failed", "it has no value (missing, or NaN)")
    assert Rule.read("x > -0.2").judge(Number(-0.5, -0.6, -0.4))[1] == (
        "no part of its interval is above −0.2"
    )


def test_a_gate_passes_or_ends_with_the_code_of_a_mistake_and_the_reasons(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(store, ["audit.minilm.accuracy < 0.7", "effect.padding > 1"]) == 0
    assert capsys.readouterr().out.startswith("gate passed: 2 rules; run ")
    assert asked(store, ["audit.minilm.accuracy < 0.7", "audit/ngram/accuracy < 0.7"]) == 2
    shown = capsys.readouterr().out
    assert "gate failed: 2 rules, 1 failed; run " in shown and ", seed 0\n" in shown
    assert "failed: audit/ngram/accuracy < 0.7: its whole interval is below 0.7" in shown
    assert "passed: audit.minilm.accuracy < 0.7: no part of its interval is below 0.7" in shown
    [line] = [line for line in shown.splitlines() if line.startswith("failed   ")]
    assert line.split("  ")[-1].strip() == "200" and "/ ngram / accuracy / all" in line
    assert "0.60  0.55–0.65" in line


def test_of_a_model_and_its_baselines_that_of_the_model_is_meant_and_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baselines = [
        {**ROWS[1], "model": name, "kind": "baseline", "value": 0.5}
        for name in ("longer", "random")
    ]
    rows = [{**ROWS[0], "kind": "model"}, *baselines]
    given = {"kind": "given", "inputs": "pairs", "params": {"rows": rows}}
    run_of({"pairs": {"kind": "made-pairs"}, "audit": given}, store := tmp_path / "store")
    assert asked(store, ["accuracy < 0.7", "accuracy.longer < 0.7"]) == 2
    shown = capsys.readouterr().out
    assert "passed: accuracy < 0.7" in shown and "failed: accuracy.longer < 0.7" in shown
    assert "'accuracy' means audit / minilm / accuracy / all; 2 of its baselines have" in shown


def test_an_interval_below_a_limit_is_not_written_as_if_it_reached_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"kind": "given", "inputs": "pairs"}
    params = {"rows": [{**ROWS[0], "value": 0.6, "low": 0.52, "high": 0.6996}]}
    run_of({"pairs": {"kind": "made-pairs"}, "audit": {**given, "params": params}}, tmp_path / "s")
    summary = tmp_path / "summary.md"
    assert asked(tmp_path / "s", ["accuracy < 0.7"], "--summary", str(summary)) == 2
    assert "0.52–0.6996" in capsys.readouterr().out and "0.52–0.6996" in summary.read_text()


def test_what_cannot_be_told_fails_unless_it_is_chosen_to_pass(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = ["audit.length.effect > 0.2"]
    assert asked(store, rule) == 2
    assert "1 rule, 1 cannot tell (counts as failed)" in capsys.readouterr().out
    assert asked(store, rule, "--when-unsure", "pass") == 0
    assert "gate passed: 1 rule, 1 cannot tell (counts as passed)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rule", "verdict", "reason"),
    [
        ("accuracy < 0.7", "failed", "2 numbers are called 'accuracy': audit / minilm / "),
        ("acuracy < 0.7", "failed", "no number 'acuracy'; did you mean 'accuracy'?"),
        ("pairs.x < 1", "failed", "; the step 'pairs' (done) has no numbers in the store"),
        ("twice < 9", "failed", "2 different numbers have this name"),
        ("lost < 1", "failed", "it has no value (missing, or NaN)"),
        ("open > 3", "cannot tell", "only a part of its interval is above 3"),
        ("endless > 3", "failed", "judged by its value alone, as it has no interval"),
    ],
)
def test_a_name_that_is_no_single_number_fails_and_says_why(
    store: Path, rule: str, verdict: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    [row] = told(store, capsys, rule)
    assert row["verdict"] == verdict and reason in row["reason"]


def test_programs_get_every_rule_with_its_number(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = ["audit.length.effect > 0.2", "acuracy < 1", "endless < 1"]
    effect, unknown, endless = told(store, capsys, *rules)
    assert effect == {
        "rule": "audit.length.effect > 0.2",
        "verdict": "cannot tell",
        "passes": False,
        "reason": "only a part of its interval is above 0.2",
        "number": "audit / minilm / length / theme-effect / all",
        "value": 0.3,
        "low": 0.1,
        "high": 0.5,
        "n": 50,
    }
    assert unknown["number"] is None and endless["value"] is None and endless["passes"]


def test_all_rules_that_are_none_are_told_and_one_is_needed(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(store, ["accuracy", "b < c"]) == 2
    problems = capsys.readouterr().err
    assert problems.count("a rule is the name of a number") == 2
    with pytest.raises(SystemExit, match="2"):
        main(["gate", "--store", str(store)])
    assert "--fail-on" in capsys.readouterr().err


def test_a_run_that_failed_does_not_pass_whatever_its_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = {
        "pairs": {"kind": "made-pairs"},
        "audit": {"kind": "given", "inputs": "pairs", "params": {"rows": ROWS}},
        "bad": {"kind": "fussy", "inputs": "pairs", "params": {"how": "message", "bad": 0}},
        "after": {"kind": "mean", "inputs": ["bad"]},
    }
    with pytest.raises(RmplugError):
        run_of(steps, tmp_path, keep_going=True)
    assert asked(tmp_path, ["minilm.accuracy < 0.7", "after.mean < 1"]) == 2
    shown = capsys.readouterr().out
    assert "\nthe run failed; step bad failed: row " in shown
    assert "not run: after" in shown
    assert "passed: minilm.accuracy < 0.7" in shown and "failed: after.mean < 1" in shown
    assert asked(tmp_path, ["minilm.accuracy < 0.7"], "--when-unsure", "pass") == 2


def test_a_run_that_goes_on_or_was_killed_does_not_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path)
    with live(store, new_record("tested", {}, "", 0)):
        assert asked(tmp_path, ["x < 1"]) == 2
        assert "\nthe run goes on\n" in capsys.readouterr().out
    assert asked(tmp_path, ["x < 1"]) == 2
    assert "\nthe run was interrupted\n" in capsys.readouterr().out


def test_numbers_on_rows_that_a_model_was_trained_on_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = {
        "pairs": {"kind": "made-pairs"},
        "words": {"kind": "lengths", "inputs": "pairs"},
        "head": {"kind": "character-head", "inputs": "pairs"},
        "reward": {"kind": "ask", "inputs": {"model": "head", "data": "pairs"}},
        "mean": {"kind": "mean", "inputs": {"features": ["reward"], "data": "pairs"}},
    }
    run = run_of(steps, tmp_path)
    [name] = run.numbers
    assert asked(tmp_path, [f"{name} > 1e9"]) == 0
    assert "mean: 40 of 40 rows are in-sample: the model behind reward" in capsys.readouterr().out


def test_the_summary_is_written_and_added_to_that_of_github(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, of_step = tmp_path / "gate.md", tmp_path / "step.md"
    file.write_text("old")
    of_step.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(of_step))
    assert asked(store, ["minilm.accuracy < 0.9"], "--summary", str(file)) == 2
    text = file.read_text(encoding="utf-8")
    assert text.startswith("## rmplug gate failed\n\nRun `") and "| **failed** |" in text
    assert of_step.read_text(encoding="utf-8") == f"before\n\n{text}"
    assert asked(store, ["minilm.accuracy < 0.7"], "--summary", str(of_step)) == 0
    both = of_step.read_text(encoding="utf-8")
    assert both.startswith(f"before\n\n{text}\n## rmplug gate passed") and both.count("##") == 2


def test_a_summary_that_cannot_be_written_is_told_after_the_verdict(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = str(tmp_path / "none" / "gate.md")
    assert asked(store, ["minilm.accuracy < 0.7"], "--summary", lost) == 2
    shown = capsys.readouterr()
    assert "gate passed" in shown.out
    assert f"cannot write the summary {lost}: No such file or directory" in shown.err


def test_names_of_strangers_are_text_in_the_summary(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "gate.md"
    assert asked(store, ["odd > 2", f"{EVIL} < 3"], "--summary", str(file)) == 2
    page = MarkdownIt("commonmark").enable("table").render(file.read_text(encoding="utf-8"))
    assert page.count("<tr>") == 3 and "a|b`c # &lt;img src=x" in page
    assert "<img" not in page and "<a " not in page and "<strong>b" not in page
    assert page.count("<h2>") == 1 and "<h1>" not in page


def test_a_shell_completes_names_of_numbers_and_none_that_it_would_run(store: Path) -> None:
    words = ["gate", "tested", "--store", str(store), "--fail-on"]
    assert candidates(parser(), [*words, "audit.m"]) == [
        "audit.minilm.accuracy",
        "audit.minilm.length.theme-effect",
    ]
    assert not any("img" in name for name in candidates(parser(), [*words, ""]))
