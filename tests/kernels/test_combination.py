"""Sums and products: elementwise, flattened, each part with its own inputs."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp.errors import ModelError
from svgp.kernels import Constant, Linear, Matern32, Product, SquaredExponential, Sum, White

X = np.random.default_rng(0).normal(size=(6, 3))
Z = np.random.default_rng(1).normal(size=(4, 3))


def test_sum_and_product_are_elementwise():
    a, b = Matern32(1.5, [0.5, 1.0, 2.0]), Linear(0.3)
    np.testing.assert_allclose((a + b).K(X, Z), a.K(X, Z) + b.K(X, Z), rtol=1e-15)
    np.testing.assert_allclose((a * b).K(X, Z), a.K(X, Z) * b.K(X, Z), rtol=1e-15)
    for kernel in (a + b, a * b):
        np.testing.assert_allclose(np.diag(kernel.K(X)), kernel.K_diag(X), rtol=1e-14)
        assert len(kernel.trainable_variables) == 3


def test_nesting_is_flattened_only_within_its_kind():
    a, b, c = Matern32(), Linear(), Constant()
    assert (a + b + c).kernels == (a, b, c) and (a * b * c).kernels == (a, b, c)
    mixed = (a + b) * c
    assert isinstance(mixed, Product) and isinstance(mixed.kernels[0], Sum)
    np.testing.assert_allclose(mixed.K(X), (a.K(X) + b.K(X)) * c.K(X), rtol=1e-15)


def test_parts_act_on_their_own_columns():
    kernel = SquaredExponential(1.0, 0.5, active_dims=(2,)) + Linear(active_dims=(0, 1))
    expected = SquaredExponential(1.0, 0.5).K(X[:, 2:]) + Linear().K(X[:, :2])
    np.testing.assert_allclose(kernel.K(X), expected, rtol=1e-14)
    with tf.GradientTape() as tape:
        x = tf.constant(X)
        tape.watch(x)
        total = tf.reduce_sum(SquaredExponential(active_dims=(2,)).K(x, Z))
    gradient = tape.gradient(total, x).numpy()
    assert np.all(gradient[:, :2] == 0.0) and np.all(gradient[:, 2] != 0.0)


def test_input_lengthscales():
    a = SquaredExponential(1.0, [3.0, 4.0], active_dims=(0, 2))
    b = SquaredExponential(1.0, 4.0, active_dims=(0,))
    np.testing.assert_allclose(a.input_lengthscales(3), [3.0, np.inf, 4.0])
    np.testing.assert_allclose((a + b).input_lengthscales(3), [3.0, np.inf, 4.0])
    # exp(-x^2/2/9) exp(-x^2/2/16) = exp(-x^2/2 (1/9 + 1/16)): 12/5
    np.testing.assert_allclose((a * b).input_lengthscales(3), [2.4, np.inf, 4.0])
    np.testing.assert_allclose((a + White()).input_lengthscales(3), [3.0, np.inf, 4.0])
    with pytest.raises(ModelError, match="active_dims"):
        (a + b).input_lengthscales(2)


def test_batched_parts_broadcast():
    kernel = Matern32([1.0, 2.0]) + Linear() + White(0.1)
    assert kernel.K(X).shape == (2, 6, 6) and kernel.K_diag(X).shape == (2, 6)
    assert kernel.K(X, Z).shape == (2, 6, 4)


def test_mismatched_parts_are_refused():
    with pytest.raises(ModelError, match="of types"):
        Matern32() + Matern32(dtype=tf.float32)
    with pytest.raises(ModelError, match="without any"):
        Sum([])
