"""The rational quadratic kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.kernels.features import Part, Waves
from svgp.kernels.stationary import Stationary
from svgp.parameters import positive


class RationalQuadratic(Stationary):
    """k = v w^-alpha, w = 1 + r^2 / (2 alpha): squared exponentials of many lengths (R&W 2006, eq. 4.19).

    `alpha [...]` tells how widely the lengths spread; as it grows the kernel becomes the squared exponential.
    With a = r^2 / 2: dK/da = -v w^(-alpha - 1), dK/dalpha = K (1 - 1/w - log w). In NumPy w comes back out of
    the slope, log w = (log v - log slope) / (alpha + 1), so that nothing else is kept of a panel.
    """

    scale, factor = 0.5, -0.5
    shapes = ("alpha",)

    def __init__(
        self,
        variance: Any = 1.0,
        lengthscales: Any = 1.0,
        alpha: Any = 1.0,
        *,
        active_dims: Sequence[int] | None = None,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(variance, lengthscales, active_dims=active_dims, dtype=dtype, name=name)
        self.alpha = positive(alpha, f"{self.name}.alpha", role="shape", dtype=dtype)

    def _features(self, D: int, count: int, rng: np.random.Generator) -> list[Part]:
        """Frequencies of a squared exponential whose 1 / l^2 is Gamma distributed, shape and rate alpha."""
        lengthscales = np.asarray(self._lengthscales(D), np.float64).reshape(-1, 1, D)
        alpha, variance = (
            np.asarray(tf.convert_to_tensor(x), np.float64).reshape(-1) for x in (self.alpha, self.variance)
        )
        latents = max(len(lengthscales), alpha.size, variance.size)
        alpha = np.broadcast_to(alpha, latents)[:, None, None]  # [L', 1, 1]
        stretch = np.sqrt(rng.gamma(alpha, 1.0 / alpha, (latents, count, 1)))
        frequencies = rng.normal(size=(latents, count, D)) * stretch / lengthscales
        return [Waves(frequencies, np.broadcast_to(variance, latents))]

    @staticmethod
    def forward(a: tf.Tensor, log_v: tf.Tensor, alpha: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        alpha = alpha[..., None, None]  # [..., 1, 1]
        log_w = tf.math.log1p(a / alpha)
        return tf.exp(log_v - alpha * log_w), log_w

    @staticmethod
    def backward(
        K_bar: tf.Tensor, K: tf.Tensor, log_w: tf.Tensor, alpha: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        products, inverse = K_bar * K, tf.exp(-log_w)
        return products * inverse, products, products * (1.0 - inverse - log_w)

    @staticmethod
    def fill(K: np.ndarray, slope: np.ndarray, variance: float, alpha: float) -> None:
        np.maximum(K, 0.0, out=K)
        K *= 1.0 / alpha
        w = K + 1.0
        np.log1p(K, out=K)
        K *= -alpha
        K += np.log(variance)
        np.exp(K, out=K)
        np.divide(K, w, out=slope)

    @staticmethod
    def shape_adjoint(K_bar: np.ndarray, slope: np.ndarray, variance: float, *shape: float) -> list[float]:
        (alpha,) = shape
        # The slope is set to zero on a diagonal, where K does not depend on alpha either.
        log_w = (np.log(variance) - np.log(np.where(slope > 0.0, slope, variance))) / (alpha + 1.0)
        w = np.exp(log_w)
        return [float(np.einsum("ij,ij->", K_bar, slope * (w - 1.0 - w * log_w)))]
