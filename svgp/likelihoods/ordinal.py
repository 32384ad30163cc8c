"""Classes with an order: f in noise, cut into levels."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from scipy.special import ndtri

from svgp.errors import ModelError
from svgp.likelihoods.base import Likelihood
from svgp.likelihoods.mixtures import normal_cdf
from svgp.likelihoods.normal_cdf import log_normal_cdf
from svgp.likelihoods.start import LatentStart, Targets

tfb = tfp.bijectors


class Ordinal(Likelihood):
    """P(y = k | f) = Phi((b_k - f) / sigma) - Phi((b_(k-1) - f) / sigma), b_(-1) = -inf, b_K = inf.

    K + 1 levels, numbered from 0, have `bin_edges` b [K], ascending and trainable. `sigma` is fixed: with
    f's own variance and the edges free it would say nothing more. P(y = k) under a Gaussian f is closed,
    with sqrt(sigma^2 + v) for sigma. Differences of Phi are taken in logs, in the tail where both are
    small.
    """

    task = "ordinal"

    def __init__(
        self, bin_edges: Any, sigma: float = 1.0, *, dtype: tf.DType = tf.float64, name: str | None = None
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        edges = np.asarray(bin_edges, self.dtype.as_numpy_dtype)
        if edges.ndim != 1 or not len(edges) or np.any(np.diff(edges) <= 0) or not np.isfinite(edges).all():
            raise ModelError(f"{self.name}: bin_edges must be ascending numbers, got {edges.tolist()}")
        if not sigma > 0.0:
            raise ModelError(f"{self.name}: sigma must be above 0, got {sigma:g}")
        self.bin_edges = tfp.util.TransformedVariable(
            edges, tfb.Ascending(), dtype=self.dtype, name=f"{self.name}.bin_edges"
        )
        self.sigma = float(sigma)

    @property
    def num_classes(self) -> int:
        """K + 1."""
        return int(self.bin_edges.shape[0]) + 1

    @classmethod
    def arguments_for(cls, config: Any, targets: Targets) -> dict[str, Any]:
        """Edges at which f, before it has learned anything, gives each level its share of the rows."""
        levels = max(targets.classes, 2)
        rows = np.bincount(targets.Y.astype(int).ravel(), minlength=levels) + 0.5
        below = np.cumsum(rows)[:-1] / rows.sum()
        return {"bin_edges": (np.sqrt(2.0) * ndtri(below)).tolist(), "sigma": 1.0}

    @classmethod
    def latent_start(cls, config: Any, targets: Targets) -> LatentStart:
        """Lengthscales from a regression of the levels' numbers; f starts at a prior of variance 1."""
        spread = np.maximum(targets.Y.var(axis=0), 1e-12)
        return LatentStart(targets.Y, 1.0, spread)

    def _log_density(self, F: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor) -> tf.Tensor:
        return self._log_probability(F, tf.constant(self.sigma, F.dtype), Y)

    def _log_probability(self, F: tf.Tensor, deviation: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        edges, far = tf.convert_to_tensor(self.bin_edges), tf.constant([1e3], self.dtype)
        low = tf.gather(tf.concat([edges[:1] - far, edges], 0), tf.cast(Y, tf.int32))  # b_(k-1)
        high = tf.gather(tf.concat([edges, edges[-1:] + far], 0), tf.cast(Y, tf.int32))  # b_k
        first, last = Y < 0.5, self.num_classes - 1.5 < Y
        a, b = (low - F) / deviation, (high - F) / deviation
        # Phi(b) - Phi(a) = Phi(-a) - Phi(-b): on the side where both are small.
        flip = a + b > 0.0
        upper, lower = tf.where(flip, -a, b), tf.where(flip, -b, a)
        big = log_normal_cdf(upper)
        gap = tf.minimum(log_normal_cdf(lower) - big, -1e-12)
        both = big + tf.math.log(-tf.math.expm1(gap))
        return tf.where(first, log_normal_cdf(b), tf.where(last, log_normal_cdf(-a), both))

    def _predictive_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        return self._log_probability(f_mean, tf.sqrt(self.sigma**2 + tf.maximum(f_var, 0.0)), Y)  # [N, P]

    def class_probabilities(self, f_mean: Any, f_var: Any) -> tf.Tensor:
        """P(y = k) for each level, [N, K + 1]."""
        f_mean, f_var, _ = self._latents(f_mean, f_var, None)
        return self._probabilities(f_mean, f_var)

    def _probabilities(self, f_mean: tf.Tensor, f_var: tf.Tensor) -> tf.Tensor:
        deviation = tf.sqrt(self.sigma**2 + tf.maximum(f_var, 0.0))  # [..., 1]
        below = normal_cdf((tf.convert_to_tensor(self.bin_edges) - f_mean) / deviation)  # [..., K]
        ends = tf.zeros_like(below[..., :1])
        return tf.concat([below, ends + 1.0], -1) - tf.concat([ends, below], -1)

    def _moments(self, F: tf.Tensor, *extras: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._predictive_moments(F, tf.zeros_like(F))

    def _predictive_moments(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, *extras: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Of the level's number."""
        p = self._probabilities(f_mean, f_var)  # [..., K + 1]
        levels = tf.range(self.num_classes, dtype=p.dtype)
        mean = tf.reduce_sum(p * levels, -1, keepdims=True)
        return mean, tf.reduce_sum(p * (levels - mean) ** 2, -1, keepdims=True)

    def _quantiles(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        raise ModelError(f"{self.name}: a class has no quantiles; class_probabilities gives P(y = k)")
