"""Brownian motion and its integral: random walks from an origin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.kernels.base import Kernel
from svgp.kernels.inner import with_diagonal
from svgp.parameters import positive


class Brownian(Kernel):
    """k = v prod_d m_d with m = min(|t|, |t'|) on the same side of the origin, else 0, t = x - o.

    A walk that is at zero at the `origin` o [D] and whose steps have `variance` v [...] for each unit of x (a
    Brownian sheet in several inputs). m = (|t| + |t'| - |t - t'|) / 2; its slope has a jump where t = t'.
    """

    def __init__(
        self,
        variance: Any = 1.0,
        origin: Any = 0.0,
        *,
        active_dims: Sequence[int] | None = None,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(active_dims=active_dims, dtype=dtype, name=name)
        self.variance = positive(variance, f"{self.name}.variance", role="variance", dtype=dtype)
        self.origin = tf.Variable(np.asarray(origin, float), trainable=False, dtype=tf.float64, name="origin")

    @classmethod
    def arguments(cls, start: Any, stated: dict[str, Any]) -> dict[str, Any]:
        """From half a spread before the first row, with the start's variance at the mean row."""
        origin = np.zeros(len(start.columns))
        if start.rows is not None and len(start.rows):
            origin = start.rows.min(axis=0) - 0.5 * start.spread
            if "origin" in stated:
                origin = np.broadcast_to(np.asarray(stated["origin"], float), origin.shape)
            reach = np.abs(start.rows - origin).mean(axis=0)
            typical = float(np.prod(cls._own_variance(np.maximum(reach, 1e-3 * start.spread))))
            return {"variance": stated.get("variance", start.variance / typical), "origin": origin}
        return {"variance": stated.get("variance", start.variance), "origin": origin}

    @staticmethod
    def _own_variance(t: Any) -> Any:
        """k(t, t) for v = 1 and one input, t >= 0."""
        return t

    @staticmethod
    def _pairs(shared: tf.Tensor, apart: tf.Tensor) -> tf.Tensor:
        """k for v = 1 and one input, from m and |t - t'|."""
        return shared

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        left = (X - self.origin)[..., :, None, :]  # [..., N, 1, D]
        right = ((X if X2 is None else X2) - self.origin)[..., None, :, :]  # [..., 1, N2, D]
        apart = tf.abs(left - right)  # [..., N, N2, D]
        shared = 0.5 * (tf.abs(left) + tf.abs(right) - apart)
        K = tf.reduce_prod(self._pairs(shared, apart), -1)  # [..., N, N2]
        K = tf.cast(self.variance, X.dtype)[..., None, None] * K
        return tf.cast(K if X2 is not None else with_diagonal(K, self._variances(X, X.dtype)), dtype)

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        own = tf.reduce_prod(self._own_variance(tf.abs(X - self.origin)), -1)  # [..., N]
        return tf.cast(tf.cast(self.variance, X.dtype)[..., None] * own, dtype)

    def _lengthscales(self, D: int) -> tf.Tensor:
        # Where a walk of unit steps has gone one unit.
        return tf.math.reciprocal(tf.convert_to_tensor(self.variance))[..., None] * tf.ones([D], self.dtype)


class IntegratedBrownian(Brownian):
    """k = v prod_d (m^3 / 3 + |t - t'| m^2 / 2), m as in `Brownian`: the integral of a Brownian motion.

    Once differentiable; with a linear kernel beside it, the cubic smoothing spline (Wahba 1990;
    Rasmussen & Williams 2006, eq. 6.28). Zero, with slope zero, at the origin.
    """

    @staticmethod
    def _own_variance(t: Any) -> Any:
        return t**3 / 3.0

    @staticmethod
    def _pairs(shared: tf.Tensor, apart: tf.Tensor) -> tf.Tensor:
        square = shared * shared
        return square * (shared / 3.0 + 0.5 * apart)

    def _lengthscales(self, D: int) -> tf.Tensor:
        return (3.0 * super()._lengthscales(D)) ** (1.0 / 3.0)
