"""Stationary kernels: squared exponential and Matérn, with a lengthscale for each input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import tensorflow as tf

from svgp.errors import ModelError
from svgp.kernels.base import Kernel
from svgp.kernels.radial import Adjoint, Profile, radial_covariance
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
        lengthscales = tf.cast(self._broadcastable(X), tf.float64)  # [..., 1, D]
        centre = tf.stop_gradient(tf.reduce_mean(X, -2, keepdims=True))  # [..., 1, D]
        scaled = [(x - centre) / lengthscales for x in (X, X2) if x is not None]  # [..., N, D]
        variance = tf.convert_to_tensor(self.variance)  # [...]
        batch = variance.shape
        for x in scaled:
            batch = tf.broadcast_static_shape(batch, x.shape[:-2])
        scaled = [x if x.shape[:-2] == batch else _with_batch(x, batch) for x in scaled]
        variance = variance if variance.shape == batch else tf.broadcast_to(variance, batch)
        return radial_covariance(
            self.profile, scaled[0], scaled[1] if X2 is not None else None, variance, dtype
        )  # [..., N, N2]

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        variance = tf.cast(self.variance, dtype)[..., None]  # [..., 1]
        batch = tf.broadcast_static_shape(self.variance.shape, self.lengthscales.shape[:-1])
        shape = tf.concat([tf.broadcast_dynamic_shape(batch, tf.shape(X)[:-2]), tf.shape(X)[-2:-1]], 0)
        return tf.broadcast_to(variance, shape)  # [..., N]

    def _lengthscales(self, D: int) -> tf.Tensor:
        lengthscales = tf.convert_to_tensor(self.lengthscales)
        return tf.broadcast_to(lengthscales, lengthscales.shape[:-1].concatenate(D))  # [..., D]

    def _broadcastable(self, X: tf.Tensor) -> tf.Tensor:
        lengthscales = tf.convert_to_tensor(self.lengthscales)
        if lengthscales.shape.rank == 0:
            return lengthscales
        found, D = lengthscales.shape[-1], X.shape[-1]
        if found != 1 and D is not None and found != D:
            raise ModelError(f"{self.name}: {found} lengthscales for inputs with {D} columns")
        return lengthscales[..., None, :]


def _squared_exponential(a: tf.Tensor, log_v: tf.Tensor) -> tuple[tf.Tensor, Adjoint]:
    K = tf.exp(log_v - a)
    return K, lambda K_bar: K_bar * K


def _matern12(a: tf.Tensor, log_v: tf.Tensor) -> tuple[tf.Tensor, Adjoint]:
    r = tf.sqrt(a)
    K = tf.exp(log_v - r)
    return K, lambda K_bar: tf.math.divide_no_nan(K_bar * K, r)


def _matern32(a: tf.Tensor, log_v: tf.Tensor) -> tuple[tf.Tensor, Adjoint]:
    s = tf.sqrt(a)
    E = tf.exp(log_v - s)
    return (1.0 + s) * E, lambda K_bar: K_bar * E


def _matern52(a: tf.Tensor, log_v: tf.Tensor) -> tuple[tf.Tensor, Adjoint]:
    s = tf.sqrt(a)
    E = tf.exp(log_v - s)
    slope = (1.0 + s) * E
    return slope + a * E / 3.0, lambda K_bar: K_bar * slope


class SquaredExponential(Stationary):
    """k = v exp(-r^2 / 2), infinitely smooth (Rasmussen & Williams 2006, eq. 4.9)."""

    profile = Profile(scale=0.5, factor=-0.5, evaluate=_squared_exponential)


class Matern12(Stationary):
    """k = v exp(-r), continuous and rough: the Ornstein-Uhlenbeck process (R&W 2006, eq. 4.14).

    Its derivative does not exist at r = 0; the gradient there is taken as 0, the mean of both sides.
    """

    profile = Profile(scale=1.0, factor=-0.5, evaluate=_matern12)


class Matern32(Stationary):
    """k = v (1 + s) exp(-s), s = sqrt(3) r, once differentiable (R&W 2006, eq. 4.17)."""

    profile = Profile(scale=3.0, factor=-1.5, evaluate=_matern32)


class Matern52(Stationary):
    """k = v (1 + s + s^2 / 3) exp(-s), s = sqrt(5) r, twice differentiable (R&W 2006, eq. 4.17)."""

    profile = Profile(scale=5.0, factor=-5.0 / 6.0, evaluate=_matern52)


def _with_batch(x: tf.Tensor, batch: tf.TensorShape) -> tf.Tensor:
    return tf.broadcast_to(x, tf.concat([batch, tf.shape(x)[-2:]], 0))  # [..., N, D]
