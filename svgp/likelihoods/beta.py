"""Shares: numbers from 0 to 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from scipy.special import ndtri

from svgp.likelihoods.base import Likelihood
from svgp.likelihoods.mixtures import continuous_quantiles, normal_cdf, wide
from svgp.likelihoods.quadrature import log_expectation
from svgp.likelihoods.start import LatentStart, Level, Targets, variance_of
from svgp.parameters import positive

LEAST = 1e-6  # of alpha and beta: a mean within rounding of 0 or 1 keeps a density


class Beta(Likelihood):
    """y ~ Beta(scale p, scale (1 - p)) with mean p = Phi(f); the larger `scale`, the less y scatters.

    No beta density holds 0 or 1 in general: observations nearer to them than `edge` count as at that
    distance. The config's model takes half a row's share of the data for it, 0.5 / N (Smithson &
    Verkuilen 2006 move all rows by as much), or half of the least distance of an observation that is neither,
    if that is less: small shares stay what they are. Expectations are by quadrature.
    """

    task = "share"
    harmless = 0.5

    def __init__(
        self,
        scale: float = 10.0,
        edge: float = 0.0,
        *,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        self.scale = positive(scale, f"{self.name}.scale", role="shape", dtype=dtype)
        self.edge = float(edge)

    @classmethod
    def arguments_for(cls, config: Any, targets: Targets) -> dict[str, Any]:
        """The scale, and the edge."""
        return {"scale": config.scale, "edge": _edge(targets.Y)}

    @classmethod
    def latent_start(cls, config: Any, targets: Targets) -> LatentStart:
        """A regression of the probit of y, about its mean."""
        edge = _edge(targets.Y)
        g = ndtri(np.clip(targets.Y, edge, 1.0 - edge))  # [N, P]
        spread = variance_of(g)
        variance = max(float(np.mean(g**2)), float(spread.mean()))
        level = Level(g.mean(axis=0), variance, float(spread.mean()))
        return LatentStart(g - g.mean(axis=0), variance, spread, level)

    def _log_density(self, F: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor) -> tf.Tensor:
        Y = tf.clip_by_value(Y, self.edge, 1.0 - self.edge) if self.edge else Y
        a, b = self._exponents(F)
        constant = tf.math.lgamma(a + b) - tf.math.lgamma(a) - tf.math.lgamma(b)
        return constant + (a - 1.0) * tf.math.log(Y) + (b - 1.0) * tf.math.log1p(-Y)

    def _exponents(self, F: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scale, least = tf.cast(tf.convert_to_tensor(self.scale), F.dtype), tf.cast(LEAST, F.dtype)
        return tf.maximum(scale * normal_cdf(F), least), tf.maximum(scale * normal_cdf(-F), least)

    def _moments(self, F: tf.Tensor, *extras: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        p = normal_cdf(F)
        return p, p * normal_cdf(-F) / (tf.convert_to_tensor(self.scale) + 1.0)

    def _predictive_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        return log_expectation(lambda F: self._log_density(F, Y), f_mean, f_var)  # [N, P]

    def _quantiles(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        m, v, levels = wide(f_mean, f_var, levels)

        def cdf(y: tf.Tensor, F: tf.Tensor) -> tf.Tensor:
            a, b = self._exponents(F)
            return tf.math.betainc(a + tf.zeros_like(y), b + tf.zeros_like(y), y + tf.zeros_like(a))

        low, high = tf.zeros_like(m), tf.ones_like(m)
        return tf.cast(continuous_quantiles(cdf, m, v, levels, low, high), self.dtype)  # [N, P, K]


def _edge(Y: np.ndarray) -> float:
    """Where 0 counts as, and 1 as far from the other end, for targets Y [N, P]."""
    inside = np.minimum(Y, 1.0 - Y)
    inside = inside[inside > 0.0]
    return 0.5 * min(1.0 / max(len(Y), 2), float(inside.min()) if inside.size else 1.0)
