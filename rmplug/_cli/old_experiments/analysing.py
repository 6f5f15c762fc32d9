"""The analysis of an old experiment: features, estimators, and a report with its plots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rmplug.errors import some

from .asking import column_of
from .converting import Draft
from .reading import Entry

MEASURES = {
    "question_length": "characters",
    "num_words": "words",
    "avg_word_length": "average_word_length",
}
"""Features of the original, all of the question, and the measure of `lexical`."""
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
WORDS = "words"


@dataclass
class Analysis:
    """What the analysis can name: features and estimators, by their old names."""

    features: dict[str, str] = field(default_factory=dict)
    """The step, or the column of one, of each feature."""
    estimators: dict[str, dict[str, Any]] = field(default_factory=dict)
    fits: list[str] = field(default_factory=list)
    plots: dict[str, list[str]] = field(default_factory=dict)


def convert_analysis(draft: Draft) -> None:
    old, section = draft.old, draft.old.section("analyze")
    for key in ("id", "requires"):
        if key in section:
            how = "the name of the spec" if key == "id" else "the inputs of the steps"
            old.carried(("analyze", key), how)
    found = Analysis()
    _compute(draft, found)
    for entry in old.entries(section.get("estimators"), ("analyze", "estimators")):
        _estimator(draft, found, entry)
    for entry in old.entries(section.get("predict"), ("analyze", "predict")):
        _predict(draft, found, entry)
    for entry in old.entries(section.get("plot"), ("analyze", "plot")):
        _plot(draft, found, entry)
    _report(draft, found)


def _compute(draft: Draft, found: Analysis) -> None:
    old = draft.old
    entries = list(old.entries(old.section("analyze").get("compute"), ("analyze", "compute")))
    known = [MEASURES[entry.name] for entry in entries if entry.name in MEASURES]
    if known and draft.data:
        params = {"measures": list(dict.fromkeys(known)), "sides": ["prompt", "response"]}
        comment = "Visible properties of prompt and response."
        draft.add(WORDS, comment, "lexical", inputs=draft.data, params=params)
    for entry in entries:
        if not draft.data:
            old.left(entry.path, "the file has no section data")
        elif entry.name in MEASURES:
            column = f"{WORDS}.prompt.{MEASURES[entry.name]}"
            found.features[entry.name] = column
            old.carried(entry.path, f"{column}; of the response too")
        elif entry.name == "embedding":
            found.features["embedding"] = _embedding(draft, entry)
        else:
            why = "not a feature of the original; see the feature computers of rmplug describe"
            old.left(entry.path, why)


def _embedding(draft: Draft, entry: Entry) -> str:
    fields = entry.value if isinstance(entry.value, Mapping) else {}
    encoder = str(fields.get("path", MINILM))
    local = draft.located(encoder)
    params = {"path": local} if local else {"encoder": "minilm" if encoder == MINILM else encoder}
    id = draft.add(fields.get("id", "embedding"), "Vectors of prompt and response.",
                   "sentence-embedding", inputs=draft.data, params=params)  # fmt: skip
    installed = ": the same model, installed" if encoder == MINILM and not local else ""
    how = {
        "id": f"the step {id!r}",
        "path": f"{next(iter(params))} of {id}{installed}",
        "type": "the kind sentence-embedding",
    }
    for key, value in fields.items():
        path = (*entry.inside, key)
        if key not in how or (key == "type" and value != "sentence"):
            draft.old.left(path, f"{id} makes vectors of whole texts, as its parameters say")
        else:
            draft.old.carried(path, how[key])
    return id


def _estimator(draft: Draft, found: Analysis, entry: Entry) -> None:
    old, fields = draft.old, entry.value if isinstance(entry.value, Mapping) else {}
    if not isinstance(fields.get("name"), str):
        old.left(entry.path, "an estimator needs name, a class of scikit-learn")
        return
    args = dict(fields["args"]) if isinstance(fields.get("args"), Mapping) else {}
    for key in list(args):
        path = (*entry.inside, "args", key)
        if key == "verbose":
            del args[key]
            old.left(path, "an estimator prints nothing here; progress is that of the run")
        else:
            old.carried(path, "args of the steps that use it")
    for key in fields:
        if key == "name":
            old.carried((*entry.inside, key), f"kind sklearn, name {fields['name']}")
        elif key != "args":
            old.left((*entry.inside, key), "not a part of an estimator")
    params: dict[str, Any] = {"name": fields["name"]}
    found.estimators[entry.name] = {**params, "args": args} if args else params


def _predict(draft: Draft, found: Analysis, entry: Entry) -> None:
    old, fields = draft.old, entry.value if isinstance(entry.value, Mapping) else {}
    x = fields.get("x")
    names = [str(one) for one in (x if isinstance(x, list) else [x] if x is not None else [])]
    estimator = str(fields.get("estimator"))
    unknown = [name for name in names if name not in found.features]
    column, how = column_of(draft, entry.name)
    if not column or not draft.query:
        old.left(entry.path, how if draft.query else "nothing is asked")
    elif estimator not in found.estimators:
        old.left(entry.path, f"no estimator {estimator!r} ({some(found.estimators, 8)})")
    elif unknown or not names:
        why = f"no feature {some(unknown, 4)}" if unknown else "x names no feature"
        old.left(entry.path, f"{why} ({some(found.features, 8)})")
    else:
        columns = [found.features[name] for name in names]
        steps = list(dict.fromkeys(column.partition(".")[0] for column in columns))
        params = dict(found.estimators[estimator])
        if any("." in column for column in columns):
            params["include"] = [one if "." in one else f"{one}.*" for one in columns]
        inputs = {"features": steps, "target": column}
        comment = f"How well {entry.name} is predicted, on held-out prompts."
        id = draft.add(f"{estimator}-{entry.name}", comment, "sklearn", inputs=inputs,
                       params=params)  # fmt: skip
        found.fits.append(id)
        old.carried(entry.path, f"the step {id!r}, out of fold by prompt, of {how}")
    old.settled.add(entry.inside)


def _plot(draft: Draft, found: Analysis, entry: Entry) -> None:
    old = draft.old
    column, how = column_of(draft, entry.name)
    if not column or not draft.query:
        old.left(entry.path, how if draft.query else "nothing is asked")
        old.settled.add(entry.inside)
        return
    for one in old.entries(entry.value, entry.inside):
        feature = found.features.get(one.name, "")
        if "." in feature:
            drawn = found.plots.setdefault(column, [])
            drawn += [] if feature in drawn else [feature]
            old.carried(one.path, f"plots of the report: {column} by {feature}")
        else:
            why = "a vector; plots take numbers" if feature else "no feature that is computed"
            old.left(one.path, why)


def _report(draft: Draft, found: Analysis) -> None:
    shown = [draft.data, draft.query, WORDS if WORDS in draft.steps else "", *found.fits]
    items = [one for one in shown if one]
    if items:
        params = {"plots": found.plots} if found.plots else None
        comment = "A page with all of it; every number is in its metrics.json."
        draft.add("report", comment, "html", inputs=items, params=params)
