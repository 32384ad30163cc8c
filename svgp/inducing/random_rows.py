"""Inducing inputs that are rows of the data, drawn at random."""

from __future__ import annotations

import numpy as np

from svgp.inducing.rows import distinct


def random_rows(X: np.ndarray, count: int, *, seed: int) -> tuple[np.ndarray, list[str]]:
    """Up to `count` distinct rows of X `[N, D]`, each row equally likely; duplicates are drawn once.

    Returns Z `[M', D]` and a note where X has fewer than `count` distinct rows.
    """
    order = np.random.default_rng(seed).permutation(len(X))  # [N]
    # Duplicates are rare: a short prefix nearly always has enough distinct rows, and costs no sort of all N.
    for prefix in (2 * count, 16 * count, len(X)):
        rows = X[order[:prefix]]
        first = distinct(rows)
        if len(first) >= count or prefix >= len(X):
            break
    Z = rows[first[:count]]  # [M', D]
    return Z, fewer_rows_note(len(Z), count, len(X))


def fewer_rows_note(found: int, count: int, rows: int) -> list[str]:
    """The sentence for `found` < `count`, else nothing."""
    if found >= count:
        return []
    return [
        f"{found} inducing points instead of {count}: "
        f"the {rows} training rows hold only {found} distinct inputs"
    ]
