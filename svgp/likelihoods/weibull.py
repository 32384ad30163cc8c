"""Times until something happens: Weibull, and the exponential as its special case."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from svgp.likelihoods.mixtures import centred_log_expectation, wide
from svgp.likelihoods.poisson import bounded_exp, exp_moments
from svgp.likelihoods.positive import PositiveLikelihood
from svgp.parameters import positive


class Weibull(PositiveLikelihood):
    """log P(y' > y) = -(y exp(-f))^shape: scale exp(f), a hazard that rises with time where shape is above 1.

    log p = log shape - shape f + (shape - 1) log y - (y exp(-f))^shape. With g = shape (log y - f), a
    Gaussian, E[exp(g)] is closed: so are the expected log density and log survival.
    """

    def __init__(
        self,
        shape: float = 1.0,
        censored: bool = False,
        *,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(censored, dtype=dtype, name=name)
        self.shape = positive(shape, f"{self.name}.shape", role="shape", dtype=dtype)

    def _shape(self) -> tf.Tensor:
        return tf.convert_to_tensor(self.shape)

    def _log_pdf(self, F: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        k = self._shape()
        g = k * (tf.math.log(Y) - F)
        return tf.math.log(k) + g - tf.math.log(Y) - bounded_exp(g)

    def _log_survival(self, F: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        return -bounded_exp(self._shape() * (tf.math.log(Y) - F))

    def _expected_log_pdf(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        k = self._shape()
        g = k * (tf.math.log(Y) - f_mean)
        return tf.math.log(k) + g - tf.math.log(Y) - bounded_exp(g + 0.5 * k**2 * f_var)

    def _expected_log_survival(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        k = self._shape()
        return -bounded_exp(k * (tf.math.log(Y) - f_mean) + 0.5 * k**2 * f_var)

    def _predictive_log_pdf(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        k = self._shape()

        def derivatives(F: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            rate = bounded_exp(k * (tf.math.log(Y) - F))
            return k * (rate - 1.0), -(k**2) * rate

        return centred_log_expectation(lambda F: self._log_pdf(F, Y), derivatives, f_mean, f_var)

    def _moments(self, F: tf.Tensor, *extras: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        first, second = self._powers()
        return bounded_exp(F) * first, bounded_exp(2.0 * F) * (second - first**2)

    def _predictive_moments(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, *extras: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        first, second = self._powers()
        mean, square, spread = exp_moments(f_mean, f_var)
        return first * mean, (second - first**2) * square + first**2 * spread  # [N, P], [N, P]

    def _powers(self) -> tuple[tf.Tensor, tf.Tensor]:
        """E[w] and E[w^2] of y = exp(f) w."""
        k = self._shape()
        return tf.exp(tf.math.lgamma(1.0 + 1.0 / k)), tf.exp(tf.math.lgamma(1.0 + 2.0 / k))

    def _cdf(self, y: tf.Tensor, F: tf.Tensor) -> tf.Tensor:
        (k,) = wide(self._shape())
        return -tf.math.expm1(-tf.exp(tf.minimum(k * (tf.math.log(y) - F), 700.0)))


class Exponential(Weibull):
    """p(y | f) = exp(-y exp(-f)) exp(-f): scale exp(f), a hazard that does not depend on time."""

    def __init__(
        self, censored: bool = False, *, dtype: tf.DType = tf.float64, name: str | None = None
    ) -> None:
        PositiveLikelihood.__init__(self, censored, dtype=dtype, name=name)

    def _shape(self) -> tf.Tensor:
        return tf.ones([], self.dtype)

    def arguments(self) -> dict[str, Any]:
        """Whether rows may be censored."""
        return {"censored": self.censored}
