"""Conversion of rows, one function for each published layout."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from rmplug.data.raw_texts import BadRow, Text, text_from
from rmplug.data.row_files import Row, identifier, number

Entry: TypeAlias = dict[str, Any]
"""One converted row: its texts and columns and, if its source has several, the ``suffix`` of its
id."""
Converted: TypeAlias = tuple[str, Sequence[Entry]]
"""Name of a source row, and the rows converted from it."""
PublishedRowConverter: TypeAlias = Callable[[Row], Converted]

STYLES = ("concise", "plain", "markdown")
DOMAINS = {
    "mmlu-pro": "knowledge",
    "livebench-reasoning": "reasoning",
    "livebench-math": "math",
    "livecodebench": "coding",
}
"""Prefixes of the sources of JudgeBench, and the domain of each."""
LLMBAR_PARTS = ("LLMBar", "CaseStudy", "Processed")
NUMBERED = re.compile(r"response_([1-9][0-9]{0,8})")


def rewardbench(source: Row) -> Converted:
    """Convert a pair with a subset; ids are numbers that repeat from subset to subset."""
    row = source.value
    subset = _subset(row, "subset")
    return _name(source, ("id",), subset), [
        {
            **_pair(row),
            "subset": subset,
            "chosen_model": row.get("chosen_model"),
            "rejected_model": row.get("rejected_model"),
        }
    ]


def m_rewardbench(source: Row) -> Converted:
    """Convert a pair with a subset and a language; the same pair in all languages is one group."""
    row = source.value
    name, [pair] = rewardbench(source)
    language = row.get("language") or source.file.path.parent.name
    return f"{language}:{name}", [{**pair, "language": str(language), "group": name}]


def rewardbench_2(source: Row) -> Converted:
    """Convert a choice: right responses, then wrong ones. Ids ``ref:<n>`` and ``tied:<n>`` belong
    together and are one group."""
    row = source.value
    chosen, rejected = _texts(row, "chosen"), _texts(row, "rejected")
    name, subset = _name(source, ("id",)), _subset(row, "subset")
    kind, _, ties = name.partition(":")
    asked = {"subset": subset, "kind": None, "group": None}
    if kind in ("ref", "tied") and ties:
        asked |= {"kind": kind, "group": f"ties:{ties}"}
    models = _listed(row.get("models"), len(chosen) + len(rejected))
    return name, [
        {**entry, **asked, "model": model}
        for entry, model in zip(_choice(row, "prompt", chosen, rejected), models, strict=True)
    ]


def rm_bench(source: Row) -> Converted:
    """Convert right and wrong responses, three styles of each."""
    row = source.value
    subset = _subset(row, "domain")
    prompt = text_from(_need(row, "prompt"), "prompt", "auto")
    entries = [
        {
            "suffix": f"{side}/{style}",
            "prompt": prompt,
            "response": text,
            "label": label,
            "style": style,
            "subset": subset,
        }
        for side, label in (("chosen", 1.0), ("rejected", 0.0))
        for style, text in zip(STYLES, _texts(row, side, len(STYLES)), strict=True)
    ]
    return _name(source, ("id",), subset), entries


def judgebench(source: Row) -> Converted:
    """Convert a pair given as A and B with the verdict ``A>B`` or ``B>A``, or as chosen and
    rejected."""
    row = source.value
    meta = _meta(row)
    label = str(row.get("label") or meta.get("label"))
    if label not in ("A>B", "B>A"):
        raise BadRow("label is neither 'A>B' nor 'B>A'", f"but {label!r}")
    position = int(label == "B>A")
    task = str(meta.get("source_task") or row.get("source") or "")
    pair = (
        _pair(row) if "chosen" in row else _labelled(row, "question", "response_", "AB", position)
    )
    domains = [domain for head, domain in DOMAINS.items() if task.startswith(head)]
    writer = row.get("response_model") or meta.get("response_model")
    further = {"subset": (domains or [task])[0], "source": task, "response_model": writer}
    return _name(source, ("pair_id", "id")), [{**pair, "place": position, **further}]


def llmbar(source: Row) -> Converted:
    """Convert a pair given as two outputs with the label 1 or 2, or as chosen and rejected; the
    subset is the folder of the file."""
    row = source.value
    label = _meta(row).get("label", row.get("label"))
    if str(label) not in ("1", "2"):
        raise BadRow("label is neither 1 nor 2", f"but {label!r}")
    position = int(str(label) == "2")
    if "chosen" in row:
        subset = _subset(row, "subset")
        return _name(source, ("id",)), [{**_pair(row), "place": position, "subset": subset}]
    subset = _llmbar_subset(source.file.path)
    pair = _labelled(row, "input", "output_", "12", position)
    return f"{subset}:{source.number}", [{**pair, "place": position, "subset": subset}]


def _llmbar_subset(path: Path) -> str:
    """Return ``LLMBar/Adversarial/Neighbor`` for a file in such a folder."""
    parts = path.parts[:-1]
    starts = [position for position, part in enumerate(parts) if part in LLMBAR_PARTS]
    return "/".join(parts[starts[-1] :] if starts else parts[-1:])


def rmb_pairs(source: Row) -> Converted:
    """Convert a pair with the path of its category."""
    row = source.value
    rejected = row.get("reject", row.get("rejected"))
    meta, subset = _meta(row), _category(row)
    pair = {
        "prompt": text_from(_rmb_prompt(row), "prompt", "auto"),
        "chosen": text_from(_answer(row.get("chosen")), "chosen", "auto"),
        "rejected": text_from(_answer(rejected), "reject", "auto"),
        "chosen_model": _writer(row.get("chosen")) or meta.get("model_chosen"),
        "rejected_model": _writer(rejected) or meta.get("model_rejected"),
        "subset": subset,
    }
    return _name(source, ("pair_uid", "id"), subset), [pair]


def rmb_choices(source: Row) -> Converted:
    """Convert a choice: the best response, then the others."""
    row = source.value
    best, losers = row.get("bon_best", row.get("chosen")), row.get("loser_list")
    losers = row.get("rejected") if losers is None else losers
    if not isinstance(losers, list) or not losers:
        raise BadRow("no list of losing responses", missing="loser_list")
    texts = [text_from(_answer(one), "answer", "auto") for one in (best, *losers)]
    meta = _meta(row)
    models = [meta.get("model_chosen"), *_listed(meta.get("models_rejected"), len(losers))]
    asked = {**row, "prompt": _rmb_prompt(row)}
    subset = _category(row)
    return _name(source, ("bon_uid", "id"), f"bon:{subset}"), [
        {**entry, "subset": subset, "model": _writer(one) or model}
        for entry, one, model in zip(
            _choice(asked, "prompt", texts[:1], texts[1:]), (best, *losers), models, strict=True
        )
    ]


def rewardmath(source: Row) -> Converted:
    """Convert one solution per row, of a problem with one right solution; or chosen and rejected
    lists."""
    row = source.value
    subset = row.get("subject") or _meta(row).get("subject")
    if isinstance(row.get("rejected"), list):
        chosen = row.get("chosen")
        right = _texts(row, "chosen") if isinstance(chosen, list) else [_steps(chosen)]
        asked = "problem" if "problem" in row else "prompt"
        entries = _choice(row, asked, right, _texts(row, "rejected"))
        return _name(source, ("problem_id", "id")), [{**e, "subset": subset} for e in entries]
    kind = row.get("solution_type")
    if kind not in ("chosen", "rejected"):
        raise BadRow("solution_type is neither 'chosen' nor 'rejected'", f"but {kind!r}")
    case = str(_need(row, "problem_id"))
    solution = {
        "case": case,
        "prompt": text_from(_need(row, "problem"), "problem", "auto"),
        "response": _steps(_need(row, "eval_solution")),
        "label": float(kind == "chosen"),
        "subset": subset,
        "model": row.get("solution_reference"),
    }
    return f"{case}/{row.get('id', source.number)}", [solution]


def ppe(source: Row) -> Converted:
    """Convert a question with K sampled responses, ``response_1`` and on, and the list of their
    scores."""
    row = source.value
    numbers = sorted(int(m[1]) for m in map(NUMBERED.fullmatch, row) if m)
    scores = row.get("scores")
    if not isinstance(scores, list) or len(scores) != len(numbers) or not numbers:
        raise BadRow("scores and the columns response_1, response_2, ... differ in number")
    subset = str(row.get("subset") or _ppe_subset(source.file.path))
    prompt = text_from(_need(row, "prompt"), "prompt", "auto")
    entries = [
        {
            "suffix": str(position),
            "prompt": prompt,
            "response": text_from(row[f"response_{number}"], f"response_{number}", "auto"),
            "label": _label(scores[position]),
            "place": position,
            "subset": subset,
            "model": row.get("model_name") or row.get("model"),
        }
        for position, number in enumerate(numbers)
    ]
    return _name(source, ("question_id", "id"), subset), entries


def _ppe_subset(path: Path) -> str:
    """Return ``MMLU-Pro`` for the data set ``PPE-MMLU-Pro-Best-of-K``, else the file's name."""
    parts = [part for part in path.parts if part.startswith("PPE-")]
    named = parts[-1] if parts else path.name.partition(".")[0]
    return named.removeprefix("PPE-").removesuffix("-Best-of-K")


def _need(row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise BadRow(f"no {name}", missing=name)
    if row[name] is None:
        raise BadRow(f"{name} is null")
    return row[name]


def _name(source: Row, keys: Sequence[str], scope: str = "") -> str:
    """Return the name of the row: its id; a number gets the scope it counts in before it."""
    key = next((key for key in keys if source.value.get(key) is not None), None)
    if key is None:
        return source.default_id
    value = source.value[key]
    whole = isinstance(value, float) and value.is_integer()
    name = identifier(int(value) if whole else value, key)
    return f"{scope}:{name}" if scope and name.isdigit() else name


def _meta(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the mapping of further fields that some sets have; an empty one without it."""
    meta = row.get("meta")
    return meta if isinstance(meta, dict) else {}


def _label(value: Any) -> float:
    label = float(value) if isinstance(value, bool) else number(value, "a score")
    if label is None:
        raise BadRow("a score is missing")
    return label


def _subset(row: Mapping[str, Any], name: str) -> str:
    return str(_need(row, name))


def _pair(row: Mapping[str, Any]) -> Entry:
    sides = ("prompt", "chosen", "rejected")
    return {name: text_from(_need(row, name), name, "auto") for name in sides}


def _labelled(row: Mapping[str, Any], prompt: str, prefix: str, marks: str, position: int) -> Entry:
    """Return two responses as chosen (at ``position``) and rejected."""
    texts = [text_from(_need(row, prefix + mark), prefix + mark, "auto") for mark in marks]
    asked = text_from(_need(row, prompt), prompt, "auto")
    return {"prompt": asked, "chosen": texts[position], "rejected": texts[1 - position]}


def _texts(row: Mapping[str, Any], name: str, count: int | None = None) -> list[Text]:
    values = _need(row, name)
    if not isinstance(values, list) or (count is not None and len(values) != count):
        many = "responses" if count is None else f"{count} responses"
        raise BadRow(f"{name} is no list of {many}")
    return [_steps(value) for value in values]


def _steps(value: Any) -> Text:
    """Return a response; a list of plain texts is one of steps, a line each."""
    if isinstance(value, list) and value and all(isinstance(step, str) for step in value):
        return "\n".join(value)
    return text_from(value, "response", "auto")


def _choice(
    row: Mapping[str, Any], asked: str, right: Sequence[Text], wrong: Sequence[Text]
) -> Iterator[Entry]:
    prompt = text_from(_need(row, asked), asked, "auto")
    for position, text in enumerate((*right, *wrong)):
        label = float(position < len(right))
        yield {"suffix": str(position), "prompt": prompt, "response": text, "label": label}


def _listed(value: Any, count: int) -> list[Any]:
    """Return a list of ``count`` values; of None where there is none, or another number of them."""
    return value if isinstance(value, list) and len(value) == count else [None] * count


def _rmb_prompt(row: Mapping[str, Any]) -> Any:
    turns = row.get("conversation_input", row.get("prompt"))
    if turns is None:
        raise BadRow("no conversation_input", missing="conversation_input")
    return turns


def _answer(value: Any) -> Any:
    return value.get("answer") if isinstance(value, dict) else value


def _writer(value: Any) -> Any:
    return value.get("llm_name") if isinstance(value, dict) else None


def _category(row: Mapping[str, Any]) -> str:
    """Return ``Harmlessness/S1`` for ``BoN_set/Harmlessness/S1``."""
    path = str(row.get("category_path") or _need(row, "subset"))
    return re.sub(r"^(BoN|Pairwise)_set/", "", path)
