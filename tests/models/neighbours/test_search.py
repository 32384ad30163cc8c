"""Nearest rows: against all distances, for trees and products, with ties, duplicates and few rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import KDTree

from svgp.kernels import Constant, Matern32
from svgp.models.neighbours import search
from svgp.models.neighbours.search import NONE, Nearest, earlier_neighbours, random_order

RNG = np.random.default_rng(0)


def distances(X, queries, scales):
    return np.sqrt(np.sum(((queries[:, None] - X) / scales) ** 2, -1))


@pytest.mark.parametrize("columns", [3, 20])  # a tree, all distances
def test_the_nearest_rows_are_those_of_all_distances(columns):
    X, queries = RNG.normal(size=(1500, columns)), RNG.normal(size=(400, columns))
    scales = np.linspace(0.5, 2.0, columns)
    nearest = Nearest(X, scales)
    assert search.tree_is_quicker(nearest.points) == (columns == 3)
    indices, found = nearest.query(queries, 7)
    truth = np.sort(distances(X, queries, scales), 1)[:, :7]
    np.testing.assert_allclose(found, truth, rtol=1e-6)
    np.testing.assert_allclose(
        np.take_along_axis(distances(X, queries, scales), indices, 1), truth, rtol=1e-6
    )


def test_an_input_that_the_kernel_ignores_counts_for_nothing():
    X = np.column_stack([np.arange(50.0), 1e6 * RNG.normal(size=50)])
    indices, found = Nearest(X, np.array([1.0, np.inf])).query(np.array([[10.2, 0.0]]), 3)
    assert indices.tolist() == [[10, 11, 9]]
    np.testing.assert_allclose(found, [[0.2, 0.8, 1.2]], rtol=1e-9)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_fewer_rows_than_are_asked_for_leave_the_rest_empty(rows):
    indices, found = Nearest(RNG.normal(size=(rows, 2)), np.ones(2)).query(np.zeros((2, 2)), 5)
    assert np.all(indices[:, rows:] == NONE) and np.all(np.isinf(found[:, rows:]))
    assert np.all(np.sort(indices[:, :rows], 1) == np.arange(rows))


def test_of_equally_near_rows_a_fixed_random_choice_is_taken():
    """By all distances as by a tree, for one query as for many; not the first: rows may be sorted by y."""
    X = np.repeat(RNG.normal(size=(10, 2)), 40, axis=0)
    nearest, queries = Nearest(X, np.ones(2)), X[::40] + 0.1
    indices, found = nearest.query(queries, 5)
    nearest._search = KDTree(nearest.points).query
    np.testing.assert_array_equal(nearest.query(queries, 5)[0], indices)
    np.testing.assert_array_equal(nearest.query(queries[3:4], 5)[0], indices[3:4])
    truth = distances(X, queries, 1.0).min(axis=1)
    np.testing.assert_allclose(found, np.tile(truth[:, None], 5), rtol=1e-6)
    assert 10 < np.mean(indices % 40) < 30


@pytest.mark.parametrize("rows", [0, 1, 2, 40, 2600])
def test_neighbours_come_earlier_in_the_order_and_none_that_does_is_nearer(rows, monkeypatch):
    monkeypatch.setattr(search, "FEW", 300)
    X = np.round(RNG.normal(size=(rows, 2)), 1)  # duplicates and ties
    order, count = random_order(rows, 3), 6
    rank = np.argsort(order)
    found = earlier_neighbours(X, np.ones(2), order, count)
    D = distances(X, X, np.ones(2))
    D[rank[None, :] >= rank[:, None]] = np.inf
    truth = np.full((rows, count), np.inf)
    truth[:, : min(count, rows)] = np.sort(D, 1)[:, :count]
    own = np.where(found == NONE, np.inf, np.take_along_axis(D, np.maximum(found, 0), 1)) if rows else truth
    np.testing.assert_allclose(own, truth, atol=1e-7)
    assert all(len(set(row[row != NONE])) == np.sum(row != NONE) for row in found)


def test_identical_rows_are_found_as_neighbours_of_each_other():
    X = np.repeat(RNG.normal(size=(3, 2)), 700, axis=0)
    found = earlier_neighbours(X, np.ones(2), random_order(len(X), 0), 4)
    full = np.all(found != NONE, 1)
    assert full.mean() > 0.9
    near = np.linalg.norm(X[found[full]] - X[full][:, None], axis=-1)
    assert np.mean(near == 0) > 0.99  # but for the first few of each kind


def test_rows_that_stand_together_in_a_cluster_order_are_near():
    X = RNG.uniform(size=(4096, 2))
    order = search.cluster_order(X)
    assert sorted(order) == list(range(4096))
    spread = [np.ptp(X[order[i : i + 64]], axis=0).max() for i in range(0, 4096, 64)]
    assert max(spread) < 0.3  # boxes of 1/64 of the area


def test_scales_are_lengthscales_or_else_the_spread_of_each_column():
    X = RNG.normal(size=(30, 2)) * [1.0, 5.0]
    kernel = Matern32(1.0, [0.3], active_dims=[1])
    np.testing.assert_allclose(search.kernel_scales(kernel, X), [np.inf, 0.3])
    np.testing.assert_allclose(search.kernel_scales(Constant(1.0), X), X.std(0))
