"""Greedy variance against a brute-force pivoted Cholesky that conditions densely at every step."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from svgp.inducing import further_points, greedy_variance
from svgp.kernels import Constant, Linear, Matern32, SquaredExponential, White


def _brute_force(K: np.ndarray, count: int) -> list[int]:
    """The row with the largest `k_nn - k_nZ KZZ^-1 k_Zn`, again and again."""
    chosen: list[int] = []
    for _ in range(count):
        residual = np.diagonal(K).copy()
        if chosen:
            KZ = K[chosen]  # [m, N]
            residual -= np.sum(KZ * np.linalg.solve(KZ[:, chosen], KZ), axis=0)
        chosen.append(int(np.argmax(residual / np.diagonal(K))))
    return chosen


def test_it_equals_brute_force() -> None:
    X = np.random.default_rng(0).normal(size=(120, 2))
    kernel = Matern32(variance=2.3, lengthscales=[0.4, 0.9])
    Z, notes = greedy_variance(X, 25, kernel, seed=0)
    np.testing.assert_array_equal(Z, X[_brute_force(kernel.K(X).numpy(), 25)])
    assert notes == []


def test_latent_gps_share_points_that_serve_all_of_them() -> None:
    X = np.random.default_rng(1).normal(size=(80, 2))
    kernel = Matern32(variance=[1.0, 4.0], lengthscales=[[0.3, 5.0], [5.0, 0.3]])
    Z, _ = greedy_variance(X, 30, kernel, seed=0)
    K = kernel.K(X).numpy()  # [2, N, N]
    rows = [int(np.flatnonzero((z == X).all(axis=1))[0]) for z in Z]
    for m in range(
        1, 30
    ):  # each has the largest relative residual, summed over latent GPs, given those before
        share = 0.0
        for latent in K:
            KZ = latent[rows[:m]]
            share = (
                share + 1.0 - np.sum(KZ * np.linalg.solve(KZ[:, rows[:m]], KZ), axis=0) / np.diagonal(latent)
            )
        assert share[rows[m]] == pytest.approx(share.max(), abs=1e-9)


def test_it_stops_where_nothing_is_left_and_says_so() -> None:
    X = np.linspace(0, 1, 200)[:, None]
    Z, notes = greedy_variance(X, 50, SquaredExponential(variance=1.0, lengthscales=[1.0]), seed=0)
    # Over one lengthscale a squared exponential has a handful of directions above 1e-6.
    assert len(Z) in range(4, 10)
    assert f"stopped at {len(Z)} of 50 points" in notes[0] and "redundant" in notes[0]


def test_white_noise_and_constant_kernels_still_end() -> None:
    X = np.linspace(0, 1, 30)[:, None]
    assert len(greedy_variance(X, 10, SquaredExponential() + White(variance=0.1), seed=0)[0]) == 10
    assert len(greedy_variance(X, 10, Constant(variance=1.0), seed=0)[0]) == 1


def test_memory_bounds_the_candidates_and_the_user_is_told() -> None:
    X = np.random.default_rng(0).normal(size=(5000, 2))
    kernel = Matern32(variance=1.0, lengthscales=[0.3, 0.3])
    Z, notes = greedy_variance(X, 20, kernel, seed=0, memory=8 * 20 * 300)
    assert len(Z) == 20
    assert "300 of 5000 rows" in notes[0]


def test_seeking_pivots_in_a_pool_of_rows_changes_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    X = np.random.default_rng(2).normal(size=(150, 3))
    kernel = Matern32(variance=1.0, lengthscales=[0.7, 1.0, 2.0])
    module = importlib.import_module(
        "svgp.inducing.greedy_variance"
    )  # the package's attribute is the function
    monkeypatch.setattr(module, "POOL_AT_LEAST", 12)
    monkeypatch.setattr(module, "BLOCK", 5)
    Z, _ = greedy_variance(X, 40, kernel, seed=0)
    np.testing.assert_array_equal(Z, X[_brute_force(kernel.K(X).numpy(), 40)])


def test_a_linear_kernel_is_zero_at_zero() -> None:
    X = np.linspace(0, 1, 20)[:, None]
    Z, notes = greedy_variance(X, 5, Linear(), seed=0)
    assert Z.shape == (1, 1) and "stopped at 1 of 5 points" in notes[0]


@pytest.mark.parametrize("block", [5, 64])
def test_further_points_continue_where_given_ones_end(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(importlib.import_module("svgp.inducing.greedy_variance"), "BLOCK", block)
    X = np.random.default_rng(3).normal(size=(120, 2))
    kernel = Matern32(variance=2.3, lengthscales=[0.4, 0.9])
    chosen = _brute_force(kernel.K(X).numpy(), 30)
    further = further_points(X, X[chosen[:12]], 18, kernel, jitter=1e-9)
    np.testing.assert_array_equal(further, X[chosen[12:]])


def test_further_points_are_few_where_nothing_is_left() -> None:
    X = np.linspace(0, 1, 200)[:, None]
    kernel = SquaredExponential(variance=1.0, lengthscales=[1.0])
    assert len(further_points(X, np.linspace(0, 1, 12)[:, None], 50, kernel, jitter=1e-8)) == 0


def test_further_points_end_where_the_least_share_is_left() -> None:
    X = np.linspace(0, 1, 200)[:, None]
    kernel = SquaredExponential(variance=2.0, lengthscales=[0.1])
    Z = np.array([[0.5]])
    new = further_points(X, Z, 50, kernel, jitter=1e-9, least=1e-2)
    for count, enough in ((len(new) - 1, False), (len(new), True)):
        Zs = np.concatenate([Z, new[:count]])
        Kuf = kernel.K(Zs, X).numpy()
        left = (
            1.0 - np.sum(Kuf * np.linalg.solve(kernel.K(Zs).numpy() + 1e-9 * np.eye(len(Zs)), Kuf), 0) / 2.0
        )
        assert (left.max() <= 1e-2) == enough
