"""Derivatives by hand: the factor rides along as a constant, derivatives attach to the matrix.

A value is computed by whatever factorisation is fast, outside of any gradient, and `attach` then says what
its adjoint is, in operations that have hand-written adjoints themselves. So nothing is ever differentiated
through a factorisation, at any order, and every order reuses the one factorisation.

Adjoints follow TensorFlow's convention for complex numbers: with <X, Y> = Re tr(X^H Y), the adjoint of
dY = J(dX) is X_bar = J^H(Y_bar), so that dloss = <X_bar, dX>.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import cache
from typing import Any

import tensorflow as tf

from svgp.errors import ModelError

Adjoint = Callable[[Any, Any, Any, Any], Sequence[tf.Tensor]]

_DTYPES = (tf.float32, tf.float64, tf.complex64, tf.complex128)


class Deferred:
    """`compute(*tensors)` without gradient: when first asked for if eager, at once in a graph.

    A graph drops what no one asks for, and its own backward pass cannot tell that XLA will compile it.
    """

    def __init__(self, compute: Callable[..., Any], *tensors: tf.Tensor) -> None:
        self.tensors: Any = ()  # the value, where it is part of a graph
        constants = [tf.stop_gradient(tensor) for tensor in tensors]
        if tf.executing_eagerly():
            self._later: Callable[[], Any] | None = cache(lambda: _eagerly(compute, constants))
        else:
            self.tensors, self._later = compute(*constants), None

    def __call__(self) -> Any:
        return self.tensors if self._later is None else self._later()

    def inside(self, tensors: Any) -> Deferred:
        """The same value by the names that its tensors have inside another graph."""
        other = copy(self)
        other.tensors = tensors
        return other


def _eagerly(compute: Callable[..., Any], constants: list[tf.Tensor]) -> Any:
    with tf.init_scope():
        return compute(*constants)


def attach(
    value: Any, inputs: Sequence[tf.Tensor], adjoint: Adjoint, constants: Sequence[Deferred] = ()
) -> Any:
    """`value` (a tensor or a tuple of them), with the derivatives that `adjoint` gives.

    `adjoint(output_gradients, inputs, value, constants)`, all four sequences but a lone `value`, returns a
    gradient for each of `inputs`. It may use nothing but its arguments, as a gradient of a gradient is
    made in another graph than the value, and what it does with `inputs` is differentiable again.
    """
    passive = (value, [constant.tensors for constant in constants])
    flat = tf.nest.flatten(passive)

    @tf.custom_gradient
    def operation(*arguments: tf.Tensor) -> Any:
        own_inputs = arguments[: len(inputs)]
        own_value, own_tensors = tf.nest.pack_sequence_as(passive, arguments[len(inputs) :])
        own_constants = [one.inside(tensors) for one, tensors in zip(constants, own_tensors, strict=True)]

        def gradient(*output_gradients: tf.Tensor) -> list[tf.Tensor | None]:
            own = adjoint(output_gradients, own_inputs, own_value, own_constants)
            return [*own, *[None] * len(flat)]

        return own_value, gradient

    if not tf.executing_eagerly():
        # The gradient's gradient, in a graph of its own, finds only what has a name in the graph before
        # it, and sends zeros back through a factorisation that does not say that it is constant.
        inputs = [tf.identity(tensor) for tensor in inputs]
        flat = [tf.stop_gradient(tensor) for tensor in flat]
    return operation(*inputs, *flat)


def any_matrix(A: Any, name: str) -> tf.Tensor:
    """`A` as a tensor `[..., m, n]` of a floating or complex dtype; ModelError otherwise."""
    A = tf.convert_to_tensor(A)
    if A.dtype not in _DTYPES:
        expected = ", ".join(dtype.name for dtype in _DTYPES)
        raise ModelError(f"{name}: got dtype {A.dtype.name}, expected one of {expected}; cast it first")
    if A.shape.rank is not None and A.shape.rank < 2:
        raise ModelError(f"{name}: got shape {A.shape}, expected a matrix [..., m, n]")
    return A


def square_matrix(A: Any, name: str) -> tf.Tensor:
    """`A` as a tensor `[..., n, n]` of a floating or complex dtype; ModelError otherwise."""
    A = any_matrix(A, name)
    if A.shape.rank is not None and not A.shape[-2:-1].is_compatible_with(A.shape[-1:]):
        raise ModelError(f"{name}: got shape {A.shape}, expected square matrices [..., n, n]")
    return A


def matrix_and_rhs(A: tf.Tensor, B: Any, name: str) -> tuple[tf.Tensor, tf.Tensor]:
    """`A [..., m, n]` and `B [..., m, k]` of one dtype and with one batch shape; ModelError otherwise."""
    B = tf.convert_to_tensor(B, dtype_hint=A.dtype)
    if B.dtype != A.dtype:
        raise ModelError(f"{name}: matrix of {A.dtype.name}, right side of {B.dtype.name}; cast one of them")
    if B.shape.rank is not None and B.shape.rank < 2:
        raise ModelError(f"{name}: right side of shape {B.shape}, expected [..., m, k]; try B[..., None]")
    if not A.shape[-2:-1].is_compatible_with(B.shape[-2:-1]):
        raise ModelError(f"{name}: matrix {A.shape} and right side {B.shape} differ in rows")
    if A.shape[:-2].is_fully_defined() and A.shape[:-2] == B.shape[:-2]:
        return A, B
    try:
        tf.broadcast_static_shape(A.shape[:-2], B.shape[:-2])
    except ValueError as error:
        message = f"{name}: the batches of matrix {A.shape} and right side {B.shape} do not broadcast"
        raise ModelError(message) from error
    shape_A, shape_B = tf.shape(A), tf.shape(B)
    batch = tf.broadcast_dynamic_shape(shape_A[:-2], shape_B[:-2])
    A = tf.broadcast_to(A, tf.concat([batch, shape_A[-2:]], 0))  # [..., m, n]
    return A, tf.broadcast_to(B, tf.concat([batch, shape_B[-2:]], 0))  # [..., m, k]


def scale(g: tf.Tensor, A: tf.Tensor) -> tf.Tensor:
    """A gradient `[...]` times a matrix `[..., m, n]`."""
    return like(g, A)[..., None, None] * A


def like(x: tf.Tensor, A: tf.Tensor) -> tf.Tensor:
    """A real tensor in the dtype of A; unlike `tf.cast`, whose gradient warns about imaginary parts."""
    return tf.complex(x, tf.zeros_like(x)) if A.dtype.is_complex and not x.dtype.is_complex else x


def hermitian_part(A: tf.Tensor) -> tf.Tensor:
    """(A + A^H) / 2: the adjoint with respect to a Hermitian matrix."""
    return (A + tf.linalg.adjoint(A)) / 2


def nan_where(bad: tf.Tensor, A: tf.Tensor) -> tf.Tensor:
    """`A [..., m, n]` with NaN throughout the members of the batch that `bad [...]` marks."""
    return tf.where(bad[..., None, None], tf.cast(float("nan"), A.dtype), A)
