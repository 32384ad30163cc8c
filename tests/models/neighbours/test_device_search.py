"""Nearest rows by products and top-k, as a GPU finds them, forced on the processor: the host's, exactly."""

from __future__ import annotations

import numpy as np
import pytest

from svgp.kernels import Matern32
from svgp.likelihoods import Gaussian
from svgp.linalg import backend
from svgp.models import SVGP
from svgp.models.neighbours import NONE, Nearest, device_search, earlier_neighbours, random_order, search
from svgp.models.neighbours.device_search import DeviceSearch
from svgp.models.neighbours.evidence import NeighbourEvidence
from svgp.models.predictive.corrections import NeighbourRows

RNG = np.random.default_rng(2)
X, SCALES = RNG.normal(size=(230, 3)), np.array([0.5, 1.0, np.inf])


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(device_search, "ROWS", 64)
    monkeypatch.setattr(device_search, "QUERIES", 50)


@pytest.mark.parametrize("count", [1, 5, 100, 240])  # more than a block has, and than there are
def test_rows_near_to_a_point_are_those_of_the_host(count):
    ours, hosts = Nearest(X, SCALES, on_device=True), Nearest(X, SCALES)
    assert isinstance(ours._search.__self__, DeviceSearch)
    queries = np.concatenate([X[:70], RNG.normal(size=(61, 3))])
    (near, apart), (expected, distances) = ours.query(queries, count), hosts.query(queries, count)
    np.testing.assert_array_equal(near, expected)
    np.testing.assert_allclose(apart, distances, rtol=1e-10, atol=1e-7)  # 0 of a row itself, but for rounding
    assert ours.of_rows(X[:9]).on_device


def test_of_equally_near_rows_the_host_s_choice_is_taken():
    twice = np.repeat(X[:20], 9, axis=0)
    ours, hosts = (Nearest(twice, SCALES, on_device).query(X[:20] + 0.1, 5)[0] for on_device in (True, False))
    np.testing.assert_array_equal(ours, hosts)


@pytest.mark.parametrize(("rows", "count"), [(0, 3), (1, 3), (2, 3), (230, 5), (230, 80)])
def test_earlier_neighbours_are_those_of_the_host(rows, count):
    order = random_order(rows, 1)
    ours = earlier_neighbours(X[:rows], SCALES, order, count, on_device=True)
    np.testing.assert_array_equal(ours, earlier_neighbours(X[:rows], SCALES, order, count))
    assert rows < 2 or (ours == NONE).sum() == sum(max(0, count - place) for place in range(rows))


def test_a_device_searches_where_it_computes(monkeypatch):
    calls = []
    for name in ("query", "earlier"):
        own = getattr(DeviceSearch, name)
        monkeypatch.setattr(DeviceSearch, name, lambda *a, own=own, name=name: calls.append(name) or own(*a))
    model = SVGP(Matern32(1.0, [1.0, 1.0, 1.0]), Gaussian(0.1), X[:5], num_data=len(X))
    Y = X[:, :1] ** 2
    for who, expected in (("host", []), ("tensorflow", ["earlier", "query"])):
        with backend(who):
            NeighbourEvidence(model, X, Y, count=4)
            NeighbourRows(model, X, Y, np.full(Y.shape, 0.1), 4).find(X[:3])
        assert calls == expected


def test_a_tree_on_the_host_is_kept_where_it_visits_far_less():
    assert search.device_is_quicker(RNG.normal(size=(2000, 8)))
    assert not search.device_is_quicker(RNG.normal(size=(100_000, 1)))
