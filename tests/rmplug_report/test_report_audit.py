"""The card of an audit: what it says, what it shows, and what it leaves alone."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import jsonschema
import pyarrow as pa
import pytest
from audit_inputs import (
    CHANGES,
    EDITS,
    KEYS,
    MODELS,
    PLAN,
    audited,
    card,
    counterfactuals,
    effect,
    effects,
    retests,
    rewards,
    strongest,
    table_of,
)
from report_inputs import ACCURACY, HOSTILE, Lines, metrics_of, report

from rmplug import DataError, Features, Fit, Known, Metrics, PlanView
from rmplug.records import SeenRows
from rmplug_audit.perturbations.battery import BATTERY
from rmplug_report import AuditCard, ModelCard
from rmplug_report.audit._words import FAMILIES, findings_of
from rmplug_report.audit.document import Audit

SCHEMA = Path(__file__).resolve().parents[2] / "schemas" / "audit.schema.json"
NOTHING = PlanView("audit", 1, [])


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The card of two models, with a repair of one."""
    folder = tmp_path_factory.mktemp("audit") / "card"
    card(audited(), folder)
    return folder


def page_of(folder):
    text = (folder / "index.html").read_text(encoding="utf-8")
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{WORD JOINER}", "")


def told(folder):
    return Audit.model_validate_json((folder / "audit.json").read_bytes())


def only(change, value, directory, **more):
    """The document about one effect, which is its family's strongest."""
    row = effect("m", change, value, **more)
    metrics = table_of([row, strongest(row)], KEYS, "audit")
    card([metrics], directory, NOTHING)
    return told(directory)


def test_every_section_is_there_in_order(both):
    assert re.findall(r'<section id="([a-z]+)"', page_of(both)) == [
        "grades", "effects", "examples", "doses", "subsets", "preferences", "transfer", "repair",
        "missing",
    ]  # fmt: skip


def test_a_section_is_there_only_when_its_input_is(tmp_path):
    only(CHANGES[4], 0.01, tmp_path / "card")
    found = re.findall(r'<section id="([a-z]+)"', page_of(tmp_path / "card"))
    assert found == ["grades", "effects", "missing"]


def test_the_document_is_valid_for_its_schema_and_reads_back(both):
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    data = json.loads((both / "audit.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(data)
    assert json.loads(told(both).model_dump_json()) == data


def test_the_families_are_graded_the_worst_first(both):
    graded = {(one.model, one.theme): one for one in told(both).grades}
    own = [one.grade for one in told(both).grades if one.model == "ngram"]
    assert own == ["F", "F", "F", "C", "A", "A", "A", "A"]
    assert graded["ngram", "length"].strongest == "padding × 3"
    assert graded["linear", "flattery"].grade == "C"
    # off-topic text keeps the reward of the first, and lowers that of the second
    assert (graded["ngram", "off-topic"].grade, graded["linear", "off-topic"].grade) == ("C", "A")


def test_the_headline_names_the_exploited_families(tmp_path):
    card([effects(MODELS[:1])], tmp_path / "one")
    assert told(tmp_path / "one").headline == (
        "Exploits in 3 of 8 families: found by search (F), length (F), markdown (F); blind to "
        "faults in 1: off-topic; sensitive in 1: emoji."
    )
    card([effects()], tmp_path / "two")
    assert told(tmp_path / "two").headline == (
        "Families with exploits: ngram 3 of 8; linear 2 of 8."
    )


def test_what_lowers_rewards_is_a_sensitivity_and_counts_for_no_grade(both):
    [grade] = (one for one in told(both).grades if (one.model, one.theme) == ("ngram", "emoji"))
    assert (grade.grade, grade.falls) == ("A", True)
    assert grade.fall is not None and grade.fall.verdict == "sensitive"
    assert (grade.fall.change, grade.fall.value) == ("emoji × 1", 0.6)
    [effect] = (one for one in told(both).effects if one.model == "ngram" and one.subset == "all"
                and one.perturbation == "emoji")  # fmt: skip
    assert effect.verdict == "sensitive"
    assert "emoji × 1 (−0.60)" in page_of(both)
    summary = (both / "audit.md").read_text(encoding="utf-8")
    exploits, falls = summary.split("### Lowered although the quality is kept")
    assert "| emoji |" not in exploits.split("### Strongest exploits")[1]
    assert "| emoji |" in falls.split("###")[0]


def test_nothing_is_claimed_without_power(tmp_path):
    weak = only(CHANGES[4], 0.01, tmp_path / "weak", power=0.4, verdict="cannot tell")
    assert [one.verdict for one in weak.effects] == ["cannot tell"]
    assert weak.headline == "No exploit shown in 0 of 1 families; 1 cannot be told."
    assert ("Power", "1 of 1 test find an effect of 0.2 SD within a prompt with less than 80 % "
            "power: where they found nothing, the card says nothing.") in [
        (one.about, one.text) for one in weak.findings
    ]  # fmt: skip
    sure = only(CHANGES[4], 0.01, tmp_path / "strong")
    assert [one.verdict for one in sure.effects] == ["none found"]
    assert sure.headline == "No exploit shown in 1 of 1 families."


def test_an_effect_of_a_family_that_is_no_exploit_is_not_told_as_one(both):
    audit = told(both)
    grades = [one.model_copy(update={"low": 0.1}) for one in audit.grades]
    found = findings_of(grades, audit.effects, [], [], [], [], 0.2)
    strongest = next(one.text for one in found if one.about == "Strongest")
    assert "keep the quality: not surely by 0.2, from which on it counts as" in strongest


def test_findings_are_computed_from_the_numbers(both):
    said = {}
    for one in told(both).findings:
        said.setdefault(one.about, one.text.replace("\N{NO-BREAK SPACE}", " "))
    assert said["Strongest"] == (
        "exploit-1 raises ngram by 1.10 SD within a prompt (95 % CI of this change alone "
        "1.01–1.19, n = 120), although it is meant to keep the quality. The change in length alone "
        "would give +0.30."
    )
    assert said["Sensitivity"] == (
        "emoji lowers ngram by 0.60 SD within a prompt (95 % CI of this change alone 0.51–0.69, "
        "n = 120), although it is meant to keep the quality: a sensitivity, not an exploit. The "
        "change in length alone would give 0.00."
    )
    assert said["Preferences"] == (
        "exploit-1, applied to the bad response, turns 16.0 % (95 % CI of this change alone "
        "13.0–19.0) of the right preferences of ngram, the most of all changes."
    )
    assert said["Accuracy"] == (
        "ngram has accuracy 71.0 % (95 % CI 66–76); with the worst of the changes that keep the "
        "quality (padding × 3, the bad one changed), 58.0 % (95 % CI 53–63)."
    )
    assert said["Repair"] == (
        "repaired instead of ngram: of 2 targeted effects, 1 repaired and 1 not repaired. Of the 2 "
        "others, 1 became worse. Accuracy changes by −0.5 points (95 % CI −2.5 to 1.5): cannot "
        "tell."
    )


def test_effects_on_what_the_model_has_seen_are_said_to_be_in_sample(tmp_path):
    seen = {"ngram": SeenRows(rows=16, seen=16, known=True)}
    card([effects(MODELS[:1])], tmp_path / "card", PlanView("audit", 1, [], seen))
    assert "In-sample" in [one.about for one in told(tmp_path / "card").findings]


def test_what_a_search_found_is_told_with_what_confirmed_it(tmp_path):
    exploits = {
        "exploit": ["exploit-1", "exploit-2"], "words": ["put “I'll” at the end", "<b>|bold"],
        "lift": [0.4, 0.1], "low": [0.2, -0.1], "high": [0.6, 0.3], "p_holm": [0.01, 0.4],
        "wins": [0.6, 0.5], "confirmed": [True, False], "lift_in_sample": [0.7, 0.5], "n": [40, 40],
    }  # fmt: skip
    fit = Fit(tmp_path, Lines, [], {"exploits": pa.table(exploits)}, "search")
    card([effects(MODELS[:1]), fit], tmp_path / "card")
    first, second = told(tmp_path / "card").exploits
    assert (first.value, first.confirmed, first.in_sample) == (0.4, True, 0.7)
    assert not second.confirmed
    said = {one.about: one.text for one in told(tmp_path / "card").findings}
    assert said["Search"] == (
        "The search gives 2 exploits; 1 of them is confirmed on prompts that it did not use."
    )
    assert "No search" not in " ".join(told(tmp_path / "card").not_looked_at)
    assert "&lt;b&gt;|bold" in page_of(tmp_path / "card")
    assert "\\<b\\>\\|bold" in (tmp_path / "card/audit.md").read_text(encoding="utf-8")


def test_the_page_of_everything_keeps_an_audit_apart(tmp_path):
    report([metrics_of(*ACCURACY), effects()], tmp_path / "report", NOTHING)
    text = page_of(tmp_path / "report")
    assert "about changed responses: in metrics.json, and drawn by the kind audit-card." in text
    assert "bullets" not in text


def test_the_card_says_what_was_not_looked_at(both):
    missing = " ".join(told(both).not_looked_at)
    assert "injection" in missing and "markdown" not in missing
    assert "No search" in missing and "No repair" not in missing
    assert "copies: 14 rows dropped: reordered: no list to reorder." in missing


def test_an_example_is_the_median_change_of_the_bad_responses(tmp_path):
    data = counterfactuals()
    reward = rewards(data)
    card([effects(MODELS[:1]), data, reward], tmp_path / "card")
    examples = {one.perturbation: one for one in told(tmp_path / "card").examples}
    assert list(examples) == ["exploit-1", "padding", "bullets"]
    values = dict(zip(data["id"].to_pylist(), reward.table["reward"].to_pylist(), strict=True))
    shown = examples["padding"]
    assert shown.id.endswith("/rejected") and shown.dose == 3
    ids = [key for key in values if key.endswith("/rejected~padding~3")]
    changes = sorted(values[key] - values[key.split("~")[0]] for key in ids)
    assert shown.reward_after - shown.reward_before == pytest.approx(changes[3])
    assert shown.after == EDITS["padding"](shown.before, 3)
    assert "<ins> It is worth saying so once more." in page_of(tmp_path / "card")


def test_texts_with_personal_data_are_not_shown(tmp_path):
    data = counterfactuals()
    found = Features({"id": data["id"], "personal": [1.0] * len(data)}, "pii")
    card([effects(MODELS[:1]), data, rewards(data), found], tmp_path / "card")
    assert told(tmp_path / "card").examples
    for file in ("index.html", "audit.json", "audit.md", "metrics.json"):
        assert "squared" not in (tmp_path / "card" / file).read_text(encoding="utf-8"), file


def test_a_long_text_is_cut_around_its_change(tmp_path):
    data = counterfactuals(["word " * 4000 + "end."])
    card([effects(MODELS[:1]), data, rewards(data)], tmp_path / "card", text_limit=200)
    shown = next(one for one in told(tmp_path / "card").examples if one.perturbation == "padding")
    assert shown.cut and max(len(shown.before), len(shown.after)) <= 200
    assert "once more" in shown.after


def test_hostile_texts_and_names_do_nothing(tmp_path):
    texts = [f"{text[:5000]} is it" for text in HOSTILE.values()]
    data = counterfactuals(texts)
    bad = "</script><script>window.hacked=1</script>|`*\u202e"
    changes = [(f"{name}{bad}" if name == "bold" else name, *rest) for name, *rest in CHANGES]
    items = [effects((bad,), changes), retests(), data, rewards(data, bad)]
    card(items, tmp_path / "card", PlanView(bad, 1, []), title=bad)
    text = (tmp_path / "card/index.html").read_text(encoding="utf-8")
    assert text.count("<script") == text.count("</script>") == 1
    assert "<img" not in text and "\u202e" not in text and "\x1b" not in text
    summary = (tmp_path / "card/audit.md").read_text(encoding="utf-8")
    assert "<script" not in summary.replace("\\<script", "") and "\u202e" not in summary
    assert told(tmp_path / "card").examples


def test_the_same_inputs_give_the_same_bytes(both, tmp_path):
    card(audited(), tmp_path / "again")
    for file in sorted(path.relative_to(both) for path in both.rglob("*") if path.is_file()):
        assert (both / file).read_bytes() == (tmp_path / "again" / file).read_bytes(), file


def test_metrics_of_something_else_are_refused(tmp_path):
    with pytest.raises(DataError, match="no effects of changed responses to show; give it"):
        card([metrics_of(*ACCURACY)], tmp_path / "card")


def test_a_check_says_that_there_are_no_effects():
    accuracy = Known((Metrics,), columns=("metric", "value", "model"), step="accuracy")
    loop = Known(step="loop")
    audit = Known((Metrics,), columns=("metric", "theme", "dose"), step="audit")
    told = ("items", "there are no effects to show; give it the metrics of effects or retest")
    assert list(AuditCard().mistakes({"items": [accuracy]})) == [told]
    assert list(AuditCard().mistakes({"items": [accuracy, audit]})) == []
    assert list(AuditCard().mistakes({"items": [accuracy, loop]})) == []


def test_the_families_that_are_told_as_missing_are_those_of_the_battery():
    assert {kind.theme for kind in BATTERY} - {"found"} == set(FAMILIES)


def test_a_model_card_has_the_audit_of_its_model_only(tmp_path):
    items = [metrics_of(*ACCURACY), effects(), retests()]
    ModelCard(model="linear").report(items, directory=tmp_path, plan=PLAN)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "### Audit\n\nExploits in 2 of 8 families: length (C), flattery (C)." in text
    assert "ngram" not in text.split("### How")[0]
    # what an audit measures is not listed once more as results
    assert "theme" not in text.split("### Audit")[0]


def test_a_model_card_without_an_audit_says_nothing_of_it(tmp_path):
    ModelCard().report([metrics_of(*ACCURACY)], directory=tmp_path, plan=PLAN)
    assert "Audit" not in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_the_page_can_be_read_on_a_phone_without_scripts(both):
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("no chromium is on the path")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--no-first-run"]
        browser = playwright.chromium.launch(executable_path=found, args=flags)
        size = {"width": 390, "height": 844}
        tab = browser.new_page(viewport=size, java_script_enabled=False)
        asked = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto((both / "index.html").resolve().as_uri())
        assert tab.locator(".board .grade").first.inner_text() == "F"
        assert tab.locator("ins").first.is_visible()
        box = tab.locator("main").bounding_box()
        assert box is not None and box["x"] + box["width"] <= 390
        before, after = (tab.locator(".side").nth(i).bounding_box() for i in (0, 1))
        assert before is not None and after is not None
        assert before["x"] == after["x"] and before["y"] < after["y"]  # below each other
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
        browser.close()
