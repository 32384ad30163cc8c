"""Inducing inputs that keep a distance from each other and leave no row far from all of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from svgp.errors import ModelError
from svgp.inducing.random_rows import fewer_rows_note
from svgp.inducing.rows import distinct, random_subset

DEFAULT_SEPARATION = 0.1  # lengthscales; neighbours still differ, and Kuu stays well-conditioned
MOST_ROWS = 200_000  # a pass over them takes some ms; a subset's cover is the data's but for outliers


def cover_tree(
    X: np.ndarray, count: int, kernel: Any = None, *, min_separation: float | None = None, seed: int = 0
) -> tuple[np.ndarray, list[str]]:
    """A net of X `[N, D]`: points at least `min_separation` lengthscales apart that cover every row.

    Points are taken farthest first (the row farthest from all taken so far is next), so that the
    first m points are, for every m, a net whose radius is at most twice the best possible one: the
    levels of a cover tree. It stops where every row lies within `min_separation` of a point, or at
    `count` points. A minimum separation bounds the condition number of Kuu. O(N M D).

    Distances are Euclidean in x_j / lengthscale_j; inputs that the kernel ignores do not count.
    `min_separation` None means 0.1. The first point is the row nearest to the mean.

    Returns Z `[M', D]` and notes with the separation and the cover radius reached. Raises ModelError
    for a separation that is not positive. Source: Gonzalez (1985); Terenin et al. (2024), section 4.
    """
    separation = DEFAULT_SEPARATION if min_separation is None else float(min_separation)
    if not np.isfinite(separation) or separation <= 0:
        raise ModelError(f"model.inducing.min_separation: must be positive, got {min_separation}")
    rows = random_subset(X, MOST_ROWS, np.random.default_rng(seed))
    rows = rows[distinct(rows)]  # [n, D]
    scaled = rows / shortest_lengthscales(kernel, X.shape[1])  # [n, D]
    taken, radius = _farthest_first(scaled, count, separation)
    notes = [] if len(rows) == len(X) else fewer_rows_note(len(rows), count, len(X))
    if len(X) > MOST_ROWS:
        notes.append(f"cover_tree looked at {MOST_ROWS} of {len(X)} rows, drawn at random")
    if len(taken) == count and radius >= separation:
        notes.append(
            f"cover_tree stopped at {count} points: rows lie up to {radius:.3g} lengthscales from the "
            f"nearest one, where min_separation {separation:g} would allow more points"
        )
    elif len(taken) < min(count, len(rows)):
        notes.append(
            f"cover_tree needs {len(taken)} of {count} points: with them every row lies within "
            f"{separation:g} lengthscales of one; a smaller min_separation gives more"
        )
    return rows[taken], notes


def shortest_lengthscales(kernel: Any, dimensions: int) -> np.ndarray:
    """`[D]` lengthscales of the kernel, the shortest among latent GPs; inf for an ignored input.

    Ones where there is no kernel, or where it depends on no input through a lengthscale.
    """
    if kernel is None:
        return np.ones(dimensions)
    lengthscales = np.asarray(kernel.input_lengthscales(dimensions), dtype=np.float64)  # [..., D]
    shortest = lengthscales.reshape(-1, dimensions).min(axis=0)  # [D]
    return shortest if np.isfinite(shortest).any() else np.ones(dimensions)


def _farthest_first(scaled: np.ndarray, count: int, separation: float) -> tuple[list[int], float]:
    """Indices in the order taken, and the largest distance of a row to its nearest point."""
    centred = scaled - scaled.mean(axis=0)  # [n, D]
    following = int(np.argmin(np.einsum("nd,nd->n", centred, centred)))
    nearest = np.full(len(scaled), np.inf)  # [n] squared distance to the nearest point
    taken: list[int] = []
    while True:
        taken.append(following)
        difference = centred - centred[following]  # [n, D]
        np.minimum(nearest, np.einsum("nd,nd->n", difference, difference), out=nearest)
        following = int(np.argmax(nearest))
        radius = float(np.sqrt(nearest[following]))
        if len(taken) == count or radius < separation:
            return taken, radius
