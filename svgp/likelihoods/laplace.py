"""Noise with the tails of an exponential: the model's median regression."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.likelihoods.base import Likelihood
from svgp.likelihoods.gaussian import start_noise
from svgp.likelihoods.mixtures import continuous_quantiles, wide
from svgp.likelihoods.normal_cdf import log_normal_cdf
from svgp.likelihoods.start import LatentStart, Targets, variance_of
from svgp.parameters import positive


class Laplace(Likelihood):
    """y = f + e with density exp(-|e| / scale) / (2 scale); `scale` in units of y, one number or [P].

    E|y - f| of a Gaussian f is that of a folded normal, and the predictive density, a Gaussian and a Laplace
    variable added, is closed as well (Reed 2006): with r = y - m, each sign of r / scale gives a term
    exp(v / (2 scale^2) -+ r / scale) Phi(+-r / sqrt(v) - sqrt(v) / scale) / (2 scale).
    """

    task = "regression"

    def __init__(self, scale: Any = 0.2, *, dtype: tf.DType = tf.float64, name: str | None = None) -> None:
        super().__init__(dtype=dtype, name=name)
        self.scale = positive(scale, f"{self.name}.scale", role="scale", dtype=dtype)

    @classmethod
    def arguments_for(cls, config: Any, targets: Targets) -> dict[str, Any]:
        """A scale whose variance, 2 scale^2, is a tenth of the targets'; or the config's."""
        start = np.sqrt(0.5 * np.asarray(start_noise(targets.variance)))
        return {"scale": start if config.scale is None else config.scale}

    @classmethod
    def latent_start(cls, config: Any, targets: Targets) -> LatentStart:
        """A regression whose scale a few outliers do not set."""
        variance = variance_of(targets.Y, robust=True)
        return LatentStart(targets.Y, float(variance.mean()), variance)

    def _log_density(self, F: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor) -> tf.Tensor:
        scale = tf.convert_to_tensor(self.scale)
        return -tf.abs(Y - F) / scale - tf.math.log(2.0 * scale)

    def _expected_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        scale = tf.convert_to_tensor(self.scale)
        return -folded_normal_mean(Y - f_mean, f_var) / scale - tf.math.log(2.0 * scale)  # [N, P]

    def _moments(self, F: tf.Tensor, *extras: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return F, tf.zeros_like(F) + 2.0 * tf.convert_to_tensor(self.scale) ** 2

    def _predictive_moments(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, *extras: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        mean, noise = self._moments(f_mean)
        return mean, f_var + noise  # [N, P], [N, P]

    def _predictive_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        scale, deviation = tf.convert_to_tensor(self.scale), safe_deviation(f_var)
        r, ratio = (Y - f_mean) / deviation, deviation / scale
        terms = [
            0.5 * ratio**2 + sign * r * ratio + log_normal_cdf(-(ratio + sign * r)) for sign in (1.0, -1.0)
        ]
        return tf.reduce_logsumexp(tf.stack(terms), 0) - tf.math.log(2.0 * scale)  # [N, P]

    def _quantiles(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        m, v, levels, scale = wide(f_mean, f_var, levels, tf.convert_to_tensor(self.scale))

        def cdf(y: tf.Tensor, F: tf.Tensor) -> tf.Tensor:
            u = (y - F) / (scale[..., None, None] if scale.shape.rank else scale)
            tail = 0.5 * tf.exp(-tf.abs(u))
            return tf.where(u > 0.0, 1.0 - tail, tail)

        reach = 10.0 * tf.sqrt(tf.maximum(v, 0.0)) + 40.0 * scale  # [N, P]
        return tf.cast(continuous_quantiles(cdf, m, v, levels, m - reach, m + reach), self.dtype)


def folded_normal_mean(mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
    """E|x| of x ~ N(mean, variance): sqrt(2 v / pi) exp(-m^2 / (2 v)) + m erf(m / sqrt(2 v))."""
    z = mean / (math.sqrt(2.0) * safe_deviation(variance))
    return safe_deviation(variance) * math.sqrt(2.0 / math.pi) * tf.exp(-z * z) + mean * tf.math.erf(z)


def safe_deviation(variance: tf.Tensor) -> tf.Tensor:
    """sqrt(v), with a finite derivative where v is zero or just below from rounding."""
    return tf.sqrt(tf.maximum(variance, np.finfo(variance.dtype.as_numpy_dtype).tiny ** 0.5))
