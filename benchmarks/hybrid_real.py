"""What features of real pairs can tell about which human labels a reward model needs.

Human labels are swapped into those of an AI; linear heads on MiniLM are trained on each candidate
and measured, by the human's labels, on pairs that no candidate holds. Three AIs: `judge`, a linear
head trained on helpful pairs alone that stand nowhere else; `longer`, which always prefers the
longer response; and `planted`, which is the human's label, turned round in 5 % of the helpful and
70 % of the harmless pairs: an effect that a chain ought to find if it can find any.

For each AI and each design of candidates: how far results are apart, how much of their variance is
the number of labels alone, and how much of the rest belongs to the counts of features. What does
not is measured: sets with the very same counts are drawn anew, trained and measured; no model of
counts can tell them apart, so what they leave is the most that counts can explain (R² of the rest;
for Spearman as if normal). Beside it stand what the performance model reaches held out on the same
test pairs, how its predictions order the same candidates on further pairs, and what its routes are
worth there. Intervals are 95 %: a bootstrap over candidates; on further pairs, over those.

With `--by-subset` a head has other weights for harmless than for helpful pairs: a linear head
cannot learn both where they want the opposite, and its results then do not depend on labels.

Heads are fitted by the parts of `linear-head`, many at once, with the strength that it chooses on
all human labels; the third line says how far one is from the trainer's own.

Run: python benchmarks/hybrid_real.py [--data hh_rlhf|rmb] [--by-subset] [--ai judge longer planted]
     [--train 1000] [--test 700] [--tokens 128]
It reads ../shared/data beside the checkout, or the folder in RMPLUG_SHARED_DATA. Of rmb only what
the parts need is encoded; with 64 tokens that takes about four minutes.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow.compute as pc
from hybrid_states import FINAL, Heads, Part, outcomes, parts, trained
from scipy.stats import rankdata

from rmplug import Features, Fit, Tabular
from rmplug_hf import Encoder
from rmplug_hybrid import Candidates, Membership, PerformanceModel, Route, Swap
from rmplug_text import Lexical, Rouge

HERE = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("RMPLUG_SHARED_DATA", HERE / "../shared/data"))
DESIGNS = (
    {"n": 100},
    {"n": 300},
    {"n": 300, "between": (0.4, 0.6)},
    {"n": 300, "between": (0.4, 0.6), "strength": 6.0},
)
TARGETS = ("accuracy", "log-likelihood", "accuracy in harmless")
AGAIN, REDRAWN = 2, 100
"""How often sets with the same counts are drawn anew, and for how many candidates."""
BUDGETS, DRAWS = (0.25, 0.5, 0.75), 20
RESAMPLES, FEWER = 1000, 200
"""Bootstrap resamples; where each needs ranks of all candidates, fewer."""


def ai_labels(found: dict[str, Part], l2: float) -> dict[str, np.ndarray]:
    """Where each AI agrees with the human about the pairs to train on."""
    train, judging = (replace(found[name], by_subset=False) for name in ("train", "judge"))
    judge = Heads(judging.apart, l2).weights(np.ones((1, len(judging.rows)), dtype=bool))
    wrong = np.where(train.harmless, 0.7, 0.05)
    return {
        "judge": outcomes(judge, train)["accuracy"][0] > 0.5,
        "longer": train.longer,
        "planted": np.random.default_rng(5).random(len(wrong)) >= wrong,
    }


def members_of(train: Part) -> Features:
    """What is known of a pair without any label: its subset, lengths, and how alike responses
    are, in thirds."""
    data = train.data
    words = Lexical(measures=("words",)).compute(data)
    sides = [words[f"{side}.words"].to_numpy().astype(float) for side in ("chosen", "rejected")]
    overlap = Rouge(measures=("rouge1",), between=("responses",)).compute(data)
    columns = {
        "prompt_words": words["prompt.words"].to_numpy(),
        "longer_words": np.maximum(*sides),
        "apart_words": np.abs(sides[0] - sides[1]),
        "rouge": overlap["responses.rouge1"].to_numpy(),
        "subset::is=harmless": train.harmless.astype(float),
        "subset::is=helpful": (~train.harmless).astype(float),
    }
    table = Features({"id": data["id"], **columns}, "features")
    return Features(Membership(ranks=("*",)).compute([table]).table, "membership")


@dataclass(frozen=True)
class Study:
    """One AI: where it agrees with the human, and what heads are trained and measured on."""

    found: dict[str, Part]
    members: Features
    ai: np.ndarray
    heads: Heads

    def measured(self, bought: np.ndarray, part: str) -> dict[str, np.ndarray]:
        """What heads get of each pair of a part when these labels are the human's (sets, rows)."""
        return outcomes(self.heads.weights(bought | self.ai[None]), self.found[part])


@dataclass(frozen=True)
class Trial:
    """Candidates, the pairs of each (sets, rows), what heads get of each test pair (sets, pairs),
    and the same of further pairs, and of sets drawn anew with the same counts."""

    table: Features
    size: np.ndarray
    got: dict[str, np.ndarray]
    further: dict[str, np.ndarray]
    again: list[dict[str, np.ndarray]]


def trial(design: dict[str, Any], study: Study) -> Trial:
    train = study.found["train"]
    human, other = train.data, train.labelled(study.ai)
    made = Candidates(**design).sample(study.members, human, other, seed=11)
    # Through a plain table, which keeps the texts that name items and designs.
    items = [
        Features(Tabular(made.table.slice(place, 1)).rows, "item") for place in range(len(made))
    ]
    sets = [Swap().sample(human, other, item, study.members, seed=0) for item in items]
    bought = np.array([one["is_swapped"].to_numpy() for one in sets]).astype(bool)
    rng, cells = np.random.default_rng(6), cells_of(study.members)
    again = [
        study.measured(same_counts(bought[:REDRAWN], cells, rng), "test") for _ in range(AGAIN)
    ]
    got, further = (study.measured(bought, part) for part in ("test", "final"))
    return Trial(made, bought.sum(axis=1).astype(float), got, further, again)


def same_counts(bought: np.ndarray, cells: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sets with as many pairs of each combination of features, drawn anew."""
    drawn = bought.copy()
    for cell in np.unique(cells):
        place = np.flatnonzero(cells == cell)
        drawn[:, place] = rng.permuted(bought[:, place], axis=1)
    return drawn


def cells_of(members: Features) -> np.ndarray:
    columns = np.column_stack([members[name].to_numpy().astype(bool) for name in members.values])
    return np.asarray(np.unique(columns, axis=0, return_inverse=True)[1]).ravel()


# What results are made of.


def shares(one: Trial, target: str) -> str:
    """The spread of results, and what shares of their variance belong to."""
    values = one.got[target].mean(axis=1)
    few = len(one.again[0][target])
    repeats = np.stack([values[:few], *(got[target].mean(axis=1) for got in one.again)])
    rng = np.random.default_rng(7)
    by = [
        _shares(values, one.size, repeats, rng.integers(0, len(values), len(values)), few, rng)
        for _ in range(RESAMPLES)
    ]
    whole = _shares(values, one.size, repeats, np.arange(len(values)), few)
    (size, counts), low, high = whole, *np.quantile(by, (0.025, 0.975), axis=0)
    rank = 6 / np.pi * np.arcsin(np.sqrt(max(counts, 0.0)) / 2)
    return (
        f"sd between candidates {values.std(ddof=1):.4f}; of its variance, size alone {size:.2f} "
        f"({low[0]:.2f} to {high[0]:.2f}); of the rest, counts at most {counts:.2f} ({low[1]:.2f} "
        f"to {high[1]:.2f}), Spearman at most {rank:.2f}"
    )


def _shares(
    values: np.ndarray,
    size: np.ndarray,
    repeats: np.ndarray,
    at: np.ndarray,
    few: int,
    rng: np.random.Generator | None = None,
) -> tuple[float, float]:
    rest = beyond_size(values[at], size[at]).var(ddof=1)
    some = np.arange(few) if rng is None else rng.integers(0, few, few)
    draw = repeats[:, some].var(axis=0, ddof=1).mean()
    return 1 - rest / values[at].var(ddof=1), 1 - draw / rest


def beyond_size(values: np.ndarray, size: np.ndarray) -> np.ndarray:
    """What a square of the size leaves, scaled for the two weights that it costs."""
    centred = size - size.mean()
    frame = np.column_stack([np.ones(len(size)), centred, centred**2])
    rest = values - frame @ np.linalg.lstsq(frame, values, rcond=None)[0]
    return np.asarray(rest * np.sqrt((len(size) - 1) / (len(size) - 3)))


# What the performance model makes of them.


def fitted(one: Trial, target: str, folder: Path) -> Fit:
    kept = [name for name in one.table.columns if name.startswith(("count.", "size"))]
    columns = {name: one.table[name] for name in ("id", *kept)}
    data = Features({**columns, "result": one.got[target].mean(axis=1)}, "candidates")
    return PerformanceModel(column="result").fit(data, None, seed=0, directory=folder)


def held_out(fit: Fit) -> str:
    """On the same test pairs: the model, the number of labels, and their difference; and R² of
    what the number of labels leaves."""
    found = {
        (row["metric"], row["subset"], row.get("model")): row
        for row in fit.numbers
        if row["low"] is not None
    }
    own, alone = (found["r2", "all", name]["value"] for name in ("ridge", "count-only"))
    ranks = [
        found["spearman", "all", "ridge"],
        found["spearman", "all", "count-only"],
        found["difference", "spearman", "ridge"],
    ]
    told = [f"{row['value']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f})" for row in ranks]
    return (
        f"Spearman {told[0]}, count-only {told[1]}, difference {told[2]}; R² {own:.2f}, count-only "
        f"{alone:.2f}, of the rest {(own - alone) / (1 - alone):.2f}"
    )


def elsewhere(fit: Fit, further: np.ndarray) -> str:
    """How the same predictions, held out, order the same candidates on further pairs."""
    rows, rng = fit.tables["rows"], np.random.default_rng(8)
    drawn = rng.integers(0, further.shape[1], (FEWER, further.shape[1]))
    told = []
    for name, column in (("Spearman", "prediction"), ("count-only", "count-only")):
        ranks = rankdata(rows[column].to_numpy())
        value = _correlation(ranks, further.mean(axis=1))
        draws = [_correlation(ranks, further[:, at].mean(axis=1)) for at in drawn]
        low, high = np.quantile(draws, (0.025, 0.975))
        told.append(f"{name} {value:+.2f} ({low:+.2f} to {high:+.2f})")
    return ", ".join(told)


def _correlation(ranks: np.ndarray, values: np.ndarray) -> float:
    other = rankdata(values)
    if np.ptp(ranks) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(ranks, other)[0, 1])


def worth_of_harmless(fit: Fit) -> str:
    rows = fit.tables["coefficients"].to_pylist()
    row = next(row for row in rows if row["feature"].endswith("subset::is=harmless"))
    value, low, high = (1000 * row[name] for name in ("coefficient", "low", "high"))
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f}) per 1000 labels"


def routed(fit: Fit, study: Study) -> list[str]:
    """What routes get of further pairs beyond the mean of random ones, and whom they send."""
    routes = Route(budgets=BUDGETS, draws=DRAWS).sample(study.members, fit, seed=0).table
    ids, harmless = study.members.table["id"].combine_chunks(), study.found["train"].harmless
    told = []
    for share in (f"at {100 * budget:g} %" for budget in BUDGETS):
        names = [name for name in routes["item"].unique().to_pylist() if share in name]
        names.sort(key=lambda name: not name.startswith("top-k"))
        chosen = [routes.filter(pc.equal(routes["item"], name))["id"] for name in names]
        sets = np.array([np.asarray(pc.is_in(ids, value_set=some)) for some in chosen])
        got = study.measured(sets, "final")["accuracy"]
        lead, (low, high) = _lead(got[0] - got[1:].mean(axis=0))
        told.append(
            f"top-k {share}: {got[0].mean():.4f}, random {got[1:].mean():.4f} (sd "
            f"{got[1:].mean(axis=1).std(ddof=1):.4f}), lead {lead:+.4f} ({low:+.4f} to "
            f"{high:+.4f}); harmless {harmless[sets[0]].mean():.2f} of its labels, labels that "
            f"change something {(~study.ai[sets[0]]).mean():.2f} (random {(~study.ai).mean():.2f})"
        )
    return told


def _lead(each: np.ndarray) -> tuple[float, tuple[float, float]]:
    """A mean over pairs, with its interval."""
    drawn = np.random.default_rng(4).integers(0, len(each), (RESAMPLES, len(each)))
    low, high = np.quantile(each[drawn].mean(axis=1), (0.025, 0.975))
    return float(each.mean()), (float(low), float(high))


# The report.


def ends(name: str, study: Study) -> str:
    """What all labels of either source give."""
    ai, train = study.ai, study.found["train"]
    none, every = np.zeros((1, len(ai)), dtype=bool), np.ones((1, len(ai)), dtype=bool)
    got = study.measured(np.concatenate([none, every]), "test")["accuracy"]
    apart, (low, high) = _lead(got[1] - got[0])
    return (
        f"{name}: agrees with the human in {ai[train.harmless].mean():.2f} of harmless and "
        f"{ai[~train.harmless].mean():.2f} of helpful pairs; accuracy all AI {got[0].mean():.4f}, "
        f"all human {got[1].mean():.4f}, apart {apart:+.4f} ({low:+.4f} to {high:+.4f})"
    )


def tell(study: Study) -> None:
    """All designs of one AI."""
    for design in DESIGNS:
        one = trial(design, study)
        print("  candidates: " + ", ".join(f"{key} {value}" for key, value in design.items()))
        for target in TARGETS:
            with TemporaryDirectory() as folder:
                fit = fitted(one, target, Path(folder))
                print(f"    {target}: {shares(one, target)}")
                print(f"      held out, same test pairs: {held_out(fit)}")
                print(f"      on further pairs: {elsewhere(fit, one.further[target])}")
                print(f"      worth of harmless: {worth_of_harmless(fit)}")
                if target != "accuracy in harmless":
                    print(*(f"      {line}" for line in routed(fit, study)), sep="\n", flush=True)


def run(found: dict[str, Part], encoder: Encoder, names: list[str]) -> None:
    plain = {name: replace(part, by_subset=False) for name, part in found.items()}
    every = np.ones(len(plain["train"].rows), dtype=bool)
    weight, l2 = trained(plain["train"], every, encoder)
    own = outcomes(weight[:, None], plain["test"])["log-likelihood"]
    head = Heads(plain["train"].apart, l2).weights(every[None])
    off = np.abs(own - outcomes(head, plain["test"])["log-likelihood"]).max()
    print(f"linear-head chooses l2 {l2:g}; likelihoods differ from its own by {off:.1e} at most")
    members, heads = members_of(found["train"]), Heads(found["train"].apart, l2)
    for name, ai in ai_labels(found, l2).items():
        if name in names:
            study = Study(found, members, ai, heads)
            print("\n" + ends(name, study))
            tell(study)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", choices=("hh_rlhf", "rmb"), default="hh_rlhf")
    parser.add_argument("--by-subset", action="store_true")
    parser.add_argument("--ai", nargs="+", default=["judge", "longer", "planted"])
    parser.add_argument("--train", type=int, default=1000)
    parser.add_argument("--test", type=int, default=700)
    parser.add_argument("--tokens", type=int, default=128)
    given = parser.parse_args()
    file = SHARED / given.data / "pairs.jsonl.gz"
    if not file.exists():
        sys.exit(f"{file} is not there: nothing to measure; set RMPLUG_SHARED_DATA")
    print(f"python benchmarks/hybrid_real.py {' '.join(sys.argv[1:])}")
    start = time.process_time()
    encoder = Encoder(
        name="minilm",
        template="{response}",
        device="cpu",
        max_length=given.tokens,
        batch_tokens=4096,
    )
    sizes = {"train": given.train, "test": given.test, "final": FINAL}
    found = parts(file, sizes, encoder, given.by_subset)
    held = ", ".join(f"{name} {len(part.rows)}" for name, part in found.items())
    print(f"pairs: {held}; {time.process_time() - start:.0f} s of CPU to read and encode")
    run(found, encoder, given.ai)
    print(f"{time.process_time() - start:.0f} s of CPU")


if __name__ == "__main__":
    main()
