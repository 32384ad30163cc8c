"""Products for panels of rows `[C, M]`, where the sum over rows is wanted."""

from __future__ import annotations

from functools import partial

import numpy as np

from svgp.linalg.host import threads
from svgp.linalg.host.blas import _call, _stride, product

STRIP = 128  # rows of a result of which only the lower triangle is wanted


def add_gram_of_rows(A: np.ndarray, into: np.ndarray) -> None:
    """Lower triangle of `into [M, M] + A^T A`, A `[C, M]`: M^2 C operations; above it nothing changes."""
    rows, columns = A.shape

    def strip(start: int, stop: int) -> None:
        if start:
            product(A[:, start:stop], A[:, :start], into[start:stop, :start], transpose_a=True, beta=1.0)
        a, c = A[:, start:stop], into[start:stop, start:stop]
        _call("syrk", A.dtype, b"U", b"N", stop - start, rows, 1.0, a, _stride(A), 1.0, c, _stride(into))

    # Strips of equal area: the work up to row r of the result grows as r^2.
    count = len(threads.pieces(columns, float(columns) ** 2 * rows))
    edges = [round(columns * (index / count) ** 0.5) for index in range(count + 1)]
    threads.run_all([partial(strip, *edge) for edge in zip(edges[:-1], edges[1:], strict=True)])


def add_symmetric_product(A: np.ndarray, B: np.ndarray, into: np.ndarray) -> None:
    """Lower triangle of `into [M, M] + A^T B`, A and B `[C, M]`, whose sum over all panels is symmetric.

    Little more than M^2 C operations: half of what A^T B takes. Above the triangle some of it is undefined.
    """
    columns = A.shape[1]
    edges = list(range(0, columns, STRIP)) + [columns]

    def strip(start: int, stop: int) -> None:
        product(A[:, start:stop], B[:, :stop], into[start:stop, :stop], transpose_a=True, beta=1.0)

    pairs = list(zip(edges[:-1], edges[1:], strict=True))
    threads.run_all([partial(strip, *pair) for pair in reversed(pairs)])
