"""Inducing inputs at the centres of clusters of the data."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from svgp.inducing.random_rows import fewer_rows_note
from svgp.inducing.rows import distinct, random_subset

# Beyond some tens of rows a centre, more rows move the centres less than another seed would.
ROWS_AT_LEAST = 10_000
ROWS_PER_POINT = 20


def k_means(X: np.ndarray, count: int, *, seed: int) -> tuple[np.ndarray, list[str]]:
    """Centres of mini-batch k-means with a k-means++ start, in the units of X `[N, D]`.

    Large data are clustered on a random subset of max(10,000, 20 count) rows. With at most `count`
    distinct rows these are the answer.

    Returns Z `[M', D]`, M' <= `count`, and notes. Source: Arthur and Vassilvitskii (2007), Sculley (2010).
    """
    from sklearn.cluster import MiniBatchKMeans  # half a second, and not every command places points

    rng = np.random.default_rng(seed)
    rows = random_subset(X, max(ROWS_AT_LEAST, ROWS_PER_POINT * count), rng)  # [n, D]
    few = distinct(rows)
    if len(few) <= count:
        return rows[few], fewer_rows_note(len(few), count, len(X))
    notes = [] if len(rows) == len(X) else [f"k-means ran on {len(rows)} of {len(X)} rows, drawn at random"]
    batch = min(len(rows), max(1024, 4 * count))
    clustering = MiniBatchKMeans(
        n_clusters=count, init="k-means++", n_init=1, batch_size=batch, max_iter=20, random_state=seed
    )
    # One thread adds in one order, so that a seed repeats; several wait for each other on a busy machine.
    with threadpool_limits(limits=1):
        clustering.fit(rows)
    Z = np.asarray(clustering.cluster_centers_, dtype=np.float64)  # [M, D]
    Z = Z[distinct(Z)]
    if len(Z) < count:
        notes.append(f"{len(Z)} inducing points instead of {count}: other cluster centres coincide")
    return Z, notes
