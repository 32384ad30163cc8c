"""Products of triangular matrices that compute only the half that is kept, on the host's BLAS.

BLAS has the product of a triangle with a dense matrix; for two triangles, and for results of which only the
lower triangle is wanted, these recurse on halves down to a leaf, with BLAS calls for every other block.
All matrices are square and row-major, zero above the diagonal where they are called lower; `out` may not
share memory with an operand. What a result that is called lower holds above its diagonal is undefined.
"""

from __future__ import annotations

import numpy as np

from svgp.linalg.blas import (
    cholesky_leaf,
    invert_lower_leaf,
    product,
    triangular_product,
    triangular_product_right,
    zero_upper,
)

# Below these sizes more, smaller calls cost more than the operations that they save. Timed on 4 cores at
# M = 256 to 2048 in both precisions with leaves from 64 to 1100: products are flat from 400 to 1100, and a
# Cholesky factorisation, whose leaves run on one core, from 128 to 256.
_LEAF, _CHOLESKY_LEAF = 512, 192


def _quarters(A: np.ndarray, half: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A11, A21, A22."""
    return A[:half, :half], A[half:, :half], A[half:, half:]


def cholesky_and_inverse(K: np.ndarray, inverse: np.ndarray) -> bool:
    """K becomes its lower Cholesky factor L, and `inverse` becomes L^-1: 2 M^3 / 3 operations.

    Only the lower triangle of K is read. False where K is not positive definite; both are garbage then.
    """
    if not _cholesky_and_inverse(K, inverse):
        return False
    zero_upper(K)
    zero_upper(inverse)
    return bool(np.isfinite(inverse[-1]).all())


def _cholesky_and_inverse(K: np.ndarray, inverse: np.ndarray) -> bool:
    size = len(K)
    if size <= _CHOLESKY_LEAF:
        if not cholesky_leaf(K):
            return False
        np.copyto(inverse, K)
        invert_lower_leaf(inverse)
        return True
    half = size // 2
    (k11, k21, k22), (i11, i21, i22) = _quarters(K, half), _quarters(inverse, half)
    if not _cholesky_and_inverse(k11, i11):
        return False
    triangular_product_right(k21, i11, transpose=True)  # L21 = K21 L11^-T
    add_lower_of_product(k21, k21, k22, transpose_b=True, alpha=-1.0)
    if not _cholesky_and_inverse(k22, i22):
        return False
    np.negative(k21, out=i21)  # -L22^-1 L21 L11^-1
    triangular_product_right(i21, i11)
    triangular_product(i22, i21)
    return True


def lower_times_lower(A: np.ndarray, B: np.ndarray, out: np.ndarray) -> None:
    """out = A B for lower triangles, zeros above the diagonal included: M^3 / 3 operations."""
    size = len(A)
    if size <= _LEAF:
        np.copyto(out, B)
        triangular_product(A, out)
        return
    half = size // 2
    (a11, a21, a22), (b11, b21, b22) = _quarters(A, half), _quarters(B, half)
    o11, o21, o22 = _quarters(out, half)
    lower_times_lower(a11, b11, o11)
    np.copyto(o21, a21)
    triangular_product_right(o21, b11)
    rest = b21.copy()
    triangular_product(a22, rest)
    o21 += rest
    lower_times_lower(a22, b22, o22)
    out[:half, half:] = 0.0


def lower_transposed_times_lower(A: np.ndarray, B: np.ndarray, out: np.ndarray) -> None:
    """Lower triangle of A^T B for lower triangles A and B: M^3 / 3 operations."""
    size = len(A)
    if size <= _LEAF:
        np.copyto(out, B)
        triangular_product(A, out, transpose=True)
        return
    half = size // 2
    (a11, a21, a22), (b11, b21, b22) = _quarters(A, half), _quarters(B, half)
    o11, o21, o22 = _quarters(out, half)
    lower_transposed_times_lower(a11, b11, o11)
    add_lower_of_product(a21, b21, o11, transpose_a=True)
    np.copyto(o21, b21)
    triangular_product(a22, o21, transpose=True)
    lower_transposed_times_lower(a22, b22, o22)


def add_lower_times_lower_transposed(A: np.ndarray, B: np.ndarray, out: np.ndarray) -> None:
    """Lower triangle of out + A B^T for lower triangles A and B: M^3 / 3 operations."""
    size = len(A)
    if size <= _LEAF:
        product(A, B, out, transpose_b=True, beta=1.0)
        return
    half = size // 2
    (a11, a21, a22), (b11, b21, b22) = _quarters(A, half), _quarters(B, half)
    o11, o21, o22 = _quarters(out, half)
    add_lower_times_lower_transposed(a11, b11, o11)
    rest = a21.copy()
    triangular_product_right(rest, b11, transpose=True)
    o21 += rest
    add_lower_of_product(a21, b21, o22, transpose_b=True)
    add_lower_times_lower_transposed(a22, b22, o22)


def lower_of_lower_times_dense(A: np.ndarray, B: np.ndarray, out: np.ndarray) -> None:
    """Lower triangle of A B for a lower triangle A and a dense B: 2 M^3 / 3 operations."""
    size = len(A)
    if size <= _LEAF:
        np.copyto(out, B)
        triangular_product(A, out)
        return
    half = size // 2
    a11, a21, a22 = _quarters(A, half)
    o11, o21, o22 = _quarters(out, half)
    lower_of_lower_times_dense(a11, B[:half, :half], o11)
    np.copyto(o21, B[half:, :half])
    triangular_product(a22, o21)
    product(a21, B[:half, :half], o21, beta=1.0)
    lower_of_lower_times_dense(a22, B[half:, half:], o22)
    add_lower_of_product(a21, B[:half, half:], o22)


def upper_times_lower(A: np.ndarray, B: np.ndarray, out: np.ndarray) -> None:
    """out = A^T B, all of it, for lower triangles A and B: 2 M^3 / 3 operations."""
    size = len(A)
    if size <= _LEAF:
        np.copyto(out, B)
        triangular_product(A, out, transpose=True)
        return
    half = size // 2
    (a11, a21, a22), (b11, b21, b22) = _quarters(A, half), _quarters(B, half)
    upper_times_lower(a11, b11, out[:half, :half])
    product(a21, b21, out[:half, :half], transpose_a=True, beta=1.0)
    np.copyto(out[:half, half:], a21.T)
    triangular_product_right(out[:half, half:], b22)
    np.copyto(out[half:, :half], b21)
    triangular_product(a22, out[half:, :half], transpose=True)
    upper_times_lower(a22, b22, out[half:, half:])


def add_lower_of_product(
    A: np.ndarray,
    B: np.ndarray,
    out: np.ndarray,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    alpha: float = 1.0,
) -> None:
    """Lower triangle of out + alpha A B for dense A and B, transposed where asked: half of a product."""
    size = len(out)
    if size <= _LEAF:
        product(A, B, out, transpose_a=transpose_a, transpose_b=transpose_b, alpha=alpha, beta=1.0)
        return
    half = size // 2
    top, bottom = (A[:, :half], A[:, half:]) if transpose_a else (A[:half], A[half:])
    left, right = (B[:half], B[half:]) if transpose_b else (B[:, :half], B[:, half:])
    add_lower_of_product(
        top, left, out[:half, :half], transpose_a=transpose_a, transpose_b=transpose_b, alpha=alpha
    )
    product(
        bottom, left, out[half:, :half],
        transpose_a=transpose_a, transpose_b=transpose_b, alpha=alpha, beta=1.0,
    )  # fmt: skip
    add_lower_of_product(
        bottom, right, out[half:, half:], transpose_a=transpose_a, transpose_b=transpose_b, alpha=alpha
    )
