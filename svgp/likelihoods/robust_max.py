"""Several classes: the largest latent's, but for a small share of errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.likelihoods.normal_cdf import log_normal_cdf
from svgp.likelihoods.quadrature import gauss_hermite
from svgp.likelihoods.softmax import ClassLikelihood


class RobustMax(ClassLikelihood):
    """P(y = k | f) = 1 - epsilon where f_k is the largest, else epsilon / (K - 1).

    Hernandez-Lobato, Hernandez-Lobato & Dupont (2011). With q = P(f_y is the largest), an integral over
    f_y alone, E[prod_j Phi((f_y - m_j) / sqrt(v_j))], E[log p] = q log(1 - epsilon) + (1 - q) log(epsilon
    / (K - 1)): linear in the number of classes. `epsilon` is fixed.
    """

    def __init__(
        self,
        num_classes: int,
        epsilon: float = 1e-3,
        *,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(num_classes, dtype=dtype, name=name)
        if not 0.0 < epsilon < 1.0:
            raise ModelError(f"{self.name}: epsilon must lie between 0 and 1, got {epsilon:g}")
        self.epsilon = float(epsilon)

    def _largest(self, f_mean: tf.Tensor, f_var: tf.Tensor, hot: tf.Tensor) -> tf.Tensor:
        """P(the latent that `hot` [N, K] chooses is the largest), [N]."""
        nodes, weights = gauss_hermite()
        deviation = tf.sqrt(tf.maximum(f_var, np.finfo(self.dtype.as_numpy_dtype).tiny ** 0.5))  # [N, K]
        own, own_deviation = tf.reduce_sum(hot * f_mean, -1), tf.reduce_sum(hot * deviation, -1)  # [N]
        F = own + own_deviation * tf.constant(nodes, self.dtype)[:, None]  # [20, N]
        others = log_normal_cdf((F[..., None] - f_mean) / deviation)  # [20, N, K]
        inside = tf.exp(tf.reduce_sum((1.0 - hot) * others, -1))  # [20, N]
        return tf.tensordot(tf.constant(weights, self.dtype), inside, axes=1)  # [N]

    def _log_density(self, F: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor) -> tf.Tensor:
        right = tf.equal(tf.argmax(F, -1), tf.cast(Y, tf.int64))
        return self._mixed(tf.cast(right, self.dtype))

    def _mixed(self, right: tf.Tensor) -> tf.Tensor:
        wrong = self.epsilon / (self.num_classes - 1.0)
        return right * np.log1p(-self.epsilon) + (1.0 - right) * np.log(wrong)

    def _expected_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        hot = self._one_hot(Y)[:, 0]
        return self._mixed(self._largest(f_mean[:, 0], f_var[:, 0], hot))[:, None]  # [N, 1]

    def _predictive_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        right = self._largest(f_mean[:, 0], f_var[:, 0], self._one_hot(Y)[:, 0])  # [N]
        wrong = self.epsilon / (self.num_classes - 1.0)
        return tf.math.log(right * (1.0 - self.epsilon) + (1.0 - right) * wrong)[:, None]  # [N, 1]

    def _moments(self, F: tf.Tensor, *extras: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        hot = tf.one_hot(tf.argmax(F[..., 0, :], -1), self.num_classes, dtype=self.dtype)
        wrong = self.epsilon / (self.num_classes - 1.0)
        p = hot * (1.0 - self.epsilon) + (1.0 - hot) * wrong
        return p, p * (1.0 - p)

    def _probabilities(self, f_mean: tf.Tensor, f_var: tf.Tensor) -> tf.Tensor:
        rows = tf.shape(f_mean)[0]
        each: list[Any] = []
        for k in range(self.num_classes):
            hot = tf.ones([rows, 1], self.dtype) * tf.one_hot(k, self.num_classes, dtype=self.dtype)
            each.append(self._largest(f_mean, f_var, hot))
        right = tf.stack(each, -1)  # [N, K]
        right /= tf.reduce_sum(right, -1, keepdims=True)
        wrong = self.epsilon / (self.num_classes - 1.0)
        return right * (1.0 - self.epsilon) + (1.0 - right) * wrong
