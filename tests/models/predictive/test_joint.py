"""Joint covariances and draws of predictions with neighbours: exact with all rows, dense algebra with few."""

from __future__ import annotations

import numpy as np
import pytest

from svgp import kernels, likelihoods
from svgp.models import SVGP, Predictive
from svgp.models.collapsed.posterior import assign_posterior
from svgp.models.neighbours.evidence import NeighbourEvidence
from svgp.models.predictive import Calibration, SparseRows, joint_covariance, predictive_draws
from svgp.models.predictive.corrections import NeighbourRows

RNG = np.random.default_rng(5)
X, NEW = RNG.uniform(-2, 2, (30, 2)), RNG.uniform(-2, 2, (11, 2))
NEW[1] = NEW[0] + 0.03
Y = np.sin(2.0 * X) + 0.1 * RNG.standard_normal(X.shape)
NOISE, JITTER = 0.05, 1e-8
KERNELS = {
    "features": lambda: kernels.Matern32(1.2, [0.7, 1.1]),
    "white": lambda: kernels.Matern32(1.2, [0.7, 1.1]) + kernels.White(0.03),
    "without features": lambda: kernels.Matern32(1.0, 0.9) * kernels.Linear([0.5, 0.8]) + kernels.White(0.1),
}


def predictive(kernel, count, joint=True, calibration=None, ratio=None):
    model = SVGP(kernel, likelihoods.Gaussian(NOISE), X[:4] + 0.1, num_data=30, jitter=JITTER, num_latent=2)
    assign_posterior(model, NeighbourEvidence(model, X, Y, count=len(X)).posterior())
    source = SparseRows(model)
    residual = Y - source.parts(X).mean
    rows = NeighbourRows(model, X, residual, np.full(Y.shape, NOISE), count, source if joint else None, ratio)
    return Predictive(model, calibration, rows)


@pytest.mark.parametrize("name", KERNELS)
def test_with_all_rows_as_neighbours_it_is_the_exact_posterior(name):
    kernel = KERNELS[name]()
    weights = np.linalg.solve(kernel.K(X).numpy() + NOISE * np.eye(30), kernel.K(X, NEW))
    exact = kernel.K(NEW).numpy() - kernel.K(NEW, X).numpy() @ weights
    found = joint_covariance(predictive(kernel, 30), NEW)
    np.testing.assert_allclose(found, np.stack([exact, exact]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("joint", [True, False])
def test_with_few_neighbours_it_is_that_of_the_predictions_errors(joint, monkeypatch):
    monkeypatch.setattr("svgp.models.predictive.joint.BLOCK", 4)
    ratio, beta = np.array([0.4, 2.0]), np.array([1.6, 0.5])
    ones = np.ones((2, 1))
    own = predictive(kernel := KERNELS["white"](), 5, joint, Calibration(beta, beta, ones, ones), ratio)
    found = joint_covariance(own, NEW)
    np.testing.assert_allclose(np.diagonal(found, axis1=1, axis2=2).T, own.latent(NEW).variance, rtol=1e-10)
    everything = np.concatenate([X, NEW])
    L = np.linalg.cholesky(kernel.K(Z := own.model.Z.numpy()).numpy() + JITTER * np.eye(4))
    A = np.linalg.solve(L, kernel.K(Z, everything)).T  # [N + T, M]
    R = kernel.K(everything).numpy() - A @ A.T
    for latent in range(2):
        W, S = np.hstack([np.zeros((11, 30)), np.eye(11)]), own.source.q_sqrt[latent]
        for place, x in enumerate(NEW):
            n = np.argsort((((X - x) / [0.7, 1.1]) ** 2).sum(1))[:5]
            C = R[np.ix_(n, n)] + ratio[latent] * NOISE * np.eye(5)
            W[place, n] = -np.linalg.solve(C, R[n, 30 + place])
        seen = (W @ A if joint else A[30:]) @ S
        own_error = W @ R @ W.T + ratio[latent] * NOISE * W[:, :30] @ W[:, :30].T
        truth = beta[latent] * own_error + seen @ seen.T
        np.testing.assert_allclose(found[latent], truth, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name, joint", [("features", False), ("white", True), ("without features", True)])
def test_draws_are_of_that_mean_and_covariance(name, joint):
    count, ones = 4000, np.ones((2, 1))
    own = predictive(KERNELS[name](), 6, joint, Calibration(ones[:, 0], np.array([1.6, 0.5]), ones, ones))
    draws = predictive_draws(own, count, seed=1, reference=NEW)
    F = draws(NEW)  # [K, T, L]
    said, joint_of = own.latent(NEW), joint_covariance(own, NEW)
    # Four standard deviations, and 4% for the features' covariances between rows.
    assert np.max(np.abs(F.mean(axis=0) - said.mean) / np.sqrt(said.variance / count)) < 4.0
    for covariance, f in zip(joint_of, F.transpose(2, 1, 0), strict=True):
        variance = np.diag(covariance)
        scale = np.sqrt(np.outer(variance, variance))
        assert np.max(np.abs(np.cov(f) - covariance) / scale) < 4.5 * np.sqrt(2.0 / count) + 0.04
        np.testing.assert_allclose(f.var(axis=1), variance, rtol=4.5 * np.sqrt(2.0 / count))
    np.testing.assert_allclose(draws(NEW[3:5]), F[:, 3:5], atol=1e-9)  # one function, however it is asked for
