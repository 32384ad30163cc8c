"""Constrained parameters: exact start values, relative steps, names that serve in files."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from svgp import kernels, likelihoods
from svgp.errors import ModelError
from svgp.parameters import named_variables, positive, unconstrained


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("low", [0.0, 1e-6, 2.0])
@pytest.mark.parametrize("value", [2.5, [3.0, 1e3], [[2.1], [1e6]]])
def test_the_value_is_kept_and_so_is_the_type(value, low, dtype):
    parameter = positive(value, "x", low=low, dtype=dtype)
    assert parameter.dtype == dtype and parameter.shape == np.shape(value)
    tolerance = 4e-6 if dtype == tf.float32 else 1e-14
    np.testing.assert_allclose(parameter, np.asarray(value, dtype.as_numpy_dtype), rtol=tolerance)
    assert parameter.pretransformed_input.trainable


def test_a_python_float_does_not_pass_through_float32():
    for low in (0.0, 1e-6):
        np.testing.assert_allclose(positive(0.1, "x", low=low), 0.1, rtol=1e-15)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_a_step_is_a_relative_change(scale):
    parameter = positive(scale, "x")
    parameter.pretransformed_input.assign_add(np.log(2.0))
    np.testing.assert_allclose(parameter, 2.0 * scale, rtol=1e-12)


def test_nothing_brings_it_below_its_floor():
    parameter = positive(1.0, "x", low=0.3)
    parameter.pretransformed_input.assign(-1e4)
    assert float(tf.convert_to_tensor(parameter)) == 0.3


def test_gradient_is_that_of_the_exponential():
    parameter = positive([0.5, 2.0], "x", low=0.1)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(tf.convert_to_tensor(parameter) ** 2)
    gradient = tape.gradient(total, parameter.pretransformed_input)
    np.testing.assert_allclose(gradient, 2.0 * np.array([0.5, 2.0]) * np.array([0.4, 1.9]), rtol=1e-14)


@pytest.mark.parametrize(
    "parameter", [positive(2.0, "x"), positive([2.0, 5.0], "x", low=1.5), unconstrained([-2.0, 3.0], "x")]
)
def test_what_is_read_is_what_the_bijector_gives(parameter):
    values = np.linspace(-3.0, 3.0, 7)
    np.testing.assert_array_equal(parameter.transform_fn(values), parameter.bijector.forward(values))
    expected = parameter.bijector.forward(parameter.pretransformed_input)
    np.testing.assert_array_equal(parameter, expected)
    np.testing.assert_array_equal(tf.function(lambda: parameter + 0.0, autograph=False)(), expected)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize(
    "make",
    [partial(positive, name="x"), partial(positive, name="x", low=1.5), partial(unconstrained, name="x")],
)
def test_what_is_written_is_what_the_bijector_takes_back(make, dtype):
    """At the start and by `assign`, of arrays, lists, tensors and parameters of any precision."""
    start, later = np.array([2.0, 5.0]), np.array([1.6, 1e3])
    parameter = make(start, dtype=dtype)
    variable, bijector = parameter.pretransformed_input, parameter.bijector
    np.testing.assert_array_equal(variable, bijector.inverse(tf.constant(start, dtype)))
    assert variable.name == "x:0" and variable.dtype == parameter.dtype == dtype
    for value in (later, later.tolist(), tf.constant(later, dtype), make(later, dtype=dtype)):
        variable.assign([0.0, 0.0])
        parameter.assign(value)
        written = tf.constant(later, dtype) if value is later else tf.convert_to_tensor(value, dtype)
        np.testing.assert_array_equal(variable, bijector.inverse(written))


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf, [1.0, 0.0]])
def test_values_outside_the_domain_are_refused(value):
    with pytest.raises(ModelError, match="noise: must be finite and above 0, got"):
        positive(value, "noise")
    with pytest.raises(ModelError, match="above 1e-06"):
        positive(1e-6, "noise", low=1e-6)


def test_names_are_paths_of_attributes():
    kernel = kernels.Matern32(active_dims=(0,)) + kernels.Linear() * kernels.Constant()
    expected = {
        "kernels.0.lengthscales",
        "kernels.0.variance",
        "kernels.1.kernels.0.variance",
        "kernels.1.kernels.1.variance",
    }
    assert set(named_variables(kernel)) == expected
    again = kernels.Matern32(active_dims=(0,)) + kernels.Linear() * kernels.Constant()
    assert list(named_variables(again)) == list(named_variables(kernel))


def test_names_lead_to_every_variable_and_only_once():
    module = likelihoods.StudentT()
    module.extra = [tf.Variable(1.0), {"not": "walked"}, None]
    module._private = tf.Variable(2.0)
    assert set(named_variables(module)) == {"scale", "extra.0"}
    assert named_variables(module)["scale"] is module.scale.pretransformed_input
