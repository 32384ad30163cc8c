"""The net: separation, cover, and its distance from the best possible one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from svgp.inducing import cover_tree
from svgp.kernels import Matern32, SquaredExponential


@pytest.mark.parametrize("separation", [0.2, 0.5, 1.0])
def test_points_keep_their_distance_and_cover_every_row(separation: float) -> None:
    X = np.random.default_rng(0).normal(size=(600, 3))
    lengthscales = np.array([0.5, 1.0, 2.0])
    kernel = SquaredExponential(variance=1.0, lengthscales=lengthscales)
    Z, notes = cover_tree(X, 600, kernel, min_separation=separation)
    assert pdist(Z / lengthscales).min() >= separation
    assert cdist(X / lengthscales, Z / lengthscales).min(axis=1).max() < separation
    assert f"needs {len(Z)} of 600 points" in notes[0]


def test_the_count_caps_it_and_the_note_gives_the_radius_reached() -> None:
    X = np.random.default_rng(0).normal(size=(500, 2))
    Z, notes = cover_tree(X, 20, min_separation=0.01)
    radius = cdist(X, Z).min(axis=1).max()
    assert len(Z) == 20
    assert pdist(Z).min() >= radius  # farthest first: no point was taken nearer than the worst row is now
    assert "stopped at 20 points" in notes[0] and f"up to {radius:.3g} lengthscales" in notes[0]


def test_every_prefix_is_within_twice_the_best_radius() -> None:
    """On {0, 1, ..., 8} three points at best reach every row within 1 (1, 4, 7)."""
    Z, _ = cover_tree(np.arange(9.0)[:, None], 3, min_separation=0.5)
    assert cdist(np.arange(9.0)[:, None], Z).min(axis=1).max() <= 2.0


def test_an_input_that_the_kernel_ignores_does_not_count() -> None:
    X = np.stack([np.tile(np.arange(5.0), 20), np.repeat(np.arange(20.0), 5)], axis=1)
    Z, _ = cover_tree(X, 100, Matern32(variance=1.0, lengthscales=[1.0], active_dims=[0]), min_separation=0.5)
    assert sorted(Z[:, 0]) == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_separation_bounds_the_condition_number_of_Kuu() -> None:
    X = np.random.default_rng(0).uniform(size=(2000, 1))
    kernel = Matern32(variance=1.0, lengthscales=[0.05])
    apart, _ = cover_tree(X, 200, kernel, min_separation=0.5)
    rows = X[: len(apart)]
    condition = [np.linalg.cond(kernel.K(Z).numpy()) for Z in (apart, rows)]
    assert condition[0] < 100 and condition[1] > 100
