"""Which points the others make superfluous, and how near they are to each other."""

from __future__ import annotations

import numpy as np
import pytest

from svgp.inducing.redundancy import (
    redundancy_threshold,
    redundant_for_all,
    redundant_points,
    smallest_distance,
)


def _matern12(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.abs(x[:, None] - x))


def test_copies_are_redundant_once_each() -> None:
    x = np.array([0.0, 1.0, 2.0, 1.0, 0.0])
    found = redundant_points(3.0 * _matern12(x), 1e-4)
    assert found.kept == 3 and len(found.redundant) == 2
    kept = sorted(x[found.order[:3]])
    assert kept == [0.0, 1.0, 2.0]


def test_a_rough_kernel_needs_all_of_a_dense_row() -> None:
    """Ornstein-Uhlenbeck at spacing h: variance given both neighbours is tanh(h), far above 1e-4."""
    assert redundant_points(_matern12(np.arange(50) * 0.05), 1e-4).kept == 50


def test_points_known_from_the_others_are_not_all_redundant() -> None:
    """A smooth kernel on a dense row: each point is known from the rest, but they cannot all go."""
    x = np.linspace(0, 4, 60)
    K = np.exp(-0.5 * (x[:, None] - x) ** 2)
    alone = 1.0 / np.diagonal(np.linalg.inv(K + 1e-10 * np.eye(60)))  # variance given all the others
    assert (alone < 1e-4).all()
    found = redundant_points(K, 1e-4)
    assert 5 < found.kept < 15
    kept = found.order[: found.kept]
    KZ = K[kept]
    residual = 1.0 - np.sum(KZ * np.linalg.solve(KZ[:, kept], KZ), axis=0)
    assert residual.max() <= 1e-4 + 1e-12
    assert np.sort(np.concatenate([kept, found.redundant])).tolist() == list(range(60))


def test_scale_does_not_matter() -> None:
    x = np.linspace(0, 4, 40)
    K = np.exp(-0.5 * (x[:, None] - x) ** 2)
    assert redundant_points(K, 1e-4).kept == redundant_points(1e6 * K, 1e-4).kept


def test_smallest_distance() -> None:
    assert smallest_distance(np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 4.5]])) == pytest.approx(0.5)
    assert smallest_distance(np.array([[1.0], [1.0]])) == 0.0
    assert smallest_distance(np.array([[1.0]])) is None


def test_points_serve_all_latent_gps_that_share_them() -> None:
    x = np.linspace(0, 4, 30)
    smooth, rough = np.exp(-0.5 * (x[:, None] - x) ** 2), _matern12(x)
    assert redundant_points(smooth, 1e-4).kept < 15
    assert redundant_for_all(np.stack([smooth, rough]), 1e-4).kept == 30


def test_the_threshold_is_a_hundredth_of_the_noise_within_limits() -> None:
    Kuu = 2.0 * np.eye(3)[None]
    assert redundancy_threshold(Kuu, None) == redundancy_threshold(Kuu, 1.0) == 1e-4
    assert redundancy_threshold(Kuu, 4e-3) == pytest.approx(2e-5)
    assert redundancy_threshold(Kuu, 1e-9) == 1e-6
