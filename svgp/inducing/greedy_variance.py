"""Inducing inputs at the rows that the points before them explain least."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from svgp.inducing.random_rows import fewer_rows_note
from svgp.inducing.rows import distinct, random_subset

MEMORY = 512 * 2**20  # bytes for the factor [M, L, n]; candidates are subsampled to fit
EXHAUSTED = 1e-6  # of the prior variance: the size of the jitter, below which a point adds nothing


def greedy_variance(
    X: np.ndarray, count: int, kernel: Any, *, seed: int = 0, memory: int = MEMORY
) -> tuple[np.ndarray, list[str]]:
    """Rows of X `[N, D]` taken one by one where the residual variance d_n is largest.

    This is the Cholesky factorisation of Kff with the largest remaining diagonal entry as pivot,
    stopped after `count` columns: row m of the factor is
    `v_m = (k(X, x_m) - V^T V_m) / sqrt(d_m)` and `d <- d - v_m^2`. O(N M^2) operations and
    `memory` bytes: when `[M, N]` does not fit, the candidates are a random subset of rows.
    For L latent GPs the pivot has the largest residual relative to the prior, summed over them.

    Stops early where less than 1e-6 of the prior variance is left everywhere.
    Returns Z `[M', D]` in the order taken, and notes. Source: Burt, Rasmussen and van der Wilk (2020).
    """
    latents = int(np.prod(_diagonal(kernel, X[:1]).shape[:-1], dtype=int))
    most_rows = max(2 * count, memory // (8 * count * latents))
    rows = random_subset(X, most_rows, np.random.default_rng(seed))
    notes = []
    if len(rows) < len(X):
        notes.append(
            f"greedy_variance chose among {len(rows)} of {len(X)} rows, drawn at random: "
            f"all of them would take more than {memory / 2**20:.0f} MiB"
        )
    few = distinct(rows)
    if len(few) < count:
        notes += fewer_rows_note(len(few), count, len(X))
    rows = rows[few]  # [n, D]
    pivots, left = _pivoted_cholesky(rows, min(count, len(rows)), kernel, latents)
    if len(pivots) < min(count, len(rows)):
        notes.append(
            f"greedy_variance stopped at {len(pivots)} of {count} points: at the starting lengthscales "
            f"they leave at most {left:.1e} of the prior variance anywhere; more would be redundant"
        )
    return rows[pivots], notes


def _pivoted_cholesky(X: np.ndarray, count: int, kernel: Any, latents: int) -> tuple[list[int], float]:
    """Pivots in order, and the largest share of prior variance left at any row."""
    prior = _diagonal(kernel, X).reshape(latents, len(X))  # [L, n]
    inputs = tf.constant(X, dtype=tf.float64)  # [n, D]
    share = 1.0 / np.maximum(prior, np.finfo(float).tiny)  # [L, n]
    residual = prior.copy()  # [L, n]
    V = np.empty((latents, count, len(X)))  # [L, M, n]
    pivots: list[int] = []
    while True:
        relative = (residual * share).sum(axis=0) / latents  # [n]
        pivot = int(np.argmax(relative))
        if len(pivots) == count or relative[pivot] <= EXHAUSTED:
            return pivots, float(relative[pivot])
        column = kernel.K(inputs, inputs[pivot : pivot + 1], dtype=tf.float64).numpy()
        column = column.reshape(latents, len(X))  # [L, n]
        m = len(pivots)
        for latent in range(latents):
            remaining = residual[latent, pivot]
            if remaining <= EXHAUSTED * prior[latent, pivot]:
                V[latent, m] = 0.0  # this latent GP already knows the point; another asked for it
                continue
            done = V[latent, :m]  # [m, n]
            V[latent, m] = (column[latent] - done[:, pivot] @ done) / np.sqrt(remaining)  # [n]
            residual[latent] = np.maximum(residual[latent] - V[latent, m] ** 2, 0.0)
        residual[:, pivot] = np.minimum(residual[:, pivot], EXHAUSTED * prior[:, pivot])
        pivots.append(pivot)


def _diagonal(kernel: Any, X: np.ndarray) -> np.ndarray:
    return kernel.K_diag(X, dtype=tf.float64).numpy()  # [..., n]
