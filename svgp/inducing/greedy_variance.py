"""Inducing inputs at the rows that the points before them explain least."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from scipy.linalg import solve_triangular
from threadpoolctl import threadpool_limits

from svgp.inducing.random_rows import fewer_rows_note
from svgp.inducing.rows import distinct, random_subset
from svgp.kernels import host

MEMORY = 512 * 2**20  # bytes for the factor [M, L, n]; candidates are subsampled to fit
BLOCK = 64  # pivots between two passes over the factor, at most
POOL_AT_LEAST = 512  # rows among which these are sought
EXHAUSTED = 1e-6  # of the prior variance: the size of the jitter, below which a point adds nothing

Covariances = Callable[[np.ndarray, np.ndarray], np.ndarray]


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
    with threadpool_limits(
        limits=1, user_api="blas"
    ):  # threads that wait for each other cost more than they save
        pivots, left = _pivoted_cholesky(rows, min(count, len(rows)), kernel, latents)
    if len(pivots) < min(count, len(rows)):
        notes.append(
            f"greedy_variance stopped at {len(pivots)} of {count} points: at the starting lengthscales "
            f"they leave at most {left:.1e} of the prior variance anywhere; more would be redundant"
        )
    return rows[pivots], notes


def further_points(
    X: np.ndarray,
    Z: np.ndarray,
    count: int,
    kernel: Any,
    *,
    jitter: float,
    seed: int = 0,
    memory: int = MEMORY,
    least: float = EXHAUSTED,
) -> np.ndarray:
    """Rows of X `[N, D]` that the points Z `[M, D]` explain least, one by one, as `greedy_variance` does.

    Of Z `[L, M, D]`, points of L latent GPs each, those that are least explained in the mean of these.

    jitter: absolute, on the diagonal of Kuu. Where `[M + count, N]` numbers do not fit into `memory` bytes,
    the candidates are a random subset of rows. Returns `[count', D]`, fewer than `count` where less than
    `least` (1e-6 or more) of the prior variance is left everywhere. O(N (M + count)^2). Raises LinAlgError
    where Kuu has no Cholesky factor with this jitter.
    """
    latents = max(int(np.prod(_diagonal(kernel, X[:1]).shape[:-1], dtype=int)), *Z.shape[:-2], 1)
    most_rows = max(2 * count, memory // (8 * (Z.shape[-2] + count) * latents))
    rows = random_subset(X, most_rows, np.random.default_rng(seed))
    rows = rows[distinct(rows)]  # [n, D]
    with threadpool_limits(limits=1, user_api="blas"):
        pivots, _ = _pivoted_cholesky(
            rows, min(count, len(rows)), kernel, latents, _known(rows, Z, kernel, latents, jitter), least
        )
    return rows[pivots]


def with_further(Z: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The points Z `[M, D]` or `[L, M, D]`, and `places [r, D]` behind them, in each set."""
    return np.concatenate([Z, np.broadcast_to(places, (*Z.shape[:-2], *places.shape))], axis=-2)


def _known(X: np.ndarray, Z: np.ndarray, kernel: Any, latents: int, jitter: float) -> np.ndarray:
    """The factor's rows for the points there are: `L^-1 k(Z, X)`, `[L, M, n]`."""
    wide = tf.float64
    M = Z.shape[-2]
    Kuu = kernel.K(Z, dtype=wide).numpy().reshape(latents, M, M)
    Kuf = kernel.K(Z, X, dtype=wide).numpy().reshape(latents, M, len(X))
    L = np.linalg.cholesky(Kuu + jitter * np.eye(M))
    return np.stack([solve_triangular(a, b, lower=True) for a, b in zip(L, Kuf, strict=True)])


def _pivoted_cholesky(
    X: np.ndarray,
    count: int,
    kernel: Any,
    latents: int,
    known: np.ndarray | None = None,
    least: float = EXHAUSTED,
) -> tuple[list[int], float]:
    """Pivots in order until all rows have a share `least` of their variance left; and the largest share left.

    `known` `[L, M, n]`: rows of the factor for points that come before the first pivot.

    Several pivots are taken between two passes over the factor, among the rows with the largest residual
    then. Residuals only fall, so a row of this pool whose residual is at least the largest outside it, as
    it was, is the largest of all: the pivots are those of the plain algorithm.
    """
    residual = np.broadcast_to(_diagonal(kernel, X), (latents, len(X))).copy()  # [L, n]
    prior = np.maximum(residual, np.finfo(float).tiny)  # [L, n], for ratios; a linear kernel is zero at zero
    covariances = _covariances(kernel, latents, X.shape[1])
    before = 0 if known is None else known.shape[1]
    V = np.zeros((latents, before + count, len(X)))  # [L, M, n]
    if known is not None:
        V[:, :before] = known
        residual = np.maximum(residual - np.sum(known**2, axis=1), 0.0)
    pivots: list[int] = []
    while True:
        relative = (residual / prior).mean(axis=0)  # [n]
        left = float(relative.max())
        if len(pivots) == count or left <= least:
            return pivots, left
        pool, bound = _largest(relative, max(POOL_AT_LEAST, len(X) // 10))
        chosen, factor = _pivots_of_pool(
            covariances,
            X[pool],
            prior[:, pool],
            residual[:, pool],
            V[:, : before + len(pivots), pool],
            max(bound, least),
            count - len(pivots),
        )
        _extend(covariances, X, X[pool[chosen]], factor, V, before + len(pivots), residual)
        pivots += pool[chosen].tolist()
        # Rounding, or noise of their own, must not make the same rows pivots again.
        residual[:, pivots] = np.minimum(residual[:, pivots], 0.5 * EXHAUSTED * prior[:, pivots])


def _largest(relative: np.ndarray, size: int) -> tuple[np.ndarray, float]:
    """Indices of the `size` largest entries, and the largest entry that is not among them."""
    if size >= len(relative):
        return np.arange(len(relative)), -np.inf
    order = np.argpartition(-relative, size)
    return np.sort(order[:size]), float(relative[order[size]])


def _pivots_of_pool(
    covariances: Covariances,
    X: np.ndarray,
    prior: np.ndarray,
    residual: np.ndarray,
    before: np.ndarray,
    bound: float,
    most: int,
) -> tuple[list[int], np.ndarray]:
    """Pivots among the rows X `[P, D]`, and the factor at them `[L, m + b, b]`; `before` is `[L, m, P]`."""
    latents, m, rows = before.shape
    V = np.concatenate([before, np.zeros((latents, min(most, BLOCK), rows))], axis=1)  # [L, m + block, P]
    residual = residual.copy()  # [L, P]
    pivots: list[int] = []
    while m + len(pivots) < V.shape[1]:
        relative = (residual / prior).mean(axis=0)  # [P]
        pivot = int(np.argmax(relative))
        if relative[pivot] <= EXHAUSTED or (pivots and relative[pivot] < bound):
            break
        column = covariances(X[pivot : pivot + 1], X)[:, 0]  # [L, P]
        at = m + len(pivots)
        for latent in range(latents):
            left = residual[latent, pivot]
            if (
                left > EXHAUSTED * prior[latent, pivot]
            ):  # else this latent GP knows the point: another asked for it
                done = V[latent, :at]  # [at, P]
                V[latent, at] = (column[latent] - done[:, pivot] @ done) / np.sqrt(left)  # [P]
        residual = np.maximum(residual - V[:, at] ** 2, 0.0)
        pivots.append(pivot)
        residual[:, pivots] = np.minimum(residual[:, pivots], 0.5 * EXHAUSTED * prior[:, pivots])
    return pivots, V[:, : m + len(pivots), pivots]


def _extend(
    covariances: Covariances,
    X: np.ndarray,
    chosen: np.ndarray,
    factor: np.ndarray,
    V: np.ndarray,
    m: int,
    residual: np.ndarray,
) -> None:
    """Rows m ... m + b of V `[L, M, n]` for the pivots `chosen [b, D]`; lowers `residual [L, n]`."""
    b = len(chosen)
    rows = covariances(chosen, X)  # [L, b, n]
    for latent, at_pivots in enumerate(factor):
        diagonal = at_pivots[m:].T.copy()  # [b, b] lower triangular up to rounding
        known = np.diagonal(diagonal) == 0.0
        diagonal[known, known] = 1.0
        rest = rows[latent] - at_pivots[:m].T @ V[latent, :m]  # [b, n]
        rest[known] = 0.0
        V[latent, m : m + b] = solve_triangular(diagonal, rest, lower=True, check_finite=False)
        residual[latent] = np.maximum(residual[latent] - np.sum(V[latent, m : m + b] ** 2, axis=0), 0.0)


def _covariances(kernel: Any, latents: int, dimensions: int) -> Covariances:
    """`k(chosen [b, D], X [n, D])` as `[L, b, n]`; a call for each pivot, so its overhead is most of it."""
    if host.supports(kernel):  # a tenth of what a call of a graph takes
        at = host.at_points(kernel, dimensions)

        def by_numpy(chosen: np.ndarray, X: np.ndarray) -> np.ndarray:
            ours = at(chosen)  # centred there: distances from a single point lose no digits
            K = np.empty((len(X), len(chosen)))
            ours.covariance(X, K, np.empty_like(K) if ours.separate_slope else K)
            return np.broadcast_to(K.T, (latents, *K.T.shape))

        return by_numpy
    rows = tf.TensorSpec([None, dimensions], tf.float64)
    graph = tf.function(
        lambda chosen, X: kernel.K(chosen, X, dtype=tf.float64), input_signature=[rows, rows], autograph=False
    )
    return lambda chosen, X: np.broadcast_to(graph(chosen, X), (latents, len(chosen), len(X)))


def _diagonal(kernel: Any, X: np.ndarray) -> np.ndarray:
    return kernel.K_diag(X, dtype=tf.float64).numpy()  # [..., n]
