"""What neighbours add, against dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp import kernels, likelihoods
from svgp.models import SVGP, Predictive
from svgp.models.collapsed.posterior import assign_posterior
from svgp.models.neighbours import NONE
from svgp.models.neighbours.evidence import NeighbourEvidence
from svgp.models.predictive import SparseRows
from svgp.models.predictive.corrections import NeighbourRows

RNG = np.random.default_rng(4)
X, NEW = RNG.uniform(-2, 2, (40, 2)), RNG.uniform(-2, 2, (9, 2))
RESIDUAL, NOISE = RNG.standard_normal((40, 1)), RNG.uniform(0.05, 0.3, (40, 1))


@pytest.fixture(scope="module")
def model():
    Z = RNG.uniform(-2, 2, (5, 2))
    return SVGP(kernels.Matern32(1.2, [0.7, 1.1]), likelihoods.Gaussian(0.1), Z, num_data=40, jitter=1e-8)


def residual_covariance(model, A, B):
    K, Z = model.kernel.K, model.Z.numpy()
    inverse = np.linalg.inv(K(Z).numpy() + 1e-8 * np.eye(5))
    return K(A, B).numpy() - K(A, Z).numpy() @ inverse @ K(Z, B).numpy()


def dense(model, x, rows, c=1.0, beta=1.0):
    R = residual_covariance(model, X[rows], X[rows])
    cross = residual_covariance(model, X[rows], x[None])[:, 0]
    b = np.linalg.solve(beta * R + c * np.diag(NOISE[rows, 0]), beta * cross)
    return b @ RESIDUAL[rows, 0], beta * residual_covariance(model, x[None], x[None])[0, 0] - b @ cross * beta


@pytest.mark.parametrize("count, c, beta", [(40, 1.0, 1.0), (7, 0.3, 2.5)])
def test_neighbours_against_dense_matrices(model, count, c, beta):
    rows = NeighbourRows(model, X, RESIDUAL, NOISE, count, ratio=np.array([c / beta]))
    found = rows.correct(NEW, np.array([beta]))
    for place, x in enumerate(NEW):
        far = np.sqrt((((X - x) / [0.7, 1.1]) ** 2).sum(1))
        mean, left = dense(model, x, np.argsort(far)[:count], c, beta)
        assert found.mean[place, 0] == pytest.approx(mean, rel=1e-7, abs=1e-9)
        assert found.residual[place, 0] == pytest.approx(left, rel=1e-6, abs=1e-9)
        assert found.nearest[place] == pytest.approx(far.min(), rel=1e-9)


@pytest.mark.parametrize("kept", [0, 1 << 20])
@pytest.mark.parametrize("shared", [0, np.inf])  # products of all pairs in a batch: always, never
def test_batches_memory_and_what_they_share_do_not_matter(model, monkeypatch, kept, shared):
    from svgp.models.predictive import corrections

    expected = NeighbourRows(model, X, RESIDUAL, NOISE, 6).correct(NEW, np.ones(1))
    monkeypatch.setattr(corrections, "BATCH", 4)
    monkeypatch.setattr(corrections, "kept_bytes", lambda: kept)
    monkeypatch.setattr(corrections, "SHARED", shared)
    found = NeighbourRows(model, X, RESIDUAL, NOISE, 6).correct(NEW, np.ones(1))
    for name in ("mean", "residual", "nearest"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-10, atol=1e-13)


def test_what_the_points_leave_is_taken_in_float64_from_a_float32_model_too():
    """The residual covariance is a difference: of float32 kernel matrices it had errors as large as noise."""
    rows = np.random.default_rng(0).uniform(-2, 2, (200, 2))
    residual, noise = np.sin(3.0 * rows[:, :1]), np.full((200, 1), 1e-4)
    means = []
    for dtype in (tf.float64, tf.float32):
        kernel = kernels.Matern32(1.0, [0.7, 0.9], dtype=dtype)
        likelihood = likelihoods.Gaussian(1e-3, dtype=dtype)
        model = SVGP(kernel, likelihood, rows[:10].astype(dtype.as_numpy_dtype), num_data=200, jitter=1e-5)
        near = NeighbourRows(model, rows, residual, noise, 16)
        means.append(near.correct(rows[:50] + 0.01, np.ones(1)).mean)
    np.testing.assert_allclose(means[1], means[0], atol=1e-4)


def test_a_row_is_not_its_own_neighbour(model):
    twice = np.concatenate([X, X[:3], X[:3]])  # three rows three times
    rows = NeighbourRows(model, twice, np.tile(RESIDUAL, (2, 1))[:46], np.tile(NOISE, (2, 1))[:46], 5)
    at = np.array([0, 1, 7, 41])
    parts = rows.left_out(twice[at], at)
    assert not np.any(parts.neighbours == at[:, None])
    assert parts.neighbours.shape == (4, 5) and np.all(parts.distances[:, :-1] <= parts.distances[:, 1:])
    exact = rows.with_ratio(np.array([1e-300]))  # equal rows without noise
    mean, left = exact.apply(parts, 0, exact.weights(parts, 0))
    assert np.all(np.isfinite(mean)) and np.all(left >= 0.0)


def test_fewer_rows_than_neighbours(model):
    few = NeighbourRows(model, X[:3], RESIDUAL[:3], NOISE[:3], 32)
    assert few.count == 3
    parts = few.left_out(X[:3], np.arange(3))
    assert np.all((parts.neighbours == NONE).sum(axis=1) == 1)
    mean, _ = few.apply(parts, 0, few.weights(parts, 0))
    assert mean[0] == pytest.approx(dense(model, X[0], np.array([1, 2]))[0], rel=1e-8)


@pytest.mark.parametrize("noise", [0.1, 1e-4])
def test_found_together_with_all_rows_as_neighbours_it_is_the_exact_posterior(model, noise):
    kernel, inputs = model.kernel, np.concatenate([X, X[:3]])  # three rows twice
    Y, count = np.sin(2.0 * inputs) + 0.1 * RNG.standard_normal(inputs.shape), len(inputs)
    own = SVGP(
        kernel, likelihoods.Gaussian(noise), model.Z.numpy(), num_data=count, jitter=1e-8, num_latent=2
    )  # fmt: skip
    assign_posterior(own, NeighbourEvidence(own, inputs, Y, count=count).posterior())
    source = SparseRows(own)
    residual = Y - source.parts(inputs).mean
    rows = NeighbourRows(own, inputs, residual, np.full(Y.shape, noise), count, joint=source)
    found = Predictive(own, neighbours=rows).latent(NEW)
    weights = np.linalg.solve(kernel.K(inputs).numpy() + noise * np.eye(count), kernel.K(inputs, NEW))
    np.testing.assert_allclose(found.mean, weights.T @ Y, rtol=0, atol=1e-9)
    exact = kernel.K_diag(NEW).numpy() - np.einsum("nq,nq->q", kernel.K(inputs, NEW).numpy(), weights)
    np.testing.assert_allclose(found.variance, np.stack([exact, exact], 1), rtol=0, atol=1e-9)
