"""Mean functions: shapes, values, gradients, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp.errors import ModelError
from svgp.means import Constant, Linear, Zero, from_config

X = np.random.default_rng(0).normal(size=(6, 3))


def test_values():
    assert Zero()(X).shape == (6, 1) and np.all(Zero(2)(X) == np.zeros((6, 2)))
    np.testing.assert_array_equal(Constant([1.0, -2.0])(X), np.tile([1.0, -2.0], (6, 1)))
    assert Constant(3.0)(X).shape == (6, 1)
    slope, offset = np.random.default_rng(1).normal(size=(3, 2)), [1.0, -2.0]
    np.testing.assert_allclose(Linear(slope, offset)(X), X @ slope + offset, rtol=1e-14)


def test_unknown_rows_and_gradients():
    for mean in (Zero(2), Constant([0.0, 0.0]), Linear(np.zeros((3, 2)), np.zeros(2))):
        traced = tf.function(mean, input_signature=[tf.TensorSpec([None, 3], tf.float64)], autograph=False)
        assert traced(X).shape == (6, 2)
    mean = Linear(np.zeros((3, 1)))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(mean(X))
    offset, slope = tape.gradient(total, [mean.offset, mean.slope])
    np.testing.assert_allclose(offset, 6.0)
    np.testing.assert_allclose(slope[:, 0], X.sum(0))


def test_from_config():
    assert isinstance(from_config("zero", num_inputs=3), Zero)
    assert isinstance(from_config("constant", num_inputs=3, num_latent=2), Constant)
    linear = from_config("linear", num_inputs=3, num_latent=2, dtype=tf.float32)
    assert linear(X).dtype == tf.float32 and np.all(linear(X) == 0.0)
    with pytest.raises(ModelError, match="use one of zero, constant, linear"):
        from_config("quadratic", num_inputs=3)


def test_refusals():
    with pytest.raises(ModelError, match="2 input columns, expected 3"):
        Linear(np.zeros((3, 1)))(X[:, :2])
    with pytest.raises(ModelError, match="expected finite numbers"):
        Constant(np.nan)
    with pytest.raises(ModelError, match=r"expected \[D, L\] and \[L\]"):
        Linear(np.zeros((3, 2)), np.zeros(3))
