"""Linear, constant and white kernels."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp.errors import ModelError
from svgp.kernels import Constant, Linear, White

X = np.random.default_rng(0).normal(size=(6, 3))
Z = np.random.default_rng(1).normal(size=(4, 3))


def test_linear_is_a_weighted_product():
    weights = np.array([0.5, 1.0, 2.0])
    kernel = Linear(weights)
    np.testing.assert_allclose(kernel.K(X, Z), (X * weights) @ Z.T, rtol=1e-13)
    np.testing.assert_allclose(kernel.K_diag(X), np.diag(kernel.K(X)), rtol=1e-13)
    np.testing.assert_allclose(kernel.input_lengthscales(3), weights**-0.5)
    np.testing.assert_allclose(Linear(4.0).input_lengthscales(3), [0.5, 0.5, 0.5])


def test_linear_batches():
    kernel = Linear([[0.5, 1.0, 2.0], [1.0, 1.0, 1.0]])
    expected = [Linear([0.5, 1.0, 2.0]).K(X, Z), Linear(1.0).K(X, Z)]
    np.testing.assert_allclose(kernel.K(X, Z), expected, rtol=1e-13)
    assert kernel.K_diag(X).shape == (2, 6)
    with pytest.raises(ModelError, match="3 variances for inputs with 2 columns"):
        kernel.K(X[:, :2])


def test_constant():
    assert np.all(Constant(2.0).K(X, Z) == Constant(2.0).K_diag(X)[0])
    assert Constant([1.0, 2.0]).K(X).shape == (2, 6, 6) and Constant([1.0, 2.0]).K_diag(X).shape == (2, 6)
    assert np.all(np.isinf(Constant().input_lengthscales(3)))


def test_white_is_noise_of_the_function():
    np.testing.assert_allclose(White(0.5).K(X), 0.5 * np.eye(6), rtol=1e-15)
    assert np.all(White(0.5).K(X, X) == 0.0)  # the same values, but not the same points
    assert White([1.0, 2.0]).K(X).shape == (2, 6, 6) and White([1.0, 2.0]).K(X, Z).shape == (2, 6, 4)


@pytest.mark.parametrize("kernel", [Linear(0.5), Constant(0.5), White(0.5)])
def test_gradients_reach_the_variance_also_compiled(kernel):
    @tf.function(jit_compile=True, autograph=False)
    def gradient(X):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(kernel.K(X))
        return tape.gradient(total, kernel.trainable_variables)

    # K is linear in the variance, and the variance is exp(u): the derivative by u is the sum itself.
    np.testing.assert_allclose(gradient(tf.constant(X))[0], np.sum(kernel.K(X)), rtol=1e-12)


def test_result_types():
    for kernel in (Linear(), Constant(), White()):
        assert kernel.K(X, Z, dtype=tf.float32).dtype == tf.float32
        assert kernel.K_diag(X, dtype=tf.float32).dtype == tf.float32
