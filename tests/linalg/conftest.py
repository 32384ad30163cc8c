"""One list of problems for every operation with a hand-written adjoint, and the checks that they go through.

A problem is a real function of a few matrices, made of one operation. Operations on Hermitian matrices get
(X + X^H) / 2, so that any direction is a fair one for finite differences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

Function = Callable[..., tf.Tensor]


def inner(X: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
    """Re tr(X^H Y), summed over the batch."""
    return tf.reduce_sum(tf.math.real(tf.math.conj(X) * Y))


class Matrices:
    """Random matrices of a fixed seed."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def general(self, *shape: int, dtype: Any = tf.float64) -> tf.Tensor:
        values = self.rng.normal(size=shape)
        if tf.as_dtype(dtype).is_complex:
            values = values + 1j * self.rng.normal(size=shape)
        return tf.constant(values, dtype)

    def positive_definite(self, *shape: int, dtype: Any = tf.float64) -> tf.Tensor:
        A = self.general(*shape, dtype=dtype)
        return tf.matmul(A, A, adjoint_b=True) / shape[-1] + tf.eye(shape[-1], dtype=dtype)

    def of_rank(self, rank: int, size: int, dtype: Any = tf.float64) -> tf.Tensor:
        return self.general(size, rank, dtype=dtype) @ self.general(rank, size, dtype=dtype)


@pytest.fixture
def matrices() -> Matrices:
    return Matrices()


@dataclass(frozen=True)
class Derivatives:
    """Gradients of a real function of a few tensors, and central differences to hold them against."""

    step: float = 1e-5

    def first(self, f: Function, *inputs: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = f(*inputs)
        return tape.gradient(value, inputs, unconnected_gradients="zero")

    def second(self, f: Function, directions: list[tf.Tensor], *inputs: tf.Tensor) -> list[tf.Tensor]:
        """Gradient of <gradient of f, directions>."""
        return self.all_of(f, directions, *inputs)[2]

    def all_of(
        self, f: Function, directions: list[tf.Tensor], *inputs: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor], list[tf.Tensor]]:
        """Value, gradient, and the gradient of <gradient, directions>: f itself is computed once."""
        with tf.GradientTape() as outer:
            outer.watch(inputs)
            with tf.GradientTape() as inner_tape:
                inner_tape.watch(inputs)
                value = f(*inputs)
            gradient = inner_tape.gradient(value, inputs, unconnected_gradients="zero")
            product = tf.add_n([inner(E, G) for E, G in zip(directions, gradient, strict=True)])
        return value, gradient, outer.gradient(product, inputs, unconnected_gradients="zero")

    def difference(self, f: Function, directions: list[tf.Tensor], *inputs: tf.Tensor) -> tf.Tensor:
        """Derivative of f along the directions by a central difference of order four."""

        def at(h: float) -> tf.Tensor:
            return f(*[A + tf.cast(h, A.dtype) * E for A, E in zip(inputs, directions, strict=True)])

        h = self.step
        return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)

    def check_first(self, f: Function, *inputs: tf.Tensor, rtol: float = 1e-7) -> None:
        gradient = self.first(f, *inputs)
        for directions in self._directions(inputs):
            expected = self.difference(f, directions, *inputs)
            got = tf.add_n([inner(E, G) for E, G in zip(directions, gradient, strict=True)])
            np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol)

    def check_second(self, f: Function, *inputs: tf.Tensor, rtol: float = 1e-6) -> None:
        for along, across in zip(self._directions(inputs), self._directions(inputs, seed=9), strict=True):

            def slope(*inputs: tf.Tensor, along: list[tf.Tensor] = along) -> tf.Tensor:
                gradient = self.first(f, *inputs)
                return tf.add_n([inner(E, G) for E, G in zip(along, gradient, strict=True)])

            expected = self.difference(slope, across, *inputs)
            hessian = self.second(f, along, *inputs)
            got = tf.add_n([inner(E, G) for E, G in zip(across, hessian, strict=True)])
            np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol)

    def _directions(self, inputs: tuple[tf.Tensor, ...], seed: int = 5) -> list[list[tf.Tensor]]:
        matrices = Matrices(seed)
        return [[matrices.general(*A.shape, dtype=A.dtype) for A in inputs] for _ in range(3)]


@pytest.fixture
def derivatives() -> Derivatives:
    return Derivatives()


def scalar(*outputs: tf.Tensor) -> tf.Tensor:
    """A real function of an operation's outputs, of any shape, whose own gradient is not constant."""
    total = tf.constant(0.0, outputs[0].dtype.real_dtype)
    for output in outputs:
        angles = tf.range(tf.size(output))
        angles = tf.reshape(tf.cast(angles, total.dtype), tf.shape(output))
        weights = tf.complex(tf.cos(angles), tf.sin(angles)) if output.dtype.is_complex else tf.cos(angles)
        total += inner(weights, output) + inner(output, output) / 4
    return total


def hermitian(A: tf.Tensor) -> tf.Tensor:
    return (A + tf.linalg.adjoint(A)) / 2


@dataclass(frozen=True)
class Problem:
    """`function(linalg, *inputs)` in terms of a module that offers the operation: ours, or `tf.linalg`."""

    name: str
    function: Callable[..., tf.Tensor]
    make: Callable[[Matrices, Any], list[tf.Tensor]]

    def ours(self) -> Function:
        from svgp import linalg

        return lambda *inputs: self.function(linalg, *inputs)


def _eigen(la: Any, A: tf.Tensor) -> tf.Tensor:
    w, V = la.eigh(hermitian(A))
    return scalar(tf.cast(w, A.dtype.real_dtype), tf.math.real(V * tf.math.conj(V)))


def _square(m: Matrices, dtype: Any) -> list[tf.Tensor]:
    return [m.general(2, 4, 4, dtype=dtype)]


def _positive(m: Matrices, dtype: Any) -> list[tf.Tensor]:
    return [m.positive_definite(2, 4, 4, dtype=dtype)]


def _system(m: Matrices, dtype: Any) -> list[tf.Tensor]:
    return [m.general(2, 4, 4, dtype=dtype), m.general(2, 4, 3, dtype=dtype)]


def _triangle(m: Matrices, dtype: Any) -> list[tf.Tensor]:
    return [m.general(2, 4, 4, dtype=dtype) + 3 * tf.eye(4, dtype=dtype), m.general(2, 4, 3, dtype=dtype)]


def _tall(m: Matrices, dtype: Any) -> list[tf.Tensor]:
    return [m.general(2, 6, 3, dtype=dtype), m.general(2, 6, 2, dtype=dtype)]


def _wide(m: Matrices, dtype: Any) -> list[tf.Tensor]:
    return [m.general(2, 3, 6, dtype=dtype), m.general(2, 3, 2, dtype=dtype)]


PROBLEMS = [
    Problem("det", lambda la, A: scalar(la.det(A)), _square),
    Problem("slogdet", lambda la, A: scalar(*la.slogdet(A)), _square),
    Problem("logdet", lambda la, A: scalar(la.logdet(hermitian(A))), _positive),
    Problem("cholesky", lambda la, A: scalar(la.cholesky(hermitian(A))), _positive),
    Problem("eigh", _eigen, _square),
    Problem("inverse", lambda la, A: scalar(getattr(la, "inverse", getattr(la, "inv", None))(A)), _square),
    Problem("solve", lambda la, A, B: scalar(la.solve(A, B)), _system),
    Problem("solve adjoint", lambda la, A, B: scalar(la.solve(A, B, adjoint=True)), _system),
    *(
        Problem(
            f"triangular_solve {'lower' if lower else 'upper'}{' adjoint' if adjoint else ''}",
            lambda la, A, B, lower=lower, adjoint=adjoint: scalar(
                la.triangular_solve(A, B, lower=lower, adjoint=adjoint)
            ),
            _triangle,
        )
        for lower in (True, False)
        for adjoint in (False, True)
    ),
    Problem("lstsq tall", lambda la, A, B: scalar(la.lstsq(A, B)), _tall),
    Problem("lstsq wide", lambda la, A, B: scalar(la.lstsq(A, B)), _wide),
    Problem("lstsq tall l2", lambda la, A, B: scalar(la.lstsq(A, B, l2_regularizer=0.3)), _tall),
    Problem("lstsq wide l2", lambda la, A, B: scalar(la.lstsq(A, B, l2_regularizer=0.3)), _wide),
]


@pytest.fixture(params=PROBLEMS, ids=lambda problem: problem.name)
def problem(request: pytest.FixtureRequest) -> Problem:
    return request.param


@pytest.fixture
def problem_named() -> Callable[[str], Problem]:
    return {problem.name: problem for problem in PROBLEMS}.__getitem__


@pytest.fixture(params=[tf.float64, tf.complex128], ids=lambda dtype: dtype.name)
def dtype(request: pytest.FixtureRequest) -> Any:
    return request.param
