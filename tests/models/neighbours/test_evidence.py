"""The evidence with neighbours: exact with all of them, FITC with none, gradients by differences, shards."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from svgp.kernels import Matern12, Matern32, SquaredExponential
from svgp.likelihoods import Gaussian
from svgp.means import Linear
from svgp.models import SVGP
from svgp.models.collapsed.posterior import optimal_posterior
from svgp.models.neighbours import blocks
from svgp.models.neighbours.evidence import NeighbourEvidence, evidence_from_sums

NOISE = 0.05


def problem(kernel=None, outputs=1, rows=70, mean=False, jitter=1e-8):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(rows, 2))
    X[5:8] = X[4]  # duplicates
    Y = np.stack([np.sin(X.sum(1)), X[:, 0] ** 2][:outputs], 1) + 0.2 * rng.normal(size=(rows, outputs))
    kernel = kernel or Matern32(1.3, [0.6, 1.1])
    slope = rng.normal(size=(2, outputs)) if mean else np.zeros((2, outputs))
    mean = Linear(slope, np.full(outputs, 0.3))
    model = SVGP(kernel, Gaussian(NOISE), X[10:19] + 0.1, mean=mean, num_latent=outputs, jitter=jitter)
    return model, X, Y


def dense(model, X, Y, order, neighbours):
    """The same by dense algebra on rows in order: L D L^T with the residual's conditionals."""
    K = np.asarray(model.kernel.K(X))
    Kuf = np.asarray(model.kernel.K(model.Z, X))
    Kuu = np.asarray(model.kernel.K(model.Z)) + model.jitter * np.eye(len(Kuf))
    Q = Kuf.T @ np.linalg.solve(Kuu, Kuf)
    R, noise = K - Q, float(np.asarray(model.likelihood.variance))
    W, D = np.eye(len(X)), np.empty(len(X))
    for i in range(len(X)):
        n = neighbours[i][neighbours[i] >= 0]
        b = np.linalg.solve(R[np.ix_(n, n)] + noise * np.eye(len(n)), R[n, i])
        W[i, n], D[i] = -b, R[i, i] + noise - R[i, n] @ b
    inverse = np.linalg.inv(W)
    S = inverse @ np.diag(D) @ inverse.T + Q
    r = Y - np.asarray(model.mean(X))
    return sum(scipy.stats.multivariate_normal(np.zeros(len(X)), S).logpdf(column) for column in r.T)


def test_all_earlier_rows_as_neighbours_give_the_exact_log_evidence():
    model, X, Y = problem(outputs=2, mean=True)
    exact = NeighbourEvidence(model, X, Y, count=len(X))
    K = np.asarray(model.kernel.K(X)) + NOISE * np.eye(len(X))
    r = Y - np.asarray(model.mean(X))
    truth = sum(scipy.stats.multivariate_normal(np.zeros(len(X)), K).logpdf(column) for column in r.T)
    assert exact.evaluate().evidence == pytest.approx(truth, abs=1e-8)


def test_no_neighbours_give_fitc():
    model, X, Y = problem()
    value = NeighbourEvidence(model, X, Y, count=0).evaluate().evidence
    A = np.linalg.solve(
        np.linalg.cholesky(np.asarray(model.kernel.K(model.Z)) + 1e-8 * np.eye(9)), model.kernel.K(model.Z, X)
    )
    S = A.T @ A
    S += np.diag(1.3 - np.diag(S) + NOISE)
    truth = scipy.stats.multivariate_normal(np.zeros(len(X)), S).logpdf((Y - 0.3)[:, 0])
    assert value == pytest.approx(truth, abs=1e-7)


@pytest.mark.parametrize(
    ("kernel", "options", "apart"),
    [
        (Matern32(1.3, [0.6, 1.1]), {}, True),
        (SquaredExponential(1.0, 0.8), {"block_rows": 25, "panel_rows": 11}, False),
        (Matern12(1.0, 0.5) + Matern32(0.3, 2.0), {"block_rows": 40}, False),
    ],
    ids=["host, one block", "host without slope, blocks", "tensorflow, blocks"],
)
def test_value_against_dense_algebra_and_gradient_by_differences(kernel, options, apart):
    model, X, Y = problem(kernel, outputs=2, mean=True)
    evidence = NeighbourEvidence(model, X, Y, count=5, **options)
    found = evidence.evaluate()
    assert found.evidence == pytest.approx(dense(model, X, Y, evidence.order, evidence.neighbours), abs=1e-6)
    rng = np.random.default_rng(0)
    values = [variable.numpy() for variable in evidence.variables]
    directions = [rng.normal(size=value.shape) for value in values]
    numbers = range(len(values))
    for together in [[n] for n in numbers] if apart else [list(numbers)]:
        difference = 0.0
        for sign, step in ((8, 1e-4), (-1, 2e-4)):  # a fourth-order difference
            ends = []
            for side in (step, -step):
                for n in together:
                    evidence.variables[n].assign(values[n] + side * directions[n])
                ends.append(evidence.value())
            difference += sign * (ends[0] - ends[1]) / 12e-4
        for n in together:
            evidence.variables[n].assign(values[n])
        slope = sum(np.sum(found.gradients[n] * directions[n]) for n in together)
        assert slope == pytest.approx(difference, rel=1e-6, abs=1e-6), evidence.variables[together[0]].name


def test_sums_over_shards_add_up_to_the_evidence_of_all_rows():
    model, X, Y = problem()
    shards = [np.arange(30), np.arange(30, 70)]
    parts = [NeighbourEvidence(model, X[rows], Y[rows], count=6) for rows in shards]
    pairs = list(zip(parts, shards, strict=True))
    own = [np.where(part.neighbours < 0, -1, rows[part.neighbours]) for part, rows in pairs]
    whole = NeighbourEvidence(model, X, Y, count=6, neighbours=np.concatenate(own))
    frame = whole.process.frame
    sums = parts[0].statistics(frame) + parts[1].statistics(frame)
    posterior = optimal_posterior(frame, sums)
    evaluation = whole.evaluate()
    assert evidence_from_sums(posterior, sums) == pytest.approx(evaluation.evidence, rel=1e-10)
    passes = whole.passes
    assert whole.value() == pytest.approx(evaluation.evidence, rel=1e-10) and whole.passes == passes + 1
    np.testing.assert_allclose(posterior.mean, evaluation.posterior.mean, atol=1e-10)


@pytest.mark.parametrize("rows", [1, 3])
def test_fewer_rows_than_neighbours(rows):
    model, X, Y = problem()
    evidence = NeighbourEvidence(model, X[:rows], Y[:rows], count=16)
    K = np.asarray(model.kernel.K(X[:rows])) + NOISE * np.eye(rows)
    truth = scipy.stats.multivariate_normal(np.zeros(rows), K).logpdf((Y - 0.3)[:rows, 0])
    assert evidence.evaluate().evidence == pytest.approx(truth, abs=1e-9)


def test_blocks_fit_in_the_memory_that_they_may_take_however_far_neighbours_are(monkeypatch):
    """What blocks hold is counted, so that a million rows take no more memory than fit."""
    monkeypatch.setattr(blocks, "kept_bytes", lambda: 1 << 22)
    monkeypatch.setattr(blocks, "FEWEST_ROWS", 64)
    rng = np.random.default_rng(0)
    points, size, m = rng.uniform(size=(6000, 6)), 40, 8
    near = rng.integers(0, 6000, (6000, m))  # the worst: none of its own rows
    near[::2] = np.arange(0, 6000, 2)[:, None]
    found = blocks.Blocks(points, near, size)
    numbers = [blocks.numbers_held(len(b.rows), b.own, size, m + 1) for b in found]
    assert len(found) > 1 and 8 * max(numbers) <= 1 << 22
    own = np.concatenate([b.rows[: b.own] for b in found])
    np.testing.assert_array_equal(np.sort(own), np.arange(6000))
    for b in found:
        np.testing.assert_array_equal(b.rows[b.sets[:, :-1]], near[b.rows[: b.own]])
