"""Factorisation and products of triangular matrices that compute only the half that is kept, on the host.

BLAS has the product of a triangle with a dense matrix. Here a strip of rows or columns of a triangle is such
a dense matrix, as far as it is not zero, and every strip is a task of its own. All matrices are square and
row-major, zero above the diagonal where they are called lower; `out` may not share memory with an operand.
What a result that is called lower holds above its diagonal is undefined.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from svgp.linalg.host import blas, threads
from svgp.linalg.host.strips import clear_above, run_largest_first, strips

# Timed on 4 cores at M = 512 to 2048 in both precisions: LAPACK on one core is quickest up to 128, and steps
# of 64 to 256 columns take the same time, but the inverse is faster with the widest.
_LEAF, _STEP = 128, 256


def cholesky_and_inverse(K: np.ndarray, inverse: np.ndarray) -> bool:
    """K becomes its lower Cholesky factor L, and `inverse` becomes L^-1: 2 M^3 / 3 operations.

    Only the lower triangle of K is read. False where K is not positive definite; both are garbage then.
    """
    if not _factor(K, inverse):
        return False
    _invert(K, inverse)
    return bool(np.isfinite(inverse[-1]).all())


def _factor(K: np.ndarray, inverse: np.ndarray) -> bool:
    """L, and on the diagonal of `inverse` the inverses of its blocks of _STEP columns.

    Left-looking: the next block column gets what the finished ones subtract from it. While one thread
    factors its diagonal block, the others do the rows below.
    """
    size = len(K)
    first = slice(0, min(_STEP, size))
    sound = [_leaf(K[first, first], inverse[first, first])]
    for start in range(0, size - _STEP, _STEP):
        if not sound[-1]:
            return False
        done, here = start + _STEP, slice(start, start + _STEP)
        following = slice(done, min(done + _STEP, size))

        def scale(rows: slice, here: slice = here) -> None:
            blas.triangular_product_right(K[rows, here], inverse[here, here], transpose=True)

        def diagonal(done: int = done, here: slice = following) -> None:
            blas.gram(K[here, :done], -1.0, K[here, here])
            sound.append(_leaf(K[here, here], inverse[here, here]))

        def below(rows: slice, done: int = done, here: slice = following) -> None:
            blas.product(
                K[rows, :done], K[here, :done], K[rows, here], transpose_b=True, alpha=-1.0, beta=1.0
            )

        threads.run_all([partial(scale, rows) for rows in _rows(done, size, _STEP**2)])
        rest = _rows(following.stop, size, 2.0 * _STEP * done)
        threads.run_all([diagonal, *(partial(below, rows) for rows in rest)])
    for start in range(0, size, _STEP):
        K[start : start + _STEP, start + _STEP :] = 0.0
    return sound[-1]


def _rows(start: int, stop: int, operations_each: float) -> list[slice]:
    found = threads.pieces(stop - start, operations_each * (stop - start), least=32) if stop > start else []
    return [slice(start + piece.start, start + piece.stop) for piece in found]


def _leaf(K: np.ndarray, inverse: np.ndarray) -> bool:
    """Factor and inverse of one diagonal block, zeros above the diagonal included, on one core."""
    size = len(K)
    if size <= _LEAF:
        sound = blas.cholesky_leaf(K)
        clear_above(K, slice(0, size))
        np.copyto(inverse, K)
        if sound:
            blas.invert_lower_leaf(inverse)
        return sound
    half = size // 2
    (k11, k21, k22), (i11, i21, i22) = _quarters(K, half), _quarters(inverse, half)
    if not _leaf(k11, i11):
        return False
    blas.triangular_product_right(k21, i11, transpose=True)  # L21 = K21 L11^-T
    blas.gram(k21, -1.0, k22)
    if not _leaf(k22, i22):
        return False
    np.negative(k21, out=i21)  # -L22^-1 L21 L11^-1
    blas.triangular_product_right(i21, i11)
    blas.triangular_product(i22, i21)
    K[:half, half:] = 0.0
    inverse[:half, half:] = 0.0
    return True


def _quarters(A: np.ndarray, half: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return A[:half, :half], A[half:, :half], A[half:, half:]


def _invert(L: np.ndarray, inverse: np.ndarray) -> None:
    """L^-1 below its diagonal blocks, which are there: by strips of columns, each on its own.

    Forward substitution with whole blocks: X_i = -L_ii^-1 (L_i,: X_:), where X are the rows found so far.
    """
    size = len(L)

    def task(columns: slice) -> None:
        top = columns.start // _STEP * _STEP
        inverse[:top, columns] = 0.0
        for start in range(top + _STEP, size, _STEP):
            rows, found = slice(start, min(start + _STEP, size)), slice(top, start)
            blas.product(L[rows, found], inverse[found, columns], inverse[rows, columns], alpha=-1.0)
            blas.triangular_product(inverse[rows, rows], inverse[rows, columns])

    width = _STEP // 2
    threads.run_all(
        [partial(task, slice(start, min(start + width, size))) for start in range(0, size, width)]
    )


def lower_times_lower(A: np.ndarray, B: np.ndarray, out: np.ndarray) -> None:
    """out = A B for lower triangles, zeros above the diagonal included: M^3 / 3 operations."""

    def task(columns: slice) -> None:
        below, corner = slice(columns.start, None), out[: columns.start, columns]
        corner[...] = 0.0
        np.copyto(out[below, columns], B[below, columns])
        blas.triangular_product(A[below, below], out[below, columns])

    _by_columns(len(A), task)


def lower_transposed_times_lower(A: np.ndarray, B: np.ndarray, out: np.ndarray) -> None:
    """Lower triangle of A^T B for lower triangles A and B: M^3 / 3 operations."""

    def task(columns: slice) -> None:
        below = slice(columns.start, None)
        np.copyto(out[below, columns], B[below, columns])
        blas.triangular_product(A[below, below], out[below, columns], transpose=True)

    _by_columns(len(A), task)


def upper_times_lower(A: np.ndarray, B: np.ndarray, out: np.ndarray) -> None:
    """out = A^T B, all of it, for lower triangles A and B: 2 M^3 / 3 operations."""
    size = len(A)
    found = strips(size, lambda start, stop: (stop - start) * (size - start) * (size + start))
    run_largest_first(
        [(cost, partial(upper_times_lower_strip, A, B, out, columns)) for cost, columns in found]
    )


def upper_times_lower_strip(
    A: np.ndarray, B: np.ndarray, out: np.ndarray, columns: slice, sign: float = 1.0
) -> None:
    """The given columns of `sign A^T B` for lower triangles A and B."""
    below, above = slice(columns.start, None), slice(0, columns.start)
    np.multiply(B[below, columns], sign, out=out[below, columns])
    if columns.start:
        blas.product(A[below, above], out[below, columns], out[above, columns], transpose_a=True)
    blas.triangular_product(A[below, below], out[below, columns], transpose=True)


def add_lower_of_product(A: np.ndarray, B: np.ndarray, out: np.ndarray) -> None:
    """Lower triangle of out + A B for dense A and B: half of a product."""

    def task(rows: slice) -> None:
        left = slice(0, rows.stop)
        blas.product(A[rows], B[:, left], out[rows, left], beta=1.0)

    found = strips(len(out), lambda start, stop: (stop - start) * stop * A.shape[1])
    run_largest_first([(cost, partial(task, rows)) for cost, rows in found])


def _by_columns(size: int, task: Callable[[slice], None]) -> None:
    """Do `task` for strips of columns of a lower triangle, from whose top row on it costs a product."""
    found = strips(size, lambda start, stop: (stop - start) * (size - start) ** 2)
    run_largest_first([(cost, partial(task, columns)) for cost, columns in found])
