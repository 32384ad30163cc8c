"""Cholesky and eigendecompositions where they are hard: no factor, repeated eigenvalues, bad entries."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp import linalg


def gradient(f, A):
    with tf.GradientTape() as tape:
        tape.watch(A)
        value = f(A)
    return tape.gradient(value, A)


def with_eigenvalues(matrices, w, dtype=tf.float64):
    """A matrix V diag(w) V^H with random eigenvectors, and these."""
    V = np.linalg.qr(matrices.general(len(w), len(w), dtype=dtype))[0]
    K = (V * np.asarray(w)) @ V.conj().T
    return tf.constant((K + K.conj().T) / 2, dtype), V


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "xla"])
def test_cholesky_of_what_has_none_is_nan_in_that_member_alone(compiled):
    K = tf.constant([np.diag([1.0, 2.0, -1.0]), np.diag([1.0, 4.0, 9.0])])
    f = tf.function(linalg.cholesky, autograph=False, jit_compile=True) if compiled else linalg.cholesky
    L, slope = f(K), gradient(lambda K: tf.reduce_sum(f(K)), K)
    assert np.isnan(L[0]).all() and np.isnan(slope[0]).all()
    np.testing.assert_allclose(L[1], np.diag([1.0, 2.0, 3.0]))
    assert np.isfinite(slope[1]).all()


def test_cholesky_reads_the_lower_triangle(matrices):
    K = matrices.positive_definite(4, 4)
    np.testing.assert_allclose(
        linalg.cholesky(tf.linalg.band_part(K, -1, 0)), np.linalg.cholesky(K), rtol=1e-12
    )


def test_cholesky_of_more_than_a_leaf(matrices):
    K = matrices.positive_definite(140, 140)
    with linalg.backend("tensorflow"):
        got = linalg.cholesky(K)
    np.testing.assert_allclose(got, np.linalg.cholesky(K), atol=1e-11)
    assert not np.triu(got, 1).any()


@pytest.mark.parametrize("dtype", [tf.float64, tf.complex128], ids=lambda dtype: dtype.name)
def test_functions_of_repeated_eigenvalues_have_their_true_gradient(matrices, dtype):
    # sum f(w) = tr f(K), whose gradient is f'(K) = V diag(f'(w)) V^H whatever V is.
    K, V = with_eigenvalues(matrices, [1.0, 1.0, 1.0, 3.0], dtype)
    got = gradient(lambda K: tf.reduce_sum(tf.math.log(linalg.eigh(K)[0])), K)
    np.testing.assert_allclose(got, (V / [1.0, 1.0, 1.0, 3.0]) @ V.conj().T, atol=1e-12)


@pytest.mark.parametrize("w", [[1.0, 1.0, 1.0, 3.0], [2.0, 2.0, 5.0, 5.0]])
def test_projections_onto_whole_eigenspaces_have_their_true_gradient(matrices, w):
    # P = V1 V1^T; dP = sum over i in the space, j outside of (v_j^T dK v_i) / (w_i - w_j) and its transpose.
    K, V = with_eigenvalues(matrices, w)
    G = matrices.general(4, 4)
    inside = np.flatnonzero(np.isclose(w, w[0]))
    outside = np.flatnonzero(~np.isclose(w, w[0]))

    def f(K):
        basis = linalg.eigh(K)[1][:, : len(inside)]
        return tf.reduce_sum(G * (basis @ tf.transpose(basis)))

    expected = np.zeros((4, 4))
    for i in inside:
        for j in outside:
            pair = V[:, [i]] @ V[:, [j]].T
            expected += np.sum(G * (pair + pair.T)) / (w[i] - w[j]) * (pair + pair.T) / 2
    np.testing.assert_allclose(gradient(f, K), expected, atol=1e-10)


def test_gradients_at_the_identity_are_finite(matrices):
    K = tf.eye(4, dtype=tf.float64)
    with tf.GradientTape() as outer:
        outer.watch(K)
        slope = gradient(lambda K: sum(tf.reduce_sum(output**3) for output in linalg.eigh(K)), K)
    assert np.isfinite(slope).all() and np.isfinite(outer.gradient(slope, K)).all()


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("dtype", [tf.float64, tf.complex128], ids=lambda dtype: dtype.name)
def test_eigenpairs_in_a_graph_are_right_to_rounding(matrices, dtype, compiled):
    K, _ = with_eigenvalues(matrices, np.r_[np.linspace(-3.0, 3.0, 10), 3.0, 3.0], dtype)
    w, V = tf.function(linalg.eigh, autograph=False, jit_compile=compiled)(K)
    np.testing.assert_allclose(w, np.linalg.eigvalsh(K), atol=1e-13)
    np.testing.assert_allclose((V.numpy() * w.numpy()) @ V.numpy().conj().T, K, atol=1e-12)


def test_a_member_that_is_not_finite_is_nan_alone(matrices):
    K = tf.stack([tf.fill([3, 3], tf.cast(np.inf, tf.float64)), matrices.positive_definite(3, 3)])
    w, V = linalg.eigh(K)
    assert np.isnan(w[0]).all() and np.isnan(V[0]).all()
    np.testing.assert_allclose(w[1], np.linalg.eigvalsh(K[1]), rtol=1e-12)
