"""The spectral mixture kernel: any stationary covariance, as a mixture of normals over frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.kernels.base import Kernel
from svgp.kernels.inner import with_diagonal
from svgp.kernels.periodogram import peaks
from svgp.kernels.radial import centre_of
from svgp.kernels.squared_exponential import SquaredExponential
from svgp.kernels.static import same_batch
from svgp.parameters import positive

SLOWEST = 0.1  # frequency of the smooth component, periods in a spread of the column


class SpectralMixture(Kernel):
    """k = sum_q w_q exp(-2 pi^2 sum_d (s_qd t_d)^2) cos(2 pi sum_d m_qd t_d), t = x - x' (Wilson & Adams
    2013).

    Q components of `weights` w [Q], mean `frequencies` m [Q, D] in periods per unit, and `bandwidths` s [Q,
    D]. Each is a squared exponential with lengthscales 1 / (2 pi s), times a plane wave; the former are
    kept as the part `envelope`.
    """

    def __init__(
        self,
        weights: Any,
        frequencies: Any,
        bandwidths: Any,
        *,
        active_dims: Sequence[int] | None = None,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(active_dims=active_dims, dtype=dtype, name=name)
        weights, frequencies, bandwidths = (np.asarray(x, float) for x in (weights, frequencies, bandwidths))
        if weights.ndim != 1 or frequencies.shape != bandwidths.shape or len(frequencies) != len(weights):
            raise ModelError(
                f"{self.name}: weights {weights.shape}, frequencies {frequencies.shape} and bandwidths "
                f"{bandwidths.shape}; expected [Q], [Q, D] and [Q, D]"
            )
        self.envelope = SquaredExponential(weights, 1.0 / (2.0 * np.pi * bandwidths), dtype=dtype)
        self.frequencies = positive(frequencies, f"{self.name}.frequencies", role="rate", dtype=dtype)

    @classmethod
    def arguments(cls, start: Any, stated: dict[str, Any]) -> dict[str, Any]:
        """A smooth component, and others at the strongest frequencies of the data, or at random ones.

        Of one input the periodogram tells them. In several each component takes, along each input, a random
        one of its strongest frequencies or none to speak of.
        """
        count, D, spread = stated["components"], len(start.columns), start.spread
        rng = np.random.default_rng([start.seed, 13])
        slow = SLOWEST / spread  # [D]
        frequencies = np.tile(slow, (count, 1))  # [Q, D]
        for d in range(D if start.rows is not None and start.targets is not None else 0):
            known = peaks(start.rows[:, d], start.targets[:, 0], max(1, count - 1), start.seed)
            known = np.concatenate([known, np.abs(rng.normal(size=count)) / spread[d] + slow[d]])[: count - 1]
            taken = np.ones(count - 1, bool) if D == 1 else rng.random(count - 1) < 2.0 / D
            frequencies[1:, d] = np.where(taken, known if D == 1 else rng.permutation(known), slow[d])
        bandwidths = np.tile(1.0 / (2.0 * np.pi * start.lengthscales), (count, 1))
        return {
            "weights": np.full(count, stated.get("variance", start.variance) / count),
            "frequencies": frequencies,
            "bandwidths": bandwidths,
        }

    @property
    def parts(self) -> tuple[Kernel, ...]:
        return (self.envelope,)

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        centre = centre_of(X, X2)
        X = (X - centre)[..., None, :, :]  # [..., 1, N, D]
        X2 = None if X2 is None else (X2 - centre)[..., None, :, :]
        left = self._waves(X)  # [..., Q, N, 2]
        right = left if X2 is None else self._waves(X2)
        waves = tf.cast(tf.matmul(*same_batch(left, right), transpose_b=True), dtype)  # [..., Q, N, N2]
        K = tf.reduce_sum(self.envelope.K(X, X2, dtype=dtype) * waves, -3)  # [..., N, N2]
        return K if X2 is not None else with_diagonal(K, self._variances(X[..., 0, :, :], dtype))

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        total = tf.reduce_sum(tf.cast(self.envelope.variance, dtype), -1)
        return total * tf.ones(tf.shape(X)[:-1], dtype)  # [..., N]

    def _waves(self, X: tf.Tensor) -> tf.Tensor:
        frequencies = tf.cast(self.frequencies, X.dtype)[:, None, :]  # [Q, 1, D]
        if frequencies.shape[-1] != X.shape[-1]:
            raise ModelError(f"{self.name}: {frequencies.shape[-1]} frequencies for {X.shape[-1]} columns")
        phase = 2.0 * np.pi * tf.reduce_sum(X * frequencies, -1)  # [..., Q, N]
        return tf.stack([tf.cos(phase), tf.sin(phase)], -1)  # [..., Q, N, 2]

    def _lengthscales(self, D: int) -> tf.Tensor:
        # The curvature of k at zero is the spectrum's second moment.
        weights = tf.convert_to_tensor(self.envelope.variance)
        square = self.envelope._lengthscales(D) ** -2.0 + (2.0 * np.pi * self.frequencies) ** 2.0  # [Q, D]
        mean = tf.reduce_sum(weights[:, None] * square, 0) / tf.reduce_sum(weights)
        return tf.math.rsqrt(mean)  # [D]
