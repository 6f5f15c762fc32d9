"""Words that the gradient of a reward with respect to the embeddings of tokens points to.

The reward after a token is exchanged is, to first order, the gradient at its place times the
embedding of the other token (HotFlip, Ebrahimi et al. 2018; GCG, Zou et al. 2023). At one place
with one word it tells little: the step from one embedding to another is long. Its mean over many
texts with words drawn at random in the place does tell.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from rmplug import DataError, Responses, notice
from rmplug.data.messages import message_type
from rmplug.data.rows import one_batch
from rmplug.models.trainable import TokenRow, TrainableModel
from rmplug_audit.perturbations.phrase import Phrase

from ._cases import Case
from ._grammar import PLACES
from ._journal import Journal
from ._racing import Race
from ._scoring import Rewards

PROMPTS, DRAWS, WORDS = 8, 2, 4
"""Prompts whose responses get words, how often at each place, and how many words at once. What
stands before the first of them decides how it is cut into tokens, so it is not looked at."""
COST = 3
"""Scorings that a gradient counts for: one forward, and two for the way back."""
MOST = 0.25
"""The most of the scorings that gradients may take."""
ANCHOR = "of"
"""A word between two of which each word of the vocabulary is looked at."""
_WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True)
class Slotted:
    """A bad response with words in it, and the tokens of those that are looked at."""

    case: Case
    text: str
    tokens: Sequence[int]
    at_end: bool


def gradient_words(race: Race, count: int, journal: Journal, random: Random) -> list[str]:
    """Return the words of the model's vocabulary that raise the reward most to first order, at
    either end of bad responses. Their gradients count as scorings."""
    scoring = race.scoring
    model = scoring.model
    if not isinstance(scoring, Rewards) or not isinstance(model, TrainableModel):
        raise DataError(
            f"gradient_words needs a model that scores each response by a network on this machine, "
            f"such as sequence-classifier; {type(model).__name__} is none, so leave it out"
        )
    cases = list(race.cases[:PROMPTS])
    cost = COST * DRAWS * len(PLACES) * len(cases)
    if cost > MOST * scoring.left:
        raise DataError(
            f"gradient_words takes {cost} scorings for gradients, more than a quarter of what is "
            f"left; give a budget of at least {scoring.spent + cost / MOST:.0f}"
        )
    scoring.charge(cost)
    vocabulary = vocabulary_of(model.tokenizer)
    if len(vocabulary) < WORDS:
        raise DataError(
            f"the vocabulary of the model has {len(vocabulary)} whole words, too few for "
            "gradient_words; leave it out"
        )
    slotted = _drawn(vocabulary, cases, random)
    told = "\0".join([f"gradient {count}", *(one.text for one in slotted)])
    key = hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    words = journal.get(key)
    if words is None:
        words = _best(model, scoring.column, slotted, vocabulary)[:count]
        journal.put(key, words)
    return list(words)


def vocabulary_of(tokenizer: Any) -> dict[int, str]:
    """Return the tokens that are a word by themselves, and stay one between two words."""
    between = [ANCHOR, f"{ANCHOR} {ANCHOR}"]
    size, alone = map(len, tokenizer(between, add_special_tokens=False)["input_ids"])
    words = {at: tokenizer.decode([at]).strip() for at in range(len(tokenizer))}
    words = {at: word for at, word in words.items() if _WORD.fullmatch(word)}
    texts = [f"{ANCHOR} {word} {ANCHOR}" for word in words.values()]
    found = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    whole = zip(words.items(), found, strict=True)
    return {at: word for (at, word), ids in whole if len(ids) == alone + 1 and ids[size] == at}


def _drawn(vocabulary: Mapping[int, str], cases: list[Case], random: Random) -> list[Slotted]:
    """Put words drawn at random before and behind the bad responses."""
    tokens, drawn = list(vocabulary), []
    for place in PLACES:
        for case in cases * DRAWS:
            chosen = random.sample(tokens, WORDS)
            phrase = Phrase(text=" ".join(vocabulary[at] for at in chosen), place=place)
            text = phrase.edit(case.row, 1, random)
            if text is not None:
                drawn.append(Slotted(case, text, chosen[1:], place == "end"))
    return drawn


def _best(
    model: TrainableModel, column: int, slotted: Sequence[Slotted], vocabulary: Mapping[int, str]
) -> list[str]:
    """Return the words, the best first to first order, each once whatever its capitals."""
    total, lost = None, []
    for one, row in zip(slotted, _rows(model, slotted), strict=True):
        places = _places(row.ids, one)
        if places is None:
            lost.append(one.case.id)
            continue
        slope = _slope(model, row, column)[places].mean(0)
        total = slope if total is None else total + slope
    notice("words that were put there are cut or become other tokens: no gradient", lost)
    if total is None:
        return []
    weights = model.network.get_input_embeddings().weight.detach()
    tokens = list(vocabulary)
    worth = weights[torch.tensor(tokens, device=weights.device)].float() @ total
    order = np.argsort(-worth.cpu().numpy(), kind="stable").tolist()
    best: dict[str, str] = {}
    for at in order:
        best.setdefault(vocabulary[tokens[at]].lower(), vocabulary[tokens[at]])
    return list(best.values())


def _rows(model: TrainableModel, slotted: Sequence[Slotted]) -> Sequence[TokenRow]:
    turns = [one.case.bad.with_text(one.text) for one in slotted]
    columns = {
        "id": pa.array([f"{at}" for at in range(len(slotted))]),
        "prompt": pa.array([one.case.prompt for one in slotted], message_type()),
        "response": pa.array(turns, message_type()),
    }
    return model.token_rows(one_batch(Responses(pa.table(columns)).table))


def _places(ids: np.ndarray, one: Slotted) -> list[int] | None:
    """Return where the tokens stand in a row, nearest to their end of it; None where they do
    not."""
    row, size = [int(each) for each in ids], len(one.tokens)
    starts = range(len(row) - size + 1)
    for start in reversed(starts) if one.at_end else starts:
        if row[start : start + size] == list(one.tokens):
            return list(range(start, start + size))
    return None


def _slope(model: TrainableModel, row: TokenRow, column: int) -> torch.Tensor:
    """Return the gradient of the reward with respect to the embeddings of a row's tokens, float32
    of shape (tokens, width)."""
    network, given = model.network, []

    def catch(_: Any, __: Any, embedded: torch.Tensor) -> torch.Tensor:
        given.append(embedded.detach().requires_grad_())
        return given[-1]

    device = next(network.parameters()).device
    ids = torch.as_tensor(np.asarray(row.ids, dtype=np.int64), device=device)[None]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if row.segments is not None:
        kinds = torch.as_tensor(np.asarray(row.segments, dtype=np.int64), device=device)
        inputs["token_type_ids"] = kinds[None]
    hook = network.get_input_embeddings().register_forward_hook(catch)
    try:
        with torch.enable_grad():
            logits = network(**inputs).logits
    finally:
        hook.remove()
    if logits.shape != (1, len(model.outputs)):
        raise DataError(
            "gradient_words needs a model with a head for rewards, and this one is a language "
            "model; leave it out"
        )
    [slope] = torch.autograd.grad(logits[0, column], given[0])
    return slope[0].float()
