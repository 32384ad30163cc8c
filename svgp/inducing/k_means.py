"""Inducing inputs at the centres of clusters of the data.

k-means++ takes each next start with a probability that grows with its squared distance from those before it;
Lloyd's steps then move each centre to the mean of the rows that are nearest to it. All work is products: a
library's k-means would be half of what a run imports, and add in an order that its threads choose.
"""

from __future__ import annotations

import numpy as np

from svgp.inducing.random_rows import fewer_rows_note
from svgp.inducing.rows import distinct, random_subset
from svgp.linalg.host.threads import single_threaded_blas

# Beyond some tens of rows a centre, more rows move the centres less than another seed would.
ROWS_AT_LEAST = 10_000
ROWS_PER_POINT = 20
MOST_STEPS = 10  # of Lloyd: the first few do nearly all
ENOUGH = 1e-3  # of the mean squared distance, that another step must gain
BLOCK = 1 << 21  # distances at once, [n, M]


def k_means(X: np.ndarray, count: int, *, seed: int) -> tuple[np.ndarray, list[str]]:
    """Centres of k-means with a k-means++ start, in the units of X `[N, D]`.

    Large data are clustered on a random subset of max(10,000, 20 count) rows. With at most `count`
    distinct rows these are the answer.

    Returns Z `[M', D]`, M' <= `count`, and notes. Source: Lloyd (1982), Arthur and Vassilvitskii (2007).
    """
    rng = np.random.default_rng(seed)
    rows = random_subset(X, max(ROWS_AT_LEAST, ROWS_PER_POINT * count), rng)  # [n, D]
    few = distinct(rows)
    if len(few) <= count:
        return rows[few], fewer_rows_note(len(few), count, len(X))
    notes = [] if len(rows) == len(X) else [f"k-means ran on {len(rows)} of {len(X)} rows, drawn at random"]
    middle = rows.mean(axis=0)  # distances by products lose digits far from the origin
    # One thread adds in one order, so that a seed repeats; several wait for each other on a busy machine.
    with single_threaded_blas():
        Z = _lloyd(rows - middle, _spread_starts(rows - middle, count, rng)) + middle  # [M, D]
    Z = Z[distinct(Z)]
    if len(Z) < count:
        notes.append(f"{len(Z)} inducing points instead of {count}: other cluster centres coincide")
    return Z, notes


def _spread_starts(X: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Rows `[M, D]` by k-means++; X `[n, D]` holds more than `count` distinct ones."""
    square = np.einsum("nd,nd->n", X, X)  # [n]
    chosen = [int(rng.integers(len(X)))]
    nearest = np.full(len(X), np.inf)  # squared distance from the chosen
    while len(chosen) < count:
        last = chosen[-1]
        np.minimum(nearest, square + square[last] - 2.0 * (X @ X[last]), out=nearest)
        nearest[last] = 0.0
        np.maximum(nearest, 0.0, out=nearest)
        total = np.cumsum(nearest)
        if total[-1] <= 0.0:  # as near as distances can tell
            break
        chosen.append(int(np.searchsorted(total, rng.uniform(0.0, total[-1]), side="right")))
    return X[chosen]


def _lloyd(X: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """Centres `[M, D]` after some steps from Z; one that no row is nearest to stays where it is."""
    square, before = np.einsum("nd,nd->", X, X), np.inf
    for _ in range(MOST_STEPS):
        nearest, away = _nearest(X, Z)
        if (distance := square + away) >= (1.0 - ENOUGH) * before:
            break
        before = distance
        count = np.bincount(nearest, minlength=len(Z))[:, None]  # [M, 1]
        sums = np.stack([np.bincount(nearest, x, len(Z)) for x in X.T], axis=1)  # [M, D]
        Z = np.where(count > 0, sums / np.maximum(count, 1), Z)
    return Z


def _nearest(X: np.ndarray, Z: np.ndarray) -> tuple[np.ndarray, float]:
    """The nearest row of Z for each of X `[n]`, and the sum of squared distances less that of squared X."""
    offset = np.einsum("md,md->m", Z, Z)  # [M]
    nearest: np.ndarray = np.empty(len(X), np.intp)
    away = 0.0
    step = max(1, BLOCK // len(Z))
    for begin in range(0, len(X), step):
        block = offset - 2.0 * (X[begin : begin + step] @ Z.T)  # [b, M]
        found = block.argmin(axis=1)
        nearest[begin : begin + step] = found
        away += float(block[np.arange(len(block)), found].sum())
    return nearest, away
