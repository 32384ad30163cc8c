"""The cosine kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.kernels.base import Kernel
from svgp.kernels.inner import with_diagonal
from svgp.kernels.periodogram import dominant_periods
from svgp.kernels.radial import centre_of
from svgp.kernels.static import input_weights, same_batch
from svgp.parameters import positive


class Cosine(Kernel):
    """k = v cos(2 pi sum_d (x_d - x'_d) / l_d): one plane wave of unknown amplitude and phase.

    `variance` v [...]; `lengthscales` l, the wave's length along each input, a scalar or [..., D] (GPflow's
    parameters). Computed as cos p cos p' + sin p sin p' with phases p: a product of two thin matrices.
    """

    def __init__(
        self,
        variance: Any = 1.0,
        lengthscales: Any = 1.0,
        *,
        active_dims: Sequence[int] | None = None,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(active_dims=active_dims, dtype=dtype, name=name)
        self.variance = positive(variance, f"{self.name}.variance", role="variance", dtype=dtype)
        self.lengthscales = positive(lengthscales, f"{self.name}.lengthscales", role="period", dtype=dtype)

    @classmethod
    def arguments(cls, start: Any, stated: dict[str, Any]) -> dict[str, Any]:
        """The wave that is strongest in the data, along each input by itself."""
        ard = stated.pop("ard", True)
        found = stated["lengthscales"] if "lengthscales" in stated else dominant_periods(start)
        lengthscales = np.asarray(found, float)
        if ard and lengthscales.ndim == 0:
            lengthscales = np.full(len(start.columns), lengthscales)
        if not ard and lengthscales.ndim:
            lengthscales = np.exp(np.mean(np.log(lengthscales)))
        return {"variance": start.variance, **stated, "lengthscales": lengthscales}

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        centre = centre_of(X, X2)  # a small phase has a precise cosine
        left = self._waves(X - centre)  # [..., N, 2]
        right = left if X2 is None else self._waves(X2 - centre)
        K = tf.matmul(*same_batch(left, right), transpose_b=True)  # [..., N, N2]
        K = tf.cast(self.variance, X.dtype)[..., None, None] * K
        if X2 is None:
            K = with_diagonal(K, self._variances(X, X.dtype))
        return tf.cast(K, dtype)

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        batch = tf.broadcast_static_shape(self.variance.shape, self.lengthscales.shape[:-1])
        shape = tf.concat([tf.broadcast_dynamic_shape(batch, tf.shape(X)[:-2]), tf.shape(X)[-2:-1]], 0)
        return tf.broadcast_to(tf.cast(self.variance, dtype)[..., None], shape)  # [..., N]

    def _waves(self, X: tf.Tensor) -> tf.Tensor:
        rates = 1.0 / input_weights(self.lengthscales, X, self.name)  # [..., 1, D]
        phase = 2.0 * np.pi * tf.reduce_sum(X * rates, -1)  # [..., N]
        return tf.stack([tf.cos(phase), tf.sin(phase)], -1)  # [..., N, 2]

    def _lengthscales(self, D: int) -> tf.Tensor:
        lengthscales = tf.convert_to_tensor(self.lengthscales) / (2.0 * np.pi)
        return tf.broadcast_to(lengthscales, lengthscales.shape[:-1].concatenate(D))  # [..., D]
