"""Rows of an input table: which are distinct, and a seeded subset when there are too many."""

from __future__ import annotations

import numpy as np


def distinct(X: np.ndarray) -> np.ndarray:
    """Indices, ascending, of the first occurrence of each distinct row of X `[N, D]`.

    -0.0 and 0.0 are the same value.
    """
    X = np.ascontiguousarray(X + 0.0)  # -0.0 + 0.0 is 0.0
    # One opaque item a row sorts many times faster than np.unique(axis=0), which compares field by field.
    items = X.view(np.dtype((np.void, X.dtype.itemsize * X.shape[1]))).ravel()  # [N]
    _, first = np.unique(items, return_index=True)
    return np.sort(first)


def random_subset(X: np.ndarray, rows: int, rng: np.random.Generator) -> np.ndarray:
    """At most `rows` rows of X `[N, D]`, drawn without replacement, in their old order."""
    if len(X) <= rows:
        return X
    return X[np.sort(rng.choice(len(X), size=rows, replace=False))]
