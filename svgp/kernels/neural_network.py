"""The neural network kernel: an infinitely wide layer of sigmoids."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from svgp.kernels.inner import WeightedInputs, with_diagonal


class NeuralNetwork(WeightedInputs):
    """k = v (2 / pi) arcsin(2 s(x, x') / sqrt((1 + 2 s(x, x)) (1 + 2 s(x', x')))).

    s(x, x') = b + sum_d w_d x_d x'_d (Williams 1998; Rasmussen & Williams 2006, eq. 4.29): functions that
    change near the origin and level off far from it.
    """

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        left = 1.0 + 2.0 * self._norms(X)[..., :, None]  # [..., N, 1]
        right = left if X2 is None else 1.0 + 2.0 * self._norms(X2)[..., :, None]
        s = 2.0 * self._products(X, X if X2 is None else X2)  # [..., N, N2]
        # arcsin(s / c) = arctan(s / sqrt(c^2 - s^2)): c^2 - s^2 >= 1, where s / c may be rounded above 1.
        rest = tf.maximum(left * tf.linalg.matrix_transpose(right) - s * s, 1.0)
        scale = (2.0 / np.pi) * tf.cast(self.variance, X.dtype)[..., None, None]
        K = scale * tf.atan2(s, tf.sqrt(rest))  # [..., N, N2]
        if X2 is None:
            K = with_diagonal(K, self._variances(X, X.dtype))
        return tf.cast(K, dtype)

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        norms = 2.0 * self._norms(X)
        scale = (2.0 / np.pi) * tf.cast(self.variance, X.dtype)[..., None]
        return tf.cast(scale * tf.atan(norms * tf.math.rsqrt(1.0 + 2.0 * norms)), dtype)  # [..., N]
