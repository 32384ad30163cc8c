"""Determinants where they are hard: singular matrices, published numbers, graphs that XLA compiles."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp import linalg
from svgp.errors import ModelError
from svgp.linalg.autodiff.adjugates import adjugate


def cofactors(A):
    """The gradient of a determinant by its definition, from the minors."""
    A = np.asarray(A)
    result = np.empty_like(A)
    for i, j in np.ndindex(*A.shape):
        minor = np.delete(np.delete(A, i, axis=0), j, axis=1)
        result[i, j] = (-1) ** (i + j) * np.linalg.det(minor)
    return result


def gradient(f, A):
    with tf.GradientTape() as tape:
        tape.watch(A)
        value = f(A)
    return tape.gradient(value, A)


def hessian_product(f, A, E):
    with tf.GradientTape() as tape:
        tape.watch(A)
        product = tf.reduce_sum(gradient(f, A) * E)
    return tape.gradient(product, A)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "xla"])
def test_gradient_of_a_determinant_is_the_cofactors_at_every_rank(matrices, compiled):
    A = tf.stack([matrices.of_rank(rank, 5) for rank in range(6)])
    f = tf.function(linalg.det, autograph=False, jit_compile=True) if compiled else linalg.det
    np.testing.assert_allclose(f(A), np.linalg.det(A), atol=1e-12)
    np.testing.assert_allclose(gradient(f, A), [cofactors(one) for one in A], rtol=1e-9, atol=1e-12)


def test_gradient_of_a_singular_complex_determinant(matrices):
    A = matrices.of_rank(3, 4, tf.complex128)
    np.testing.assert_allclose(
        gradient(linalg.det, A), cofactors(A).conj(), rtol=1e-9
    )  # TensorFlow's convention


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9])
def test_adjugate_of_any_size(matrices, size):
    A = matrices.general(size, size)
    np.testing.assert_allclose(adjugate(A), cofactors(A).T if size > 1 else [[1.0]], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rank", [0, 1, 2, 3, 4])
def test_second_derivative_of_a_determinant_at_every_rank(matrices, rank):
    A, E = matrices.of_rank(rank, 4), matrices.general(4, 4)
    h = 1e-4  # a determinant is a polynomial of degree four: a difference of order four is exact
    at = {k: cofactors(A + k * h * E) for k in (-2, -1, 1, 2)}
    expected = (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * h)
    np.testing.assert_allclose(hessian_product(linalg.det, A, E), expected, rtol=1e-7, atol=1e-8)


def test_second_derivative_at_zero_is_the_known_one():
    # det [[a, b], [c, d]] = a d - b c, so the product of its Hessian with E is [[E22, -E21], [-E12, E11]].
    E = tf.constant([[1.0, 2.0], [3.0, 5.0]], tf.float64)
    got = hessian_product(linalg.det, tf.zeros([2, 2], tf.float64), E)
    np.testing.assert_allclose(got, [[5.0, -3.0], [-2.0, 1.0]], atol=1e-15)


def test_third_derivative_of_a_determinant(matrices, derivatives):
    A, E = matrices.general(4, 4), matrices.general(4, 4)
    derivatives.check_first(lambda A: tf.reduce_sum(hessian_product(linalg.det, A, E) ** 2), A, rtol=1e-6)


def test_a_nearly_singular_gradient_keeps_its_digits(matrices):
    U, V = (np.linalg.qr(matrices.general(4, 4))[0] for _ in range(2))
    for least in (1e-8, 1e-14, 1e-18):
        A = tf.constant(U @ np.diag([3.0, 2.0, 1.0, least]) @ V.T)
        sign = np.linalg.det(U @ V.T)
        expected = sign * U @ np.diag(np.array([2 * least, 3 * least, 6 * least, 6.0])) @ V.T
        np.testing.assert_allclose(gradient(linalg.det, A), expected, atol=1e-14)


def test_published_gradient_of_a_log_determinant():
    # Printed by Zygote in float32 on a GPU: d log|K| / dK = K^-1. K is its inverse, to the digits given.
    printed = np.array(
        [
            [0.8429186, -0.4507908, -0.7811665],
            [-0.4507908, 0.4817330, 0.4726776],
            [-0.7811665, 0.4726776, 1.2611526],
        ]
    )
    K = tf.constant(np.linalg.inv(printed), tf.float32)
    np.testing.assert_allclose(gradient(linalg.logdet, K), printed, rtol=2e-6)


@pytest.mark.parametrize(
    "matrix",
    [
        lambda x: x,
        lambda x: tf.linalg.diag(tf.stack([tf.sin(x[0]), tf.cos(x[1])])),
    ],
    ids=["from [[1, 2], [3, 4]]", "diag(sin x, cos y)"],
)
def test_a_squared_determinant_falls_by_gradient_descent(matrix):
    start = [[1.0, 2.0], [3.0, 4.0]] if matrix(tf.ones([2])).shape == [2] else [1.0, 1.0]
    x = tf.Variable(start, dtype=tf.float64)
    losses = []
    for _ in range(50):
        with tf.GradientTape() as tape:
            loss = linalg.det(matrix(x)) ** 2
        losses.append(float(loss))
        x.assign_sub(0.001 * tape.gradient(loss, x))
    assert np.all(np.diff(losses) < 0)


def test_log_determinant_uses_one_factorisation(matrices, monkeypatch):
    from svgp.linalg.autodiff import determinants

    calls = []

    def counted(K, factor=determinants.lower_and_inverse):
        calls.append(K)
        return factor(K)

    monkeypatch.setattr(determinants, "lower_and_inverse", counted)
    K = matrices.positive_definite(5, 5)
    hessian_product(linalg.logdet, K, K)
    assert len(calls) == 1


@pytest.mark.parametrize("size", [3, 140])
@pytest.mark.parametrize("name", ["host", "tensorflow"])
def test_log_determinant_is_the_same_on_either_backend(matrices, size, name):
    K = matrices.positive_definite(2, size, size)
    with linalg.backend(name):
        value = tf.function(linalg.logdet, autograph=False)(K)
        slope = gradient(lambda K: tf.reduce_sum(linalg.logdet(K)), K)
    np.testing.assert_allclose(value, np.linalg.slogdet(K)[1], rtol=1e-12)
    np.testing.assert_allclose(slope, np.linalg.inv(K), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "xla"])
def test_log_determinant_without_a_factor_is_nan_in_that_member_alone(compiled):
    K = tf.constant([[[1.0, 2.0], [2.0, 1.0]], [[2.0, 0.0], [0.0, 3.0]]], tf.float64)
    f = tf.function(linalg.logdet, autograph=False, jit_compile=True) if compiled else linalg.logdet
    value, slope = f(K), gradient(f, K)
    assert np.isnan(value[0]) and np.isnan(slope[0]).all()
    np.testing.assert_allclose(value[1], np.log(6.0))
    np.testing.assert_allclose(slope[1], np.diag([1 / 2, 1 / 3]), atol=1e-15)


def test_sign_and_logarithm_of_a_singular_matrix():
    A = tf.constant([[[1.0, 2.0], [2.0, 4.0]], [[0.0, 2.0], [3.0, 0.0]]], tf.float64)
    sign, logarithm = linalg.slogdet(A)
    np.testing.assert_array_equal(sign, [0.0, -1.0])
    np.testing.assert_allclose(logarithm, [-np.inf, np.log(6.0)])
    slope = gradient(lambda A: tf.reduce_sum(linalg.slogdet(A)[1]), A)
    assert np.isnan(slope[0]).all()
    np.testing.assert_allclose(slope[1], [[0.0, 1 / 2], [1 / 3, 0.0]], atol=1e-15)


def test_large_determinants_overflow_and_their_logarithms_do_not(matrices):
    A = 1e3 * matrices.general(200, 200)
    assert np.isinf(linalg.det(A))
    np.testing.assert_allclose(linalg.slogdet(A), np.linalg.slogdet(A), rtol=1e-12)


def test_empty_matrices_have_determinant_one():
    A = tf.zeros([3, 0, 0], tf.float64)
    np.testing.assert_array_equal(linalg.det(A), np.ones(3))


@pytest.mark.parametrize(
    "function", [linalg.det, linalg.slogdet, linalg.logdet, linalg.cholesky, linalg.eigh]
)
def test_what_is_no_square_matrix_is_refused(function):
    with pytest.raises(ModelError, match=r"got shape \(2, 3\), expected square matrices"):
        function(np.ones((2, 3)))
    with pytest.raises(ModelError, match=r"got shape \(3,\)"):
        function(np.ones(3))
    with pytest.raises(ModelError, match="int64.*cast it"):
        function(np.ones((2, 2), np.int64))
