"""Each point's parts against totals computed densely, in another way."""

from __future__ import annotations

import numpy as np
import pytest

from svgp.diagnostics import contributions
from svgp.inducing import redundant_points


def _problem(seed: int, M: int = 7, n: int = 40) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    Z, X = rng.normal(size=(M, 2)), rng.normal(size=(n, 2))

    def k(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return 1.7 * np.exp(-0.5 * ((a[:, None] - b) ** 2).sum(axis=-1))

    return {
        "Kuu": k(Z, Z) + 1e-6 * np.eye(M),
        "Kuf": k(Z, X),
        "kff": np.full(n, 1.7),
        "mean": rng.normal(size=M),
        "factor": np.tril(rng.normal(size=(M, M))) + 2 * np.eye(M),
    }


def _kl(m: np.ndarray, S: np.ndarray, K: np.ndarray) -> float:
    solved = np.linalg.solve(K, S)
    logdets = np.linalg.slogdet(K)[1] - np.linalg.slogdet(S)[1]
    return 0.5 * (np.trace(solved) + m @ np.linalg.solve(K, m) - len(m) + logdets)


@pytest.mark.parametrize("seed", range(5))
def test_unwhitened_parts_sum_to_the_kl_and_to_the_explained_variance(seed: int) -> None:
    problem = _problem(seed)
    order = redundant_points(problem["Kuu"], 1e-9).order
    parts = contributions(**problem, order=order, whiten=False)
    S = problem["factor"] @ problem["factor"].T
    assert parts.kl.sum() == pytest.approx(_kl(problem["mean"], S, problem["Kuu"]), rel=1e-10)
    explained = (
        np.sum(problem["Kuf"] * np.linalg.solve(problem["Kuu"], problem["Kuf"]), axis=0) / problem["kff"]
    )
    np.testing.assert_allclose(parts.residual, 1 - explained, atol=1e-10)
    assert parts.explained.sum() == pytest.approx(explained.mean(), rel=1e-10)
    assert (parts.kl >= 0).all() and (parts.explained >= 0).all()


def test_whitened_parts_sum_to_the_same_kl() -> None:
    problem = _problem(0)
    order = redundant_points(problem["Kuu"], 1e-9).order
    parts = contributions(**problem, order=order, whiten=True)
    S = problem["factor"] @ problem["factor"].T  # of v = L^-1 u, whose prior is N(0, I)
    assert parts.kl.sum() == pytest.approx(_kl(problem["mean"], S, np.eye(7)), rel=1e-10)


def test_parts_follow_the_chain_rule_one_point_at_a_time() -> None:
    """The KL of the first m points' marginals grows by the part of point m."""
    problem = _problem(1)
    order = redundant_points(problem["Kuu"], 1e-9).order
    parts = contributions(**problem, order=order, whiten=False)
    S = problem["factor"] @ problem["factor"].T
    totals = [0.0]
    for m in range(1, 8):
        first = order[:m]
        block = np.ix_(first, first)
        totals.append(_kl(problem["mean"][first], S[block], problem["Kuu"][block]))
    np.testing.assert_allclose(parts.kl[order], np.diff(totals), rtol=1e-8, atol=1e-10)


def test_numbering_the_points_otherwise_permutes_the_parts() -> None:
    problem = _problem(2)
    shuffle = np.random.default_rng(0).permutation(7)
    moved = {
        "Kuu": problem["Kuu"][np.ix_(shuffle, shuffle)],
        "Kuf": problem["Kuf"][shuffle],
        "kff": problem["kff"],
        "mean": problem["mean"][shuffle],
        "factor": problem["factor"][shuffle],
    }
    orders = [redundant_points(p["Kuu"], 1e-9).order for p in (problem, moved)]
    # All variances are equal at first: break the tie the same way, so that both start at the same point.
    orders[1] = np.argsort(shuffle)[orders[0]]
    one = contributions(**problem, order=orders[0], whiten=False)
    other = contributions(**moved, order=orders[1], whiten=False)
    np.testing.assert_allclose(other.kl, one.kl[shuffle], rtol=1e-9)
    np.testing.assert_allclose(other.explained, one.explained[shuffle], rtol=1e-9)


def test_a_posterior_that_is_the_prior_has_no_kl() -> None:
    problem = _problem(3)
    problem |= {"mean": np.zeros(7), "factor": np.linalg.cholesky(problem["Kuu"])}
    parts = contributions(**problem, order=np.arange(7), whiten=False)
    np.testing.assert_allclose(parts.kl, 0.0, atol=1e-12)


def test_a_nearly_deterministic_posterior_keeps_its_digits() -> None:
    """Standard deviations down to 1e-11: their squares vanish beside 1 in the covariance, not in the KL."""
    problem = _problem(4)
    T = np.tril(np.ones((7, 7))) * 0.1
    np.fill_diagonal(T, 10.0 ** -np.arange(5.0, 12.0))
    parts = contributions(**(problem | {"Kuu": np.eye(7), "factor": T}), order=np.arange(7), whiten=False)
    m, rows = problem["mean"], np.sum(T**2, axis=1)
    np.testing.assert_allclose(parts.kl, 0.5 * (m**2 + rows - 1) - np.log(np.diagonal(T)), rtol=1e-9)
