"""Counts with more zeros than Poisson's."""

from __future__ import annotations

import tensorflow as tf

from svgp.likelihoods.mixtures import whole_quantiles, wide
from svgp.likelihoods.poisson import ExposedCounts, Poisson, bounded_exp, exp_moments
from svgp.likelihoods.quadrature import expectation, log_expectation
from svgp.parameters import bounded


class ZeroInflatedPoisson(ExposedCounts):
    """With probability `zeros` y is 0 whatever f is, else Poisson with rate exp(f) (times the exposure).

    log p(0) = log(zeros + (1 - zeros) exp(-exp(f))), by quadrature; else log(1 - zeros) and Poisson's own.
    """

    def __init__(
        self,
        zeros: float = 0.2,
        exposure: bool = False,
        *,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(exposure, dtype=dtype, name=name)
        self.zeros = bounded(zeros, f"{self.name}.zeros", 0.0, 1.0, role="share", dtype=dtype)

    def _log_zero(self, F: tf.Tensor) -> tf.Tensor:
        share = tf.convert_to_tensor(self.zeros)
        # log(a + b) as a log-sum: exp(-exp(f)) underflows long before its logarithm does.
        return tf.reduce_logsumexp(
            tf.stack([tf.math.log(share) + tf.zeros_like(F), tf.math.log1p(-share) - bounded_exp(F)]), 0
        )

    def _either(self, Y: tf.Tensor, zero: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        return tf.where(Y > 0.0, tf.math.log1p(-tf.convert_to_tensor(self.zeros)) + count, zero)

    def _log_pmf(self, F: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        return self._either(Y, self._log_zero(F), Y * F - bounded_exp(F) - tf.math.lgamma(Y + 1.0))

    def _expected_log_pmf(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        count = Y * f_mean - bounded_exp(f_mean + 0.5 * f_var) - tf.math.lgamma(Y + 1.0)
        return self._either(Y, expectation(self._log_zero, f_mean, f_var), count)

    def _predictive_log_pmf(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        count = Poisson(dtype=self.dtype)._predictive_log_pmf(f_mean, f_var, Y)
        return self._either(Y, log_expectation(self._log_zero, f_mean, f_var), count)

    def _rate_moments(self, F: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        share, rate = tf.convert_to_tensor(self.zeros), bounded_exp(F)
        return (1.0 - share) * rate, (1.0 - share) * (rate + share * bounded_exp(2.0 * F))

    def _predictive_rate_moments(self, f_mean: tf.Tensor, f_var: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rest = 1.0 - tf.convert_to_tensor(self.zeros)
        rate, square, spread = exp_moments(f_mean, f_var)
        # rest E[rate^2] - rest^2 E[rate]^2, in terms that are not negative.
        return rest * rate, rest * (rate + (1.0 - rest) * square + rest * spread)

    def _rate_quantiles(self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor) -> tf.Tensor:
        share, m, v, levels = wide(tf.convert_to_tensor(self.zeros), f_mean, f_var, levels)

        def cdf(k: tf.Tensor, F: tf.Tensor) -> tf.Tensor:
            rate = tf.exp(tf.minimum(F, 700.0))
            return share + (1.0 - share) * tf.math.igammac(
                k + 1.0 + tf.zeros_like(rate), rate + tf.zeros_like(k)
            )

        rate = tf.exp(tf.minimum(m + 9.0 * tf.sqrt(tf.maximum(v, 0.0)), 300.0))
        top = tf.floor(rate + 40.0 * tf.sqrt(rate) + 40.0)
        return tf.cast(whole_quantiles(cdf, m, v, levels, top), self.dtype)
