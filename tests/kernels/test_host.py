"""Covariance panels in NumPy against TensorFlow's, values and adjoints."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp.kernels import Linear, Matern12, Matern32, Matern52, RationalQuadratic, SquaredExponential, host
from svgp.kernels.host import HostStationary, supports

KERNELS = [SquaredExponential, Matern12, Matern32, Matern52, RationalQuadratic]
SHAPES = {
    "ard": ([1.0, 2.0, 0.5, 3.0], None),
    "shared": (1.3, None),
    "two of four columns": ([1.0, 2.0], (2, 0)),
}


def points():
    rng = np.random.default_rng(0)
    X, Z = rng.normal(size=(60, 4)) + 100.0, rng.normal(size=(17, 4)) + 100.0
    X[:5] = Z[:5]  # at distance zero
    return X, Z, rng.normal(size=(60, 17))


def make(kind, shape):
    lengthscales, active = SHAPES[shape]
    return kind(1.7, lengthscales, active_dims=active)


def on_host(kernel, Z):
    lengthscales, variance = kernel.input_lengthscales(4).numpy(), float(kernel.variance.numpy())
    shapes = [float(shape) for shape in kernel.shape_values()]
    return HostStationary(type(kernel), Z, lengthscales, variance, shapes)


def lengthscale_adjoint(kernel, l_bar):
    """From the adjoint of l for each input to that of the variable log l."""
    with tf.GradientTape() as tape:
        lengthscales = kernel.input_lengthscales(4)
    variable = kernel.lengthscales.pretransformed_input
    return tape.gradient(lengthscales, variable, output_gradients=tf.constant(l_bar)).numpy()


def compare(kernel, mine, Z, Kt, tape, K_bar):
    variables = [Z, kernel.lengthscales.pretransformed_input, kernel.variance.pretransformed_input]
    variables += [getattr(kernel, name).pretransformed_input for name in kernel.shapes]
    wanted = tape.gradient(Kt, variables, output_gradients=tf.constant(K_bar))
    tolerance = {"rtol": 1e-9, "atol": 1e-5 if isinstance(kernel, Matern12) else 1e-9}
    np.testing.assert_allclose(mine.Z, tf.convert_to_tensor(wanted[0]), **tolerance)
    np.testing.assert_allclose(lengthscale_adjoint(kernel, mine.lengthscales), wanted[1], **tolerance)
    np.testing.assert_allclose(mine.variance * kernel.variance.numpy(), wanted[2], **tolerance)
    for name, found, expected in zip(kernel.shapes, mine.shapes, wanted[3:], strict=True):
        np.testing.assert_allclose(found * getattr(kernel, name).numpy(), expected, **tolerance)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("block", [17 * 16, 1 << 18])
def test_panels_and_gradients_equal_tensorflows(kind, shape, block, monkeypatch):
    monkeypatch.setattr(host, "BLOCK", block)
    X, Z, K_bar = points()
    kernel, Zv = make(kind, shape), tf.Variable(Z)
    assert supports(kernel)
    mine = on_host(kernel, Z)
    K, slope = np.empty(K_bar.shape), np.empty(K_bar.shape)
    mine.covariance(X, K, slope)
    with tf.GradientTape() as tape:
        Kt = kernel.K(X, Zv)
    # At distance zero rounding leaves a distance of 1e-8, which Matérn 1/2 alone feels.
    np.testing.assert_allclose(K, Kt, rtol=1e-11, atol=1e-6 if kind is Matern12 else 1e-13)
    sums = mine.zero_moments()
    for rows in (slice(0, 41), slice(41, 60)):  # sums over rows add up
        part = mine.zero_moments()
        mine.add_adjoint(X[rows], K_bar[rows].copy(), (slope if mine.separate_slope else K)[rows], part)
        sums.add(part)
    compare(kernel, mine.gradients(sums, float(np.sum(K_bar * K))), Zv, Kt, tape, K_bar)


@pytest.mark.parametrize("kind", KERNELS)
def test_the_square_matrix_and_its_gradients_equal_tensorflows(kind):
    _, Z, K_bar = points()
    kernel, Zv, K_bar = make(kind, "ard"), tf.Variable(Z), K_bar[:17] + K_bar[:17].T
    mine = on_host(kernel, Z)
    K, slope = mine.square()
    with tf.GradientTape() as tape:
        Kt = kernel.K(Zv)
    np.testing.assert_allclose(K, Kt, rtol=1e-11, atol=1e-13)
    assert np.array_equal(np.diag(K), np.full(17, kernel.variance.numpy()))
    compare(kernel, mine.square_gradients(K_bar.copy(), K, slope), Zv, Kt, tape, K_bar)


def test_other_kernels_are_left_to_tensorflow():
    assert not supports(Linear())
    assert not supports(Matern32() + Matern32())
    assert not supports(Matern32(dtype=tf.float32))
    assert not supports(Matern32([1.0, 2.0]))
    assert not supports(Matern32(1.0, [[1.0], [2.0]]))
