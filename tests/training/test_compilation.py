"""Steps that XLA compiles, and one that it refuses: forced on the processor here."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import tensorflow as tf

from svgp.kernels import Matern32
from svgp.likelihoods import Gaussian
from svgp.models import SVGP
from svgp.training.compilation import CompiledStep

SIGNATURE = [tf.TensorSpec([None, 1], tf.float64)]


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU")
def test_without_a_gpu_nothing_is_compiled():
    step = CompiledStep(lambda x: 2.0 * x, SIGNATURE)
    assert not step.xla
    np.testing.assert_array_equal(step(np.ones((2, 1))), 2.0)


def test_a_step_that_xla_refuses_runs_as_a_graph_and_says_so(caplog):
    step = CompiledStep(lambda x: tf.numpy_function(lambda a: 3.0 * a, [x], tf.float64), SIGNATURE, xla=True)
    with caplog.at_level(logging.WARNING, "svgp"):
        for _ in range(2):
            np.testing.assert_array_equal(step(np.ones((2, 1))), 3.0)
    assert not step.xla and step.why
    assert len(caplog.records) == 1 and "runs as a graph" in caplog.text


def test_bound_and_gradient_are_the_same_compiled():
    """The whole factorisation with its retries, the marginals by strips and their adjoint."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 1))
    model = SVGP(Matern32(), Gaussian(), X[:10], num_data=40, whiten=True, jitter=1e-6)
    variables = model.trainable_variables

    def step(x):
        with tf.GradientTape() as tape:
            value = model.elbo((x, tf.sin(x)))
        return [value, *(tf.convert_to_tensor(g) for g in tape.gradient(value, variables))]

    compiled = CompiledStep(step, SIGNATURE, xla=True)
    found, expected = compiled(X), CompiledStep(step, SIGNATURE, xla=False)(X)
    assert compiled.xla, compiled.why
    for ours, graphs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, graphs, rtol=1e-9, atol=1e-9)
