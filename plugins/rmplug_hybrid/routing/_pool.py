"""The pool of pairs for human labels: the gain of each pair, and the reasons for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import csc_matrix, csr_matrix

from rmplug import DataError, Features, Pairs, notice
from rmplug.errors import some
from rmplug_hybrid.candidates._labels import read_sources
from rmplug_hybrid.membership._matrix import read_matrix, read_numbers
from rmplug_hybrid.performance._ensemble import FormEnsemble
from rmplug_hybrid.performance._forms import ResultForm

from ._predicted_routes import OUTCOMES


@dataclass(frozen=True)
class Pool:
    """The pairs whose labels can be bought: their features, and what they cost."""

    ids: pa.Array
    members: csr_matrix
    """Shape (pairs, features of the model)."""
    costs: np.ndarray | None
    labelled: np.ndarray
    """1 where the human has a preference, or where human labels are not given."""

    def __len__(self) -> int:
        return len(self.ids)

    def counts(self, chosen: np.ndarray) -> np.ndarray:
        """Count the chosen pairs that have each feature."""
        one = np.zeros(len(self))
        one[chosen] = 1.0
        return np.asarray(one @ self.members, dtype=np.float64)

    def labels(self, chosen: np.ndarray) -> tuple[np.ndarray, float]:
        """Count those with a human preference: the counts of features, and their number."""
        kept = chosen[self.labelled[chosen] > 0]
        return self.counts(kept), float(len(kept))


def read_pool(
    membership: Features, names: Sequence[str], human: Pairs | None, costs: Features | None
) -> Pool:
    columns, members = read_matrix(membership)
    missing = [name for name in names if name not in columns]
    if missing:
        raise DataError(
            f"the performance model has learned from {len(names)} features, and "
            f"{membership.name or 'membership'} lacks {len(missing)} of them ({some(missing)}); "
            "give the membership that the candidates were counted with"
        )
    unused = [name for name in columns if name not in set(names)]
    notice("features that the performance model does not know", unused, "dropped", "features")
    if not membership.table.num_rows:
        raise DataError("there are no pairs to choose from: membership has no rows")
    index_of = {name: index for index, name in enumerate(columns)}
    picked = csc_matrix(members)[:, [index_of[name] for name in names]]
    ids = membership.table["id"].combine_chunks()
    labelled = np.ones(len(ids))
    if human is not None:
        labelled = np.asarray(pc.is_in(ids, value_set=human.table["id"])).astype(float)
    return Pool(ids, csr_matrix(picked, dtype=np.float64), _read_costs(costs, ids), labelled)


def _read_costs(costs: Features | None, ids: pa.Array) -> np.ndarray | None:
    if costs is None:
        return None
    positions = pc.index_in(ids, value_set=costs.table["id"])
    values = read_numbers(costs.only().take(positions))
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        wrong = ids.filter(pa.array(bad)).to_pylist()
        raise DataError(
            f"a label must cost more than 0; {len(wrong)} pairs have no such cost ({some(wrong)})"
        )
    return values


def compute_gains(ensemble: FormEnsemble, form: ResultForm, pool: Pool) -> np.ndarray:
    """Predict what one more human label adds, for each pair (units of the result)."""
    return form.gains(pool.members, ensemble.counts, ensemble.sizes)


def find_main_features(ensemble: FormEnsemble, pool: Pool) -> np.ndarray:
    """Find for each pair the feature that adds most to its gain; -1 where none does."""
    _, each = ensemble.whole.slopes(ensemble.counts, ensemble.sizes)
    main = np.full(len(pool), -1, dtype=np.int64)
    columns = csc_matrix(pool.members)
    for feature in np.argsort(each, kind="stable"):
        if each[feature] > 0:
            start, stop = columns.indptr[feature : feature + 2]
            main[columns.indices[start:stop]] = feature
    return main


def find_outcomes(ids: pa.Array, human: Pairs | None, ai: Pairs | None) -> pa.Array | None:
    """Find the outcome of each pair's human label, where both labels are there."""
    if human is None or ai is None:
        return None
    sources = read_sources(ids, human, ai)
    no_human, no_ai = sources.human < 0, sources.ai < 0
    code = np.select([no_human & no_ai, no_human, no_ai, sources.agree], [4, 2, 3, 0], default=1)
    return pa.array(list(OUTCOMES), pa.string()).take(pa.array(code))
