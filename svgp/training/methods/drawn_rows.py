"""Which rows a method is fitted to where it is not fitted to all, and which it has never seen."""

from __future__ import annotations

import numpy as np

from svgp.budget import KEPT_MOST
from svgp.rows import ArrayRows, Rows


def subset(rows: Rows, count: int | None, seed: int) -> Rows:
    """So many of the rows at hand, drawn at random, in their order; all rows where `count` allows.

    More rows with the same seed are these and others.
    """
    if count is None or count >= rows.count:
        return rows
    X, Y = rows.sample()
    if count >= len(X):
        return ArrayRows(X, Y)
    chosen = np.sort(_shuffled(len(X), seed)[:count])
    return ArrayRows(X[chosen], Y[chosen])


def beyond(rows: Rows, count: int, seed: int) -> np.ndarray | None:
    """Numbers of rows that `subset` does not take, KEPT_MOST at most; None for none, and of a stream."""
    if not rows.in_memory or count >= rows.count:
        return None
    return np.sort(_shuffled(rows.count, seed)[count:][-KEPT_MOST:])


def _shuffled(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, 11]).permutation(rows)
