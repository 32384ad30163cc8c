"""The evidence by TensorFlow's operations, as a GPU computes it, forced on the processor."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp.kernels import Matern12, Matern32
from svgp.likelihoods import Gaussian
from svgp.linalg import backend, blocks
from svgp.means import Linear
from svgp.models import SVGP
from svgp.models.collapsed.panels import Stopped
from svgp.models.neighbours import device_conditional, on_device
from svgp.models.neighbours.conditional import make_definite
from svgp.models.neighbours.evidence import NeighbourEvidence


@pytest.fixture(autouse=True)
def strips_of_any_size(monkeypatch):
    monkeypatch.setattr(blocks, "SMALLEST", 5)


def problem(kernel=None, outputs=2, rows=70):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(rows, 2))
    X[5:8] = X[4]  # duplicates
    Y = np.stack([np.sin(X.sum(1)), X[:, 0] ** 2][:outputs], 1) + 0.2 * rng.normal(size=(rows, outputs))
    mean = Linear(rng.normal(size=(2, outputs)), np.full(outputs, 0.3))
    kernel = kernel or Matern32(1.3, [0.6, 1.1])
    return SVGP(kernel, Gaussian(0.05), X[10:19] + 0.1, mean=mean, num_latent=outputs, jitter=1e-8), X, Y


def on_the_device(*problem, **options):
    with backend("tensorflow"):
        found = NeighbourEvidence(*problem, **options)
    assert isinstance(found._work, on_device.DevicePasses)
    return found


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        (None, {"count": 5}),
        (None, {"count": 5, "panel_rows": 11, "block_rows": 25}),
        (Matern12(1.0, 0.5) + Matern32(0.3, 2.0), {"count": 4, "panel_rows": 30}),
        (None, {"count": 0}),
    ],
    ids=["one block, one panel", "blocks, panels", "a sum, panels", "no neighbours"],
)
def test_value_gradient_and_posterior_are_the_host_s(kernel, options, monkeypatch):
    monkeypatch.setattr(
        on_device, "ENTRIES", 9 * 6 * 40
    )  # the way back through Kuf in several ranges as well
    model, X, Y = problem(kernel)
    there = NeighbourEvidence(model, X, Y, **options)
    host = there.evaluate()
    # Which of equal rows are neighbours each search decides for itself.
    device = on_the_device(model, X, Y, neighbours=there.neighbours, **options)
    found = device.evaluate()
    assert found.evidence == pytest.approx(host.evidence, rel=1e-11)
    assert found.posterior.frame.on_device and not host.posterior.frame.on_device
    for ours, hosts in zip(found.gradients, host.gradients, strict=True):
        np.testing.assert_allclose(ours, hosts, rtol=1e-10, atol=1e-10 * np.abs(hosts).max())
    np.testing.assert_allclose(found.posterior.mean, host.posterior.mean, rtol=1e-9, atol=1e-10)
    again = device.evaluate()  # sums of a pass do not reach into the next one, and come out the same
    assert again.evidence == found.evidence
    np.testing.assert_array_equal(again.gradients[0], found.gradients[0])


def test_fewer_rows_than_neighbours_and_other_points():
    model, X, Y = problem()
    host = NeighbourEvidence(model, X[:3], Y[:3], count=16, variables=())
    device = on_the_device(model, X[:3], Y[:3], count=16, variables=())
    np.testing.assert_allclose(device.posterior().mean, host.posterior().mean, atol=1e-10)
    few = X[20:24]
    found = [x.process.at(few) for x in (host, device)]
    ours = on_the_device(model, X, Y, count=4, variables=(), process=found[1]).posterior()
    hosts = NeighbourEvidence(model, X, Y, count=4, variables=(), process=found[0]).posterior()
    np.testing.assert_allclose(ours.covariance, hosts.covariance, atol=1e-10)


def test_a_singular_covariance_of_neighbours_gets_the_host_s_jitter():
    """Two rows that are the same, without noise; members of a batch that are definite stay as they are."""
    rng = np.random.default_rng(0)
    B = rng.normal(size=(3, 4, 4))
    C = B @ B.transpose(0, 2, 1) + 0.1 * np.eye(4)
    C[1, 3], C[1, :, 3] = C[1, 2], C[1, :, 2]
    C[1, 3, 3] = C[1, 2, 2] - 1e-9
    factor = np.asarray(device_conditional.definite_factor(tf.constant(C), tf.constant(1.0, tf.float64)))
    hosts = C[1:2].copy()
    make_definite(hosts, 1.0)
    np.testing.assert_allclose(factor[1], np.linalg.cholesky(hosts[0]), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(factor[[0, 2]], np.linalg.cholesky(C[[0, 2]]), atol=1e-14)
    worse = device_conditional.definite_factor(tf.constant(C - 5.0 * np.eye(4)), tf.constant(1.0, tf.float64))
    assert np.isnan(np.asarray(worse)[:, -1, -1]).all()


def test_a_deadline_is_read_between_panels():
    device = on_the_device(*problem(), count=3, panel_rows=30)
    answers = iter([True, True, True, False])
    with pytest.raises(Stopped):
        device.evaluate(lambda: next(answers))
