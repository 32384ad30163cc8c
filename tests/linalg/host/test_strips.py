"""Cutting triangles and batches into strips: everything once, even shares, the longest first."""

from __future__ import annotations

import numpy as np
import pytest

from svgp.linalg.host import strips, threads


@pytest.fixture
def cores(monkeypatch):
    return lambda count: monkeypatch.setattr(threads, "workers", lambda: count)


def covered(pieces, size):
    return [i for _, piece in pieces for i in range(size)[piece]] == list(range(size))


def triangle(size):
    return lambda start, stop: float(stop - start) * (size - start) ** 2


@pytest.mark.parametrize("size", [1, 15, 16, 63, 64, 200, 513, 1024, 3000])
@pytest.mark.parametrize("count", [1, 3, 4, 64])
def test_strips_cover_everything_once_and_cost_what_they_say(size, count, cores):
    cores(count)
    found = strips.strips(size, triangle(size))
    assert covered(found, size)
    assert all(cost == triangle(size)(piece.start, piece.stop) for cost, piece in found)


@pytest.mark.parametrize("size", [1024, 1500, 2048])
def test_no_strip_is_more_than_a_thread_s_share(size, cores):
    cores(4)
    costs = [cost for cost, _ in strips.strips(size, triangle(size))]
    assert max(costs) < 1.25 * sum(costs) / 4


@pytest.mark.parametrize("columns", [1, 15, 16, 100, 1000, 1024, 5000])
@pytest.mark.parametrize("count", [1, 3, 4, 64])
def test_panels_cover_everything_once(columns, count, cores):
    cores(count)
    found = strips.panels(columns, 1e12)
    assert covered(found, columns)
    assert sum(cost for cost, _ in found) == pytest.approx(1e12)
    assert len(strips.panels(columns, 0.0)) == 1


def test_all_tasks_are_done_the_longest_first(cores):
    cores(1)
    done = []
    strips.run_largest_first([(cost, lambda cost=cost: done.append(cost)) for cost in (2.0, 9.0, 1.0)])
    assert done == [9.0, 2.0, 1.0]


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (300, 130)])
def test_transposed(shape):
    A = np.random.default_rng(0).normal(size=shape)
    out = np.full(shape[::-1], np.nan)
    strips.transposed(A, out)
    np.testing.assert_array_equal(out, A.T)


def test_clear_above_touches_one_block():
    A = np.ones((6, 6))
    A[2, 4] = np.nan
    strips.clear_above(A, slice(2, 5))
    expected = np.ones((6, 6))
    expected[2:5, 2:5] = np.tril(np.ones((3, 3)))
    np.testing.assert_array_equal(A, expected)
