"""Noise whose size is a function as well: two latents an output."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.likelihoods.base import Likelihood
from svgp.likelihoods.gaussian import LOG_2PI, log_normal
from svgp.likelihoods.laplace import safe_deviation
from svgp.likelihoods.mixtures import STEPS, normal_cdf, wide
from svgp.likelihoods.poisson import bounded_exp
from svgp.likelihoods.quadrature import gauss_hermite
from svgp.likelihoods.start import LatentStart, Level, Targets, variance_of
from svgp.likelihoods.student_t import gamma_grid

NARROW = 0.25  # prior variance of a log scale about its level, at the start


class Heteroskedastic(Likelihood):
    """y = f + exp(g) e; the latents of an output are f and g, the logarithm of its noise scale.

    `noise` "gaussian": e ~ N(0, 1), and E[log p] = -m_g - ((y - m_f)^2 + v_f) exp(2 v_g - 2 m_g) / 2 -
    log(2 pi)/2 is closed (Lazaro-Gredilla & Titsias 2011). "student_t": e from Student's t with `df`
    degrees of freedom; E[log p] by joint quadrature over f and g. In both, y given g is Gaussian or a
    mixture of Gaussians, so that predictive densities and quantiles are sums over g (and the mixture)
    alone. Raises ModelError at another noise.
    """

    task = "regression"
    latents_per_output = 2

    def __init__(
        self,
        noise_type: str = "gaussian",
        df: float = 4.0,
        *,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        if noise_type not in ("gaussian", "student_t"):
            raise ModelError(f"{self.name}: noise {noise_type!r} is not known; use gaussian or student_t")
        self.noise_type, self.df = noise_type, float(df)

    @classmethod
    def arguments_for(cls, config: Any, targets: Targets) -> dict[str, Any]:
        """The kind of noise."""
        return {"noise_type": config.noise, "df": config.df}

    @classmethod
    def latent_start(cls, config: Any, targets: Targets) -> LatentStart:
        """f as in a regression; g about the logarithm of a third of the targets' deviation."""
        variance = variance_of(targets.Y, robust=config.noise == "student_t")  # [P]
        means = np.stack([np.zeros_like(variance), 0.5 * np.log(0.1 * variance)], 1).ravel()  # [2 P]
        around = np.tile([np.inf, NARROW], len(variance))
        return LatentStart(targets.Y, float(variance.mean()), variance, Level(means, 1.0, around))

    def _log_density(self, F: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor) -> tf.Tensor:
        f, g = F[..., 0], F[..., 1]
        square = (Y - f) ** 2 * bounded_exp(-2.0 * g)
        if self.noise_type == "gaussian":
            return -0.5 * (LOG_2PI + square) - g
        half = 0.5 * (self.df + 1.0)
        constant = math.lgamma(half) - math.lgamma(0.5 * self.df) - 0.5 * math.log(self.df * math.pi)
        return constant - g - half * tf.math.log1p(square / self.df)

    def _expected_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        if self.noise_type == "student_t":
            return super()._expected_log_density(f_mean, f_var, Y)
        m, g = f_mean[..., 0], f_mean[..., 1]
        square = ((Y - m) ** 2 + f_var[..., 0]) * bounded_exp(2.0 * (f_var[..., 1] - g))
        return -0.5 * (LOG_2PI + square) - g  # [N, P]

    def _ratio(self) -> float:
        """Variance of e."""
        return (
            1.0 if self.noise_type == "gaussian" else self.df / (self.df - 2.0) if self.df > 2 else math.inf
        )

    def _moments(self, F: tf.Tensor, *extras: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return F[..., 0], self._ratio() * bounded_exp(2.0 * F[..., 1])

    def _predictive_moments(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, *extras: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        noise = self._ratio() * bounded_exp(2.0 * (f_mean[..., 1] + f_var[..., 1]))
        return f_mean[..., 0], f_var[..., 0] + noise  # [N, P], [N, P]

    def _predictive_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        m, v, g, h, Y = wide(f_mean[..., 0], f_var[..., 0], f_mean[..., 1], f_var[..., 1], Y)
        spread, log_weights = self._mixture(v, g, h)  # [N, P, C], [C]
        density = tf.reduce_logsumexp(log_weights + log_normal(Y[..., None], m[..., None], spread), -1)
        return tf.cast(density, self.dtype)  # [N, P]

    def _quantiles(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        """By symmetry about m: one bisection for the tail, from 0 to beyond the widest component's."""
        m, v, g, h, levels = wide(f_mean[..., 0], f_var[..., 0], f_mean[..., 1], f_var[..., 1], levels)
        spread, log_weights = self._mixture(v, g, h)
        deviation, weights = tf.sqrt(spread)[..., None, :], tf.exp(log_weights)  # [N, P, 1, C], [C]
        tail = tf.minimum(levels, 1.0 - levels)  # [K]
        shape = tf.concat([tf.shape(m), tf.shape(levels)], 0)
        low = tf.zeros(shape, tf.float64)
        high = tf.broadcast_to(40.0 * tf.reduce_max(deviation, -1), shape)  # [N, P, K]

        def halve(step: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, ...]:
            centre = 0.5 * (low + high)
            above = tf.reduce_sum(weights * normal_cdf(-centre[..., None] / deviation), -1) > tail
            return step + 1, tf.where(above, centre, low), tf.where(above, high, centre)

        _, low, high = tf.while_loop(lambda step, *_: step < STEPS, halve, (tf.constant(0), low, high))
        return tf.cast(m[..., None] + tf.sign(levels - 0.5) * 0.5 * (low + high), self.dtype)

    def _mixture(self, v: tf.Tensor, g: tf.Tensor, h: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Variances [N, P, C] of the Gaussians that y is a mixture of, and their log weights [C]; float64."""
        nodes, weights = gauss_hermite()
        log_noise = 2.0 * (g[..., None] + safe_deviation(h)[..., None] * nodes)  # [N, P, 20]
        log_weights = np.log(weights)
        if self.noise_type == "student_t":
            log_lambda, more = gamma_grid(0.5 * self.df)
            log_noise = tf.reshape(
                log_noise[..., None] - log_lambda,
                tf.concat([tf.shape(log_noise)[:-1], [len(nodes) * len(log_lambda)]], 0),
            )
            log_weights = np.add.outer(log_weights, more).ravel()
        return v[..., None] + bounded_exp(log_noise), tf.constant(log_weights)
