"""Inducing inputs at the centres of clusters of the data."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from svgp.inducing.random_rows import fewer_rows_note
from svgp.inducing.rows import distinct, random_subset

# Beyond some tens of rows a centre, more rows move the centres less than another seed would.
ROWS_AT_LEAST = 10_000
ROWS_PER_POINT = 20
MOST_ROUNDS, WORTH = 20, 0.01  # of moving the centres; a round must gain this share of the squared distances
BLOCK = 1 << 19  # distances held at once: they stay in the processor's cache


def k_means(X: np.ndarray, count: int, *, seed: int) -> tuple[np.ndarray, list[str]]:
    """Centres of clusters of the rows X `[N, D]`, in their units: a greedy k-means++ start, moved by Lloyd.

    Large data are clustered on a random subset of max(10,000, 20 count) rows. With at most `count`
    distinct rows these are the answer. scikit-learn has this as well, but takes longer to import than a
    table of 40,000 rows to cluster.

    Returns Z `[M', D]`, M' <= `count`, and notes. Source: Arthur and Vassilvitskii (2007), Lloyd (1982).
    """
    rng = np.random.default_rng(seed)
    rows = random_subset(X, max(ROWS_AT_LEAST, ROWS_PER_POINT * count), rng)  # [n, D]
    few = distinct(rows)
    if len(few) <= count:
        return rows[few], fewer_rows_note(len(few), count, len(X))
    notes = [] if len(rows) == len(X) else [f"k-means ran on {len(rows)} of {len(X)} rows, drawn at random"]
    middle = rows.mean(axis=0)  # distances from products lose the digits of a common offset
    centred = rows - middle
    # One thread adds in one order, so that a seed repeats; several wait for each other on a busy machine.
    with threadpool_limits(limits=1):
        Z = _moved(centred, _spread_out(centred, count, rng)) + middle  # [M, D]
    Z = Z[distinct(Z)]
    if len(Z) < count:
        notes.append(f"{len(Z)} inducing points instead of {count}: other cluster centres coincide")
    return Z, notes


def _spread_out(X: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` rows of X `[n, D]`, each drawn by its squared distance from those before, the best of a few."""
    squares, candidates = np.einsum("nd,nd->n", X, X), 2 + int(np.log(count))
    first = int(rng.integers(len(X)))
    chosen, nearest = [first], _squared_distances(X, squares, np.array([first]))[0]  # [n]
    while len(chosen) < count:
        heights = np.cumsum(nearest)
        drawn = np.searchsorted(heights, heights[-1] * rng.random(candidates), side="right")
        drawn = np.minimum(drawn, len(X) - 1)
        reached = np.minimum(_squared_distances(X, squares, drawn), nearest)  # [candidates, n]
        best = int(reached.sum(axis=1).argmin())
        chosen.append(int(drawn[best]))
        nearest = reached[best]
    return X[chosen]


def _squared_distances(X: np.ndarray, squares: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Of the `rows` of X `[n, D]` from all, `[k, n]`."""
    found = np.maximum(squares - 2.0 * (X[rows] @ X.T) + squares[rows, None], 0.0)
    found[np.arange(len(rows)), rows] = 0.0  # not rounded, or a row might be taken twice
    return found


def _moved(X: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """The centres Z `[M, D]`, again and again at the mean of the rows that are nearest to each."""
    before = np.inf
    for _ in range(MOST_ROUNDS):
        sums, sizes, spread = _nearest_sums(X, Z)
        taken = sizes > 0
        Z = np.where(taken[:, None], sums / np.maximum(sizes, 1)[:, None], Z)
        if spread > (1.0 - WORTH) * before:
            break
        before = spread
    return Z


def _nearest_sums(X: np.ndarray, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Sum `[M, D]` and number `[M]` of the rows of X nearest to each of Z; and all squared distances."""
    sums, spread = np.zeros_like(Z), 0.0
    sizes: np.ndarray = np.zeros(len(Z), np.int64)
    half = 0.5 * np.einsum("md,md->m", Z, Z)
    step = max(1, BLOCK // len(Z))
    for start in range(0, len(X), step):
        rows = X[start : start + step]
        far = half - rows @ Z.T  # [b, M], half of the squared distance less the row's own square
        nearest = far.argmin(axis=1)
        spread += 2.0 * float(far[np.arange(len(rows)), nearest].sum()) + float(np.vdot(rows, rows))
        sizes += np.bincount(nearest, minlength=len(Z))
        for column in range(X.shape[1]):
            sums[:, column] += np.bincount(nearest, rows[:, column], minlength=len(Z))
    return sums, sizes, spread
