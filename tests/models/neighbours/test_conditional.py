"""Conditioning on neighbours: b and D against dense linear algebra, singular sets, absent neighbours."""

from __future__ import annotations

import numpy as np
import pytest

from svgp.errors import NumericalError
from svgp.kernels import Matern12, Matern32, SquaredExponential
from svgp.likelihoods import Gaussian
from svgp.models import SVGP
from svgp.models.neighbours import NONE, ResidualProcess
from svgp.models.neighbours.conditional import combination, index_sets, make_definite, with_one

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2))
NOISE = 0.05


def conditional(kernel, near, rows, inputs=X, noise=NOISE):
    process = ResidualProcess(SVGP(kernel, Gaussian(NOISE), inputs[:6]), 2)
    A = process.project(inputs)
    sets, present = index_sets(rows, near)
    return A, process.condition(inputs, A, sets, present, np.full(sets.shape, noise))


@pytest.mark.parametrize(
    "kernel",
    [Matern32(1.3, [1.0, 2.0]), SquaredExponential(1.3, 0.7), Matern12(1.0, 0.5) + Matern32(0.3, 2.0)],
    ids=["host", "host without slope", "tensorflow"],
)
def test_b_and_D_are_those_of_dense_algebra(kernel):
    near = np.array([[3, 9, 11, 20], [0, 1, NONE, NONE], [NONE] * 4])
    rows = np.array([35, 36, 37])
    A, found = conditional(kernel, near, rows)
    R = np.asarray(kernel.K(X)) - A @ A.T
    for i, (row, n) in enumerate(zip(rows, near, strict=True)):
        n = n[n != NONE]
        b = np.linalg.solve(R[np.ix_(n, n)] + NOISE * np.eye(len(n)), R[n, row])
        np.testing.assert_allclose(found.b[i, : len(n)], b, atol=1e-12)
        np.testing.assert_array_equal(found.b[i, len(n) :], 0.0)
        np.testing.assert_allclose(found.D[i], R[row, row] + NOISE - R[row, n] @ b, atol=1e-12)
    at = combination(found.sets, with_one(found.b), len(X)) @ A
    truth = A[rows] - np.einsum("cm,cmk->ck", found.b, A[found.sets[:, :-1]])
    np.testing.assert_allclose(at, truth, atol=1e-12)


def test_duplicate_neighbours_without_noise_get_a_jitter_and_predict_their_own_value():
    inputs = np.concatenate([X, X[:3], X[:1]])
    near = np.array([[0, 40, 7, 8]])
    _, found = conditional(Matern32(1.0, 1.0), near, np.array([43]), inputs, noise=0.0)
    assert 0.0 < found.jitter < 1e-5
    np.testing.assert_allclose(found.b[0, :2].sum(), 1.0, atol=1e-3)
    assert 0.0 < found.D[0] < 1e-4


def test_jitter_goes_to_those_that_need_it_alone():
    good, bad = np.eye(3), np.ones((3, 3))
    C = np.stack([good, bad, 2.0 * good])
    assert make_definite(C, 1.0) > 0.0
    np.testing.assert_array_equal(C[[0, 2]], [good, 2.0 * good])
    assert np.all(np.linalg.eigvalsh(C[1]) > 0)
    with pytest.raises(NumericalError, match="not positive definite after a jitter of 1.0e-04"):
        make_definite(np.stack([good, -good]), 1.0)
