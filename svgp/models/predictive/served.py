"""`Predictive` in TensorFlow's own operations, to be saved in a graph and served without svgp.

Neighbours are found exactly: distances to all training rows by a product, and top-k. A few queries at a time
share a pool of their neighbours, whose covariances make one matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from svgp.models.predictive.corrections import NeighbourRows
from svgp.models.predictive.predictive import Predictive

ENTRIES = 1 << 22  # numbers of one matrix at a time, where there are no neighbours
QUERIES = 16  # at a time: with 32 neighbours each a pool of at most 528 rows


class ServedPredictive(tf.Module):
    """p(f*) at scaled inputs, as `Predictive.latent` gives it, and the likelihood that goes with it."""

    def __init__(self, predictive: Predictive) -> None:
        super().__init__()
        calibration = predictive.calibration
        self.likelihood = predictive.likelihood
        self._posterior = predictive.source.model.posterior()
        self.dtype = self._posterior.dtype
        self._scale = tf.constant(calibration.residual, self.dtype)  # [L]
        self._neighbours = None
        if predictive.neighbours is not None:
            self._neighbours = _Neighbours(predictive.neighbours, calibration.residual, self._posterior)

    def predict_f(self, X: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance [N, L] of f at scaled inputs X [N, D]."""
        X = tf.cast(X, self.dtype)
        if self._neighbours is None:
            return self.block(X)
        rows, latents = tf.shape(X)[0], len(self._scale)
        arrays = [
            tf.TensorArray(self.dtype, -(-rows // QUERIES), infer_shape=False, element_shape=[None, latents])
            for _ in range(2)
        ]

        def step(index: tf.Tensor, mean: Any, variance: Any) -> tuple[Any, ...]:
            found = self.block(X[index * QUERIES : (index + 1) * QUERIES])
            return index + 1, mean.write(index, found[0]), variance.write(index, found[1])

        _, mean, variance = tf.while_loop(
            lambda index, *_: index * QUERIES < rows, step, (tf.constant(0), *arrays)
        )
        return mean.concat(), variance.concat()

    @property
    def rows(self) -> int:
        """How many rows `block` is good for."""
        return QUERIES if self._neighbours is not None else max(64, ENTRIES // self._posterior.Z.shape[0])

    def block(self, X: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The same for few rows, in operations whose gradients exist; which rows are neighbours has none."""
        mean, explained, residual = self._posterior.parts(X)  # [N, L] each
        if self._neighbours is None:
            return mean, explained + self._scale * residual
        more, left, jointly = self._neighbours.correct(X)
        explained = explained if jointly is None else tf.cast(jointly, self.dtype)
        return mean + tf.cast(more, self.dtype), explained + tf.cast(left, self.dtype)


class _Neighbours(tf.Module):
    """`NeighbourRows` with beta, in a graph; everything in float64."""

    def __init__(self, rows: NeighbourRows, residual: np.ndarray, posterior: Any) -> None:
        super().__init__()
        self._count, self._joint = rows.count, rows.joint is not None
        nearest = rows.nearest
        self._kept, self._origin, self._scales = np.flatnonzero(nearest.kept), nearest.origin, nearest.scales
        # Variables, not constants: a graph may not be larger than 2 GiB.
        self._points, self._X, self._residual = (
            tf.Variable(x, trainable=False, dtype=tf.float64) for x in (nearest.points, rows.X, rows.residual)
        )
        lam = np.stack([rows.variances(latent) for latent in range(len(residual))], axis=1)
        lam = lam if np.any(lam != lam[:1]) else lam[:1]
        self._lam = tf.Variable(lam, trainable=False)  # [1 or N, L]
        self._beta = residual
        self._posterior = posterior
        self._L_inverse = tf.cast(posterior.L_inverse[0], tf.float64)  # [M, M]
        self._q_sqrt = tf.cast(posterior.q_sqrt, tf.float64)  # [L, M, M]

    def correct(self, X: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        X = tf.cast(X, tf.float64)
        neighbours = self._nearest(X)  # [T, m]
        used, place = tf.unique(tf.reshape(neighbours, [-1]))  # [U]
        count = tf.shape(X)[0]
        sets = tf.concat(
            [tf.reshape(place, tf.shape(neighbours)) + count, tf.range(count)[:, None]], 1
        )  # [T, m + 1]
        pool = tf.concat([X, tf.gather(self._X, used)], 0)  # [T + U, D]
        kernel = self._posterior.kernel
        A = tf.matmul(
            tf.cast(kernel.K(pool, self._posterior.Z), tf.float64), self._L_inverse, transpose_b=True
        )
        R = tf.cast(kernel.K(pool), tf.float64) - tf.matmul(A, A, transpose_b=True)
        R = tf.gather(tf.gather(R, sets), sets, axis=2, batch_dims=1)  # [T, m + 1, m + 1]
        own, cross = tf.maximum(R[:, -1, -1], 0.0), R[:, :-1, -1]  # [T], [T, m]
        found = [
            self._solve(latent, neighbours, R[:, :-1, :-1], cross, own, tf.gather(A, sets))
            for latent in range(len(self._beta))
        ]
        mean, left, explained = (tf.stack(part, 1) for part in zip(*found, strict=True))  # [T, L] each
        return mean, left, explained if self._joint else None

    def _solve(
        self,
        latent: int,
        neighbours: tf.Tensor,
        covariance: tf.Tensor,
        cross: tf.Tensor,
        own: tf.Tensor,
        A: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        beta, lam = float(self._beta[latent]), tf.convert_to_tensor(self._lam)[:, latent]
        noise = lam[0] + tf.zeros_like(cross) if lam.shape[0] == 1 else tf.gather(lam, neighbours)  # [T, m]
        C = tf.linalg.set_diag(covariance, tf.linalg.diag_part(covariance) + noise)
        b = tf.linalg.solve(C, cross[..., None])[..., 0]  # [T, m]
        r = tf.gather(tf.convert_to_tensor(self._residual)[:, latent], neighbours)  # [T, m]
        left = tf.maximum(beta * (own - tf.reduce_sum(cross * b, 1)), 0.0)
        at = A[:, -1] - tf.einsum("tm,tmk->tk", b, A[:, :-1])  # [T, M]
        explained = tf.reduce_sum(tf.matmul(at, self._q_sqrt[latent]) ** 2, 1)  # [T]
        return tf.reduce_sum(b * r, 1), left, explained

    def _nearest(self, X: tf.Tensor) -> tf.Tensor:
        """Numbers of the training rows nearest to each of X [T, D]: [T, m]."""
        x = (tf.gather(X, self._kept, axis=1) - self._origin) / self._scales
        x = tf.pad(x, [[0, 0], [0, 1]])  # [T, E], see `Nearest`
        points = tf.convert_to_tensor(self._points)
        # A row's own norm does not change the order.
        distances = tf.reduce_sum(points**2, 1) - 2.0 * tf.matmul(x, points, transpose_b=True)  # [T, N]
        return tf.math.top_k(-distances, self._count).indices
