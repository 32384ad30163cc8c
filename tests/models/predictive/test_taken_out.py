"""Rows that are really taken out, against exact GP regression on the others."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from svgp import kernels, likelihoods
from svgp.budget import KEPT_FROM, KEPT_MOST, KEPT_SHARE
from svgp.models import SVGP, Predictive
from svgp.models.predictive.calibration import Calibration
from svgp.models.predictive.taken_out import find_posterior, folds, predicted, seen_jointly
from svgp.training.methods.affordable import rows_to_learn

RNG = np.random.default_rng(3)
X = RNG.uniform(-2, 2, (60, 2))
Y = np.sin(2.0 * X) + 0.3 * RNG.standard_normal((60, 2))
NOISE = 0.1


@pytest.fixture(scope="module")
def own():
    model = SVGP(
        kernels.Matern32(1.2, [0.7, 1.1]), likelihoods.Gaussian(NOISE), X[:6] + 0.1, num_data=60, jitter=1e-8,
        num_latent=2,
    )  # fmt: skip
    find_posterior(model, X, Y, seed=0)
    return model


def exact(kernel, at, others):
    """Mean `[T, 2]` and variance `[T]` of f at rows `at`, given the others."""
    weights = np.linalg.solve(
        kernel.K(X[others]).numpy() + NOISE * np.eye(len(others)), kernel.K(X[others], X[at])
    )
    left = kernel.K_diag(X[at]).numpy() - np.sum(kernel.K(X[others], X[at]).numpy() * weights, axis=0)
    return weights.T @ Y[others], left


def test_a_row_is_predicted_by_all_rows_but_its_fold(own):
    chosen = np.sort(RNG.permutation(60)[:14])
    rows = seen_jointly(own, X, Y, 60)
    parts = folds(rows, X, Y, chosen, seed=0)
    assert len(parts) == 5  # a twentieth of 60 rows at a time
    assert len(folds(rows, X, Y, chosen, seed=0, at_once=True)) == 1
    np.testing.assert_array_equal(np.sort(np.concatenate([part.taken for part in parts])), chosen)
    at = chosen[1:]
    found = predicted(parts, rows, X, Y, at)
    for part in parts:
        # 16 earlier neighbours make q(u) approximate: near the exact posterior, which has not seen the row.
        others = np.setdiff1d(np.arange(60), part.taken)
        here = np.flatnonzero(np.isin(at, part.taken))
        mean, left = exact(own.kernel, at[here], others)
        np.testing.assert_allclose(found.mean[here], mean, atol=0.02)
        np.testing.assert_allclose(
            (found.explained + found.residual)[here], np.stack([left, left], 1), atol=0.01
        )
    np.testing.assert_array_equal(found.error, Y[at] - found.mean)
    verdict = found.judge(calibrate=False)
    assert verdict.rows.count == 60 and len(verdict.rows.X) == 60  # all rows, for what is to come
    assert 0.0 <= found.proximity(verdict.calibration)["explained_by_neighbours"] <= 1.0


def test_points_at_a_row_go_with_it():
    model = SVGP(
        kernels.Matern32(1.0, [0.3, 0.3]), likelihoods.Gaussian(NOISE), X.copy(), num_data=60, num_latent=2
    )
    find_posterior(model, X, Y, seed=0)
    at = np.arange(60)
    rows = seen_jointly(model, X, Y, 8)
    seen = predicted(folds(rows, X, Y, at, 0), rows, X, Y, at)
    kept = predicted(folds(rows, X, Y, at[:6], 0, at_once=True), rows, X, Y, at[:6])
    new = seen_jointly(model, X, Y, 8).correct(RNG.uniform(-2, 2, (200, 2)), np.ones(2))
    left = [float(np.mean(part.explained)) for part in (seen, new)]
    assert left[0] < 2.0 * left[1]
    assert np.mean(kept.explained) > 5.0 * left[0]  # with its own point
    assert len(folds(rows, X, Y, at[:3], 0)[0].others.process.frame.L) == 57


def test_a_calibration_leaves_the_mean_alone(own):
    rows, ones = seen_jointly(own, X, Y, 8), np.ones((2, 1))
    wide = Calibration(np.array([0.2, 3.0]), np.array([4.0, 0.5]), ones, ones)
    plain, found = Predictive(own, neighbours=rows).latent(X), Predictive(own, wide, rows).latent(X)
    np.testing.assert_array_equal(found.mean, plain.mean)
    assert np.all(np.abs(found.variance / plain.variance - 1.0) > 1e-3)


def test_files_of_earlier_versions_let_c_and_beta_weigh_neighbours(own):
    ones = np.ones((2, 1))
    calibration = Calibration(np.array([0.2, 3.0]), np.array([4.0, 0.5]), ones, ones)
    predictive = Predictive(own, calibration, seen_jointly(own, X, Y, 8))
    arrays, summary = predictive.arrays(), {"neighbours": 8}
    again = Predictive.of(own, arrays, summary, own)
    np.testing.assert_array_equal(again.latent(X).mean, predictive.latent(X).mean)
    del arrays["rows.ratio"]
    earlier = Predictive.of(own, arrays, summary, own)
    np.testing.assert_allclose(earlier.neighbours.ratio, [0.05, 6.0], rtol=1e-15)


@pytest.mark.parametrize(
    "judged, subset, rows, expected",
    [
        (True, "auto", 10_000, 10_000 - int(KEPT_SHARE * 10_000)),
        (True, "auto", 100_000, 100_000 - KEPT_MOST),
        (True, "auto", KEPT_FROM - 1, None),
        (False, "auto", 10_000, None),  # nothing is judged by them
        (True, None, 10_000, None),
        (True, 9_990, 10_000, 9_990),
    ],
)
def test_some_rows_are_kept_to_judge_by(judged, subset, rows, expected):

    model = SimpleNamespace(judged=judged, num_inducing=50, submodules=())
    assert rows_to_learn(model, rows, SimpleNamespace(subset_rows=subset, max_seconds=None)) == expected
