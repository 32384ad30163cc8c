"""Positive numbers whose deviation grows with their mean: gamma."""

from __future__ import annotations

import tensorflow as tf

from svgp.likelihoods.mixtures import centred_log_expectation, wide
from svgp.likelihoods.poisson import bounded_exp, exp_moments
from svgp.likelihoods.positive import PositiveLikelihood
from svgp.parameters import positive

TERMS = 12  # of the continued fraction of a far tail


class Gamma(PositiveLikelihood):
    """log p = -shape f - lgamma(shape) + (shape - 1) log y - y exp(-f): scale exp(f), mean shape exp(f).

    E[exp(-f)] of a Gaussian f is closed, and with it the expected log density.
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

    def _constant(self, Y: tf.Tensor) -> tf.Tensor:
        a = tf.convert_to_tensor(self.shape)
        return (a - 1.0) * tf.math.log(Y) - tf.math.lgamma(a)

    def _log_pdf(self, F: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        return self._constant(Y) - tf.convert_to_tensor(self.shape) * F - bounded_exp(tf.math.log(Y) - F)

    def _log_survival(self, F: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        a, x = tf.convert_to_tensor(self.shape), bounded_exp(tf.math.log(Y) - F)
        # Far out Q(a, x) underflows: there x^a exp(-x) / gamma(a) times its continued fraction.
        edge = a + 10.0 * tf.sqrt(a) + 20.0
        far = x > edge
        near_x, far_x = tf.where(far, tf.ones_like(x), x), tf.where(far, x, 2.0 * edge)
        near = tf.math.log(tf.math.igammac(a + tf.zeros_like(x), near_x))
        tail = a * tf.math.log(far_x) - far_x - tf.math.lgamma(a) - tf.math.log(_fraction(a, far_x))
        return tf.where(far, tail, near)

    def _expected_log_pdf(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        rate = bounded_exp(tf.math.log(Y) - f_mean + 0.5 * f_var)
        return self._constant(Y) - tf.convert_to_tensor(self.shape) * f_mean - rate

    def _predictive_log_pdf(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        a = tf.convert_to_tensor(self.shape)

        def derivatives(F: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            rate = bounded_exp(tf.math.log(Y) - F)
            return rate - a, -rate

        return centred_log_expectation(lambda F: self._log_pdf(F, Y), derivatives, f_mean, f_var)

    def _moments(self, F: tf.Tensor, *extras: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        a = tf.convert_to_tensor(self.shape)
        return a * bounded_exp(F), a * bounded_exp(2.0 * F)

    def _predictive_moments(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, *extras: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        a = tf.convert_to_tensor(self.shape)
        mean, square, spread = exp_moments(f_mean, f_var)
        return a * mean, a * square + a**2 * spread  # [N, P], [N, P]

    def _cdf(self, y: tf.Tensor, F: tf.Tensor) -> tf.Tensor:
        (a,) = wide(tf.convert_to_tensor(self.shape))
        x = tf.exp(tf.minimum(tf.math.log(y) - F, 700.0))
        return tf.math.igamma(a + tf.zeros_like(x), x)


def _fraction(a: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """f of Q(a, x) = x^a exp(-x) / (gamma(a) f), x well above a (Abramowitz & Stegun 6.5.31, contracted).

    f = x + 1 - a - 1 (1 - a) / (x + 3 - a - 2 (2 - a) / (x + 5 - a - ...)): to 1e-8 from ten deviations on.
    """
    f = x + (2.0 * TERMS + 1.0) - a
    for n in range(TERMS, 0, -1):
        f = x + (2.0 * n - 1.0) - a - n * (n - a) / f
    return f
