"""f at several rows together: what predictions with neighbours leave open is a Gaussian process as well.

Each row's prediction weighs its own neighbours n by b. With the residual process h, of covariance `beta R`,
and noise e_n of variance beta rho lam_n that lies on the training rows' residuals, its error is

    f - (prediction) = (at or a)^T (v - E v) + d(x)      d(x) = h(x) - b^T (h_n + e_n)

in the letters of `svgp.models.predictive.corrections`. All that is linear: d at two rows has the covariance

    beta (k~(x, x') - at^T at') + beta sum_j b_j b'_j rho lam_j,   j in both sets of neighbours

k~ the kernel weighed by [1, -b] on both sides. On the diagonal it is the variance that a single prediction
gives; it is a covariance whatever the neighbours are; with all rows as neighbours it is that of the exact
posterior. Neighbours change from place to place, and d, as the mean does, makes small steps there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
import tensorflow as tf

from svgp.models.neighbours import NONE
from svgp.models.neighbours.search import cluster_order
from svgp.models.predictive import device_errors
from svgp.models.predictive.corrections import Conditioned, Found, NeighbourRows

BLOCK = 256  # rows by whose neighbours kernels are taken at a time
NUGGET = 1e-6  # of the prior variance: less than that is rounding


class LocalErrors:
    """d(x) of `rows` at beta `[L]`: a process."""

    def __init__(self, rows: NeighbourRows, residual: np.ndarray) -> None:
        self.rows, self.residual = rows, residual

    def at(self, X: np.ndarray) -> Conditioned:
        """What predictions weigh at rows X `[T, D]`, all in memory."""
        (T, m), L, M = (len(X), self.rows.count), len(self.residual), len(self.rows.process.frame.L)
        found = Found(np.empty(X.shape), np.empty((T, m), np.int64), np.empty((T, m)))
        whole = Conditioned(
            found, np.empty((T, M)), np.empty((L, T, m)), np.empty((L, T, M)), np.empty((T, L)),
            np.empty((T, L)), np.empty(T),
        )  # fmt: skip

        def collect(rows: np.ndarray, batch: Conditioned) -> None:
            for into, values in zip(whole.found, batch.found, strict=True):
                into[rows] = values
            whole.A[rows], whole.mean[rows], whole.residual[rows] = batch.A, batch.mean, batch.residual
            whole.b[:, rows], whole.at[:, rows] = batch.b, batch.at
            whole.prior[rows] = batch.prior

        self.rows.conditioned(X, self.residual, collect)
        return whole

    def covariance(self, one: Conditioned, other: Conditioned | None = None) -> np.ndarray:
        """Of d at two lots of rows: `[L, T, T']`; `other` None: of `one` with itself."""
        left = [self._side(one, rows) for rows in self._blocks(one)]
        right = left if other is None else [self._side(other, rows) for rows in self._blocks(other)]
        C = np.empty((len(self.residual), len(one.A), len((other or one).A)))
        for number, a in enumerate(left):
            for b in right[: number + 1] if other is None else right:
                found = a.covariance(b, self.residual)  # [L, t, t']
                C[:, a.rows[:, None], b.rows] = found
                if other is None:
                    C[:, b.rows[:, None], a.rows] = found.swapaxes(1, 2)
        if other is None:
            # What rounding and noise of a row's own would leave out: exactly what is said of single rows.
            np.einsum("lii->li", C)[...] = one.residual.T
        return C

    def variances(self, latent: int, neighbours: np.ndarray) -> np.ndarray:
        """Of what lies on the residuals of training rows, `[U]`: noise, and the kernel's own white noise."""
        lam = self.rows.variances(latent, neighbours)
        return self.residual[latent] * (lam + nugget(self.rows.model.kernel, self.rows.X[neighbours]))

    def _blocks(self, batch: Conditioned) -> list[np.ndarray]:
        order = cluster_order(self.rows.nearest.scaled(batch.found.X))
        return [order[start : start + BLOCK] for start in range(0, len(order), BLOCK)]

    def _side(self, batch: Conditioned, rows: np.ndarray) -> _Side:
        used, weights = neighbour_weights(batch.found.neighbours[rows], batch.b[:, rows])
        points = np.concatenate([self.rows.X[used], batch.found.X[rows]])
        deviations = np.stack([np.sqrt(self.variances(latent, used)) for latent in range(len(self.residual))])
        at, on_device = batch.at[:, rows], self.rows.on_device
        return _Side(self.rows.model.kernel, rows, points, used, weights, deviations, at, on_device)


class _Side:
    """Some rows, and how d at them is made of `points [U + t, D]`: neighbours, then the rows themselves."""

    def __init__(
        self,
        kernel: Any,
        rows: np.ndarray,
        points: np.ndarray,
        used: np.ndarray,
        weights: list[scipy.sparse.csr_matrix],
        deviations: np.ndarray,
        at: np.ndarray,
        on_device: bool,
    ) -> None:
        self.kernel, self.rows, self.points, self.used = kernel, rows, points, used
        self.at, self.weights, self.deviations, self.on_device = at, weights, deviations, on_device
        self.whole = [scipy.sparse.hstack([-w, scipy.sparse.eye(len(rows))]).tocsr() for w in weights]

    def covariance(self, other: _Side, residual: np.ndarray) -> np.ndarray:
        """Of d here and there, `[L, t, t']`."""
        K = self.kernel.K(self.points, other.points, dtype=tf.float64)
        K = K if self.on_device else np.asarray(K, np.float64)
        _, mine, theirs = np.intersect1d(self.used, other.used, assume_unique=True, return_indices=True)
        found = []
        for latent, beta in enumerate(residual):
            operands = self.whole[latent], other.whole[latent], self.at[latent], other.at[latent]
            apart = beta * (device_errors.weighed if self.on_device else _weighed)(K, *operands)
            shared = self.weights[latent][:, mine].multiply(self.deviations[latent, mine] ** 2)
            found.append(apart + (shared @ other.weights[latent][:, theirs].T).toarray())
        return np.stack(found)


def _weighed(
    K: np.ndarray,
    left: scipy.sparse.csr_matrix,
    right: scipy.sparse.csr_matrix,
    at: np.ndarray,
    other_at: np.ndarray,
) -> np.ndarray:
    """`left K right^T - at other_at^T` `[t, t']`."""
    return (right @ (left @ K).T).T - at @ other_at.T


def neighbour_weights(
    neighbours: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, list[scipy.sparse.csr_matrix]]:
    """Training rows `[U]` that are neighbours of some, and for each latent b as a sparse `[T, U]` matrix."""
    present = neighbours != NONE  # [T, m]
    used, place = np.unique(neighbours[present], return_inverse=True)
    row = np.nonzero(present)[0]
    shape = (len(neighbours), len(used))
    return used, [scipy.sparse.csr_matrix((w[present], (row, place)), shape=shape) for w in b]


def nugget(kernel: Any, X: np.ndarray) -> np.ndarray:
    """`[N]` of k(x, x), what rows X that are merely equal do not share: white noise."""
    prior = np.asarray(kernel.K_diag(X, dtype=tf.float64), np.float64)
    between = np.asarray(kernel.K(X[:, None], X[:, None], dtype=tf.float64), np.float64)[:, 0, 0]
    return np.where(prior - between > NUGGET * prior, prior - between, 0.0)


def joint_covariance(predictive: Any, X: np.ndarray) -> np.ndarray:
    """The covariance of the likelihood's functions at scaled rows X `[T, D]`: `[Q, T, T]`.

    Its diagonal is the variance that `Predictive.latent` gives.
    """
    own, rows, source = predictive.calibration, predictive.neighbours, predictive.source
    if rows is not None:
        errors = LocalErrors(rows, own.residual)
        batch = errors.at(X)
        C = errors.covariance(batch)
        for latent, root in enumerate(source.q_sqrt):
            seen = batch.A if rows.joint is None else batch.at[latent]
            product = device_errors.product if rows.on_device else np.matmul
            half = product(seen, root)
            C[latent] += product(half, half.T)
        return C
    A, _ = source.project(X)  # [1 or L, T, M]
    K = np.asarray(source.model.kernel.K(X, dtype=tf.float64), np.float64).reshape(-1, len(X), len(X))
    R = K - A @ A.swapaxes(1, 2)  # [1 or L, T, T]
    half = A @ source.q_sqrt
    explained, R = half @ half.swapaxes(1, 2), np.broadcast_to(R, (len(source.q_sqrt), *R.shape[1:]))
    W = source.model.outputs.weights()
    if W is not None:
        squares = np.asarray(W, np.float64) ** 2  # [Q, L]
        explained, R = (np.einsum("ql,lij->qij", squares, part) for part in (explained, R))
    C = explained + own.residual[:, None, None] * R
    # Rounding can leave R below zero where the inducing points say all.
    np.einsum("qii->qi", C)[...] = predictive.latent(X).variance.T
    return C
