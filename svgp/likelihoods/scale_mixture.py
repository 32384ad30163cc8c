"""Predictive distributions of any symmetric shape: a mixture of normals of one centre and several widths."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from svgp.likelihoods.base import Likelihood
from svgp.likelihoods.gaussian import log_normal


class ScaleMixture(Likelihood):
    """y ~ sum_k weights_k N(mean f, scales_k^2 (var f + variance)): heavier tails, a sharper peak, or both.

    `variance` is one number or [P], `scales` and `weights` are [K], or [P, K] for each output its own;
    weights sum to one. It says how y scatters around a *prediction* of f (`svgp.models.predictive`), and
    needs no training: nothing in it is trainable. With one scale of 1 it is Gaussian noise.
    """

    task = "regression"

    def __init__(
        self,
        variance: Any,
        scales: Any,
        weights: Any,
        *,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        kind = self.dtype.as_numpy_dtype
        self.variance = tf.constant(np.asarray(variance, kind))
        self._scales = np.atleast_2d(np.asarray(scales, np.float64))  # [1 or P, K]
        self._weights = np.atleast_2d(np.asarray(weights, np.float64))  # [1 or P, K]

    def _log_density(self, F: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        return self._predictive_log_density(F, tf.zeros_like(F), Y)

    def _moments(self, F: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._predictive_moments(F, tf.zeros_like(F))

    def _predictive_moments(self, f_mean: tf.Tensor, f_var: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        second = np.sum(self._weights * self._scales**2, axis=-1)  # [1 or P]
        return f_mean, (f_var + self.variance) * tf.constant(second, self.dtype)  # [N, P], [N, P]

    def _predictive_log_density(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        squares = tf.constant(self._scales**2, self.dtype)  # [1 or P, K]
        log_weights = tf.constant(np.log(self._weights), self.dtype)
        spread = (f_var + self.variance)[..., None] * squares  # [N, P, K]
        each = log_weights + log_normal(Y[..., None], f_mean[..., None], spread)
        return tf.reduce_logsumexp(each, -1)  # [N, P]

    def _quantiles(self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor) -> tf.Tensor:
        # One shape for all rows, so the quantiles of the shape are numbers, also in a graph.
        standard = np.array(
            [[standard_quantile(p, *one) for p in np.asarray(tf.get_static_value(levels), np.float64)]
             for one in zip(self._scales, self._weights, strict=True)]
        )  # [1 or P, Q]  # fmt: skip
        deviation = tf.sqrt(f_var + self.variance)  # [N, P]
        return f_mean[..., None] + deviation[..., None] * tf.constant(standard, self.dtype)  # [N, P, Q]


def standard_quantile(level: float, scales: np.ndarray, weights: np.ndarray) -> float:
    """Where the distribution function `sum_k weights_k Phi(x / scales_k)` reaches `level`."""
    if level == 0.5:
        return 0.0
    ends = sorted(ndtri(level) * np.array([scales.min(), scales.max()]))  # the mixture lies between its parts
    if ends[1] - ends[0] <= 1e-12 * max(abs(ends[0]), abs(ends[1])):
        return float(ends[0])
    return float(brentq(lambda x: weights @ ndtr(x / scales) - level, *ends, xtol=1e-14, rtol=1e-13))
