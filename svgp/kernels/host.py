"""Stationary covariance panels and their adjoints in NumPy, for loops over rows that stay on the host.

The formulas are those of `svgp.kernels.radial`, with rows of data down and inducing inputs across: for
scaled inputs x = X / l, z = Z / l, and W = K_bar o dK/d(r2), everything that depends on a row is summed
into two moments, `W^T [x, 1]` and `sum_n (W 1)_n x_n^2`, and with `sum(K_bar o K)`, which the caller often
knows, all gradients follow from these after the last row. A panel is worked on in blocks of about a core's
cache: smaller ones cost more in calls than they save, since threads wait for Python's lock between two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from svgp.kernels.base import Kernel
from svgp.kernels.stationary import Stationary
from svgp.linalg.host import blas, threads

BLOCK = 1 << 18  # numbers worked on at a time, 2 MiB
SWEEPS = 100.0  # what an entry costs, in operations of a product: decides how many threads a panel is worth


@dataclass
class Moments:
    """Sums over rows from which the gradients follow; sums over other rows add up."""

    linear: np.ndarray  # [M, D + 1] W^T [x, 1], W without the kernel's constant factor
    squares: np.ndarray  # [D] sum_n (W 1)_n x_n^2
    shapes: np.ndarray = field(default_factory=lambda: np.zeros(0))  # sum of K_bar o dK/ds for each shape s

    def add(self, other: Moments) -> None:
        """Add the sums over other rows."""
        self.linear += other.linear
        self.squares += other.squares
        self.shapes += other.shapes


class KernelGradients(NamedTuple):
    """Of a function of K(X, Z), with respect to what K depends on."""

    Z: np.ndarray  # [M, D]
    lengthscales: np.ndarray  # [D], zero for an input that the kernel does not depend on
    variance: float
    shapes: np.ndarray  # one for each shape of the kind


class HostStationary:
    """K(X, Z) `[C, M]` of a stationary kernel for many X `[C, D]` and one Z `[M, D]`.

    `lengthscales [D]` are infinite for an input that the kernel does not depend on; `shapes` are the values
    of what the kind names so. For which kernels it does, `supports` says. Threads may share it: memory is
    the caller's.
    """

    def __init__(
        self,
        kind: type[Stationary],
        Z: np.ndarray,
        lengthscales: np.ndarray,
        variance: float,
        shapes: Sequence[float] = (),
    ) -> None:
        self.variance, self._shapes = variance, tuple(shapes)
        self._kind = kind
        self.separate_slope = kind.separate_slope  # else the slope is K itself
        self._Z, self._centre, self._inverse = Z, Z.mean(axis=0), 1.0 / lengthscales
        self._z = self._scaled(Z)  # [M, D]
        ones, norm = np.ones(len(Z)), np.einsum("md,md->m", self._z, self._z)
        self._right = np.ascontiguousarray(np.vstack([self._z.T, ones, norm]))  # [D + 2, M]

    def zero_moments(self) -> Moments:
        """Sums over no rows."""
        size, D = self._z.shape
        return Moments(np.zeros((size, D + 1)), np.zeros(D), np.zeros(len(self._shapes)))

    def covariance(self, X: np.ndarray, K: np.ndarray, slope: np.ndarray) -> None:
        """Fill K `[C, M]`, and `slope [C, M]` with dK/d(r2) less its constant factor.

        Where `separate_slope` is False the slope is K, and `slope` is left alone.
        """
        x = self._scaled(X)  # [C, D]
        scale, norm = self._kind.scale, np.einsum("cd,cd->c", x, x)[:, None]
        left = np.hstack([-2.0 * scale * x, scale * norm, np.full_like(norm, scale)])  # [C, D + 2]

        def fill(rows: slice) -> None:
            for block in _blocks(rows, K.shape[1]):
                blas.product(left[block], self._right, K[block])
                self._kind.fill(K[block], slope[block], self.variance, *self._shapes)

        threads.run_all([partial(fill, rows) for rows in threads.pieces(len(K), SWEEPS * K.size)])

    def add_adjoint(self, X: np.ndarray, K_bar: np.ndarray, slope: np.ndarray, into: Moments) -> None:
        """Add the moments of the rows X `[C, D]`; K_bar `[C, M]` is overwritten."""
        x = self._scaled(X)
        x1 = np.hstack([x, np.ones((len(x), 1))])  # [C, D + 1]
        pieces = threads.pieces(len(slope), SWEEPS * slope.size)
        parts = [into] + [self.zero_moments() for _ in pieces[1:]]

        def add(rows: slice, sums: Moments) -> None:
            for block in _blocks(rows, slope.shape[1]):
                W = K_bar[block]
                if self._shapes:
                    sums.shapes += self._kind.shape_adjoint(W, slope[block], self.variance, *self._shapes)
                W *= slope[block]
                blas.product(W, x1[block], sums.linear, transpose_a=True, beta=1.0)
                row_sums = blas.times_vector(W, np.ones(W.shape[1]))
                sums.squares += np.einsum("c,cd,cd->d", row_sums, x[block], x[block])

        threads.run_all([partial(add, *both) for both in zip(pieces, parts, strict=True)])
        for other in parts[1:]:
            into.add(other)

    def gradients(self, sums: Moments, products: float) -> KernelGradients:
        """What the moments of all rows amount to, with `products = sum(K_bar o K)` over them."""
        z, columns = self._z, sums.linear[:, -1:]  # [M, D], [M, 1]
        Wx = sums.linear[:, :-1]  # [M, D]
        twice = 2.0 * self._kind.factor * self._inverse  # [D]
        spread = sums.squares + np.sum(z * (columns * z - 2.0 * Wx), axis=0)  # [D]
        return KernelGradients(
            twice * (columns * z - Wx), -twice * spread, products / self.variance, sums.shapes
        )

    def square(self) -> tuple[np.ndarray, np.ndarray]:
        """K(Z, Z) `[M, M]` with exactly the variance on its diagonal, and its slope."""
        size = len(self._z)
        K, slope = blas.aligned_empty((size, size), np.float64), blas.aligned_empty((size, size), np.float64)
        self.covariance(self._Z, K, slope)
        K = 0.5 * (K + K.T)
        K[np.diag_indices(size)] = self.variance
        if not self.separate_slope:
            return K, K
        slope[np.diag_indices(size)] = 0.0  # a point's distance from itself does not change
        return K, slope

    def square_gradients(self, K_bar: np.ndarray, K: np.ndarray, slope: np.ndarray) -> KernelGradients:
        """Of a function of K(Z, Z), for a symmetric K_bar `[M, M]`, which is overwritten."""
        sums, products = self.zero_moments(), float(np.einsum("ij,ij->", K_bar, K))
        self.add_adjoint(self._Z, K_bar, slope, sums)
        found = self.gradients(sums, products)
        return found._replace(Z=2.0 * found.Z)  # Z is on both sides

    def sets(
        self, X: np.ndarray, memory: tuple[np.ndarray, np.ndarray] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """K(X_c, X_c) `[C, s, s]` of C sets of s points `[C, s, D]`, and its slope.

        Each set is centred on its first point: a last one that is far costs the others no digits. The
        diagonal is exactly the variance, and its slope zero.
        """
        x = (X - X[:, :1]) * self._inverse  # [C, s, D]
        norm = np.einsum("csd,csd->cs", x, x)
        shape = (*x.shape[:2], x.shape[1])
        K, slope = memory or (np.empty(shape), np.empty(shape))
        np.matmul(x, -2.0 * x.transpose(0, 2, 1), out=K)
        K += norm[:, :, None]
        K += norm[:, None, :]
        K *= self._kind.scale
        diagonal = np.einsum("css->cs", K)
        diagonal[...] = 0.0
        self._kind.fill(K, slope, self.variance, *self._shapes)
        diagonal[...] = self.variance
        if not self.separate_slope:
            np.copyto(slope, K)
        np.einsum("css->cs", slope)[...] = 0.0
        return K, slope

    def sets_gradients(
        self, X: np.ndarray, K_bar: np.ndarray, K: np.ndarray, slope: np.ndarray
    ) -> tuple[np.ndarray, float, np.ndarray]:
        """Of a function of `sets(X)`: by the lengthscales `[D]`, sum(K_bar o K), and by the kind's shapes.

        `K_bar [C, s, s]` is symmetric. With W = K_bar o slope and scaled points x, the former is a multiple
        of `sum_jk W_jk (x_j - x_k)^2 = 2 sum_j x_j o ((W 1)_j x_j - (W x)_j)`.
        """
        x = (X - X[:, :1]) * self._inverse  # [C, s, D]
        W = K_bar * slope
        rest = W.sum(axis=2)[:, :, None] * x - np.matmul(W, x)  # [C, s, D]
        spread = 2.0 * np.einsum("csd,csd->d", x, rest)
        twice = 2.0 * self._kind.factor * self._inverse  # [D]
        flat = (len(K) * K.shape[1], K.shape[2])
        shapes = self._kind.shape_adjoint(
            K_bar.reshape(flat), slope.reshape(flat), self.variance, *self._shapes
        )
        return -twice * spread, float(np.einsum("cij,cij->", K_bar, K)), np.asarray(shapes)

    def _scaled(self, X: np.ndarray) -> np.ndarray:
        x = np.subtract(X, self._centre, order="C")  # columns picked from a table are often column-major
        return np.multiply(x, self._inverse, out=x)


def supports(kernel: Kernel) -> bool:
    """Whether `HostStationary` does for this kernel: a NumPy form, float64, one set of parameters."""
    if not isinstance(kernel, Stationary) or kernel.dtype != tf.float64 or not _has_host_form(type(kernel)):
        return False
    single = all(getattr(kernel, name).shape.rank == 0 for name in ("variance", *kernel.shapes))
    return single and (kernel.lengthscales.shape.rank or 0) <= 1


def at_points(kernel: Any, columns: int) -> Callable[[np.ndarray], HostStationary]:
    """Z `[M, D]` to `K(., Z)` in NumPy, for a kernel that `supports`; its parameters are read once, now.

    Read eagerly they take some milliseconds, more than the covariances of one point with thousands.
    """
    lengthscales = np.asarray(kernel.input_lengthscales(columns), np.float64)  # [D]
    variance, shapes = float(tf.convert_to_tensor(kernel.variance)), [float(s) for s in kernel.shape_values()]
    return lambda Z: HostStationary(type(kernel), Z, lengthscales, variance, shapes)


def _has_host_form(kind: type[Stationary]) -> bool:
    """Whether the same class states both forms: one that overrides half of another kind does not."""
    states = {name: next((c for c in kind.__mro__ if name in vars(c)), None) for name in ("forward", "fill")}
    same = states["forward"] is states["fill"] is not None
    return same and kind._covariance is Stationary._covariance and kind.covariance is Stationary.covariance


def _blocks(rows: slice, columns: int) -> list[slice]:
    step = max(16, BLOCK // columns)
    return [slice(start, min(start + step, rows.stop)) for start in range(rows.start, rows.stop, step)]
