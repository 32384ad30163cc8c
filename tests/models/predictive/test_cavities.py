"""A row left out in closed form is a row that was not there."""

from __future__ import annotations

import numpy as np
import pytest

from svgp import kernels, likelihoods
from svgp.models import SVGP
from svgp.models.collapsed import CollapsedBound
from svgp.models.predictive import SparseRows
from svgp.models.predictive.cavities import cavities

RNG = np.random.default_rng(3)
X = RNG.uniform(-2, 2, (25, 2))
Y = np.sin(2 * X[:, :1]) + 0.3 * RNG.standard_normal((25, 1))
Z = RNG.uniform(-2, 2, (6, 2))


def model_of(likelihood, rows):
    return SVGP(kernels.Matern32(1.0, 0.8), likelihood, Z, num_data=len(rows), jitter=1e-10)


def optimal(rows):
    """The model with the best q(u) for some of the rows."""
    model = model_of(likelihoods.Gaussian(0.1), rows)
    bound = CollapsedBound(model, X[rows], Y[rows])
    bound.assign(bound.posterior()[0])
    return SparseRows(model)


@pytest.mark.parametrize("left_out", [0, 11])
def test_gaussian_noise_against_a_fit_without_the_row(left_out):
    full = optimal(np.arange(25))
    found = cavities(full.model.likelihood, full.parts(X), Y)
    without = optimal(np.delete(np.arange(25), left_out)).parts(X[[left_out]])
    np.testing.assert_allclose(found.mean[left_out], without.mean[0], rtol=1e-8)
    np.testing.assert_allclose(found.explained[left_out], without.explained[0], rtol=1e-8)
    np.testing.assert_allclose(found.residual[left_out], Y[left_out] - without.mean[0], rtol=1e-7)
    np.testing.assert_allclose(found.noise, 0.1, rtol=1e-12)
    assert found.invalid == 0


def test_sites_by_derivatives_are_those_of_gaussian_noise():
    class Disguised(likelihoods.Gaussian):
        """Not recognised as Gaussian, so its derivatives are taken."""

    rows = SparseRows(model_of(Disguised(0.1), X))
    parts = rows.parts(X)
    found, expected = (cavities(kind(0.1), parts, Y) for kind in (Disguised, likelihoods.Gaussian))
    for name in ("mean", "explained", "target", "noise"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-8)


def test_sites_without_a_precision_are_counted_and_say_nothing():
    rows = SparseRows(model_of(likelihoods.StudentT(0.05, 3.0), X))
    parts, far = rows.parts(X), Y + 50.0 * (np.arange(25) < 4)[:, None]
    parts = parts._replace(explained=0.01 * parts.explained, residual=0.01 * parts.residual)
    found = cavities(rows.model.likelihood, parts, far)
    assert found.invalid >= 4  # far out on the flanks the log density is convex
    assert np.all(found.noise[:4] > 1e5) and np.all(found.noise > 0)
    np.testing.assert_allclose(found.residual[:4], 0.0, atol=1e-12)
    assert np.all(np.isfinite(found.mean)) and np.all(found.explained > 0)
