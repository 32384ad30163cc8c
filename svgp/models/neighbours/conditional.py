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

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from svgp.errors import NumericalError
from svgp.models.neighbours.search import NONE

GATHER = 1 << 17  # numbers of A gathered at a time, 1 MiB: what follows should find them in the cache
SAFE = 1e-9  # of the prior variance: with that much noise each, no rounding leaves C indefinite
JITTERS = (0.0, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4)  # of the mean diagonal of R[n, n], where C is not definite


@dataclass
class Conditional:
    """Of C rows given m neighbours each; `sets` are the pool's rows [n; i], with i where there is none."""

    sets: np.ndarray  # [C, m + 1] int
    present: np.ndarray  # [C, m] bool
    C: np.ndarray  # [C, m, m] jitter included
    b: np.ndarray  # [C, m]
    D: np.ndarray  # [C] the variance of y given u and the neighbours' y, lam_i included
    jitter: float = 0.0  # the largest that was needed, absolute
    covariances: tuple[np.ndarray, Any] | None = None  # of the sets, and what their adjoint wants to have


def index_sets(rows: np.ndarray, neighbours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sets `[C, m + 1]` of rows `[C]` and their neighbours `[C, m]`, and which neighbours exist."""
    present = neighbours != NONE
    return np.column_stack([np.where(present, neighbours, rows[:, None]), rows]), present


def gathered(A: np.ndarray, sets: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Ranges of the sets `[C, s]`, and the rows of A `[U, M]` in them: `[c, s, M]`, in the same memory."""
    count, size = sets.shape
    step = max(1, GATHER // max(1, size * A.shape[1]))
    held = np.empty((min(step, count), size, A.shape[1]))
    for start in range(0, count, step):
        part = slice(start, min(start + step, count))
        rows = held[: part.stop - start]
        np.take(A, sets[part], axis=0, out=rows, mode="clip")
        yield part, rows


def condition(
    A: np.ndarray,
    sets: np.ndarray,
    present: np.ndarray,
    K: np.ndarray,
    lam: np.ndarray,
    at: np.ndarray | None = None,
    C: np.ndarray | None = None,
) -> Conditional:
    """b and D of C rows, from `A [U, M]` of the pool, `K [C, m + 1, m + 1]` and `lam [C, m + 1]` of the sets.

    `at [C, M]`, where given, is filled: what it needs is at hand. `C [C, m, m]`: memory for it. Where C is
    singular (duplicate rows of no noise) its diagonal gets more until it is not. Raises NumericalError where
    that does not help, or a number is not finite.
    """
    count, m = present.shape
    whole = np.empty((count, m, m)) if C is None else C
    found = Conditional(sets, present, whole, np.empty((count, m)), np.empty(count))
    prior = float(np.einsum("cii->ci", K).mean()) if count else 1.0
    doubtful = bool(np.any(lam[:, :-1] < SAFE * prior))
    for part, rows in gathered(A, sets):
        here, C = present[part], found.C[part]
        # Not of all rows by all: NumPy takes a product of a matrix and its own transpose for a symmetric
        # update, which is slower where it is small; and what is next to the row itself is wanted once.
        R = K[part, :, :-1] - np.matmul(rows, rows[:, :-1].transpose(0, 2, 1))  # [c, m + 1, m]
        if not here.all():
            R *= here[:, None, :]
            R[:, :-1] *= here[:, :, None]
        C[...], r = R[:, :-1], R[:, -1]
        np.einsum("cii->ci", C)[...] += np.where(here, lam[part, :-1], 1.0)
        if not np.all(np.isfinite(C)):
            raise NumericalError(
                "the covariance of neighbours is not finite: look at the lengthscales and at Z"
            )
        if doubtful:  # else R, which is not indefinite, and the noise make a factorisation sure
            found.jitter = max(found.jitter, make_definite(C, prior))
        b = found.b[part]
        b[...] = np.linalg.solve(C, r[..., None])[..., 0] if r.size else r
        own = K[part, -1, -1] - np.einsum("cm,cm->c", rows[:, -1], rows[:, -1])
        # R[i, i] is not negative but for rounding.
        found.D[part] = np.maximum(own, 0.0) + lam[part, -1] - np.einsum("cm,cm->c", r, b)
        if at is not None:
            np.matmul(with_one(b)[:, None, :], rows, out=at[part, None, :])
    smallest = np.maximum(lam[:, -1], float(np.finfo(np.float64).eps) * prior)
    np.maximum(found.D, smallest, out=found.D)
    return found


def pull_back(
    A: np.ndarray, found: Conditional, at_bar: np.ndarray, D_bar: np.ndarray, b_bar: np.ndarray
) -> np.ndarray:
    """u `[C, m + 1]`; `at_bar [C, M]` becomes `at_bar - ut`.

    D_bar `[C]`; `b_bar [C, m]` is what comes to b but for the part through at, and is overwritten.
    """
    u = D_bar[:, None] * with_one(found.b)
    for part, rows in gathered(A, found.sets):
        own, v = b_bar[part], at_bar[part]
        own -= np.matmul(rows[:, :-1], v[:, :, None])[..., 0]
        own *= found.present[part]
        if own.size:
            u[part, :-1] += np.linalg.solve(found.C[part], own[..., None])[..., 0]
        v -= np.matmul(u[part, None, :], rows)[:, 0]
    return u


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
