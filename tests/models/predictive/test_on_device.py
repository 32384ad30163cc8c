"""Predictions with neighbours by TensorFlow's operations, as a GPU makes them, forced on the processor."""

from __future__ import annotations

import numpy as np
import pytest

from svgp.kernels import Linear as Linear_
from svgp.kernels import Matern12, Matern32, White
from svgp.likelihoods import Gaussian
from svgp.linalg import backend
from svgp.means import Linear
from svgp.models import SVGP, Predictive
from svgp.models.collapsed.posterior import assign_posterior
from svgp.models.neighbours.evidence import NeighbourEvidence
from svgp.models.predictive import SparseRows, corrections, device_errors, draws, joint, on_device
from svgp.models.predictive.draws import predictive_draws
from svgp.models.predictive.joint import joint_covariance

RNG = np.random.default_rng(4)
X, NEW = RNG.uniform(-2, 2, (60, 2)), RNG.uniform(-2, 2, (21, 2))
Y = np.stack([np.sin(3.0 * X[:, 0]), X[:, 1] ** 2], 1) + 0.1 * RNG.standard_normal((60, 2))
NOISE = RNG.uniform(0.05, 0.3, (60, 2))
KERNELS = {
    "matern": lambda: Matern32(1.2, [0.7, 1.1]),
    "sum": lambda: Matern12(1.0, 0.5) + White(0.01),
    "without features": lambda: Matern32(1.0, 0.9) * Linear_([0.5, 0.8]) + White(0.1),
}


def trained(kernel):
    mean = Linear(np.full((2, 2), 0.1), np.zeros(2))
    model = SVGP(KERNELS[kernel](), Gaussian(0.05), X[:7], mean=mean, num_latent=2, num_data=60, jitter=1e-8)
    assign_posterior(model, NeighbourEvidence(model, X, Y, count=5).posterior())
    return model


def predictive(model, jointly, who, count=6):
    with backend(who):
        source = SparseRows(model)
        joint = source if jointly else None
        rows = corrections.NeighbourRows(model, X, Y - source.parts(X).mean, NOISE, count, joint=joint)
        assert (rows._device is None) == (source._there is None) == (who == "host")
        return Predictive(model, neighbours=rows, sparse=source)


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        scale = np.abs(other).max()
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10 * scale)


@pytest.mark.parametrize(
    ("kernel", "jointly", "kept"), [("matern", True, 1 << 20), ("matern", True, 0), ("sum", False, 0)]
)
def test_predictions_are_the_host_s(kernel, jointly, kept, monkeypatch):
    monkeypatch.setattr(on_device, "kept_bytes", lambda: kept)
    monkeypatch.setattr(on_device, "MOST_QUERIES", 8)  # batches of 8, 8 and 5 rows
    monkeypatch.setattr(on_device, "SEARCHED", 16)
    model = trained(kernel)
    host, device = (predictive(model, jointly, who) for who in ("host", "tensorflow"))
    assert_same(device.latent(NEW), host.latent(NEW))
    assert_same([device.sparse.parts(NEW).variance], [host.sparse.parts(NEW).variance])
    beta = np.array([0.7, 1.9])
    found, expected = (p.neighbours.correct(NEW, beta) for p in (device, host))
    assert_same([x for x in found if x is not None], [x for x in expected if x is not None])


def test_rows_left_out_and_more_neighbours_than_there_are():
    model, some = trained("matern"), np.arange(3, 30, 4)
    host, device = (predictive(model, False, who).neighbours for who in ("host", "tensorflow"))
    assert_same(device.left_out(X[some], some), host.left_out(X[some], some))
    near = [corrections.NeighbourRows(model, X[20:23], Y[20:23], NOISE[20:23], 6) for _ in range(1)]
    with backend("tensorflow"):
        near.append(corrections.NeighbourRows(model, X[20:23], Y[20:23], NOISE[20:23], 6))
    assert_same(*(list(rows.correct(NEW, np.ones(2)))[:2] for rows in near))
    other = device.of_rows(X[:40], Y[:40], NOISE[:40], device.joint, device.process)
    there = host.of_rows(X[:40], Y[:40], NOISE[:40], host.joint, host.process)
    assert_same(list(other.correct(NEW, np.ones(2)))[:2], list(there.correct(NEW, np.ones(2)))[:2])


@pytest.mark.parametrize("jointly", [True, False])
@pytest.mark.parametrize("kernel", KERNELS)
def test_joint_covariances_and_draws_are_the_host_s(kernel, jointly, monkeypatch):
    monkeypatch.setattr(joint, "BLOCK", 8)
    monkeypatch.setattr(draws, "CHUNK", 16)
    monkeypatch.setattr(draws, "PIVOTS", 9)
    model = trained(kernel)
    host, device = (predictive(model, jointly, who) for who in ("host", "tensorflow"))
    expected = joint_covariance(host, NEW), predictive_draws(host, 3, seed=2, reference=NEW)(NEW)
    calls = []
    for name in ("weighed", "product", "features_left", "solved"):
        own = getattr(device_errors, name)
        monkeypatch.setattr(device_errors, name, lambda *a, own=own, name=name: calls.append(name) or own(*a))
    found = joint_covariance(device, NEW), predictive_draws(device, 3, seed=2, reference=NEW)(NEW)
    assert_same(found, expected)
    last = "solved" if kernel == "without features" else "features_left"
    assert set(calls) == {"weighed", "product", last}  # else the host was compared with itself
