"""MinHash sketches of sets of shingles, and the bands in which similar sets meet."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import rensa

from ._shingles import Grams, Hashes, Ints

PERMUTATIONS = 128
SEED = 42
"""Fixed: whether two texts are found must not depend on the run. The library's version, which might
change its hashes, is part of every result's fingerprint (``requires`` of the steps)."""
RECALL = 0.999
"""The least chance that two sets exactly as similar as the threshold meet in a band."""
MOST_COMPARED = 50
"""Of a bucket, each member is compared with this many before it: time stays linear where texts of
one template fill a bucket. Chains of similar texts stay whole."""


def bands_for(threshold: float) -> tuple[int, int]:
    """Return the number of bands and their rows: as many rows as keep ``RECALL`` at the
    threshold, so that as few unlike sets as possible meet."""
    for rows in range(PERMUTATIONS, 1, -1):
        bands = PERMUTATIONS // rows
        if 1 - (1 - threshold**rows) ** bands >= RECALL:
            return bands, rows
    return PERMUTATIONS, 1


def band_hashes(sets: Grams, threshold: float) -> Hashes:
    """Return the hash of each band of each set's sketch, shape (sets, bands). The sketch is
    RMinHash of the library rensa (Rust), from hashes that we supply."""
    bands, rows = bands_for(threshold)
    count = len(sets.ends) - 1
    if not count:
        return np.empty((0, bands), np.uint64)
    sketch = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
        sets.hashes, sets.ends.astype(np.uint64), PERMUTATIONS, SEED
    )
    digests = np.array(sketch.to_rows(), dtype=np.uint64)[:, : bands * rows]
    cut = digests.reshape(count, bands, rows)
    made = np.full((count, bands), np.uint64(SEED))
    for row in range(rows):
        made = (made ^ cut[:, :, row]) * np.uint64(0x9E3779B97F4A7C15)
        made ^= made >> np.uint64(32)
    return made


def meetings(band: Hashes) -> Iterator[tuple[Ints, Ints]]:
    """Yield the pairs of rows (earlier, later) whose hash of a band is the same, some at a time:
    each row with up to ``MOST_COMPARED`` before it."""
    order = np.argsort(band, kind="stable")
    ordered = band[order]
    for apart in range(1, MOST_COMPARED + 1):
        same = ordered[apart:] == ordered[:-apart]
        if not same.any():
            return
        yield order[:-apart][same], order[apart:][same]


def jaccard(first: Hashes, second: Hashes) -> float:
    """Return the share of two sorted sets' shingles that both have, 0 to 1; 0 where neither has
    any: nothing says that such texts are alike."""
    common = np.searchsorted(second, first)
    found = second[np.minimum(common, len(second) - 1)] == first if len(second) else first[:0] == 0
    both = int(np.count_nonzero(found))
    either = len(first) + len(second) - both
    return both / either if either else 0.0
