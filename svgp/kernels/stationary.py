"""Stationary kernels: squared exponential and Matérn, with a lengthscale for each input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.kernels.base import Kernel
from svgp.kernels.features import Part, Waves, student_frequencies
from svgp.kernels.radial import Profile, radial_covariance
from svgp.parameters import positive


class Stationary(Kernel):
    """k(x, x') = v g(r) with r^2 = sum_d ((x_d - x'_d) / l_d)^2 and g(0) = 1.

    `variance` v has shape [...], in units of the function squared. `lengthscales` l are a scalar
    (one for all inputs) or [..., D], in the units of the inputs; a last axis of 1 is shared by all
    inputs, so [L, 1] gives each latent GP its own single one.

    Gradients are written by hand, exact and finite at coincident points. Inputs are centred before
    the expansion |x|^2 + |z|^2 - 2xz, which is done in float64 whatever the kernel's type (two of
    about six sweeps on a CPU): data at 1e6 with unit spread lose nothing, and a float32 matrix
    carries only the rounding of its own entries.
    """

    profile: ClassVar[Profile]
    # Of the Student's t that is the spectral density; None: not known, and no random features.
    spectral_degrees: ClassVar[float | None] = None

    def __init__(
        self,
        variance: Any = 1.0,
        lengthscales: Any = 1.0,
        *,
        active_dims: Sequence[int] | None = None,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(active_dims=active_dims, dtype=dtype, name=name)
        self.variance = positive(variance, f"{self.name}.variance", dtype=dtype)
        self.lengthscales = positive(lengthscales, f"{self.name}.lengthscales", dtype=dtype)
        columns = self.lengthscales.shape[-1:].as_list()
        if self.active_dims is not None and columns not in ([], [1], [len(self.active_dims)]):
            raise ModelError(
                f"{self.name}: {columns[0]} lengthscales for {len(self.active_dims)} active dimensions"
            )

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        D = X.shape[-1]
        lengthscales = tf.cast(self._lengthscales(D), tf.float64)  # [..., D]
        variance = tf.convert_to_tensor(self.variance)  # [...]
        centre = tf.stop_gradient(tf.reduce_mean(X, -2, keepdims=True))  # [..., 1, D]
        centred = [x - centre for x in (X, X2) if x is not None]  # [..., N, D], [..., N2, D]
        batch = tf.broadcast_static_shape(variance.shape, lengthscales.shape[:-1])
        for x in centred:
            batch = tf.broadcast_static_shape(batch, x.shape[:-2])
        centred = [_with_batch(x, batch, 2) for x in centred]
        return radial_covariance(
            self.profile,
            centred[0],
            None if X2 is None else centred[1],
            _with_batch(lengthscales, batch, 1),
            _with_batch(variance, batch, 0),
            dtype,
        )  # [..., N, N2]

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        variance = tf.cast(self.variance, dtype)[..., None]  # [..., 1]
        batch = tf.broadcast_static_shape(self.variance.shape, self.lengthscales.shape[:-1])
        shape = tf.concat([tf.broadcast_dynamic_shape(batch, tf.shape(X)[:-2]), tf.shape(X)[-2:-1]], 0)
        return tf.broadcast_to(variance, shape)  # [..., N]

    def _features(self, D: int, count: int, rng: np.random.Generator) -> list[Part] | None:
        if self.spectral_degrees is None:
            return None
        lengthscales = np.asarray(self._lengthscales(D), np.float64)  # [..., D]
        variance = np.asarray(tf.convert_to_tensor(self.variance), np.float64)  # [...]
        frequencies = student_frequencies((count, D), self.spectral_degrees, rng)  # [m, D]
        frequencies = frequencies / lengthscales.reshape(-1, 1, D)  # [L', m, D]
        return [
            Waves(frequencies, np.broadcast_to(variance.reshape(-1), max(variance.size, len(frequencies))))
        ]

    def _lengthscales(self, D: int) -> tf.Tensor:
        lengthscales = tf.convert_to_tensor(self.lengthscales)  # [] or [..., D] or [..., 1]
        if lengthscales.shape.rank and lengthscales.shape[-1] not in (1, D):
            raise ModelError(
                f"{self.name}: {lengthscales.shape[-1]} lengthscales for inputs with {D} columns"
            )
        return tf.broadcast_to(lengthscales, lengthscales.shape[:-1].concatenate(D))  # [..., D]


Pair = tuple[tf.Tensor, tf.Tensor]


def _exponential(a: tf.Tensor, log_v: tf.Tensor) -> Pair:
    return tf.exp(log_v - a), a


def _exponential_back(K_bar: tf.Tensor, K: tf.Tensor, a: tf.Tensor) -> Pair:
    products = K_bar * K
    return products, products


def _matern12(a: tf.Tensor, log_v: tf.Tensor) -> Pair:
    r = tf.sqrt(a)
    return tf.exp(log_v - r), r


def _matern12_back(K_bar: tf.Tensor, K: tf.Tensor, r: tf.Tensor) -> Pair:
    products = K_bar * K
    return tf.math.divide_no_nan(products, r), products


def _matern32(a: tf.Tensor, log_v: tf.Tensor) -> Pair:
    s = tf.sqrt(a)
    slope = tf.exp(log_v - s)
    return (1.0 + s) * slope, slope


def _matern52(a: tf.Tensor, log_v: tf.Tensor) -> Pair:
    s = tf.sqrt(a)
    E = tf.exp(log_v - s)
    slope = (1.0 + s) * E
    return slope + a * E / 3.0, slope


def _slope_back(K_bar: tf.Tensor, K: tf.Tensor, slope: tf.Tensor) -> Pair:
    return K_bar * slope, K_bar * K


class SquaredExponential(Stationary):
    """k = v exp(-r^2 / 2), infinitely smooth (Rasmussen & Williams 2006, eq. 4.9)."""

    profile = Profile(0.5, -0.5, _exponential, _exponential_back)
    spectral_degrees = math.inf


class Matern12(Stationary):
    """k = v exp(-r), continuous and rough: the Ornstein-Uhlenbeck process (R&W 2006, eq. 4.14).

    Its derivative does not exist at r = 0; the gradient there is taken as 0, the mean of both sides.
    """

    profile = Profile(1.0, -0.5, _matern12, _matern12_back)
    spectral_degrees = 1.0


class Matern32(Stationary):
    """k = v (1 + s) exp(-s), s = sqrt(3) r, once differentiable (R&W 2006, eq. 4.17)."""

    profile = Profile(3.0, -1.5, _matern32, _slope_back)
    spectral_degrees = 3.0


class Matern52(Stationary):
    """k = v (1 + s + s^2 / 3) exp(-s), s = sqrt(5) r, twice differentiable (R&W 2006, eq. 4.17)."""

    profile = Profile(5.0, -5.0 / 6.0, _matern52, _slope_back)
    spectral_degrees = 5.0


def _with_batch(x: tf.Tensor, batch: tf.TensorShape, inner: int) -> tf.Tensor:
    """x with `batch` in front of its last `inner` dimensions."""
    rank = x.shape.rank
    if x.shape[: rank - inner] == batch:
        return x
    return tf.broadcast_to(x, tf.concat([batch, tf.shape(x)[rank - inner :]], 0))
