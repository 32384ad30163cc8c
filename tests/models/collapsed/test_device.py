"""The passes over the rows by TensorFlow's operations, as a GPU does them, forced on the processor."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp.kernels import Constant, Linear, Matern32, SquaredExponential, White
from svgp.likelihoods import Gaussian
from svgp.linalg import backend, blocks
from svgp.means import Linear as LinearMean
from svgp.models import SVGP
from svgp.models.collapsed import CollapsedBound, Stopped
from svgp.models.collapsed.device import DevicePasses

KERNELS = {
    "matern": lambda: Matern32(1.3, [1.0, 2.0, 1.5]),
    "sum": lambda: SquaredExponential(0.7, 1.2) + Linear(0.3) * Constant(0.5) + White(0.05),
}


@pytest.fixture(autouse=True)
def strips_of_any_size(monkeypatch):
    monkeypatch.setattr(blocks, "SMALLEST", 5)


def problem(kernel):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(70, 3))
    Y = np.stack([np.sin(X.sum(1)), X[:, 0] ** 2], 1) + 0.1 * rng.normal(size=(70, 2))
    mean = LinearMean(np.full((3, 2), 0.1), np.zeros(2))
    noise = [0.05, 0.3] if kernel == "sum" else 0.05
    return SVGP(KERNELS[kernel](), Gaussian(noise), rng.normal(size=(9, 3)), mean=mean, num_latent=2), X, Y


@pytest.mark.parametrize(
    ("kernel", "bound", "form"),
    [
        ("matern", "standard", "cheap"),
        ("matern", "standard", "whitened"),
        ("matern", "tight", "auto"),
        ("sum", "tight", "auto"),
    ],
)
def test_value_gradient_and_posterior_are_the_host_s(kernel, bound, form):
    model, X, Y = problem(kernel)
    host = CollapsedBound(model, X, Y, bound=bound, form=form).evaluate()
    with backend("tensorflow"):
        device = CollapsedBound(model, X, Y, bound=bound, form=form, chunk=30)  # 30, 30 and 10 rows
    assert isinstance(device._work, DevicePasses)
    found = device.evaluate()
    assert found.bound == pytest.approx(host.bound, rel=1e-12) and found.form == host.form
    assert found.posterior.frame.on_device and not host.posterior.frame.on_device
    for ours, hosts in zip(found.posterior.unwhitened(), host.posterior.unwhitened(), strict=True):
        np.testing.assert_allclose(ours, hosts, atol=1e-10 * np.abs(hosts).max(), rtol=1e-9)
    for ours, hosts in zip(found.gradients, host.gradients, strict=True):
        np.testing.assert_allclose(ours, hosts, atol=1e-10 * np.abs(hosts).max(), rtol=1e-10)
    np.testing.assert_allclose(found.posterior.mean, host.posterior.mean, rtol=1e-9)
    again = device.evaluate()  # sums of a pass do not reach into the next one
    assert again.bound == found.bound


def test_the_graphs_do_as_many_operations_as_the_docstring_says(monkeypatch):
    """By TensorFlow's profiler, in M^2 N operations, the kernel's own work left out (M is large)."""
    monkeypatch.undo()  # strips as they are
    M, B = 1024, 2048
    model = SVGP(Matern32(1.3, [1.0, 2.0]), Gaussian(0.05), np.random.default_rng(0).normal(size=(M, 2)))
    passes = DevicePasses(model, [model.Z], 2, 1, None)
    square, thin, rows, one = [M, M], [M, 1], [B, 1], []

    def counted(function, *shapes):
        specs = [tf.TensorSpec(shape, tf.float64) for shape in shapes]
        with backend("tensorflow"):
            graph = tf.function(function, autograph=False).get_concrete_function(*specs).graph
        options = tf.compat.v1.profiler.ProfileOptionBuilder
        quiet = options(options.float_operation()).with_empty_output().build()
        return tf.compat.v1.profiler.profile(graph, options=quiet).total_float_ops / (M * M * B)

    assert counted(passes._first(True, True), [B, 2], rows, square, one) == pytest.approx(3.75, rel=0.02)
    second = counted(passes._second(True, True), [B, 2], rows, square, square, thin, thin, one)
    assert second == pytest.approx(4.5, rel=0.02)


def test_a_deadline_is_read_between_chunks():
    model, X, Y = problem("matern")
    with backend("tensorflow"):
        device = CollapsedBound(model, X, Y, chunk=30)
    answers = iter([True, True, False])
    with pytest.raises(Stopped):
        device.evaluate(lambda: next(answers))
