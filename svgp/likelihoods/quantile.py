"""Quantile regression: f is a quantile of y, whatever the noise."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from svgp.errors import ModelError
from svgp.likelihoods.base import Likelihood
from svgp.likelihoods.gaussian import start_noise
from svgp.likelihoods.laplace import folded_normal_mean, safe_deviation
from svgp.likelihoods.normal_cdf import log_normal_cdf
from svgp.likelihoods.start import LatentStart, Targets, variance_of
from svgp.parameters import positive


class Quantile(Likelihood):
    """p(y | f) = level (1 - level) / scale exp(-rho((y - f) / scale)), rho(u) = u (level - [u < 0]).

    The asymmetric Laplace density (Yu & Moyeed 2001), whose maximum is where a share `level` of observations
    lies below f: it stands for the check loss, not for how y is really distributed. So predictions are of the
    quantile itself: its mean, variance and quantiles are those of f.
    """

    task = "regression"

    def __init__(
        self, level: float = 0.9, scale: Any = 0.1, *, dtype: tf.DType = tf.float64, name: str | None = None
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        if not 0.0 < level < 1.0:
            raise ModelError(f"{self.name}: level must lie between 0 and 1, got {level:g}")
        self.level = float(level)
        self.scale = positive(scale, f"{self.name}.scale", role="scale", dtype=dtype)

    @classmethod
    def arguments_for(cls, config: Any, targets: Targets) -> dict[str, Any]:
        """The level, and a scale of a quarter of what normal noise would start at."""
        start = 0.25 * start_noise(targets.variance) ** 0.5
        return {"level": config.level, "scale": start if config.scale is None else config.scale}

    @classmethod
    def latent_start(cls, config: Any, targets: Targets) -> LatentStart:
        """A regression whose scale a few outliers do not set."""
        variance = variance_of(targets.Y, robust=True)
        return LatentStart(targets.Y, float(variance.mean()), variance)

    def _log_density(self, F: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor) -> tf.Tensor:
        r = Y - F
        return self._of_check((self.level - 0.5) * r + 0.5 * tf.abs(r))

    def _expected_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        r = Y - f_mean
        return self._of_check((self.level - 0.5) * r + 0.5 * folded_normal_mean(r, f_var))  # [N, P]

    def _of_check(self, check: tf.Tensor) -> tf.Tensor:
        scale = tf.convert_to_tensor(self.scale)
        height = tf.math.log(tf.constant(self.level * (1.0 - self.level), self.dtype))
        return height - tf.math.log(scale) - check / scale

    def _moments(self, F: tf.Tensor, *extras: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return F, tf.zeros_like(F)

    def _predictive_moments(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, *extras: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return f_mean, f_var  # [N, P], [N, P]

    def _predictive_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        """Closed: an exponential on either side of f, added to a Gaussian, gives a term of Phi each."""
        scale, deviation = tf.convert_to_tensor(self.scale), safe_deviation(f_var)
        r = (Y - f_mean) / deviation
        terms = []
        for side, share in ((1.0, self.level), (-1.0, 1.0 - self.level)):
            ratio = share * deviation / scale
            terms.append(0.5 * ratio**2 - side * r * ratio + log_normal_cdf(side * r - ratio))
        height = tf.math.log(tf.constant(self.level * (1.0 - self.level), self.dtype))
        return height - tf.math.log(scale) + tf.reduce_logsumexp(tf.stack(terms), 0)  # [N, P]

    def _quantiles(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        return f_mean[..., None] + tf.sqrt(f_var)[..., None] * tf.math.ndtri(levels)  # [N, P, K]
