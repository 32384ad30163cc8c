"""Counts that scatter more than Poisson's: negative binomial."""

from __future__ import annotations

import tensorflow as tf

from svgp.likelihoods.mixtures import centred_log_expectation, whole_quantiles, wide
from svgp.likelihoods.poisson import ExposedCounts, bounded_exp, exp_moments
from svgp.parameters import positive


class NegativeBinomial(ExposedCounts):
    """Mean mu = exp(f), variance mu + alpha mu^2: a Poisson rate that a gamma variable multiplies.

    With r = 1 / alpha and z = f - log r,
    log p = lgamma(y + r) - lgamma(r) - lgamma(y + 1) - y softplus(-z) - r softplus(z).
    With an `exposure` the mean is exp(f) times it; the expected log density is by quadrature.
    """

    def __init__(
        self,
        alpha: float = 0.5,
        exposure: bool = False,
        *,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(exposure, dtype=dtype, name=name)
        self.alpha = positive(alpha, f"{self.name}.alpha", role="shape", dtype=dtype)

    def _log_pmf(self, F: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        r = 1.0 / tf.convert_to_tensor(self.alpha)
        z = F - tf.math.log(r)
        constant = tf.math.lgamma(Y + r) - tf.math.lgamma(r) - tf.math.lgamma(Y + 1.0)
        return constant - Y * tf.math.softplus(-z) - r * tf.math.softplus(z)

    def _predictive_log_pmf(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        r = 1.0 / tf.convert_to_tensor(self.alpha)

        def derivatives(F: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            p = tf.math.sigmoid(F - tf.math.log(r))
            return Y - (Y + r) * p, -(Y + r) * p * (1.0 - p)

        return centred_log_expectation(lambda F: self._log_pmf(F, Y), derivatives, f_mean, f_var)

    def _rate_moments(self, F: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mean = bounded_exp(F)
        return mean, mean + tf.convert_to_tensor(self.alpha) * bounded_exp(2.0 * F)

    def _predictive_rate_moments(self, f_mean: tf.Tensor, f_var: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mean, square, spread = exp_moments(f_mean, f_var)
        return mean, mean + tf.convert_to_tensor(self.alpha) * square + spread

    def _rate_quantiles(self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor) -> tf.Tensor:
        alpha, m, v, levels = wide(tf.convert_to_tensor(self.alpha), f_mean, f_var, levels)

        def cdf(k: tf.Tensor, F: tf.Tensor) -> tf.Tensor:
            # P(y <= k) = I_p(r, k + 1), p = 1 / (1 + alpha mu).
            p = tf.math.sigmoid(-(F + tf.math.log(alpha)))
            r = tf.zeros_like(k + F) + 1.0 / alpha
            return tf.math.betainc(r, k + 1.0 + tf.zeros_like(F), p + tf.zeros_like(k))

        rate = tf.exp(tf.minimum(m + 9.0 * tf.sqrt(tf.maximum(v, 0.0)), 300.0))
        top = tf.floor(rate * (40.0 + 40.0 * alpha) + 40.0)
        return tf.cast(whole_quantiles(cdf, m, v, levels, top), self.dtype)
