"""How many of so many trials succeed."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from svgp.likelihoods.base import Likelihood
from svgp.likelihoods.mixtures import centred_log_expectation, whole_quantiles, wide
from svgp.likelihoods.quadrature import expectation
from svgp.likelihoods.start import LatentStart, Targets, level_of, regression_of


class Binomial(Likelihood):
    """y of n trials with probability 1 / (1 + exp(-f)): log p = log C(n, y) + y f - n softplus(f).

    n comes in the column of Y after the targets. Predictions that are not told n are for one trial.
    """

    task = "count"
    extras = ("trials",)
    harmless = 0.0

    @classmethod
    def latent_start(cls, config: Any, targets: Targets) -> LatentStart:
        """The logit of the share of successes, about its mean."""
        n = targets.extras if targets.extras.size else np.maximum(targets.Y, 1.0)
        logit = np.log((targets.Y + 0.5) / (n - targets.Y + 0.5))
        level = level_of(logit)
        return regression_of(logit, level.square, level)

    def _log_density(self, F: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor) -> tf.Tensor:
        n = _trials(F, extras)
        return _log_choose(n, Y) + Y * F - n * tf.math.softplus(F)

    def _expected_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        n = _trials(f_mean, extras)
        return _log_choose(n, Y) + Y * f_mean - n * expectation(tf.math.softplus, f_mean, f_var)  # [N, P]

    def _predictive_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        n = _trials(f_mean, extras)

        def derivatives(F: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            p = tf.math.sigmoid(F)
            return Y - n * p, -n * p * (1.0 - p)

        return centred_log_expectation(
            lambda F: self._log_density(F, Y, *extras), derivatives, f_mean, f_var
        )  # [N, P]

    def _moments(self, F: tf.Tensor, *extras: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        n, p = _trials(F, extras), tf.math.sigmoid(F)
        return n * p, n * p * (1.0 - p)

    def _quantiles(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        m, v, levels, n = wide(f_mean, f_var, levels, _trials(f_mean, extras) + tf.zeros_like(f_mean))

        def cdf(k: tf.Tensor, F: tf.Tensor) -> tf.Tensor:
            # P(y <= k) = I_{1 - p}(n - k, k + 1) for k < n.
            trials = n[..., None, None] + tf.zeros_like(k + F)
            left = tf.maximum(trials - k, 0.5)
            below = tf.math.betainc(left, k + 1.0 + tf.zeros_like(F), tf.math.sigmoid(-F) + tf.zeros_like(k))
            return tf.where(k >= trials, tf.ones_like(below), below)

        return tf.cast(whole_quantiles(cdf, m, v, levels, n), self.dtype)


def _trials(F: tf.Tensor, extras: tuple[tf.Tensor, ...]) -> tf.Tensor:
    return extras[0] if extras else tf.ones([], F.dtype)


def _log_choose(n: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return tf.math.lgamma(n + 1.0) - tf.math.lgamma(y + 1.0) - tf.math.lgamma(n - y + 1.0)
