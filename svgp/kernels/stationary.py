"""Stationary kernels: what those that fall with a scaled distance have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.kernels.base import Kernel
from svgp.kernels.features import Part, Waves, student_frequencies
from svgp.kernels.radial import centre_of, radial_covariance
from svgp.parameters import positive

if TYPE_CHECKING:
    from svgp.kernels.start import Start


class Stationary(Kernel):
    """k(x, x') = v g(r) with r^2 = sum_d ((x_d - x'_d) / l_d)^2 and g(0) = 1.

    `variance` v has shape [...], in units of the function squared. `lengthscales` l are a scalar
    (one for all inputs) or [..., D], in the units of the inputs; a last axis of 1 is shared by all
    inputs, so [L, 1] gives each latent GP its own single one.

    Gradients are written by hand, exact and finite at coincident points. Inputs are centred before
    the expansion |x|^2 + |z|^2 - 2xz, which is done in float64 whatever the kernel's type (two of
    about six sweeps on a CPU): data at 1e6 with unit spread lose nothing, and a float32 matrix
    carries only the rounding of its own entries.

    A kind states, side by side and in terms of a = scale * r2 >= 0:

    - `scale`, and `factor`, the constant in dK/d(r2) = factor * slope;
    - `forward(a, log_v, *shape)`: K and what the way back needs, in TensorFlow;
    - `backward(K_bar, K, saved, *shape)`: K_bar o slope, K_bar o K, and K_bar o dK/ds for each shape s;
    - `fill(K, slope, variance, *shape)`: the same forward in NumPy, where K holds a (below zero by rounding,
      maybe) and becomes the covariance, and `slope` the slope, for loops that stay on the host
      (`svgp.kernels.host`); `separate_slope = False` says that the slope is K itself and is left alone;
    - `shapes`: the names of parameters beside variance and lengthscales, shape [...] each, and
      `shape_adjoint(K_bar, slope, variance, *shape)`: the sum of K_bar o dK/ds for each, in NumPy.
    """

    scale: ClassVar[float]
    factor: ClassVar[float]
    separate_slope: ClassVar[bool] = True
    shapes: ClassVar[tuple[str, ...]] = ()
    forward: ClassVar[Callable[..., tuple[tf.Tensor, Any]]]
    backward: ClassVar[Callable[..., tuple[tf.Tensor, ...]]]
    fill: ClassVar[Callable[..., None]]
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
        self.variance = positive(variance, f"{self.name}.variance", role="variance", dtype=dtype)
        self.lengthscales = positive(
            lengthscales, f"{self.name}.lengthscales", role="lengthscale", dtype=dtype
        )
        columns = self.lengthscales.shape[-1:].as_list()
        if self.active_dims is not None and columns not in ([], [1], [len(self.active_dims)]):
            raise ModelError(
                f"{self.name}: {columns[0]} lengthscales for {len(self.active_dims)} active dimensions"
            )

    @classmethod
    def arguments(cls, start: Start, stated: dict[str, Any]) -> dict[str, Any]:
        """Variance and lengthscales of the start; with `ard: false` the geometric mean of the latter."""
        ard, found = stated.pop("ard", True), start.lengthscales
        given = stated.get("lengthscales")
        if given is None:
            lengthscales = found if ard else np.exp(np.mean(np.log(found)))
        else:
            lengthscales = np.asarray(given, float)
            if lengthscales.ndim == 0 and ard:
                lengthscales = np.full(len(found), lengthscales)
            if lengthscales.ndim and len(lengthscales) != len(found):
                raise ModelError(
                    f"model.kernel: lengthscales: {len(lengthscales)} numbers for {len(found)} input "
                    "columns; give one number, or one for each column"
                )
        return {"variance": start.variance, **stated, "lengthscales": lengthscales}

    @staticmethod
    def shape_adjoint(K_bar: np.ndarray, slope: np.ndarray, variance: float, *shape: float) -> list[float]:
        """The sum of K_bar o dK/ds for each shape s of the kind: most have none."""
        return []

    def shape_values(self) -> list[tf.Tensor]:
        """The parameters named in `shapes`."""
        return [tf.convert_to_tensor(getattr(self, name)) for name in self.shapes]

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        return self.covariance(X, X2, self._lengthscales(X.shape[-1]), dtype)

    def covariance(
        self, X: tf.Tensor, X2: tf.Tensor | None, lengthscales: tf.Tensor, dtype: tf.DType
    ) -> tf.Tensor:
        """K(X, X2) for float64 columns `X [..., N, D]` with these lengthscales `[..., D]`, not the own."""
        variance = tf.convert_to_tensor(self.variance)  # [...]
        return stationary_covariance(type(self), X, X2, lengthscales, variance, self.shape_values(), dtype)

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        variance = tf.cast(self.variance, dtype)[..., None]  # [..., 1]
        batch = tf.broadcast_static_shape(self.variance.shape, self.lengthscales.shape[:-1])
        for name in self.shapes:
            batch = tf.broadcast_static_shape(batch, getattr(self, name).shape)
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


def stationary_covariance(
    kind: Any,
    X: tf.Tensor,
    X2: tf.Tensor | None,
    lengthscales: tf.Tensor,
    variance: tf.Tensor,
    shapes: Sequence[tf.Tensor],
    dtype: tf.DType,
) -> tf.Tensor:
    """K `[..., N, N2]` of a kind of stationary kernel, with batch dimensions of inputs and parameters
    broadcast.

    Shapes: X `[..., N, D]`, X2 `[..., N2, D]` (None: X itself) in float64, lengthscales `[..., D]`,
    variance and each of `shapes` `[...]`.
    """
    lengthscales = tf.cast(lengthscales, tf.float64)  # [..., D]
    centre = centre_of(X, X2)  # [..., 1, D]
    centred = [x - centre for x in (X, X2) if x is not None]  # [..., N, D], [..., N2, D]
    batch = tf.broadcast_static_shape(variance.shape, lengthscales.shape[:-1])
    for shape in [x.shape[:-2] for x in centred] + [value.shape for value in shapes]:
        batch = tf.broadcast_static_shape(batch, shape)
    centred = [_with_batch(x, batch, 2) for x in centred]
    return radial_covariance(
        kind,
        centred[0],
        None if X2 is None else centred[1],
        _with_batch(lengthscales, batch, 1),
        _with_batch(variance, batch, 0),
        [_with_batch(value, batch, 0) for value in shapes],
        dtype,
    )  # [..., N, N2]


def _with_batch(x: tf.Tensor, batch: tf.TensorShape, inner: int) -> tf.Tensor:
    """x with `batch` in front of its last `inner` dimensions."""
    rank = x.shape.rank
    if x.shape[: rank - inner] == batch:
        return x
    return tf.broadcast_to(x, tf.concat([batch, tf.shape(x)[rank - inner :]], 0))
