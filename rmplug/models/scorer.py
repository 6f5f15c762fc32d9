"""A reward model to call from Python or a shell: score, rank, compare."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rmplug._kinds.registry import Registry, discover
from rmplug._run.step_references import stored_result
from rmplug._store.serialize import FILES
from rmplug._store.store import MANIFEST
from rmplug._store.store_folder import open_store
from rmplug._store.user_paths import user_path
from rmplug.artifacts import Pairs, Responses, RewardModel
from rmplug.data.rows import one_batch
from rmplug.errors import DataError, RmplugError, near_names, some
from rmplug.families import ModelLoader

from .files import read_json
from .reopen import is_trained, load_model, open_folder, open_trained
from .text_generator import Prompt

if TYPE_CHECKING:
    import numpy as np

Reward: TypeAlias = "float | dict[str, float]"

MAIN = "reward"
"""The output that stands for the whole, where a model gives several."""


@dataclass(frozen=True)
class Ranked:
    """A response with its reward; rank 1 is the best, equal rewards share a rank."""

    response: str
    reward: float
    rank: int


@dataclass(frozen=True)
class Comparison:
    """Two responses to one prompt: rewards, margin (log-odds of a), and probability of a."""

    a: float
    b: float
    margin: float
    probability: float


class Scorer:
    """A loaded reward model."""

    def __init__(self, model: RewardModel) -> None:
        self.model = model.open()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {type(self.model).__name__}: {', '.join(self.outputs)}>"

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the rewards that the model computes."""
        return self.model.outputs

    def score(self, prompt: Prompt, response: str) -> Reward:
        """Return the reward of a response to a prompt, which is a text or chat messages.

        A model with several outputs gives a mapping of names to rewards.
        """
        return self.score_batch([prompt], [response])[0]

    def score_batch(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[Reward]:
        """Return the rewards of many responses, each to its prompt."""
        rows = self.matrix(prompts, responses).tolist()
        if len(self.outputs) == 1:
            return [row[0] for row in rows]
        return [dict(zip(self.outputs, row, strict=True)) for row in rows]

    def rank(self, prompt: Prompt, responses: Sequence[str]) -> list[Ranked]:
        """Rank the responses to a prompt, best first."""
        rewards = self._scalars([prompt] * len(responses), responses)
        order = sorted(range(len(responses)), key=lambda row: -rewards[row])
        return [
            Ranked(responses[row], rewards[row], 1 + sum(r > rewards[row] for r in rewards))
            for row in order
        ]

    def compare(self, prompt: Prompt, a: str, b: str) -> Comparison:
        """Compare two responses: the one that the model prefers, and with what probability. The
        margin is that of the model's own ``compare``, where it has one (one that is calibrated by
        more than a factor), else the difference of the rewards."""
        first, second = self._scalars([prompt, prompt], [a, b])
        own = self.model.compare(one_batch(as_pairs([prompt], [a], [b]).table))
        margin = first - second if own is None else float(own[0])
        return Comparison(first, second, margin, 1 / (1 + math.exp(-max(min(margin, 700), -700))))

    def _scalars(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[float]:
        if len(self.outputs) > 1 and MAIN not in self.outputs:
            raise DataError(
                f"the model gives {len(self.outputs)} rewards ({some(self.outputs)}), which cannot "
                "be ranked; use score"
            )
        column = self.outputs.index(MAIN) if MAIN in self.outputs else 0
        return [float(row[column]) for row in self.matrix(prompts, responses)]

    def matrix(
        self, prompts: Sequence[Prompt], responses: Sequence[str], missing: bool = False
    ) -> np.ndarray:
        """Return rewards of shape (rows, outputs). One that is not finite is refused; with
        ``missing``, NaN is a reward that the model does not give."""
        import numpy as np

        if len(prompts) != len(responses):
            raise DataError(f"{len(prompts)} prompts for {len(responses)} responses")
        if not len(responses):
            return np.zeros((0, len(self.outputs)))
        scores = self.model.score(one_batch(as_responses(prompts, responses).table))
        matrix = np.asarray(scores, dtype=np.float64).reshape(len(responses), len(self.outputs))
        finite = np.isfinite(matrix) | (missing & np.isnan(matrix))
        wrong = np.flatnonzero(~finite.all(axis=1))
        if len(wrong):
            raise DataError(
                f"the model gave no finite reward for {len(wrong)} of {len(responses)} responses "
                f"(numbers {some(str(row + 1) for row in wrong)})"
            )
        return matrix


def as_responses(prompts: Sequence[Prompt], responses: Sequence[str]) -> Responses:
    """Return prompts (texts or chat messages) and responses as a table."""
    import pyarrow as pa

    from rmplug.data.messages import message_type

    turns = [_turns(prompt) for prompt in prompts]
    columns = {
        "id": pa.array([str(row + 1) for row in range(len(responses))]),
        "prompt": pa.array(turns, type=message_type()),
        "response": pa.array([_text(each, "a response") for each in responses], type=pa.string()),
    }
    return Responses(pa.table(columns))


def as_pairs(prompts: Sequence[Prompt], chosen: Sequence[str], rejected: Sequence[str]) -> Pairs:
    """Return prompts (texts or chat messages) with two responses each as a table."""
    first, second = (as_responses(prompts, texts).table for texts in (chosen, rejected))
    columns = {name: first[name] for name in ("id", "prompt")}
    return Pairs({**columns, "chosen": first["response"], "rejected": second["response"]})


def _text(value: Any, what: str) -> str:
    """Return the text if it can be written as UTF-8."""
    if not isinstance(value, str):
        raise DataError(f"{what} is a text, not {value!r:.60}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{what} has half of a surrogate pair at {error.start}") from error
    return value


def _turns(prompt: Prompt) -> list[dict[str, str]]:
    if isinstance(prompt, str):
        return [{"role": "user", "content": _text(prompt, "a prompt")}]
    try:
        turns = [(turn["role"], turn["content"]) for turn in prompt]
    except (KeyError, TypeError) as error:
        raise DataError("a prompt is a text or a list of {role, content}") from error
    return [
        {"role": _text(role, "a role"), "content": _text(content, "the content of a turn")}
        for role, content in turns
    ]


def load(source: str | Path, kind: str | None = None, **params: Any) -> Scorer:
    """Load a scorer from a folder or a name: a checkpoint of a run (its folder in the store, or
    ``RUN:STEP``, or ``RUN:LOOP.STEP[ITEM]`` inside a loop, with RUN as for ``open_run``), or
    anything that an installed model loader recognises. ``kind`` names the loader, ``params`` its
    parameters; of a checkpoint, where the model it was trained on is (``path``; ``url``, of one
    that is served), how it runs, and what it may do (``trust_remote_code``)."""
    registry = discover()
    source = user_path(source) if str(source).startswith("~") else source
    if kind is not None:
        return _by_kind(registry, str(source), kind, params)
    folder = _checkpoint_folder(source)
    if folder is not None:
        return Scorer(open_trained(_kind_of(folder), folder / FILES, source, **params))
    return _recognised(registry, str(source), params)


def _checkpoint_folder(source: str | Path) -> Path | None:
    """Return the folder of a stored checkpoint, if the source is one or names one."""
    path = Path(source)
    for folder in (path, path.parent):
        if (folder / MANIFEST).is_file():
            return folder.absolute()
    name = str(source)
    is_reference = ":" in name and "://" not in name and not path.exists()
    store = open_store(None)
    return stored_result(name, store) if is_reference and store.runs.is_dir() else None


def _kind_of(folder: Path) -> str:
    """Return the kind of the step that made a stored result, wherever its folder is now."""
    kind = read_json(folder / MANIFEST).get("kind")
    if not isinstance(kind, str):
        raise DataError(f"{folder / MANIFEST} names no kind of trainer; give the folder of a model")
    return kind


def _by_kind(registry: Registry, source: str, kind: str, params: Mapping[str, Any]) -> Scorer:
    cls = registry.find(kind).cls
    if not issubclass(cls, ModelLoader):
        raise RmplugError(f"{kind!r} is a {cls.family}, not a model loader")
    accepted = cls.accepts(source)
    return _loaded(cls, {**(_located(cls, source) if accepted is None else accepted), **params})


def _located(cls: type[ModelLoader], source: str) -> Mapping[str, Any]:
    """Return the parameter that says where a source is which its loader does not recognise, but was
    named for."""
    there = Path(source).exists()
    named = [name for name in ("path", "name") if name in cls.model_fields]
    if not named:
        raise RmplugError(
            f"{cls.kind} does not recognise {source}, and has no path that it could be; give a "
            f"model of this kind, or its parameters in a spec"
        )
    return {named[0] if there else named[-1]: source}


def _recognised(registry: Registry, source: str, params: Mapping[str, Any]) -> Scorer:
    loaders = [p.cls for p in registry.all() if issubclass(p.cls, ModelLoader)]
    matches = [(cls, taken) for cls in loaders if (taken := cls.accepts(source)) is not None]
    if len(matches) == 1:
        cls, taken = matches[0]
        if set(params) - set(cls.model_fields) and is_trained(source):
            return Scorer(open_folder(Path(source), **params))
        return _loaded(cls, {**taken, **params})
    if matches:
        kinds = some(cls.kind for cls, _ in matches)
        raise RmplugError(f"{source} can be loaded by {kinds}; name one with kind")
    if not Path(source).exists():
        raise RmplugError(
            f"there is no folder {source}{near_names(Path(source))}; a model is a folder, a name "
            "on the hub (owner/model), or RUN:STEP"
        )
    raise RmplugError(
        f"{source} is no checkpoint of a run and no model that an installed kind recognises "
        f"({some(cls.kind for cls in loaders)})"
    )


def _loaded(cls: type[ModelLoader], params: Mapping[str, Any]) -> Scorer:
    return Scorer(load_model(cls, params))


def read_rows(file: str | None) -> Iterator[dict[str, Any]]:
    """Yield rows of JSON Lines from a file, or from standard input; a bad line is named."""
    if file and not Path(file).is_file():
        raise DataError(f"no such file: {file}")
    given = getattr(sys.stdin, "buffer", sys.stdin)
    with Path(file).open("rb") if file else nullcontext(given) as lines:
        for number, line in enumerate(lines, 1):
            where = f"line {number} of {file or 'standard input'}"
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{where}: no JSON: {error}") from error
            if not isinstance(row, dict):
                raise DataError(f"{where}: a row is a JSON object")
            yield row


def score_rows(scorer: Scorer, rows: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """Yield rows with ``prompt`` and ``response``, each with its ``reward``."""
    batch = list(rows)
    prompts = [_field(row, "prompt") for row in batch]
    rewards = scorer.score_batch(prompts, [_field(row, "response") for row in batch])
    return [{**row, "reward": reward} for row, reward in zip(batch, rewards, strict=True)]


def rank_rows(scorer: Scorer, rows: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """Yield rows with ``prompt`` and ``responses``, each with its ``ranking``, best first."""
    for row in rows:
        responses = _field(row, "responses")
        if not isinstance(responses, list):
            raise DataError(f"'responses' is a list of texts, not {responses!r:.60}")
        ranking = scorer.rank(_field(row, "prompt"), responses)
        yield {**row, "ranking": [vars(entry) for entry in ranking]}


def compare_rows(scorer: Scorer, rows: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """Yield rows with ``prompt``, ``a`` and ``b``, each with margin and probability that a is
    better."""
    for row in rows:
        comparison = scorer.compare(_field(row, "prompt"), _field(row, "a"), _field(row, "b"))
        yield {**row, "margin": comparison.margin, "probability": comparison.probability}


def _field(row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise DataError(f"a row needs {name!r}; it has {some(row)}")
    return row[name]
