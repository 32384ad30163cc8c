"""Conditioning the residual process of a row on its neighbours: forward, and the adjoint by hand.

What inducing points leave unexplained, `h = f - g`, is a Gaussian process with covariance
`R(x, x') = k(x, x') - a(x)^T a(x')`, `a(x) = L^-1 k(Z, x)`, `L L^T = Kuu` (Sang & Huang 2012; Katzfuss 2021).
Row i sees it in its m neighbours n through noise of variance lam:

    C = R[n, n] + diag(lam_n)     b = C^-1 R[n, i]     D = R[i, i] + lam_i - R[i, n] b
    at = a_i - sum_j b_j a_nj     yt = y_i - sum_j b_j y_nj

y given u is N(yt | at^T v, D) row by row. With `bt = [-b; 1]` over the set [n; i] all of it is linear in
bt: `at = bt^T A`, `yt = bt^T y`. Backward, from adjoints of at, yt and D:

    b_bar = -A_n at_bar - y_n yt_bar     q = C^-1 b_bar     u = D_bar bt + [q; 0]     ut = u^T A
    R_bar = (u bt^T + bt u^T) / 2, over the set, which is the kernel's adjoint there;   lam_bar = u o bt
    A_bar = bt (at_bar - ut)^T - u at^T,  rows of the set                              y_bar = bt yt_bar

A neighbour that does not exist (NONE) takes the place of a row of its own: C has 1 on its diagonal there and
zeros beside it, so that its b, and everything that follows, is zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse

from svgp.errors import NumericalError
from svgp.models.neighbours.search import NONE

GATHER = 1 << 18  # numbers of A gathered at a time, 2 MiB: what follows should find them in the cache
JITTERS = (0.0, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4)  # of the mean diagonal of R[n, n], where C is not definite

# Points of sets `[C, s, D]` -> their covariances `[C, s, s]`, and what the adjoint wants to have back.
SetCovariance = Callable[[np.ndarray], tuple[np.ndarray, object]]


@dataclass
class Conditional:
    """Of C rows given m neighbours each; `sets` are the pool's rows [n; i], with i where there is none."""

    sets: np.ndarray  # [C, m + 1] int
    present: np.ndarray  # [C, m] bool
    C: np.ndarray  # [C, m, m] jitter included
    b: np.ndarray  # [C, m]
    D: np.ndarray  # [C] the variance of y given u and the neighbours' y, lam_i included
    jitter: float = 0.0  # the largest that was needed, absolute


def index_sets(rows: np.ndarray, neighbours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sets `[C, m + 1]` of rows `[C]` and their neighbours `[C, m]`, and which neighbours exist."""
    present = neighbours != NONE
    return np.column_stack([np.where(present, neighbours, rows[:, None]), rows]), present


def grams(A: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """`A_s A_s^T` `[C, s, s]` for the rows of A `[U, M]` in each set `[C, s]`: s^2 M operations a set."""
    count, size = sets.shape
    G = np.empty((count, size, size))
    step = max(1, GATHER // max(1, size * A.shape[1]))
    held = np.empty((min(step, count), size, A.shape[1]))
    for start in range(0, count, step):
        part = sets[start : start + step]
        rows = held[: len(part)]
        np.take(A, part, axis=0, out=rows, mode="clip")
        np.matmul(rows, rows.transpose(0, 2, 1), out=G[start : start + step])
    return G


def dots(A: np.ndarray, sets: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """`A_s v` `[C, s]` for the rows of A `[U, M]` in each set `[C, s]` and a vector `[C, M]` for each."""
    count, size = sets.shape
    found = np.empty((count, size))
    step = max(1, GATHER // max(1, size * A.shape[1]))
    held = np.empty((min(step, count), size, A.shape[1]))
    for start in range(0, count, step):
        part = sets[start : start + step]
        rows = held[: len(part)]
        np.take(A, part, axis=0, out=rows, mode="clip")
        found[start : start + step] = np.matmul(rows, vectors[start : start + step, :, None])[..., 0]
    return found


def condition(
    A: np.ndarray, sets: np.ndarray, present: np.ndarray, K: np.ndarray, lam: np.ndarray
) -> Conditional:
    """b and D of C rows, from `A [U, M]` of the pool, `K [C, m + 1, m + 1]` and `lam [C, m + 1]` of the sets.

    Where C is singular (duplicate rows of no noise) its diagonal gets more until it is not. Raises
    NumericalError where that does not help, or a number is not finite.
    """
    R = K - grams(A, sets)  # [C, m + 1, m + 1]
    C, r = R[:, :-1, :-1], np.where(present, R[:, :-1, -1], 0.0)
    C = np.where(present[:, :, None] & present[:, None, :], C, 0.0)
    diagonal = np.einsum("cii->ci", C)
    diagonal += np.where(present, lam[:, :-1], 1.0)
    if not np.all(np.isfinite(C)):
        raise NumericalError("the covariance of neighbours is not finite: look at the lengthscales and at Z")
    prior = np.einsum("cii->ci", K).mean() if len(K) else 1.0
    jitter = make_definite(C, float(prior))
    b = np.linalg.solve(C, r[..., None])[..., 0] if r.size else r  # [C, m]
    # R[i, i] is not negative but for rounding.
    own = np.maximum(R[:, -1, -1], 0.0)
    D = own + lam[:, -1] - np.einsum("cm,cm->c", r, b)  # [C]
    smallest = np.maximum(lam[:, -1], float(np.finfo(np.float64).eps) * prior)
    return Conditional(sets, present, C, b, np.maximum(D, smallest), jitter)


def make_definite(C: np.ndarray, prior: float) -> float:
    """Add to the diagonals of those of `C [C, m, m]` that have no Cholesky factor; returns the largest added.

    The usual case, all definite, costs one factorisation each. Raises NumericalError.
    """
    left: np.ndarray = np.arange(len(C))
    before = 0.0
    for jitter in JITTERS:
        diagonal = np.einsum("cii->ci", C)
        diagonal[left] += (jitter - before) * prior
        before = jitter
        try:
            np.linalg.cholesky(C[left] if len(left) < len(C) else C)
        except np.linalg.LinAlgError:
            # One of them has none: only those near the edge go on.
            smallest = np.linalg.eigvalsh(C[left])[:, 0]
            left = left[smallest < 1e-13 * prior]
        else:
            return jitter * prior
    raise NumericalError(
        f"neighbours' covariance is not positive definite after a jitter of {JITTERS[-1] * prior:.1e}: "
        "look at the lengthscales and at Z"
    )


def combination(sets: np.ndarray, weights: np.ndarray, rows: int) -> scipy.sparse.csr_matrix:
    """The sparse `[C, rows]` matrix whose row c has `weights [C, s]` at the columns `sets [C, s]`."""
    count, size = sets.shape
    pointers = np.arange(0, count * size + 1, size)
    return scipy.sparse.csr_matrix((weights.ravel(), sets.ravel(), pointers), shape=(count, rows))


def with_one(b: np.ndarray) -> np.ndarray:
    """`bt = [-b; 1]` `[C, m + 1]`."""
    return np.hstack([-b, np.ones((len(b), 1))])
