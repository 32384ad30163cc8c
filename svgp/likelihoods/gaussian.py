"""Gaussian noise: everything in closed form."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from svgp.errors import ModelError
from svgp.likelihoods.base import Likelihood
from svgp.parameters import positive

LOG_2PI = math.log(2.0 * math.pi)


class Gaussian(Likelihood):
    """y = f + e, e ~ N(0, variance); E[log p] = log N(y | m, variance) - v / (2 variance).

    `variance`, in units of y squared, is one number or [P] for P outputs, kept above `floor`
    (variance = floor + exp(u)), so that the noise of a near-perfect fit cannot collapse to zero.
    Raises ModelError where `variance` is not above `floor`.
    """

    task = "regression"

    def __init__(
        self,
        variance: Any = 0.1,
        *,
        floor: float = 1e-6,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        self.floor = float(floor)
        self.variance = positive(variance, f"{self.name}.variance", low=self.floor, dtype=dtype)

    def _noise(self, F: tf.Tensor) -> tf.Tensor:
        variance, outputs = tf.convert_to_tensor(self.variance), F.shape[-1]
        if variance.shape.rank and outputs is not None and variance.shape != [outputs]:
            raise ModelError(
                f"{self.name}: noise variance has shape {variance.shape} for {outputs} outputs; "
                f"expected one number or [{outputs}]"
            )
        return variance  # [] or [P]

    def _log_density(self, F: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        return log_normal(Y, F, self._noise(F))

    def _moments(self, F: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return F, tf.zeros_like(F) + self._noise(F)

    def _expected_log_density(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        variance = self._noise(f_mean)
        return -0.5 * (LOG_2PI + tf.math.log(variance) + ((Y - f_mean) ** 2 + f_var) / variance)  # [N, P]

    def _predictive_moments(self, f_mean: tf.Tensor, f_var: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return f_mean, f_var + self._noise(f_mean)  # [N, P], [N, P]

    def _predictive_log_density(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        return log_normal(Y, f_mean, f_var + self._noise(f_mean))  # [N, P]

    def _quantiles(self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor) -> tf.Tensor:
        deviation = tf.sqrt(f_var + self._noise(f_mean))  # [N, P]
        return f_mean[..., None] + deviation[..., None] * tf.math.ndtri(levels)  # [N, P, Q]


def log_normal(y: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
    """log N(y | mean, variance), elementwise."""
    return -0.5 * (LOG_2PI + tf.math.log(variance) + (y - mean) ** 2 / variance)
