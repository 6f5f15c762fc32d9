"""An old experiment as a spec: model, data and query, then the analysis."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from rmplug._spec.yaml_text import KeyPath
from rmplug.errors import some

from .reading import OldFile

SECTIONS = ("model", "data", "query", "analyze")
FILES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".gz")
ROLES = {
    "question": "prompt", "prompt": "prompt", "instruction": "prompt", "answer": "response",
    "response": "response", "completion": "response", "chosen": "chosen", "rejected": "rejected",
}  # fmt: skip
"""Names that the columns of a row have in old files, and the role of each."""
SAME = "the default here too; nothing to write"
DEFAULT = (None, "default", "None")


@dataclass
class Draft:
    """A spec in the making: its steps with a comment for each."""

    old: OldFile
    folder: Path
    """The folder that the spec is written to."""
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    model: str = ""
    data: str = ""
    query: str = ""
    pairs: bool = False
    """True where a row has a chosen and a rejected response."""

    def add(self, name: Any, comment: str, kind: str, **step: Any) -> str:
        """Add a step under a name like this one; return its id."""
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", str(name)).strip("-") or kind
        plain = plain if plain[0].isalpha() else f"step-{plain}"
        id, tries = plain, 2
        while id in self.steps:
            id, tries = f"{plain}-{tries}", tries + 1
        self.steps[id] = {"kind": kind, **{key: value for key, value in step.items() if value}}
        self.comments[id] = comment
        return id

    def located(self, name: str) -> str | None:
        """Return a path as the spec names it, where it is a file or folder beside the old file."""
        if not name or name.startswith("~"):
            return name or None  # a spec reads ~ as the home folder, too
        path = self.old.source.folder / name
        if not _exists(path) and not name.startswith((".", "/", "~")) and not _is_file(name):
            return None
        return Path(os.path.relpath(path.absolute(), self.folder.absolute())).as_posix()


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a text that is no name of a file, such as one too long
        return False


def _url(text: str) -> SplitResult | None:
    """Return the parts of a URL to download from; None for any other text."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") else None


def _named(section: Mapping[str, Any]) -> str:
    """Return the path or name in a section; empty where it has none."""
    return "" if section.get("path") in DEFAULT else str(section["path"])


def _is_file(name: str) -> bool:
    return name.endswith(FILES)


def convert_model(draft: Draft) -> None:
    old, section = draft.old, draft.old.section("model")
    if not section:
        return
    params: dict[str, Any] = {}
    name = _named(section)
    local = draft.located(name)
    if name:
        params["path" if local else "name"] = local or name
    kind = _checkpoint(draft, section, params)
    _length(draft, params)
    id = section.get("id", "model")
    draft.model = draft.add(id, "The reward model.", kind, params=params)
    if "id" in section:
        old.carried(("model", "id"), f"the step {draft.model!r}")
    if name:
        old.carried(("model", "path"), f"{'path' if local else 'name'} of {draft.model}")
    how = {
        "tokenizer": "the tokenizer beside the model; put the files of another one into its folder",
        "embedding": "states are asked for by hidden-state: layers, pooling",
        "norm": "rewards are kept in the model's own unit; add score-scales and normalized for "
        "those of a reference set",
    }
    for key, words in how.items():
        if key in section:
            same = section[key] in DEFAULT
            (old.carried if same else old.left)(("model", key), SAME if same else words)


def _checkpoint(draft: Draft, section: Mapping[str, Any], params: dict[str, Any]) -> str:
    """Set where the weights are, and return the kind of loader."""
    old, entry = draft.old, ("query", "entrypoint")
    own = draft.old.section("query").get("entrypoint")
    if "entrypoint" in section:
        entry, own = ("model", "entrypoint"), section["entrypoint"]
    checkpoint = section.get("ckpt")
    has_file = checkpoint not in DEFAULT
    kind = "value-head" if has_file else "sequence-classifier"
    if own in (*DEFAULT, "RewardModel"):
        old.carried(entry, f"the kind {kind}") if own is not None else None
    else:
        old.left(entry, "a class of your own runs only where the spec allows it: kind custom with "
                 "file, class and allow_code: true")  # fmt: skip
    if not has_file:
        if "ckpt" in section:
            old.carried(("model", "ckpt"), "the weights of the model itself")
        return kind
    text = str(checkpoint)
    url = _url(text)
    if url is not None:
        file = Path(url.path).name or "weights.pt"
        params["weights"] = file
        how = f"weights of the model; nothing is fetched: download it to {file} beside the spec"
    else:
        params["weights"] = draft.located(text) or text
        how = "weights of the model"
    if str(params["weights"]).endswith((".pt", ".bin", ".pth")):
        how += "; a pickle is read by torch's reader of weights alone, and only with "
        how += "allow_pickle_weights: true, which is yours to write"
    old.carried(("model", "ckpt"), how)
    return kind


def _length(draft: Draft, params: dict[str, Any]) -> None:
    """Set how conversations become tokens, which belongs to the model here."""
    old, at = draft.old, ("query", "tokenizer")
    section = old.section(*at)
    if isinstance(section.get("max_length"), int):
        params["max_length"] = section["max_length"]
        old.carried((*at, "max_length"), "max_length of the model")
    if "truncation" in section:
        off = section["truncation"] in (False, "False", None)
        params["truncate"] = "error" if off else "right"
        how = f"truncate: {params['truncate']} of the model"
        how += ", so that no text is cut unseen" if off else "; what is cut is counted and named"
        old.carried((*at, "truncation"), how)
    if "padding" in section:
        old.left((*at, "padding"), "scores do not depend on padding here; it only costs time")
    message = old.section("query", "message")
    if isinstance(message.get("roles"), Mapping):
        params["roles"] = dict(message["roles"])
        old.carried(("query", "message", "roles"), "roles of the model")
    elif "roles" in message:
        _default(old, ("query", "message", "roles"), message["roles"], "roles: {user: Human, …}")
    unravel = message.get("unravel")
    if isinstance(unravel, str) and unravel.count("{response}") == 1:
        params["template"] = unravel
        old.carried(("query", "message", "unravel"), "template of the model")
        return
    params["template"] = "{prompt}\n\n{response}"
    if "unravel" in message:
        how = "template of the model: prompt, blank line, response; write that of its training"
        words = "template: '… {prompt} … {response}'"
        _default(old, ("query", "message", "unravel"), unravel, words, how)


def _default(old: OldFile, at: KeyPath, value: Any, instead: str, same: str = SAME) -> None:
    if value in DEFAULT:
        old.carried(at, same)
    else:
        old.left(at, f"write it as {instead} of the model")


def convert_data(draft: Draft) -> None:
    old, section = draft.old, draft.old.section("data")
    if not section:
        return
    fields, splits = _schema(draft, section)
    draft.pairs = {"chosen", "rejected"} <= set(fields)
    name = _named(section)
    local = draft.located(name)
    params: dict[str, Any]
    if local:
        kind = "pairs-file" if draft.pairs else "responses-file"
        params = {"path": local, "fields": fields}
    else:
        kind = "hub-dataset"
        rows = "pairs" if draft.pairs else "responses"
        params = {"name": name} if name else {}
        params |= {"split": splits or ["train"], "rows": rows, "fields": fields}
    n, random = _sample(draft, params)
    comment = f"The data: {'pairs' if draft.pairs else 'one response to each prompt'}."
    id = section.get("id", "data")
    draft.data = draft.add(f"{id}-all" if random else id, comment, kind, params=params)
    if random:
        all_rows, how = draft.data, "Rows drawn at random."
        draft.data = draft.add(id, how, "random", inputs=all_rows, params={"n": n})
    if "id" in section:
        old.carried(("data", "id"), f"the step {draft.data!r}")
    if name:
        old.carried(("data", "path"), f"{kind} with {'path' if local else 'name'}")


def _schema(draft: Draft, section: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Return the columns of a row by their role, and the splits that are read."""
    old = draft.old
    fields: dict[str, str] = {}
    splits = []
    for split, rows in old.section("data", "schema").items():
        splits.append(str(split))
        for entry in old.entries(rows, ("data", "schema", split)):
            columns = entry.value if isinstance(entry.value, Mapping) else {}
            for key, column in columns.items():
                role, path = ROLES.get(str(key)), (*entry.inside, key)
                if role is None and str(column) in ROLES:
                    role, column = ROLES[str(column)], key
                if role is None:
                    old.left(path, f"no role that is known ({some(ROLES, 8)}); the column is kept")
                    continue
                fields[role], more = str(column), ""
                if role == "response" and str(section.get("path", "")).endswith("nq_open"):
                    fields[role] = f"{column}.0"
                    more = ": the first, as a row of nq_open has a list of them"
                old.carried(path, f"the column of {role}{more}")
    return fields, splits


def _sample(draft: Draft, params: dict[str, Any]) -> tuple[int, bool]:
    """Set how many rows are read; return their number, and whether they are drawn at random."""
    old, sample = draft.old, draft.old.section("data", "sample")
    n, method = sample.get("n"), str(sample.get("method", "first"))
    for key in sample:
        if key not in ("n", "method"):
            old.left(("data", "sample", key), "not a way of sampling that is known here")
    if not isinstance(n, int):
        for key in ("method", "n"):
            if key in sample:
                old.left(("data", "sample", key), "no whole number n says how many; all are read")
        return 0, False
    random = method == "random"
    if not random:
        params["limit"] = n
    how = "a step random" if random else "limit: the first rows"
    old.carried(("data", "sample", "n"), f"n of a step {draft.data or 'random'}" if random else how)
    if method in ("first", "random"):
        if "method" in sample:
            old.carried(("data", "sample", "method"), how)
    else:
        old.left(("data", "sample", "method"), f"{method!r} is not known; the first rows are read")
    return n, random
