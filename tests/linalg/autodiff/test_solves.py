"""Inverses, linear systems and least squares where they are hard: singular, in batches, regularised."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp import linalg
from svgp.errors import ModelError


def gradient(f, *inputs):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = f(*inputs)
    return tape.gradient(value, inputs)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "xla"])
@pytest.mark.parametrize(
    "singular", [[[1.0, 2.0], [2.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]], [[1.0, 0.1], [3.0, 0.3]]], ids=str
)
def test_a_singular_member_is_nan_alone(singular, compiled):
    A = tf.constant([singular, [[2.0, 0.0], [0.0, 4.0]]], tf.float64)
    B = tf.ones([2, 2, 1], tf.float64)

    def everything(A):
        return (
            linalg.inverse(A),
            linalg.solve(A, B),
            linalg.lstsq(A, B),
            gradient(lambda A: tf.reduce_sum(linalg.inverse(A)), A)[0],
        )

    for result in (
        tf.function(everything, autograph=False, jit_compile=True)(A) if compiled else everything(A)
    ):
        assert np.isnan(result[0]).all() and np.isfinite(result[1]).all()


def test_badly_scaled_columns_are_not_singular():
    A = tf.constant(np.diag([1.0, 1e-30, 1e30]))
    np.testing.assert_allclose(linalg.inverse(A), np.diag([1.0, 1e30, 1e-30]), rtol=1e-12)


def test_only_the_named_triangle_is_read(matrices):
    T, B = matrices.general(4, 4), matrices.general(4, 2)
    for lower, part in ((True, np.tril), (False, np.triu)):
        np.testing.assert_allclose(
            linalg.triangular_solve(T, B, lower=lower), np.linalg.solve(part(T), B), rtol=1e-10
        )
        slope, _ = gradient(
            lambda T, B, lower=lower: tf.reduce_sum(linalg.triangular_solve(T, B, lower=lower)), T, B
        )
        np.testing.assert_array_equal(slope, part(slope))


@pytest.mark.parametrize("function", [linalg.solve, linalg.triangular_solve, linalg.lstsq])
def test_batches_broadcast_and_gradients_sum_over_what_was_repeated(matrices, function, derivatives):
    A, B = matrices.general(4, 4) + 3 * np.eye(4), matrices.general(3, 4, 2)
    each = tf.stack([function(A, member) for member in B])
    np.testing.assert_allclose(function(A, B), each, rtol=1e-10)
    derivatives.check_first(lambda A, B: tf.reduce_sum(function(A, B) ** 2), A, B)


@pytest.mark.parametrize("shape", [(6, 3), (3, 6)], ids=["tall", "wide"])
def test_least_squares_solves_its_problem(matrices, shape):
    A, B = matrices.general(*shape), matrices.general(shape[0], 2)
    np.testing.assert_allclose(linalg.lstsq(A, B), np.linalg.pinv(A) @ B, rtol=1e-9)
    ridge = 0.7
    expected = np.linalg.solve(A.numpy().T @ A + ridge * np.eye(shape[1]), A.numpy().T @ B)
    np.testing.assert_allclose(linalg.lstsq(A, B, l2_regularizer=ridge), expected, rtol=1e-9)


@pytest.mark.parametrize("shape", [(6, 3), (3, 6)], ids=["tall", "wide"])
@pytest.mark.parametrize("ridge", [0.7, 0.0])
def test_least_squares_is_differentiable_in_its_regulariser(matrices, derivatives, shape, ridge):
    A, B = matrices.general(*shape), matrices.general(shape[0], 2)

    def f(ridge):
        return tf.reduce_sum(linalg.lstsq(A, B, l2_regularizer=ridge) ** 2)

    h = 1e-5
    at = [f(tf.constant(ridge + k * h, tf.float64)) for k in range(5)]
    forward = (-25 * at[0] + 48 * at[1] - 36 * at[2] + 16 * at[3] - 3 * at[4]) / (12 * h)  # never below zero
    np.testing.assert_allclose(gradient(f, tf.constant(ridge, tf.float64))[0], forward, rtol=1e-6)


def test_least_squares_does_not_square_the_condition_number(matrices):
    # Läuchli's matrix: its normal equations are singular in float64 below a foot of 1e-8.
    A = tf.constant([[1.0, 1.0], [1e-9, 0.0], [0.0, 1e-9]], tf.float64)
    X = tf.constant([[1.0], [2.0]], tf.float64)
    np.testing.assert_allclose(linalg.lstsq(A, A @ X), X, rtol=1e-6)


def test_rank_deficient_least_squares_is_nan_unless_regularised(matrices):
    A, B = matrices.of_rank(2, 4)[:, :3], matrices.general(4, 1)
    assert np.isnan(linalg.lstsq(A, B)).all()
    assert np.isfinite(linalg.lstsq(A, B, l2_regularizer=1e-3)).all()


def test_what_does_not_fit_is_refused():
    A = np.ones((2, 2))
    with pytest.raises(ModelError, match="differ in rows"):
        linalg.solve(A, np.ones((3, 1)))
    with pytest.raises(ModelError, match=r"try B\[\.\.\., None\]"):
        linalg.solve(A, np.ones(2))
    with pytest.raises(ModelError, match="float64.*float32.*cast one"):
        linalg.triangular_solve(A, tf.ones([2, 1]))
    with pytest.raises(ModelError, match="do not broadcast"):
        linalg.solve(np.ones((2, 2, 2)), np.ones((3, 2, 1)))
    with pytest.raises(ModelError, match="l2_regularizer -1"):
        linalg.lstsq(A, A, l2_regularizer=-1.0)
    with pytest.raises(ModelError, match="expected square"):
        linalg.inverse(np.ones((2, 3)))
    with pytest.raises(ModelError, match="known numbers"):
        tf.function(linalg.lstsq, autograph=False).get_concrete_function(
            tf.TensorSpec([None, None], tf.float64), tf.TensorSpec([None, None], tf.float64)
        )
