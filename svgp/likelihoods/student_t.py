"""Student-t noise: regression that outliers do not bend."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.likelihoods.base import Likelihood
from svgp.likelihoods.gaussian import log_normal, start_noise
from svgp.likelihoods.start import LatentStart, Targets, variance_of
from svgp.parameters import positive


class StudentT(Likelihood):
    """y = f + scale * e, e ~ Student-t with `df` degrees of freedom.

        log p = lgamma((df+1)/2) - lgamma(df/2) - log(df pi scale^2)/2 - (df+1)/2 log(1 + ((y-f)/scale)^2/df)

    `scale` is trainable, in units of y; `df` is fixed. The ELBO's expectation is by quadrature.
    Predictive densities and quantiles use that a Student-t is a mixture of Gaussians,
    N(f, scale^2 / lambda) with lambda ~ Gamma(df/2, df/2): a sum over lambda that stays smooth
    where f is much less certain than the noise is wide, and nodes over f would leave steps.

    The predictive mean is f_mean, for df <= 1 the median (a mean does not exist); the predictive
    variance is f_var + scale^2 df / (df - 2), infinite for df <= 2. Raises ModelError where df or
    scale is not positive.
    """

    task = "regression"

    def __init__(
        self,
        scale: Any = 0.1,
        df: float = 4.0,
        *,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        if not (math.isfinite(df) and df > 0.0):
            raise ModelError(f"{self.name}: df must be finite and above 0, got {df:g}")
        self.df = float(df)
        self.scale = positive(scale, f"{self.name}.scale", role="scale", dtype=dtype)

    @classmethod
    def arguments_for(cls, config: Any, targets: Targets) -> dict[str, Any]:
        """A scale of the root of a tenth of the targets' variance, or the config's."""
        scale = np.sqrt(start_noise(targets.variance)) if config.scale is None else config.scale
        return {"scale": scale, "df": config.df}

    @classmethod
    def latent_start(cls, config: Any, targets: Targets) -> LatentStart:
        """A regression whose scale a few outliers do not set."""
        variance = variance_of(targets.Y, robust=True)
        return LatentStart(targets.Y, float(variance.mean()), variance)

    def _log_density(self, F: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor) -> tf.Tensor:
        half = 0.5 * (self.df + 1.0)
        constant = math.lgamma(half) - math.lgamma(0.5 * self.df) - 0.5 * math.log(self.df * math.pi)
        scale = tf.convert_to_tensor(self.scale)
        return constant - tf.math.log(scale) - half * tf.math.log1p(((Y - F) / scale) ** 2 / self.df)

    def _moments(self, F: tf.Tensor, *extras: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        ratio = self.df / (self.df - 2.0) if self.df > 2.0 else math.inf
        return F, tf.zeros_like(F) + ratio * tf.convert_to_tensor(self.scale) ** 2

    def _predictive_moments(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, *extras: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        mean, noise = self._moments(f_mean)
        return mean, f_var + noise  # [N, P], [N, P]

    def _predictive_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        spread, log_weights = self._mixture(tf.cast(f_var, tf.float64))  # [N, P, K], [K]
        f_mean, Y = (tf.cast(x, tf.float64)[..., None] for x in (f_mean, Y))  # [N, P, 1]
        log_density = tf.reduce_logsumexp(log_weights + log_normal(Y, f_mean, spread), -1)
        return tf.cast(log_density, self.dtype)  # [N, P]

    def _quantiles(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        f_var, levels = tf.cast(f_var, tf.float64), tf.cast(levels, tf.float64)
        spread, log_weights = self._mixture(f_var)  # [N, P, K], [K]
        deviation, weights = tf.sqrt(spread)[..., None, :], tf.exp(log_weights)  # [N, P, 1, K], [K]
        width = tf.sqrt(f_var + tf.cast(self.scale, tf.float64) ** 2)[..., None]  # [N, P, 1]
        # By symmetry: solve for the upper tail only, where the distribution function is concave and
        # Newton's method, started at the centre, climbs to the root and never passes it.
        tail = tf.minimum(levels, 1.0 - levels)  # [Q]

        def step(y: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            z = y[..., None] / deviation  # [N, P, Q, K]
            above = tf.reduce_sum(weights * 0.5 * tf.math.erfc(math.sqrt(0.5) * z), -1)  # [N, P, Q]
            density = tf.reduce_sum(weights * tf.exp(-0.5 * z * z) / deviation, -1) / math.sqrt(2.0 * math.pi)
            update = (above - tail) / density
            return y + update, tf.reduce_max(tf.abs(update) / (tf.abs(y) + width))

        start = tf.zeros(tf.concat([tf.shape(f_var), tf.shape(levels)], 0), tf.float64)  # [N, P, Q]
        above_centre, _ = tf.while_loop(
            lambda _, change: change > 1e-10,
            step,
            (start, tf.constant(1.0, tf.float64)),
            maximum_iterations=100,
        )
        return f_mean[..., None] + tf.cast(tf.sign(levels - 0.5) * above_centre, self.dtype)  # [N, P, Q]

    def _mixture(self, f_var: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Variances of y given lambda [N, P, K], and log weights [K], float64; f_var [N, P]."""
        log_lambda, log_weights = gamma_grid(0.5 * self.df)
        scale = tf.cast(self.scale, tf.float64)
        noise = scale[..., None] ** 2 * tf.constant(np.exp(-log_lambda))  # [K] or [P, K]
        spread = f_var[..., None] + noise  # [N, P, K]
        return spread, tf.constant(log_weights)


def gamma_grid(shape: float) -> tuple[np.ndarray, np.ndarray]:
    """Trapezoidal rule for lambda ~ Gamma(shape, rate shape), in u = log(lambda): u_k and log weights.

    The density of u is analytic and falls off on both sides, so equal steps converge exponentially;
    the ends are where it has dropped by exp(-40), so densities are exact down to about that.
    """
    reach = 40.0 / shape + math.sqrt(80.0 / shape)
    step = min(0.5, 0.35 / math.sqrt(shape))
    u = np.arange(-reach, math.log1p(reach) + step, step)
    log_weights = shape * (u - np.exp(u))
    log_weights -= np.logaddexp.reduce(log_weights)
    return u, log_weights
