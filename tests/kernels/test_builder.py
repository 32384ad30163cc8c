"""From a config to a kernel: types, columns and start values."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp.config.kernels import kernel_section
from svgp.config.kernels.combination import ProductKernel, SumKernel
from svgp.errors import ModelError
from svgp.kernels import Constant, Linear, Matern52, Product, Sum, White, active_columns, from_config

NAMES = ["size", "colour=red", "colour=blue", "age"]
LENGTHSCALES = np.array([1.0, 2.0, 3.0, 4.0])


def build(config, **options):
    return from_config(config, NAMES, **{"lengthscales": LENGTHSCALES, "variance": 2.0, **options})


def value(parameter):
    return np.asarray(tf.convert_to_tensor(parameter))


def test_open_numbers_start_from_the_data():
    kernel = build(kernel_section("matern52"))
    assert isinstance(kernel, Matern52)
    np.testing.assert_allclose(value(kernel.lengthscales), LENGTHSCALES)
    np.testing.assert_allclose(value(kernel.variance), 2.0)


def test_given_numbers_are_taken():
    kernel = build(kernel_section("matern52", variance=0.5, lengthscales=3.0))
    np.testing.assert_allclose(value(kernel.lengthscales), [3.0] * 4)
    np.testing.assert_allclose(value(kernel.variance), 0.5)
    each = build(kernel_section("matern52", lengthscales=[1.0, 1.0, 2.0, 2.0]))
    np.testing.assert_allclose(value(each.lengthscales), [1.0, 1.0, 2.0, 2.0])
    with pytest.raises(ModelError, match="2 numbers for 4 input columns"):
        build(kernel_section("matern52", lengthscales=[1.0, 2.0]))


def test_without_ard_one_lengthscale():
    kernel = build(kernel_section("matern32", ard=False))
    assert kernel.lengthscales.shape == ()
    np.testing.assert_allclose(value(kernel.lengthscales), 24.0**0.25)  # the geometric mean of 1, 2, 3, 4


def test_named_inputs_become_columns():
    assert active_columns(["age", "size"], NAMES) == (3, 0)
    assert active_columns(["colour"], NAMES) == (1, 2)
    assert active_columns(["colour=blue", "colour"], NAMES) == (2, 1)
    kernel = build(kernel_section("matern32", inputs=["colour", "age"]))
    assert kernel.active_dims == (1, 2, 3)
    np.testing.assert_allclose(value(kernel.lengthscales), [2.0, 3.0, 4.0])
    with pytest.raises(ModelError, match="'hue' is not an input; the inputs are size, colour=red"):
        active_columns(["hue"], NAMES)


def test_combinations_share_the_variance():
    parts = [kernel_section("matern32"), kernel_section("linear", inputs=["size", "age"])]
    total = build(SumKernel(sum=parts))
    assert isinstance(total, Sum)
    np.testing.assert_allclose(value(total.kernels[0].variance), 1.0)
    np.testing.assert_allclose(value(total.kernels[1].variance), [0.5, 0.5])
    X = np.array([[1.0, 1.0, -1.0, 1.0], [-1.0, 1.0, 1.0, -1.0]])  # standardised: |x_d| = 1
    np.testing.assert_allclose(total.K_diag(X), 2.0)
    product = build(ProductKernel(product=parts))
    assert isinstance(product, Product)
    np.testing.assert_allclose(product.K_diag(X), 2.0)


def test_the_other_types():
    assert isinstance(build(kernel_section("constant")), Constant)
    white = build(kernel_section("white"))
    assert isinstance(white, White)
    np.testing.assert_allclose(value(white.variance), 0.02)
    assert isinstance(build(kernel_section("linear", ard=False)), Linear)
    assert build(kernel_section(), dtype=tf.float32).K(np.zeros((2, 4))).dtype == tf.float32
