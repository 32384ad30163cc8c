"""Where the stage with neighbours starts: what few rows far apart cannot see, and what they can."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from svgp.kernels import Matern32
from svgp.likelihoods import Gaussian
from svgp.models import SVGP
from svgp.training.methods.near_start import clumps, start_near

ROWS = 1200


def model(X, *, lengthscale, noise, variance=1.0, kernel=None):
    columns = X.shape[1]
    kernel = kernel or Matern32(variance=variance, lengthscales=[lengthscale] * columns)
    return SVGP(kernel, Gaussian(noise), X[:: len(X) // 8].copy(), num_data=len(X))


def log_evidence(model, X, y):
    """Of the exact GP, nats a row."""
    K = np.asarray(model.kernel(X)) + float(model.likelihood.noise_variance()) * np.eye(len(X))
    return float(multivariate_normal.logpdf(y, cov=K)) / len(X)


@pytest.fixture
def waves():
    """150 cycles, eight rows each: 400 rows from all over see none of them."""
    generator = np.random.default_rng(2)
    X = np.linspace(-np.sqrt(3.0), np.sqrt(3.0), ROWS)[:, None]  # unit deviation
    y = np.sqrt(2.0) * np.sin(2.0 * np.pi * 150.0 * X[:, 0] / np.ptp(X))
    return X, (y + 0.05 * generator.normal(size=ROWS))[:, None]


def test_a_cycle_much_shorter_than_the_points_distance_is_found(waves):
    X, Y = waves
    found = model(X, lengthscale=1.0, noise=1.0, variance=0.01)
    before = log_evidence(found, X, Y[:, 0])
    assert start_near(found, X, Y, count=16, seed=0)
    assert log_evidence(found, X, Y[:, 0]) > before + 0.5
    cycle = float(np.ptp(X)) / 150.0
    assert 0.1 * cycle < float(np.asarray(found.kernel.lengthscales)[0]) < 3.0 * cycle
    assert float(found.likelihood.noise_variance()) < 0.1


def test_a_start_that_is_as_good_stays_to_the_bit():
    generator = np.random.default_rng(3)
    X = generator.normal(size=(ROWS, 2))
    y = np.sin(X[:, 0]) + np.cos(X[:, 1]) + 0.1 * generator.normal(size=ROWS)
    found = model(X, lengthscale=1.5, noise=0.01)
    held = [v.numpy().copy() for v in found.trainable_variables]
    assert not start_near(found, X, y[:, None], count=16, seed=0)
    for variable, value in zip(found.trainable_variables, held, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_other_kernels_and_few_rows_are_left_alone(waves):
    X, Y = waves
    kernels = [Matern32() + Matern32(), Matern32(lengthscales=1.0), Matern32(active_dims=[0])]
    for kernel in kernels:
        assert not start_near(model(X, lengthscale=1.0, noise=1.0, kernel=kernel), X, Y, count=16, seed=0)
    assert not start_near(model(X[:500], lengthscale=1.0, noise=1.0), X[:500], Y[:500], count=16, seed=0)
    same = np.ones_like(Y)
    assert not start_near(model(X, lengthscale=1.0, noise=1.0), X, same, count=16, seed=0)
    twice = np.repeat(X[:20], 60, axis=0)  # rows that are one another's nearest at no distance
    assert not start_near(model(twice, lengthscale=1.0, noise=1.0), twice, Y, count=16, seed=0)


def test_a_clump_is_a_row_and_those_nearest_to_it():
    X = np.arange(100.0)[:, None]
    for rows in clumps(X, 4, 5, 0):
        assert np.ptp(rows) == 4 and len(set(rows)) == 5
