"""Routing in a world where it is known which labels are good, with real proxies.

Pairs belong to topics. A response is twelve English words; the better one has more that are of what
its topic asks for (vegetables, trains, birds), the worse one more of a subject beside it (sweets,
flights, fish): so what makes a response good can be read in a text's states, and is another
direction in each topic. The AI's labels are wrong more often in some topics, the human's in others.

Candidates choose human labels by topic; a reward model is trained on each, and measured on pairs
with the true labels. The performance model learns which topics deserve a human; routes are compared
with random ones of the same size, seed by seed. Beside that stands what the labels are really like:
the share of the variance between candidates that their true quality explains.

Reward models are of `--head`: `linear-head` (the default) on the states of MiniLM, which are asked
once per world and turned for each candidate's labels (two minutes of one core a seed); or
`ngram-head` on counts of words (20 seconds). Wrong labels cost a linear head less than they cost
the other, so that its routes lead by less, about as much as one test of 1000 pairs varies: hence
`--tests 4000`, and the mean of ten random routes beside each.

Run: python benchmarks/hybrid_truth.py [--head linear-head|ngram-head] [--seeds 10] [--first 0]
     [--pairs 800] [--candidates 150] [--tests 4000] [--draws 10]
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from safetensors.numpy import load_file

from rmplug import Features, Fit, Pairs, Selection
from rmplug_hf import Encoder, HiddenState, LinearHead
from rmplug_hybrid import AsLabelled, PerformanceModel, Route
from rmplug_tabular import NgramHead

SUBJECTS = (
    (
        "carrot lettuce tomato cucumber pepper radish onion bean pea spinach broccoli celery "
        "zucchini cabbage leek kale pumpkin turnip asparagus cauliflower",
        "biscuit candy chocolate caramel pudding cake muffin toffee marzipan icing doughnut "
        "brownie fudge syrup custard pastry waffle jelly nougat meringue",
    ),
    (
        "railway locomotive carriage platform tram conductor station wagon rails timetable "
        "commuter sleeper junction freight tunnel viaduct steam buffer signalman subway",
        "airport runway pilot cockpit jet airline boarding takeoff landing turbulence hangar "
        "propeller helicopter wings stewardess altitude parachute glider airspace aviation",
    ),
    (
        "violin cello flute oboe clarinet orchestra symphony sonata concerto quartet harp "
        "bassoon viola chamber baroque opera conservatory maestro overture trombone",
        "synthesizer amplifier loudspeaker microphone headphones sampler remix techno bass disco "
        "nightclub playlist vinyl stereo karaoke rapper hiphop mixer turntable recording",
    ),
    (
        "sparrow eagle owl robin swallow finch hawk heron crow stork falcon pigeon goose duck "
        "nest feather beak plumage nightingale woodpecker",
        "salmon trout herring shark cod tuna carp eel sardine pike mackerel perch fin gills "
        "scales aquarium plaice halibut anchovy stingray",
    ),
    (
        "heart artery pulse vein valve cardiology blood aorta circulation stroke cholesterol "
        "pacemaker ventricle heartbeat hypertension angina bypass vessel cardiac stethoscope",
        "tooth gum dentist molar enamel braces filling plaque cavity denture floss canine "
        "toothbrush orthodontist jaw incisor toothache crown saliva mouthwash",
    ),
    (
        "rain cloud storm fog thunder drizzle snow hail breeze humidity frost lightning forecast "
        "hurricane sleet temperature barometer rainbow monsoon blizzard",
        "planet galaxy comet orbit telescope asteroid nebula astronaut rocket satellite meteor "
        "moon supernova gravity cosmos eclipse constellation spacecraft crater universe",
    ),
    (
        "savings deposit interest budget account bank investment dividend pension currency bond "
        "loan mortgage credit income insurance wealth portfolio shares payment",
        "judge jury verdict lawyer courtroom trial witness defendant prosecutor appeal sentence "
        "testimony statute plaintiff evidence tribunal lawsuit attorney prison bail",
    ),
    (
        "goalkeeper football referee penalty striker midfield stadium goalpost kickoff offside "
        "dribble defender league corner header championship tackle scoreboard substitute fans",
        "swimming pool diver backstroke lifeguard snorkel crawl butterfly lane goggles surf wave "
        "beach sailing kayak rowing canoe paddle regatta waterskiing",
    ),
)
"""For each topic words of what it asks for, and of a subject beside it."""
TOPICS = len(SUBJECTS)
WORDS = 12
RATES = (0.65, 0.35)
AI_WRONG = (0.45, 0.45, 0.40, 0.35, 0.05, 0.05, 0.05, 0.05)
HUMAN_WRONG = (0.05, 0.05, 0.05, 0.05, 0.15, 0.15, 0.30, 0.40)
BUDGETS = (0.25, 0.5, 0.75)
NGRAM = NgramHead(words=(1, 1), characters=None, dimensions=2**12, l2=(0.01,), folds=2)
ENCODER = Encoder(name="minilm", template="{response}", device="cpu")
LINEAR = LinearHead(l2=(1.0, 0.3, 0.1, 0.03), folds=2)


@dataclass(frozen=True)
class World:
    """Pairs with their topic, and which labels each source gets right."""

    topics: np.ndarray
    better: list[str]
    worse: list[str]
    human_right: np.ndarray
    ai_right: np.ndarray

    @property
    def members(self) -> np.ndarray:
        return np.asarray(np.eye(TOPICS)[self.topics])

    @property
    def ids(self) -> list[str]:
        return [f"p{row}" for row in range(len(self.topics))]

    @property
    def true(self) -> Pairs:
        return self.pairs(np.ones(len(self.topics), dtype=bool))

    def pairs(self, right: np.ndarray) -> Pairs:
        """The pairs with labels that are right where this says so."""
        sides = list(zip(self.better, self.worse, right.tolist(), strict=True))
        return Pairs(
            {
                "id": self.ids,
                "group": self.ids,
                "prompt": [f"topic {topic}" for topic in self.topics],
                "chosen": [better if ok else worse for better, worse, ok in sides],
                "rejected": [worse if ok else better for better, worse, ok in sides],
            }
        )

    def right(self, chosen: np.ndarray) -> np.ndarray:
        """Which labels are right when these pairs have the human's, and all others the AI's."""
        bought = np.zeros(len(self.topics), dtype=bool)
        bought[chosen] = True
        return np.where(bought, self.human_right, self.ai_right)

    def membership(self) -> Features:
        columns = {f"topic::is={k}": self.members[:, k] for k in range(TOPICS)}
        return Features({"id": self.ids, **columns}, "membership")


def world(rows: int, seed: int) -> World:
    """Pairs of random topics, with labels of both sources."""
    rng = np.random.default_rng(seed)
    topics = rng.integers(0, TOPICS, rows)
    better, worse = ([_text(rng, topic, rate) for topic in topics] for rate in RATES)
    human, ai = (rng.random(rows) >= np.array(wrong)[topics] for wrong in (HUMAN_WRONG, AI_WRONG))
    return World(topics, better, worse, human, ai)


def _text(rng: np.random.Generator, topic: int, rate: float) -> str:
    asked, beside = (words.split() for words in SUBJECTS[topic])
    kinds = rng.random(WORDS) < rate
    return " ".join(str(rng.choice(asked if kind else beside)) for kind in kinds)


class NgramProxies:
    """Trains `ngram-head` on labels, and gives the margins of the test pairs."""

    def __init__(self, train: World, test: World) -> None:
        self.train = train
        table = test.true.table
        self.sides = [
            pa.record_batch({"prompt": table["prompt"].combine_chunks(), "response": one})
            for one in (table[side].combine_chunks() for side in ("chosen", "rejected"))
        ]

    def __call__(self, right: np.ndarray, seed: int) -> np.ndarray:
        with TemporaryDirectory() as folder:
            made = NGRAM.train(self.train.pairs(right), seed=seed, directory=Path(folder))
            model = made.open()
            return np.asarray(model.score(self.sides[0]) - model.score(self.sides[1]))


class LinearProxies:
    """Trains `linear-head` on states that were asked once, and gives the margins of test pairs."""

    def __init__(self, train: World, test: World) -> None:
        self.train, self.of, self.encoder = train, train.true, ENCODER.load()
        self.states = Features(HiddenState().query(self.encoder, self.of).table, "states")
        asked = HiddenState().query(self.encoder, test.true)
        chosen, rejected = (np.stack(asked[side].to_numpy()) for side in ("chosen", "rejected"))
        self.apart = (chosen - rejected).astype(np.float64)

    def __call__(self, right: np.ndarray, seed: int) -> np.ndarray:
        data = self.train.pairs(right)
        states = AsLabelled().compute(self.states, self.of, data)
        with TemporaryDirectory() as folder:
            LINEAR.train(self.encoder, data, states, seed=seed, directory=Path(folder))
            weight = load_file(Path(folder) / "head.safetensors")["weight"]
        return np.asarray(self.apart @ weight)


HEADS: dict[str, Callable[[World, World], Callable[[np.ndarray, int], np.ndarray]]] = {
    "linear-head": LinearProxies,
    "ngram-head": NgramProxies,
}


class Proxies:
    """Reward models trained on mixed labels, measured on pairs whose labels are all right."""

    def __init__(self, train: World, test: World, head: str) -> None:
        self.train = train
        self.margins = HEADS[head](train, test)

    def accuracy(self, chosen: np.ndarray, seed: int = 0) -> float:
        return self.accuracy_with(self.train.right(chosen), seed)

    def accuracy_with(self, right: np.ndarray, seed: int = 0) -> float:
        return float(((np.sign(self.margins(right, seed)) + 1) / 2).mean())


def candidates(train: World, number: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Sets of human labels, each topic at a rate of its own."""
    rates = rng.random((number, TOPICS))
    return [np.flatnonzero(rng.random(len(train.topics)) < rate[train.topics]) for rate in rates]


def learned(
    train: World,
    tried: list[np.ndarray],
    results: list[float],
    seed: int,
    folder: Path,
    **params: Any,
) -> Fit:
    counts = np.array([train.members[chosen].sum(axis=0) for chosen in tried])
    columns: dict[str, Any] = {f"count.topic::is={k}": counts[:, k] for k in range(TOPICS)}
    columns["size"] = counts.sum(axis=1)
    ids = [f"c{row}" for row in range(len(tried))]
    data = Features({"id": ids, **columns, "accuracy": np.array(results)}, "candidates")
    step = PerformanceModel(column="accuracy", **params)
    return step.fit(data, None, seed=seed, directory=folder)


def explained(train: World, tried: list[np.ndarray], results: list[float]) -> dict[str, float]:
    """The share of the variance between candidates that goes with what is known of their labels,
    adjusted for the number of columns: their number, how many are right in all and by topic."""
    right = np.array([train.right(chosen) for chosen in tried], dtype=float)
    sizes = np.array([len(chosen) for chosen in tried], dtype=float)
    by = {
        "number of human labels": np.column_stack([sizes, sizes**2]),
        "share of right labels": right.mean(axis=1)[:, None],
        "right labels by topic": right @ train.members,
    }
    return {name: _adjusted_r2(columns, np.array(results)) for name, columns in by.items()}


def _adjusted_r2(columns: np.ndarray, target: np.ndarray) -> float:
    frame = np.column_stack([np.ones(len(target)), columns - columns.mean(axis=0)])
    rest = target - frame @ np.linalg.lstsq(frame, target, rcond=None)[0]
    free = len(target) - frame.shape[1]
    return float(1 - (rest @ rest / free) / target.var(ddof=1))


def places(routes: Selection, item: str) -> np.ndarray:
    named = routes.table.filter(pc.equal(routes["item"], item))["id"].to_pylist()
    return np.array([int(name[1:]) for name in named], dtype=np.int64)


def one_seed(
    seed: int,
    rows: int,
    number: int,
    head: str = "ngram-head",
    tests: int = 1000,
    draws: int = 3,
    **params: Any,
) -> dict[str, Any]:
    """What routes and random ones reach, and how well the performance model orders candidates."""
    train, test = world(rows, seed), world(tests, seed + 10_000)
    proxies, rng = Proxies(train, test, head), np.random.default_rng([seed, 1])
    tried = candidates(train, number, rng)
    results = [proxies.accuracy(chosen) for chosen in tried]
    with TemporaryDirectory() as folder:
        fit = learned(train, tried, results, seed, Path(folder), **params)
        routes = Route(budgets=BUDGETS, draws=draws).sample(train.membership(), fit, seed=seed)
    found: dict[str, Any] = {
        "fit": fit,
        "spread": float(np.std(results, ddof=1)),
        "explained": explained(train, tried, results),
    }
    for budget in BUDGETS:
        share = f"{100 * budget:g} %"
        found[f"top-k {share}"] = proxies.accuracy(places(routes, f"top-k at {share}"))
        found[f"random {share}"] = [
            proxies.accuracy(places(routes, f"random at {share}{mark}"))
            for mark in ("", *(f" ({draw})" for draw in range(2, draws + 1)))
        ]
    found["all human"] = proxies.accuracy(np.arange(rows))
    found["all AI"] = proxies.accuracy(np.empty(0, dtype=np.int64))
    found["all true"] = proxies.accuracy_with(np.ones(rows, dtype=bool))
    return found


def number_of(fit: Fit, metric: str, model: str) -> tuple[float, float, float]:
    row = next(
        n
        for n in fit.numbers
        if (n["metric"], n["subset"], n.get("model")) == (metric, "all", model)
    )
    return row["value"], row["low"], row["high"]


def spearman(fit: Fit, model: str) -> tuple[float, float, float]:
    return number_of(fit, "spearman", model)


def told(seed: int, found: dict[str, Any]) -> str:
    """What one seed gave."""
    own, alone = (spearman(found["fit"], name) for name in ("ridge", "count-only"))
    routes = [
        f"{share} {found[f'top-k {share}']:.4f} / {np.mean(found[f'random {share}']):.4f}"
        for share in (f"{100 * budget:g} %" for budget in BUDGETS)
    ]
    ends = [f"{name} {found[name]:.3f}" for name in ("all AI", "all human", "all true")]
    shares = ", ".join(f"{name} {share:.2f}" for name, share in found["explained"].items())
    r2 = number_of(found["fit"], "r2", "ridge")[0]
    return (
        f"seed {seed}: top-k / random: {', '.join(routes)}; {', '.join(ends)}; held-out Spearman "
        f"{own[0]:.2f} ({own[1]:.2f} to {own[2]:.2f}), count-only {alone[0]:.2f} ({alone[1]:.2f} "
        f"to {alone[2]:.2f}); sd between candidates {found['spread']:.4f}, of its variance: "
        f"{shares}, held out by the performance model {r2:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--head", choices=sorted(HEADS), default="linear-head")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--pairs", type=int, default=800)
    parser.add_argument("--candidates", type=int, default=150)
    parser.add_argument("--tests", type=int, default=4000)
    parser.add_argument("--draws", type=int, default=10)
    given = parser.parse_args()
    print(
        f"python benchmarks/hybrid_truth.py --head {given.head} --seeds {given.seeds} "
        f"--first {given.first} --pairs {given.pairs} --candidates {given.candidates} "
        f"--tests {given.tests} --draws {given.draws}",
        flush=True,
    )
    start = time.process_time()
    every = []
    for seed in range(given.first, given.first + given.seeds):
        every.append(
            one_seed(seed, given.pairs, given.candidates, given.head, given.tests, given.draws)
        )
        print(told(seed, every[-1]), flush=True)
    summary(every)
    print(f"{time.process_time() - start:.0f} s of CPU")


def summary(every: list[dict[str, Any]]) -> None:
    """In how many seeds routes beat random ones, by how much, and how often Spearman's intervals
    are apart."""
    for share in (f"{100 * budget:g} %" for budget in BUDGETS):
        lead = np.array([f[f"top-k {share}"] - np.mean(f[f"random {share}"]) for f in every])
        error = lead.std(ddof=1) / np.sqrt(len(lead)) if len(lead) > 1 else np.nan
        print(
            f"top-k at {share} beats the mean of random routes in {(lead > 0).sum()} of "
            f"{len(every)} seeds, by {lead.mean():+.4f} (standard error {error:.4f})"
        )
    clear = sum(spearman(f["fit"], "ridge")[1] > spearman(f["fit"], "count-only")[2] for f in every)
    print(f"Spearman intervals of model and count-only do not overlap in {clear} of {len(every)}")


if __name__ == "__main__":
    main()
