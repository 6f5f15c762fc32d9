"""Two models of transformers: their settings and tokens that differ, and the scores of the one with
a setting of the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Any

from rmplug import RewardModel
from rmplug.arrays import Array
from rmplug_hf.loading._transformer import Transformer
from rmplug_hf.loading.loaders import HubModel

from ._asked import Asked, reward_of
from ._hypotheses import Hypothesis, asked_with

PLACES = ("path", "name", "revision", "weights", "adapter", "reference", "reference_name")
"""Parameters that say where a model is: what stands there is compared, not where."""
PERMISSIONS = ("trust_remote_code", "allow_pickle_weights", "unused_weights")
WRITTEN = ("template", "system", "turn", "roles", "max_length", "truncate")
"""Parameters that change tokens alone."""


@dataclass(frozen=True)
class TokenDifference:
    """The first token that differs in the first row that does, and how many rows do."""

    rows: int
    of: int
    id: str = ""
    place: int = 0
    tokens: tuple[str, str] = ("", "")


def step_of(model: Transformer) -> HubModel | None:
    """Return the step that loaded a model."""
    step = getattr(model, "step", None)
    return step if isinstance(step, HubModel) else None


def compare_tokens(one: Transformer, other: Transformer, asked: Asked) -> TokenDifference:
    """Compare the tokens of both models, row by row."""
    rows = [model.loaded.tokenizing.rows(asked.responses) for model in (one, other)]
    pairs = list(zip(*rows, strict=True))
    differing = [number for number, (a, b) in enumerate(pairs) if not _equal(a.ids, b.ids)]
    if not differing:
        return TokenDifference(0, len(pairs))
    first = differing[0]
    ids = [row.ids.tolist() for row in pairs[first]]
    places = enumerate(zip_longest(*ids))
    place, tokens = next((n, both) for n, both in places if both[0] != both[1])
    named = [_named(m, t) for m, t in zip((one, other), tokens, strict=True)]
    name = asked.responses.column("id")[first].as_py()
    return TokenDifference(len(differing), len(pairs), name, place, (named[0], named[1]))


def _equal(one: Array, other: Array) -> bool:
    return len(one) == len(other) and bool((one == other).all())


def _named(model: Transformer, token: int | None) -> str:
    """Return a token as its tokenizer writes it."""
    if token is None:
        return "nothing"
    return repr(str(model.loaded.tokenizer.convert_ids_to_tokens(int(token))))


def differing_settings(one: Transformer, other: Transformer) -> list[str]:
    """Return the parameters of their steps in which two models differ, beside where they are."""
    first, second = step_of(one), step_of(other)
    if first is None or second is None:
        return []
    fields = [name for name in type(first).model_fields if name in type(second).model_fields]
    return [
        name
        for name in fields
        if name not in (*PLACES, *PERMISSIONS) and getattr(first, name) != getattr(second, name)
    ]


def differing_files(one: Transformer, other: Transformer) -> list[str]:
    """Return the names of files that define the models and differ."""
    weights = [model.loaded.weights for model in (one, other)]
    first, second = ({} if each is None else each.digests() for each in weights)
    return sorted(n for n in first.keys() | second.keys() if first.get(n) != second.get(n))


def of_settings(one: Transformer, other: Transformer, asked: Asked) -> Iterator[Hypothesis]:
    """Yield, for each setting in which two models differ, the first with that of the second."""
    first, second = step_of(one), step_of(other)
    if first is None or second is None:
        return
    for name in differing_settings(one, other):
        value = getattr(second, name)
        changed = first.model_copy(update={name: value})
        shown = f"{name}: {_written(value)} instead of {_written(getattr(first, name))}"
        if name in WRITTEN:
            yield Hypothesis(shown, asked_with(one, _tokenizing(one, changed)))
        else:
            yield Hypothesis(shown, partial(scores_of_step, changed), rows=asked.rows)
    tokenizing = other.loaded.tokenizing
    if any(name in differing_files(one, other) for name in ("tokenizer.json", "chat_template.jinja",
                                                            "tokenizer_config.json")):  # fmt: skip
        yield Hypothesis("the tokenizer of the other model", asked_with(one, tokenizing))


def _tokenizing(model: Transformer, step: HubModel) -> Any:
    from rmplug_hf.loading._loading import tokenizing_of

    loaded = model.loaded
    return tokenizing_of(step, loaded.tokenizer, loaded.model, loaded.folder)


def scores_of_step(step: HubModel, asked: Asked) -> Array:
    """Return the scores of a model that is loaded now, and let go after."""
    model: RewardModel = getattr(step, step.method)()
    return reward_of(model, asked.responses)


def _written(value: Any) -> str:
    if value is None:
        return "none"
    return repr(value) if isinstance(value, str) and not value.isidentifier() else str(value)
