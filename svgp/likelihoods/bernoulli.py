"""Two classes: a Bernoulli observation behind a probit or logit link."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from svgp.errors import ModelError
from svgp.likelihoods.base import Likelihood
from svgp.likelihoods.normal_cdf import log_normal_cdf
from svgp.likelihoods.quadrature import expectation
from svgp.likelihoods.start import LatentStart, Targets, regression_of


class Bernoulli(Likelihood):
    """y in {0, 1} with P(y = 1 | f) = Phi(f) (link "probit") or 1 / (1 + exp(-f)) ("logit").

    With the probit link the class probability is closed-form, E[Phi(f)] = Phi(m / sqrt(1 + v))
    (Rasmussen & Williams 2006, eq. 3.82). No probability is floored: log p comes from
    log Phi and log-sigmoid directly, finite for any f. Raises ModelError at another link.
    """

    task = "binary"

    def __init__(
        self, link: str = "probit", *, dtype: tf.DType = tf.float64, name: str | None = None
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        if link not in ("probit", "logit"):
            raise ModelError(f"{self.name}: link {link!r} is not known; use probit or logit")
        self.link = link

    @classmethod
    def latent_start(cls, config: Any, targets: Targets) -> LatentStart:
        """Lengthscales from a regression of -1 and 1; f starts at a prior of variance 1."""
        return regression_of(2.0 * targets.Y - 1.0, 1.0)

    def _log_density(self, F: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor) -> tf.Tensor:
        signed = (2.0 * Y - 1.0) * F
        return log_normal_cdf(signed) if self.link == "probit" else tf.math.log_sigmoid(signed)

    def _moments(self, F: tf.Tensor, *extras: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        probability = _normal_cdf(F) if self.link == "probit" else tf.math.sigmoid(F)
        return probability, probability * (1.0 - probability)

    def _predictive_moments(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, *extras: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        if self.link == "probit":
            return self._moments(f_mean * tf.math.rsqrt(1.0 + f_var))
        probability = expectation(tf.math.sigmoid, f_mean, f_var)
        return probability, probability * (1.0 - probability)  # [N, P], [N, P]

    def _predictive_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        if self.link == "probit":
            return self._log_density(f_mean * tf.math.rsqrt(1.0 + f_var), Y)  # [N, P]
        return super()._predictive_log_density(f_mean, f_var, Y)

    def class_probabilities(self, f_mean: Any, f_var: Any) -> tf.Tensor:
        """[P(y = 0), P(y = 1)]: [N, 2]."""
        probability = self.predict_mean_and_var(f_mean, f_var)[0]  # [N, 1]
        return tf.concat([1.0 - probability, probability], -1)

    def _quantiles(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        raise ModelError(
            f"{self.name}: a class has no quantiles; predict_mean_and_var gives P(y = 1) as its mean"
        )


def _normal_cdf(x: tf.Tensor) -> tf.Tensor:
    return 0.5 * tf.math.erfc(-math.sqrt(0.5) * x)
