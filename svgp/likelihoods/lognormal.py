"""Positive numbers whose logarithm is normal."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from svgp.likelihoods.gaussian import log_normal, start_noise
from svgp.likelihoods.mixtures import normal_cdf, wide
from svgp.likelihoods.normal_cdf import log_normal_cdf
from svgp.likelihoods.poisson import exp_moments
from svgp.likelihoods.positive import PositiveLikelihood
from svgp.likelihoods.start import Targets
from svgp.parameters import positive


class LogNormal(PositiveLikelihood):
    """log y = f + scale e, e ~ N(0, 1); `scale` has no unit. All but the expected log survival is closed."""

    def __init__(
        self,
        scale: float = 0.3,
        censored: bool = False,
        *,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(censored, dtype=dtype, name=name)
        self.scale = positive(scale, f"{self.name}.scale", role="scale", dtype=dtype)

    @classmethod
    def arguments_for(cls, config: Any, targets: Targets) -> dict[str, Any]:
        """The root of a tenth of log y's variance, or the config's."""
        start = start_noise(targets.variance[:1]) ** 0.5
        return {**super().arguments_for(config, targets), "scale": config.scale or start}

    def _log_pdf(self, F: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        log_y = tf.math.log(Y)
        return log_normal(log_y, F, tf.convert_to_tensor(self.scale) ** 2) - log_y

    def _log_survival(self, F: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        return log_normal_cdf((F - tf.math.log(Y)) / tf.convert_to_tensor(self.scale))

    def _expected_log_pdf(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        return self._log_pdf(f_mean, Y) - 0.5 * f_var / tf.convert_to_tensor(self.scale) ** 2

    def _predictive_log_pdf(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        log_y = tf.math.log(Y)
        return log_normal(log_y, f_mean, f_var + tf.convert_to_tensor(self.scale) ** 2) - log_y

    def _predictive_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        deviation = tf.sqrt(f_var + tf.convert_to_tensor(self.scale) ** 2)
        seen = self._predictive_log_pdf(f_mean, f_var, Y)
        return self._choose(extras, seen, lambda: log_normal_cdf((f_mean - tf.math.log(Y)) / deviation))

    def _moments(self, F: tf.Tensor, *extras: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._predictive_moments(F, tf.zeros_like(F))

    def _predictive_moments(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, *extras: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        variance = f_var + tf.convert_to_tensor(self.scale) ** 2
        mean, _, spread = exp_moments(f_mean, variance)
        return mean, spread  # [N, P], [N, P]

    def _quantiles(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        deviation = tf.sqrt(f_var + tf.convert_to_tensor(self.scale) ** 2)  # [N, P]
        return tf.exp(f_mean[..., None] + deviation[..., None] * tf.math.ndtri(levels))  # [N, P, K]

    def _cdf(self, y: tf.Tensor, F: tf.Tensor) -> tf.Tensor:
        (scale,) = wide(tf.convert_to_tensor(self.scale))
        return normal_cdf((tf.math.log(y) - F) / scale)
