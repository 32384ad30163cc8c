"""Cutting the work on triangles into strips of rows or columns that threads can do on their own.

A strip goes through a whole chain of operations on one thread before it meets the others again: handing
work over costs tens of microseconds, and what a strip holds stays in that core's cache. Strips also are how
the structure of triangles is used: the strip of columns j.. of a lower triangle has no rows above j.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from svgp.linalg.host import threads

Task = tuple[float, Callable[[], Any]]  # about how many operations, and what to do

# Narrow strips use more of the structure and share the work more evenly; below these widths BLAS is slow,
# because it packs the whole of the other matrix again for each of them. Timed on 4 cores, M = 512 to 2048.
_NARROWEST, _WIDEST = 64, 256
_GRAIN = 16  # columns: whole cache lines


def strips(size: int, work: Callable[[int, int], float]) -> list[tuple[float, slice]]:
    """Slices that cover range(size), each with its `work(start, stop)`, even enough for the threads here.

    A strip that is more than its share is halved, down to 64.
    """
    share = threads.free_workers()
    width = min(max(size // (2 * share), _NARROWEST), _WIDEST)
    width = -(-width // _GRAIN) * _GRAIN
    edges = [*range(0, size, width), size]
    pairs = list(zip(edges[:-1], edges[1:], strict=True))
    most = sum(work(*pair) for pair in pairs) / (1.5 * share)
    return [piece for pair in pairs for piece in _halved(*pair, work, most)]


def _halved(
    start: int, stop: int, work: Callable[[int, int], float], most: float
) -> list[tuple[float, slice]]:
    cost, middle = work(start, stop), start + (stop - start) // 2 // _GRAIN * _GRAIN
    if cost <= most or middle - start < _NARROWEST:
        return [(cost, slice(start, stop))]
    return _halved(start, middle, work, most) + _halved(middle, stop, work, most)


def panels(columns: int, work: float) -> list[tuple[float, slice]]:
    """`columns` columns that all cost the same, `work` operations together, cut for the threads there are."""
    share = threads.free_workers()
    rounds = -(-columns // (2 * _WIDEST * share))  # a panel should stay in a core's cache
    count = max(1, min(rounds * share, columns // _GRAIN, int(work / threads.SMALLEST_SHARE)))
    edges = [round(columns * index / count / _GRAIN) * _GRAIN for index in range(count)] + [columns]
    pairs = zip(edges[:-1], edges[1:], strict=True)
    return [(work * (stop - start) / columns, slice(start, stop)) for start, stop in pairs]


def run_largest_first(tasks: Sequence[Task]) -> None:
    """Do all tasks, the longest first, on all threads."""
    threads.run_all([task for _, task in sorted(tasks, key=lambda pair: -pair[0])])


def transposed(A: np.ndarray, out: np.ndarray, block: int = 128) -> None:
    """out = A^T, by blocks that stay in cache."""
    rows, columns = A.shape
    for i in range(0, rows, block):
        for j in range(0, columns, block):
            out[j : j + block, i : i + block] = A[i : i + block, j : j + block].T


def clear_above(A: np.ndarray, strip: slice) -> None:
    """Zero what lies above the diagonal in the square block of A at rows and columns `strip`."""
    block = A[strip, strip]
    np.copyto(block, 0.0, where=above(len(block)))


@lru_cache(maxsize=64)
def above(size: int) -> np.ndarray:
    """What lies above the diagonal, `[size, size]`; np.tril makes it anew for each of a step's strips."""
    return ~np.tri(size, dtype=bool)
