"""Preference pairs made by a known law from a list of words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BLOCK = 1024
SENTENCES = 512
MOST_SENTENCES = 25
SUBSETS = ("advice", "facts", "planning", "writing")
OPENINGS = (
    " What a great question!",
    " You are clearly very thoughtful.",
    " Excellent point, and so well put!",
    " I love how curious you are!",
)
TEMPLATES = (
    "How do I choose a {0} {1}?",
    "What should I know about the {0} {1}?",
    "Help me plan a {0} {1}.",
    "Write a few lines about a {0} {1}.",
)


def _listed(text: str, between: str = " ") -> tuple[str, ...]:
    return tuple(text.split(between))


ADJECTIVES = _listed(
    "quiet small late bright narrow simple careful patient modern wooden northern gentle hollow "
    "steady round distant clever local plain seasonal heavy curious broken modest rapid sunny damp "
    "formal playful rusty"
)
NOUNS = _listed(
    "garden river lesson market engine letter bridge recipe village harbour forest library season "
    "journey kitchen winter meadow lantern orchard workshop ferry blanket signal museum stable "
    "notebook valley teacher machine festival"
)
VERBS = _listed(
    "follows carries changes keeps needs offers explains supports reaches measures improves "
    "protects replaces gathers repeats"
)
ADVERBS = _listed("usually slowly often rarely clearly quietly mostly sometimes")
ENDINGS = _listed(
    "in the morning,before the rain,for a while,near the old wall,without much noise,"
    "after a short rest,on most days,as everyone expects,in a dry place,at little cost",
    ",",
)


@dataclass(frozen=True)
class Effects:
    """What responses are worth, and how often a coin decides."""

    length: float
    markdown: float
    flattery: float
    interaction: float
    noise: float


@dataclass(frozen=True)
class Side:
    """One response per row of a block: its text and its worth."""

    text: pa.Array
    worth: np.ndarray


@cache
def sentences() -> tuple[pa.Array, np.ndarray]:
    """Return every sentence as it stands in a paragraph, then in a list; and its number of
    words."""
    rng = np.random.default_rng(0)
    lists = [("The",), ADJECTIVES, NOUNS, ADVERBS, VERBS, ("the",), ADJECTIVES, NOUNS]
    made = []
    for _ in range(SENTENCES):
        words = [rng.choice(words) for words in lists]
        made.append(" ".join([*words, *(rng.choice(ENDINGS) for _ in range(rng.integers(0, 2)))]))
    plain = [f" {sentence}." for sentence in made]
    listed = [f"\n- {sentence}." for sentence in made]
    counts = np.array([len(sentence.split()) for sentence in made])
    return pa.array([*plain, *listed, *OPENINGS], pa.string()), counts


def pairs(size: int, effects: Effects, seed: int) -> Iterator[pa.Table]:
    """Yield the pairs, a block at a time; a block's rows depend on the seed and its number
    alone."""
    for block in range(max(1, -(-size // BLOCK))):
        rng = np.random.default_rng(np.random.SeedSequence([seed, block]))
        yield _block(block * BLOCK, effects, rng).slice(0, size - block * BLOCK)


def _block(start: int, effects: Effects, rng: np.random.Generator) -> pa.Table:
    template, adjective, noun = (
        rng.integers(0, len(words), BLOCK) for words in (TEMPLATES, ADJECTIVES, NOUNS)
    )
    first, second = _side(effects, rng), _side(effects, rng)
    likely = 1 / (1 + np.exp(second.worth - first.worth))
    likely = (1 - effects.noise) * likely + effects.noise / 2
    takes_first = rng.random(BLOCK) < likely
    number = (template * len(ADJECTIVES) + adjective) * len(NOUNS) + noun
    return pa.table(
        {
            "id": pa.array([f"synthetic-{row}" for row in range(start, start + BLOCK)]),
            "group": pa.array([f"prompt-{prompt}" for prompt in number]),
            "prompt": _prompts().take(pa.array(number)),
            "chosen": pc.if_else(takes_first, first.text, second.text),
            "rejected": pc.if_else(takes_first, second.text, first.text),
            "subset": pa.array(SUBSETS).take(pa.array(template)),
            "probability": np.where(takes_first, likely, 1 - likely),
        }
    )


@cache
def _prompts() -> pa.Array:
    """Return every prompt: by template, adjective and noun."""
    return pa.array(
        [
            template.format(adjective, noun)
            for template in TEMPLATES
            for adjective in ADJECTIVES
            for noun in NOUNS
        ]
    )


def _side(effects: Effects, rng: np.random.Generator) -> Side:
    """Return a response for each row of a block."""
    texts, words = sentences()
    markdown = rng.random(BLOCK) < 0.4
    flattery = rng.random(BLOCK) < 0.3
    counts = np.clip(np.rint(rng.lognormal(1.5, 0.7, BLOCK)), 1, MOST_SENTENCES).astype(np.int64)
    chosen = rng.integers(0, SENTENCES, (BLOCK, MOST_SENTENCES))
    opening = 2 * SENTENCES + rng.integers(0, len(OPENINGS), BLOCK)
    used = np.arange(MOST_SENTENCES) < counts[:, None]
    z = np.log2((words[chosen] * used).sum(axis=1) / 40)
    worth = effects.length * z + effects.markdown * markdown + effects.flattery * flattery
    worth = worth + effects.interaction * z * markdown
    pieces = np.column_stack([opening, chosen + SENTENCES * markdown[:, None]])
    given = np.column_stack([flattery, used])
    offsets = np.concatenate([[0], np.cumsum(given.sum(axis=1))]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), texts.take(pa.array(pieces[given])))
    return Side(pc.utf8_ltrim_whitespace(pc.binary_join(lists, "")), worth)
