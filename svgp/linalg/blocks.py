"""Products of triangles in TensorFlow that skip most of the half that is zero, by strips of block rows.

What a GPU, or a graph without the host's BLAS, computes with: TensorFlow has no triangular product. With the
M rows of a lower triangle in k strips, strip i needs only the first i of k blocks of columns: k products do
(k + 1) / 2k of a dense one's operations, 5/8 at k = 4. In units of M^3 (multiplication and addition counted
as two), k = 4 against dense:

    lower_product (M columns)    L X         1.25   2
    symmetric product            A diag(w) A^T      1.25   2   (of M^2 B)
    lower_gram                   tril(A B^T)     1.25   2   (of M^2 B)
    lower_of_product             tril(L X)   0.94   2
    lower_times_lower            L1 L2       0.63   2
    upper_times_lower            L1^T L2     0.94   2

More strips would save little more (1/2 is the limit) and make every product thinner. Below `SMALLEST` rows,
or where M is not known when the graph is made, the dense product is taken. Every function takes leading batch
dimensions. Nothing here is differentiated: callers have adjoints of their own.
"""

from __future__ import annotations

import tensorflow as tf

STRIPS = 4
# By operation counts a strip of a 64th of a second's work is too thin for any processor; at 256 rows a strip
# of 64 still fills the tiles that matrix products are made of.
SMALLEST = 256


def strips(size: int | None) -> list[tuple[int, int]]:
    """(start, stop) of the strips of `size` rows; one where structure is not worth it."""
    if size is None or size < SMALLEST:
        return []
    edges = [size * index // STRIPS for index in range(STRIPS + 1)]
    return list(zip(edges[:-1], edges[1:], strict=True))


def lower_product(L: tf.Tensor, X: tf.Tensor, *, transpose: bool = False) -> tf.Tensor:
    """L X, or L^T X, for a lower triangle L [..., M, M] and X [..., M, B]."""
    pieces = strips(L.shape[-1])
    if not pieces:
        return tf.matmul(L, X, transpose_a=transpose)
    if transpose:
        parts = [tf.matmul(L[..., a:, a:b], X[..., a:, :], transpose_a=True) for a, b in pieces]
    else:
        parts = [tf.matmul(L[..., a:b, :b], X[..., :b, :]) for a, b in pieces]
    return tf.concat(parts, -2)  # [..., M, B]


def weighted_gram(A: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """A diag(weights) A^T, whole and symmetric, for A [..., M, B] and weights [..., 1, B] of any signs."""
    pieces = strips(A.shape[-2])
    weighted = A * weights  # [..., M, B]
    if not pieces:
        return tf.matmul(weighted, A, transpose_b=True)
    rows = [tf.matmul(weighted[..., a:b, :], A[..., :b, :], transpose_b=True) for a, b in pieces]
    return mirrored(_padded(rows, A.shape[-2]))


def lower_gram(A: tf.Tensor, B: tf.Tensor) -> tf.Tensor:
    """The lower triangle of A B^T for A and B [..., M, B]; what lies above it is part of it, or zero."""
    pieces = strips(A.shape[-2])
    if not pieces:
        return tf.matmul(A, B, transpose_b=True)
    rows = [tf.matmul(A[..., a:b, :], B[..., :b, :], transpose_b=True) for a, b in pieces]
    return _padded(rows, A.shape[-2])


def lower_of_product(L: tf.Tensor, X: tf.Tensor) -> tf.Tensor:
    """The lower triangle of L X for a lower triangle L and a dense X [..., M, M]; zero above it."""
    pieces = strips(L.shape[-1])
    if not pieces:
        return tf.linalg.band_part(tf.matmul(L, X), -1, 0)
    rows = [tf.matmul(L[..., a:b, :b], X[..., :b, :b]) for a, b in pieces]
    return tf.linalg.band_part(_padded(rows, L.shape[-1]), -1, 0)


def lower_times_lower(L1: tf.Tensor, L2: tf.Tensor) -> tf.Tensor:
    """L1 L2 for lower triangles [..., M, M]: a lower triangle."""
    pieces = strips(L1.shape[-1])
    if not pieces:
        return tf.matmul(L1, L2)
    columns = []
    for a, b in pieces:  # columns a:b of the result have rows from a on
        rows = [tf.matmul(L1[..., c:d, a:d], L2[..., a:d, a:b]) for c, d in pieces if d > a]
        below = tf.concat(rows, -2)  # [..., M - a, b - a]
        columns.append(_below_zeros(below, a))
    return tf.concat(columns, -1)


def upper_times_lower(L1: tf.Tensor, L2: tf.Tensor) -> tf.Tensor:
    """L1^T L2, all of it, for lower triangles [..., M, M]."""
    pieces = strips(L1.shape[-1])
    if not pieces:
        return tf.matmul(L1, L2, transpose_a=True)
    columns = []
    for a, b in pieces:  # rows of L2 above a are zero in these columns, rows of L1 above c in those
        rows = [
            tf.matmul(L1[..., max(a, c) :, c:d], L2[..., max(a, c) :, a:b], transpose_a=True)
            for c, d in pieces
        ]
        columns.append(tf.concat(rows, -2))
    return tf.concat(columns, -1)


def lower_of_upper_times_lower(L1: tf.Tensor, L2: tf.Tensor) -> tf.Tensor:
    """The lower triangle of L1^T L2 for lower triangles [..., M, M]."""
    pieces = strips(L1.shape[-1])
    if not pieces:
        return tf.linalg.band_part(tf.matmul(L1, L2, transpose_a=True), -1, 0)
    rows = [tf.matmul(L1[..., a:, a:b], L2[..., a:, :b], transpose_a=True) for a, b in pieces]
    return tf.linalg.band_part(_padded(rows, L1.shape[-1]), -1, 0)


def lower_of_lower_times_upper(L1: tf.Tensor, L2: tf.Tensor) -> tf.Tensor:
    """The lower triangle of L1 L2^T for lower triangles [..., M, M]."""
    pieces = strips(L1.shape[-1])
    if not pieces:
        return tf.linalg.band_part(tf.matmul(L1, L2, transpose_b=True), -1, 0)
    rows = [
        tf.concat(
            [tf.matmul(L1[..., a:b, :d], L2[..., c:d, :d], transpose_b=True) for c, d in pieces if d <= b], -1
        )
        for a, b in pieces
    ]
    return tf.linalg.band_part(_padded(rows, L1.shape[-1]), -1, 0)


def mirrored(lower: tf.Tensor) -> tf.Tensor:
    """The symmetric matrix whose lower triangle is that of `lower`; what lies above it is not read."""
    below = tf.linalg.band_part(lower, -1, 0)
    return tf.linalg.set_diag(below + tf.linalg.matrix_transpose(below), tf.linalg.diag_part(lower))


def _padded(rows: list[tf.Tensor], size: int) -> tf.Tensor:
    """Strips of rows that begin at column 0, with zeros up to column `size`, one below the other."""
    empty = [[0, 0]] * (rows[0].shape.rank - 1)
    return tf.concat([tf.pad(row, [*empty, [0, size - row.shape[-1]]]) for row in rows], -2)


def _below_zeros(below: tf.Tensor, count: int) -> tf.Tensor:
    empty = [[0, 0]] * (below.shape.rank - 2)
    return tf.pad(below, [*empty, [count, 0], [0, 0]])
