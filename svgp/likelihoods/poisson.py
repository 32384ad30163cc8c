"""Counts: a Poisson observation whose log rate is the function."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.likelihoods.base import Likelihood
from svgp.likelihoods.poisson_mixture import count_quantiles, log_density_mode
from svgp.likelihoods.quadrature import expectation, log_expectation
from svgp.likelihoods.start import LatentStart, Targets, level_of, regression_of


class ExposedCounts(Likelihood):
    """Counts whose mean is proportional to exp(f), and with `exposure` to the column of Y after the targets.

    An exposure (hours, areas, people) shifts f by its logarithm: subclasses know nothing of it.
    Predictions that are not told it are for an exposure of one.
    """

    task = "count"

    def __init__(
        self, exposure: bool = False, *, dtype: tf.DType = tf.float64, name: str | None = None
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        self.exposure = bool(exposure)
        self.extras = ("exposure",) if exposure else ()

    @classmethod
    def arguments_for(cls, config: Any, targets: Targets) -> dict[str, Any]:
        """The config's settings, and whether there is an exposure."""
        return {**super().arguments_for(config, targets), "exposure": config.exposure is not None}

    @classmethod
    def latent_start(cls, config: Any, targets: Targets) -> LatentStart:
        """f is the log rate: see `svgp.likelihoods.start`."""
        log_rate = np.log(np.maximum(targets.Y, 0.0) + 0.5)
        log_rate = log_rate - np.log(targets.extras) if targets.extras.size else log_rate
        level = level_of(log_rate)
        return regression_of(log_rate, level.square, level)

    def _log_density(self, F: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor) -> tf.Tensor:
        return self._log_pmf(_shifted(F, extras), Y)

    def _expected_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        return self._expected_log_pmf(_shifted(f_mean, extras), f_var, Y)  # [N, P]

    def _predictive_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        return self._predictive_log_pmf(_shifted(f_mean, extras), f_var, Y)  # [N, P]

    def _moments(self, F: tf.Tensor, *extras: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._rate_moments(_shifted(F, extras))

    def _predictive_moments(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, *extras: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._predictive_rate_moments(_shifted(f_mean, extras), f_var)  # [N, P], [N, P]

    def _quantiles(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        """The smallest counts whose cumulative probability reaches the levels."""
        return self._rate_quantiles(_shifted(f_mean, extras), f_var, levels)  # [N, P, K]

    @abstractmethod
    def _log_pmf(self, F: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        """log p(y | f), elementwise."""

    def _expected_log_pmf(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        return expectation(lambda F: self._log_pmf(F, Y), f_mean, f_var)

    @abstractmethod
    def _predictive_log_pmf(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        """log E[p(y | f)], elementwise."""

    @abstractmethod
    def _rate_moments(self, F: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance of y given f, elementwise."""

    @abstractmethod
    def _predictive_rate_moments(self, f_mean: tf.Tensor, f_var: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance of y, elementwise."""

    @abstractmethod
    def _rate_quantiles(self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor) -> tf.Tensor:
        """Quantiles of y, [N, P, K]."""


class Poisson(ExposedCounts):
    """y in {0, 1, 2, ...} with rate exp(f): log p = y f - exp(f) - lgamma(y + 1).

    Closed forms, with mu = exp(m + v/2): E[log p] = y m - mu - lgamma(y + 1), predictive mean mu and
    variance mu + mu^2 (exp(v) - 1). Exponents beyond half of what the type can hold continue along
    their tangent, so a wild step of training meets a huge loss with a gradient, not an infinity.
    """

    exponential_rate = True

    def _log_pmf(self, F: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        return Y * F - bounded_exp(F) - tf.math.lgamma(Y + 1.0)

    def _expected_log_pmf(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        return Y * f_mean - bounded_exp(f_mean + 0.5 * f_var) - tf.math.lgamma(Y + 1.0)  # [N, P]

    def _rate_moments(self, F: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rate = bounded_exp(F)
        return rate, rate

    def _predictive_rate_moments(self, f_mean: tf.Tensor, f_var: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mean, _, spread = exp_moments(f_mean, f_var)
        return mean, mean + spread  # [N, P], [N, P]

    def _predictive_log_pmf(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        """Quadrature around the integrand's own peak, with the peak's own width.

        Nodes around f_mean would miss it: a large count pins f far more sharply than f_var does.
        """
        f_var = tf.maximum(f_var, tf.cast(1e-12, f_var.dtype))
        mode = log_density_mode(f_mean, f_var, Y)  # [N, P]
        width = 1.0 / (1.0 / f_var + tf.exp(mode))  # [N, P]

        def correction(F: tf.Tensor) -> tf.Tensor:
            prior = -0.5 * ((F - f_mean) ** 2 / f_var + tf.math.log(f_var / width))
            return self._log_pmf(F, Y) + prior + 0.5 * (F - mode) ** 2 / width

        return log_expectation(correction, mode, width)  # [N, P]

    def _rate_quantiles(self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor) -> tf.Tensor:
        found = count_quantiles(*(tf.cast(x, tf.float64) for x in (f_mean, f_var, levels)))
        return tf.cast(found, self.dtype)  # [N, P, K]


def _shifted(F: tf.Tensor, extras: tuple[tf.Tensor, ...]) -> tf.Tensor:
    return F + tf.math.log(extras[0]) if extras else F


def bounded_exp(x: tf.Tensor) -> tf.Tensor:
    """exp(x), continued by its tangent where x passes half the log of the largest number."""
    limit = 0.5 * math.log(np.finfo(x.dtype.as_numpy_dtype).max)
    inside = tf.minimum(x, tf.cast(limit, x.dtype))
    return tf.exp(inside) * (1.0 + (x - inside))


def exp_moments(mean: tf.Tensor, variance: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Mean, second moment and variance of exp(f), f ~ N(mean, variance), elementwise, by `bounded_exp`.

    The variance, exp(2 m + v) (exp(v) - 1), is no difference of the other two: where these are beyond what
    the type holds that would be negative, or NaN.
    """
    least = tf.constant(np.finfo(variance.dtype.as_numpy_dtype).tiny, variance.dtype)
    v = tf.maximum(variance, least)
    log_expm1 = v + tf.math.log(-tf.math.expm1(-v))
    first, second = bounded_exp(mean + 0.5 * variance), bounded_exp(2.0 * (mean + variance))
    return first, second, bounded_exp(2.0 * mean + v + log_expm1)
