"""Functions that repeat themselves, with the smoothness of any stationary kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.kernels.mapped import Mapped
from svgp.kernels.periodogram import dominant_periods
from svgp.kernels.static import input_weights
from svgp.kernels.stationary import Stationary
from svgp.parameters import positive

START_LENGTHSCALE = 0.5  # a swing or two in each period


class Periodic(Mapped):
    """k(x, x') = base(rho), rho^2 = sum_d (sin(pi (x_d - x'_d) / p_d) / l_d)^2 (MacKay 1998, eq. 47).

    `base_kernel` is any stationary kernel, with its own variance and lengthscales l; `period` p [] or [...,
    D]. rho is a chord: each input is laid on a circle, (cos, sin)(2 pi x / p) / 2, and the base is the
    kernel of distances between points there, so the result is a covariance for every base and any number of
    inputs. GPflow's parameters and, for one input or a squared exponential, its values.
    """

    base_kernel: Stationary

    def __init__(
        self,
        base_kernel: Stationary,
        period: Any = 1.0,
        *,
        active_dims: Sequence[int] | None = None,
        name: str | None = None,
    ) -> None:
        if not isinstance(base_kernel, Stationary):
            kind = type(base_kernel).__name__
            raise ModelError(f"Periodic: base kernel {kind} is not stationary; use squared_exponential, say")
        if active_dims is None:
            active_dims, base_kernel._active_dims = base_kernel.active_dims, None
        super().__init__(base_kernel, active_dims=active_dims, name=name)
        self.period = positive(period, f"{self.name}.period", role="period", dtype=base_kernel.dtype)

    @classmethod
    def arguments(cls, start: Any, stated: dict[str, Any]) -> dict[str, Any]:
        """The period that is strongest in the data, along each input by itself."""
        chord = np.full(len(start.all_lengthscales), START_LENGTHSCALE)
        base = start.kernel(stated["base"], all_lengthscales=chord)
        period = np.asarray(stated["period"] if "period" in stated else dominant_periods(start))
        if period.ndim and getattr(stated["base"], "ard", True) is False:
            period = np.exp(np.mean(np.log(period)))
        elif not period.ndim and getattr(stated["base"], "ard", True):
            period = np.full(len(start.columns), float(period))
        return {"base_kernel": base, "period": period}

    def map(self, X: tf.Tensor) -> tf.Tensor:
        """Points on circles of radius 1/2: [..., N, D] -> [..., N, 2 D]."""
        phase = 2.0 * np.pi * X / input_weights(self.period, X, self.name)  # [..., N, D]
        return 0.5 * tf.concat([tf.cos(phase), tf.sin(phase)], -1)

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        lengthscales = self.base_kernel._lengthscales(X.shape[-1])  # [..., D]
        mapped = None if X2 is None else self.map(X2)
        both = tf.concat([lengthscales, lengthscales], -1)  # [..., 2 D]
        return self.base_kernel.covariance(self.map(X), mapped, both, dtype)  # [..., N, N2]

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        variances = self.base_kernel._variances(X, dtype)  # [..., N]
        if not self.period.shape.rank:
            return variances
        batch = tf.broadcast_static_shape(self.period.shape[:-1], variances.shape[:-1])
        return tf.broadcast_to(variances, tf.concat([batch, tf.shape(variances)[-1:]], 0))

    def _lengthscales(self, D: int) -> tf.Tensor:
        return self.base_kernel._lengthscales(D) * tf.convert_to_tensor(self.period) / np.pi
