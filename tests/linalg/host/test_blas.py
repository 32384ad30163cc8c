"""BLAS by address on row-major arrays and their blocks, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from svgp.linalg.host import blas

DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 2e-4, np.float64: 1e-11}


@pytest.fixture(params=DTYPES, ids=lambda dtype: dtype.__name__)
def dtype(request):
    return request.param


@pytest.fixture
def random(dtype):
    rng = np.random.default_rng(0)
    return lambda *shape: rng.normal(size=shape).astype(dtype)


@pytest.fixture
def close(dtype):
    def check(got, expected):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE[dtype] * scale)

    return check


def block_of(random, rows, columns):
    """A block inside a larger matrix: its rows do not follow each other in memory."""
    return random(rows + 5, columns + 7)[2 : rows + 2, 3 : columns + 3]


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("size", [(1, 1, 1), (3, 5, 7), (300, 257, 190)])
def test_product(transpose_a, transpose_b, size, random, close):
    rows, inner, columns = size
    A = block_of(random, *((inner, rows) if transpose_a else (rows, inner)))
    B = block_of(random, *((columns, inner) if transpose_b else (inner, columns)))
    left, right = A.T if transpose_a else A, B.T if transpose_b else B
    around = random(rows + 4, columns + 6)
    before, out = around.copy(), around[1 : rows + 1, 2 : columns + 2]
    expected = 2.0 * left @ right + 0.5 * out
    blas.product(A, B, out, transpose_a=transpose_a, transpose_b=transpose_b, alpha=2.0, beta=0.5)
    close(out, expected)
    before[1 : rows + 1, 2 : columns + 2] = out
    np.testing.assert_array_equal(around, before)  # nothing around the block was touched


def test_factors_of_numpy_s_types_are_numbers_too(random, close):
    A, B, out = random(3, 4), random(4, 5), random(3, 5)
    expected = 2.0 * A @ B - out
    blas.product(A, B, out, alpha=np.float64(2.0), beta=np.float64(-1.0))
    close(out, expected)


def test_a_matrix_in_another_order_is_refused(random):
    A, out = random(4, 3), np.empty((4, 4), random(1).dtype)
    with pytest.raises(ValueError, match="not row-major; pass np.ascontiguousarray"):
        blas.product(np.asfortranarray(A), A, out, transpose_b=True)


def test_product_into_uninitialised_memory(random, close):
    A, B, out = random(4, 4), random(4, 4), np.full((4, 4), np.nan, random(1).dtype)
    blas.product(A, B, out)
    close(out, A @ B)


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (6, 4), (250, 301)])
def test_triangular_products(transpose, size, random, close):
    M, B = size
    T = np.tril(random(M, M))
    t = T.T if transpose else T
    for X in (random(M, B), block_of(random, M, B)):
        expected = t @ X
        blas.triangular_product(T, X, transpose=transpose)
        close(X, expected)
    for X in (random(B, M), block_of(random, B, M)):
        expected = X @ t
        blas.triangular_product_right(X, T, transpose=transpose)
        close(X, expected)


def test_only_the_lower_triangle_of_a_triangle_is_read(random, close):
    T, X = random(20, 20), random(20, 6)
    expected = np.tril(T) @ X
    T[np.triu_indices(20, 1)] = np.nan
    blas.triangular_product(T, X)
    close(X, expected)


def test_vectors(random, close):
    A, x, y = block_of(random, 8, 5), random(5), random(8)
    close(blas.times_vector(A, x), A @ x)
    close(blas.times_vector(A, y, transpose=True), A.T @ y)
    close(blas.times_vector(A, random(10)[::2] * 0 + x), A @ x)  # a vector with gaps
    expected = A + np.outer(y, x)
    blas.add_outer(A, y, x)
    close(A, expected)


@pytest.mark.parametrize("size", [(1, 1), (7, 30), (260, 301)])
def test_gram(size, random, close):
    A = random(*size)
    close(np.tril(blas.gram(A, 0.7)), np.tril(0.7 * A @ A.T))
    into = random(size[0], size[0])
    expected = np.tril(into - A @ A.T)
    result = blas.gram(A, -1.0, into)
    assert result is into
    close(np.tril(result), expected)


@pytest.mark.parametrize("weights", ["equal", "zero", "negative", "positive", "mixed", "some zero"])
def test_weighted_gram(weights, random, close):
    A, w = random(30, 41), random(41)
    w = {
        "equal": np.full_like(w, -0.3),
        "zero": np.zeros_like(w),
        "negative": -np.abs(w),
        "positive": np.abs(w),
        "mixed": w,
        "some zero": np.where(w > 0, w, 0).astype(w.dtype),
    }[weights]
    result = blas.weighted_gram(A, w)
    expected = (A * w) @ A.T
    np.testing.assert_allclose(result, expected, atol=1e-4 if A.dtype == np.float32 else 1e-12)
    np.testing.assert_array_equal(result, result.T)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_is_never_lost(bad, random):
    for signs in (1.0, -1.0, 0.0):
        w = np.abs(random(9)) * random(1).dtype.type(signs) if signs else random(9)
        w[4] = bad
        assert not np.isfinite(blas.weighted_gram(random(5, 9), w)).all()


@pytest.mark.parametrize("size", [1, 5, 256, 257, 600])
def test_triangles_of_a_matrix(size, random):
    A = random(size, size)
    np.testing.assert_array_equal(blas.zero_upper(A.copy()), np.tril(A))
    np.testing.assert_array_equal(blas.mirror_lower(A.copy()), np.tril(A) + np.tril(A, -1).T)


@pytest.mark.parametrize("size", [1, 4, 150])
def test_cholesky_and_inverse_of_a_leaf(size, random, close):
    A = random(size, size)
    K = A @ A.T + size * np.eye(size, dtype=A.dtype)
    L, around = K.copy(), random(size + 3, size + 3)
    assert blas.cholesky_leaf(L)
    blas.zero_upper(L)
    close(L, np.linalg.cholesky(K.astype(np.float64)))
    around[1:-2, 1:-2] = K
    assert blas.cholesky_leaf(around[1:-2, 1:-2])  # a block
    close(np.tril(around[1:-2, 1:-2]), L)
    inverse = L.copy()
    blas.invert_lower_leaf(inverse)
    close(inverse @ L, np.eye(size))
    assert not np.triu(inverse, 1).any()


def test_what_has_no_cholesky_factor_says_so(dtype):
    assert not blas.cholesky_leaf(-np.eye(3, dtype=dtype))
    assert not blas.cholesky_leaf(np.array([[1, 2], [2, 1]], dtype))


@pytest.mark.parametrize("shape", [(3,), (5, 7), (2, 1, 9)])
def test_memory_that_tensorflow_can_adopt(shape, dtype):
    for array in (blas.aligned_empty(shape, dtype), blas.aligned_copy(np.ones(shape, dtype))):
        assert array.ctypes.data % 64 == 0 and array.shape == shape and array.dtype == dtype
        assert array.flags.c_contiguous and array.flags.writeable
    assert blas.aligned_empty((0, 4), dtype).shape == (0, 4)
