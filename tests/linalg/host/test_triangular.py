"""Products of triangles by strips, against dense products; strips and blocks are made small and many."""

from __future__ import annotations

import numpy as np
import pytest

from svgp.linalg.host import strips, threads, triangular

SIZES = [1, 2, 7, 8, 9, 31, 64, 100]


@pytest.fixture(autouse=True, params=[1, 4], ids=["one thread", "four"])
def small_blocks(request, monkeypatch):
    monkeypatch.setattr(triangular, "_LEAF", 4)
    monkeypatch.setattr(triangular, "_STEP", 8)
    monkeypatch.setattr(strips, "_NARROWEST", 3)
    monkeypatch.setattr(strips, "_WIDEST", 12)
    monkeypatch.setattr(strips, "_GRAIN", 1)
    monkeypatch.setattr(threads, "SMALLEST_SHARE", 1)
    monkeypatch.setattr(threads, "workers", lambda: request.param)


@pytest.fixture(params=[np.float32, np.float64], ids=lambda dtype: dtype.__name__)
def make(request):
    rng = np.random.default_rng(0)

    def array(rows, columns=None):
        return rng.normal(size=(rows, columns or rows)).astype(request.param)

    return array


def undefined(array):
    return np.full_like(array, np.nan)


def check(got, expected):
    tolerance = 1e-4 if got.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(got, expected, atol=tolerance * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("size", SIZES)
def test_lower_times_lower(size, make):
    A, B = np.tril(make(size)), np.tril(make(size))
    out = undefined(A)
    triangular.lower_times_lower(A, B, out)
    check(out, A @ B)  # zeros above the diagonal included


@pytest.mark.parametrize("size", SIZES)
def test_lower_of_lower_transposed_times_lower(size, make):
    A, B = np.tril(make(size)), np.tril(make(size))
    out = undefined(A)
    triangular.lower_transposed_times_lower(A, B, out)
    check(np.tril(out), np.tril(A.T @ B))


@pytest.mark.parametrize("size", SIZES)
def test_upper_times_lower(size, make):
    A, B = np.tril(make(size)), np.tril(make(size))
    out = undefined(A)
    triangular.upper_times_lower(A, B, out)
    check(out, A.T @ B)


@pytest.mark.parametrize("size", SIZES)
def test_add_lower_of_product(size, make):
    A, B, out = make(size, 5), make(5, size), make(size)
    expected = out + A @ B
    triangular.add_lower_of_product(A, B, out)
    check(np.tril(out), np.tril(expected))


@pytest.mark.parametrize("size", SIZES)
def test_cholesky_and_inverse(size, make):
    A = make(size)
    K = A @ A.T + size * np.eye(size, dtype=A.dtype)
    L, inverse = np.tril(K) + np.triu(undefined(K), 1), undefined(K)  # only the lower triangle is read
    assert triangular.cholesky_and_inverse(L, inverse)
    check(L, np.linalg.cholesky(K.astype(np.float64)))
    check(inverse, np.linalg.inv(np.linalg.cholesky(K.astype(np.float64))))
    assert not np.triu(L, 1).any() and not np.triu(inverse, 1).any()


@pytest.mark.parametrize("place", [0, 3, 4, 20, 30])
@pytest.mark.parametrize("value", [-1.0, 0.0, np.nan])
def test_what_is_not_positive_definite_is_found_wherever_it_is(place, value, make):
    K = np.eye(31, dtype=make(1).dtype)
    K[place, place] = value
    assert not triangular.cholesky_and_inverse(K, np.empty_like(K))


def test_a_nan_off_the_diagonal_is_found(make):
    for row, column in ((1, 0), (30, 0), (30, 29), (16, 3)):
        K = np.eye(31, dtype=make(1).dtype)
        K[row, column] = np.nan
        assert not triangular.cholesky_and_inverse(K, np.empty_like(K))
