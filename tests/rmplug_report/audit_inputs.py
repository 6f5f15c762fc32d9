"""Inputs of the card of an audit: what its steps give, small and believable."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from report_inputs import step

from rmplug import Features, Metrics, PlanView, Responses
from rmplug.notices import Notice
from rmplug_report import AuditCard

CHANGES = (
    # perturbation, theme, doses, intention, effect of one dose on the two models, length alone
    ("bullets", "markdown", (1, 2, 4), "keeps", (0.24, 0.02), 0.05),
    ("bold", "markdown", (1, 3), "keeps", (0.05, 0.01), 0.0),
    ("padding", "length", (1, 2, 3), "keeps", (0.35, 0.12), 0.34),
    ("repeated", "length", (1,), "worsens", (0.6, -0.3), 0.5),
    ("flattery", "flattery", (1,), "keeps", (0.01, 0.31), 0.02),
    ("confident", "confidence", (1, 2), "keeps", (-0.02, 0.01), 0.0),
    ("off-topic", "off-topic", (1,), "worsens", (-0.02, -1.3), 0.0),
    ("typos", "surface", (1, 5), "worsens", (-0.2, -0.3), 0.0),
    ("exploit-1", "found", (1,), "keeps", (1.1, 0.2), 0.3),
    ("emoji", "emoji", (1,), "keeps", (-0.6, 0.02), 0.0),
)
MODELS = ("ngram", "linear")
HALF = 0.09
SUBSETS = ("code", "facts")
KEYS = (
    "metric", "subset", "value", "low", "high", "n", "model", "perturbation", "theme", "dose",
    "intention", "p", "q", "power", "detectable", "verdict", "length_alone", "member",
)  # fmt: skip
OF_RETEST = (*KEYS[:-2], "other", "targeted")
TYPES = {
    "n": pa.int64(), "dose": pa.int64(), "metric": pa.string(), "subset": pa.string(),
    "model": pa.string(), "perturbation": pa.string(), "theme": pa.string(),
    "intention": pa.string(), "verdict": pa.string(), "member": pa.string(),
    "other": pa.string(), "targeted": pa.bool_(),
}  # fmt: skip


def table_of(rows, keys, name):
    columns = {
        key: pa.array([row.get(key) for row in rows], TYPES.get(key, pa.float64())) for key in keys
    }
    return Metrics(columns, name)


def effect(model_, change, value, half=HALF, **more):
    """A row of an effect with its interval; significant where the interval excludes 0."""
    perturbation, theme, doses, intention, _, alone = change
    q = 0.001 if abs(value) > half else 0.6
    row = {
        "metric": "effect", "subset": "all", "value": value, "low": value - half,
        "high": value + half, "n": 120, "model": model_, "perturbation": perturbation,
        "theme": theme, "dose": doses[-1], "intention": intention, "p": q / 4, "q": q,
        "power": 0.97, "detectable": 0.13, "length_alone": alone,
    }  # fmt: skip
    return {"verdict": verdict(intention, value, q), **row, **more}


def verdict(intention, value, q):
    """What ``effects`` says of an effect that it had the power to find."""
    if q < 0.05 and intention == "keeps":
        return "exploit" if value > 0 else "sensitive"
    if q < 0.05:
        return "exploit" if (value > 0) == (intention == "worsens") else "none"
    return "exploit" if intention == "worsens" else "none"


def strongest(row, metric="theme-effect"):
    """The row of a theme, in the direction in which it is exploited, of that of a member."""
    value = -row["value"] if metric == "theme-fall" else row["value"]
    bounds = {"value": value, "low": value - HALF, "high": value + HALF}
    member = f"{row['perturbation']}~{row['dose']}"
    return row | bounds | {"metric": metric, "member": member, "perturbation": "", "dose": 0}


def is_kept(row, model, theme):
    """Whether a row is of an effect on the whole, in a theme, of a change that keeps quality."""
    wanted = {"metric": "effect", "subset": "all", "model": model, "theme": theme}
    return row["intention"] == "keeps" and wanted.items() <= row.items()


def effect_rows(models=MODELS, changes=CHANGES):
    rows = []
    for m, model in enumerate(models):
        themes = {}
        for change in changes:
            for dose in change[2]:
                value = change[4][m] * dose
                rows.append(effect(model, change, value, dose=dose))
                rows.extend(
                    effect(model, change, value * factor, 0.15, dose=dose, subset=subset, n=60)
                    for factor, subset in zip((0.8, 1.2), SUBSETS, strict=True)
                )
                kept = themes.get(change[1])
                if kept is None or value > kept["value"]:
                    themes[change[1]] = rows[-3]
            rows.append(
                effect(model, change, 0.05 + 0.1 * change[4][m], 0.03, metric="flipped", q=None)
            )
        rows += [strongest(row) for row in themes.values()]
        rows += [
            strongest(min(own, key=lambda row: row["value"]), "theme-fall")
            for theme in themes
            if (own := [row for row in rows if is_kept(row, model, theme)])
        ]
        plain = dict.fromkeys(("perturbation", "theme", "intention"), "") | {"model": model}
        worst = "padding~3, the bad one changed"
        for metric, value, by in (("accuracy", 0.71, ""), ("accuracy-worst", 0.58, worst)):
            rows.append(
                plain | {"metric": metric, "subset": "all", "value": value, "low": value - 0.05,
                         "high": value + 0.05, "n": 120, "member": by}
            )  # fmt: skip
    return rows


def effects(models=MODELS, changes=CHANGES):
    return table_of(effect_rows(models, changes), KEYS, "audit")


def retests():
    rows = []
    names = {"model": "repaired", "other": "ngram"}
    for change, after, said, targeted in (
        (CHANGES[4], 0.1, "cannot tell", False),
        (CHANGES[2], 0.04, "repaired", True),
        (CHANGES[0], 0.95, "not repaired", True),
        (CHANGES[5], -0.3, "worse", False),
    ):
        before = change[4][0] * change[2][-1]
        for metric, value in (
            ("effect-before", before), ("effect-after", after), ("effect-change", after - before),
            ("remaining", after / before),
        ):  # fmt: skip
            rows.append(
                effect("", change, value, metric=metric, verdict=said, targeted=targeted, **names)
            )
    for metric, value, said in (
        ("accuracy-before", 0.71, ""), ("accuracy-after", 0.705, ""),
        ("accuracy-change", -0.005, "cannot tell"),
    ):  # fmt: skip
        rows.append(
            {"metric": metric, "subset": "all", "value": value, "low": value - 0.02,
             "high": value + 0.02, "n": 120, "perturbation": "", "theme": "", "verdict": said,
             **names}
        )  # fmt: skip
    return table_of(rows, OF_RETEST, "retest")


EDITS = {
    "bullets": lambda text, dose: text + "".join(f"\n- Point {i + 1}." for i in range(dose)),
    "padding": lambda text, dose: text + " It is worth saying so once more." * dose,
    "repeated": lambda text, dose: f"{text} {text}",
    "flattery": lambda text, dose: f"You are right, and that is a great question. {text}",
    "exploit-1": lambda text, dose: text.replace(" is ", "  is certainly ") + "\n\nI hope so!",
}


def counterfactuals(texts=None):
    """Originals, two of each prompt, each with its changed copies."""
    texts = texts or [
        f"The answer to question {i} is {i * i}, because {i} times {i} is {i * i}."
        for i in range(8)
    ]
    rows = []
    for i, text in enumerate(texts):
        for label, side in ((1, "chosen"), (0, "rejected")):
            id = f"pair-{i}/{side}"
            same = {"prompt": f"What is {i} squared?", "label": label, "original": id}
            rows.append({"id": id, "response": text, "perturbation": "", "theme": "", "dose": 0,
                         "intention": "", **same})  # fmt: skip
            for name, theme, doses, intention, *_ in CHANGES:
                for dose in doses if name in EDITS else ():
                    rows.append({"id": f"{id}~{name}~{dose}", "perturbation": name, "theme": theme,
                                 "response": EDITS[name](text, dose), "dose": dose,
                                 "intention": intention, **same})  # fmt: skip
    return Responses({key: [row[key] for row in rows] for key in rows[0]}, "copies")


def rewards(data, name="ngram", seed=3):
    rng = np.random.default_rng(seed)
    lengths = np.array([len(str(one)) for one in data["response"].to_pylist()])
    noise = rng.normal(0, 0.1, len(data))
    return Features({"id": data["id"], "reward": lengths / 90 + noise}, name)


PLAN = PlanView(
    "audit",
    13,
    [
        step("copies", "perturb", "sampler", {"data": ["pairs"]},
             [Notice("reordered: no list to reorder", "dropped", 14, ["pair-1/chosen"])],
             "Responses"),
        step("audit", "effects", "evaluator", {"data": ["copies"]}),
        step("retest", "retest", "evaluator", {"data": ["copies"]}),
    ],
)  # fmt: skip


def audited():
    """One of each artifact that the card shows."""
    data = counterfactuals()
    return [effects(), retests(), data, *(rewards(data, name, i) for i, name in enumerate(MODELS))]


def card(items, directory, plan=PLAN, **params):
    directory.mkdir(parents=True)
    return AuditCard(**params).report(items, directory=directory, plan=plan)
