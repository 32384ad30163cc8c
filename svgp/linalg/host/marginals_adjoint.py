"""The backward pass of `svgp.linalg.marginals` for one latent GP on the host's BLAS, in four phases.

The formulas and their names are those of `svgp.linalg.marginals`. The tasks of a phase do not wait for each
other; a phase begins when the last one has ended:

    1. strips of rows of P = A g A^T (lower triangle) and of A g_m; panels of rows of the batch of Kuf_bar
    2. strips of columns of W = S^T P_s, which are strips of rows of S_bar = tril(2 W^T) + ...
    3. strips of rows of X = 2 S W - 2 P_d + ..., each multiplied by L^-1 as soon as it is there: Phi(X) L^-1
    4. strips of columns of Kuu_bar = -L^-T (Phi(X) L^-1), and, unwhitened, of tril(L^-T S_bar)

In units of M^2 B operations phase 1 takes 3 (4 where g_s and g_d differ), in units of M^3 the others 1, 1
and 1 (unwhitened) or 1, 1 and 2/3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np

from svgp.linalg.host import blas
from svgp.linalg.host.strips import Task, above, clear_above, panels, run_largest_first, strips, transposed
from svgp.linalg.host.threads import run_all
from svgp.linalg.host.triangular import upper_times_lower_strip

# Points up to which `alone` is the quicker one for a single latent. Timed on two cores at M = 256, B = 1024,
# whole steps: float64 12.2 -> 11.5 ms (unwhitened 13.4 -> 12.7), float32 9.1 -> 7.5 (10.2 -> 8.5).
SERIAL = 256


@dataclass
class LatentAdjoint:
    """What is given for one latent GP, and the arrays that the adjoints are written to."""

    inverse: np.ndarray  # [M, M] L^-1
    narrow_inverse: np.ndarray  # the same in the type of the [M, B] arrays
    A: np.ndarray  # [M, B]
    C: np.ndarray  # [M, B] S^T A
    m: np.ndarray  # [M] whitened
    S: np.ndarray  # [M, M] whitened
    narrow_root: np.ndarray  # S in the type of the [M, B] arrays
    g_m: np.ndarray  # [B] incoming gradients
    g_s: np.ndarray  # [B]
    g_d: np.ndarray  # [B]
    g_k: np.ndarray  # []
    Kuu_bar: np.ndarray  # [M, M] out
    Kuf_bar: np.ndarray  # [M, B] out
    m_bar: np.ndarray  # [M] out
    S_bar: np.ndarray  # [M, M] out
    whiten: bool
    _P_s: np.ndarray = field(init=False)  # [M, M] lower triangle
    _P_d: np.ndarray = field(init=False)  # [M, M] lower triangle; in phase 3 becomes Phi(X) L^-1
    _W: np.ndarray = field(init=False)  # [M, M]
    _Agm: np.ndarray = field(init=False)  # [M]

    def __post_init__(self) -> None:
        size, wide = len(self.m), self.m.dtype
        self._P_s = blas.aligned_empty((size, size), wide)
        self._alike = np.array_equal(self.g_s, self.g_d)
        self._P_d = self._P_s if self._alike else blas.aligned_empty((size, size), wide)
        self._W, self._Agm = self.Kuu_bar, np.empty(size, wide)  # Kuu_bar is not needed before phase 4

    def alone(self) -> None:
        """All phases of a small adjoint: once P is there, 2 to 4 on one thread while others do Kuf_bar.

        The strips of these phases are so short here that their calls, each of which waits for Python's lock
        while another thread has it, take what more threads save.
        """
        size, rows = self.A.shape
        grams = strips(size, lambda start, stop: float(stop**2 - start**2) * rows)
        run_largest_first([(cost, partial(self._grams, strip)) for cost, strip in grams])
        halves = [half for _, part in panels(rows, 2.0 * size**2 * rows) for half in _halves(part)]
        run_all([self._chain, *(partial(self._kuf_adjoint, part) for part in halves)])

    def _chain(self) -> None:
        whole = slice(0, len(self.m))
        np.add(self._Agm, self.g_k * self.m, out=self.m_bar)
        for phase in (self._root_adjoint, self._projected):
            phase(whole)
        if not self.whiten:
            self._whitened_mean()
        self._pulled_back(whole)

    def from_batch(self) -> Iterator[Task]:
        """Phase 1: everything that costs M^2 B."""
        size, rows = self.A.shape
        for cost, columns in panels(rows, 2.0 * size**2 * rows):
            yield cost, partial(self._kuf_adjoint, columns)
        for cost, strip in strips(size, lambda start, stop: float(stop**2 - start**2) * rows):
            yield cost, partial(self._grams, strip)

    def _kuf_adjoint(self, columns: slice) -> None:
        """L^-T (m g_m + 2 S C g_s - 2 A g_d)."""
        out, a, g_s = self.Kuf_bar[:, columns], self.A[:, columns], self.g_s[columns]
        np.copyto(out, self.C[:, columns])
        blas.triangular_product(self.narrow_root, out)
        if self._alike:
            out -= a
            out *= 2.0 * g_s
        else:
            out *= 2.0 * g_s
            out -= a * (2.0 * self.g_d[columns])
        blas.add_outer(out, self.m.astype(out.dtype, copy=False), self.g_m[columns])
        blas.triangular_product(self.narrow_inverse, out, transpose=True)

    def _grams(self, strip: slice) -> None:
        self._Agm[strip] = blas.times_vector(self.A[strip], self.g_m)
        self._gram(strip, self.g_s, self._P_s)
        if not self._alike:
            self._gram(strip, self.g_d, self._P_d)

    def _gram(self, strip: slice, weights: np.ndarray, out: np.ndarray) -> None:
        """Rows `strip` of A diag(weights) A^T up to the diagonal."""
        left, rows, sign = slice(0, strip.stop), self.A[strip], 1.0
        target, kind = out[strip, left], rows.dtype
        result = target if out.dtype == kind else blas.aligned_empty(target.shape, kind)
        if np.all(weights == weights[0]):
            sign = float(weights[0])  # Gaussian noise: no scaling needed, and half of the diagonal block
            if strip.start:
                before = slice(0, strip.start)
                blas.product(rows, self.A[before], result[:, before], transpose_b=True, alpha=sign)
            result[:, strip] = 0.0
            blas.add_gram(rows, sign, result[:, strip])
        else:
            blas.product(rows * weights, self.A[left], result, transpose_b=True)
        if result is not target:
            np.copyto(target, result)

    def weighted_root(self) -> Iterator[Task]:
        """Phase 2: W = S^T P_s and S_bar, before the way back through L^-1."""
        size = len(self.m)
        np.add(self._Agm, self.g_k * self.m, out=self.m_bar)
        for cost, strip in panels(size, float(size) ** 3):
            yield cost, partial(self._root_adjoint, strip)

    def _root_adjoint(self, strip: slice) -> None:
        start, stop = strip.start, strip.stop
        W, P, S_bar = self._W[:, strip], self._P_s, self.S_bar[strip]
        np.copyto(W[stop:], P[stop:, strip])
        corner = P[strip, strip]
        np.copyto(W[strip], corner)
        np.copyto(W[strip], corner.T, where=above(len(corner)))
        transposed(P[strip, :start], W[:start])
        blas.triangular_product(self.S, W, transpose=True)
        transposed(W[:stop], S_bar[:, :stop])
        S_bar[:, :stop] *= 2.0
        S_bar[:, :stop] += self.g_k * self.S[strip, :stop]
        S_bar[:, stop:] = 0.0
        clear_above(self.S_bar, strip)
        np.einsum("ii->i", S_bar[:, strip])[...] -= self.g_k / np.diagonal(self.S)[strip]

    def through_cholesky(self) -> Iterator[Task]:
        """Phase 3: X, the half of it that Phi keeps, and Phi(X) L^-1 in its place."""
        size, products = len(self.m), 3.0 if self.whiten else 4.0
        for cost, strip in strips(size, lambda start, stop: products * (stop - start) * float(stop) ** 2):
            yield cost, partial(self._projected, strip)

    def _projected(self, strip: slice) -> None:
        left = slice(0, strip.stop)
        X, S_rows, m = self._P_d[strip, left], self.S[strip, left], self.m
        blas.product(S_rows, self._W[left, left], X, alpha=2.0, beta=-2.0)
        blas.add_outer(X, m[strip], self._Agm[left])
        if not self.whiten:
            blas.add_outer(X, self.m_bar[strip], m[left])
            rows = self.S_bar[strip, left].copy()
            blas.triangular_product_right(rows, self.S[left, left], transpose=True)
            X += rows
        clear_above(self._P_d, strip)
        self._P_d[strip, strip.stop :] = 0.0  # phase 4 cuts elsewhere, and takes it for a triangle
        np.einsum("ii->i", self._P_d[strip, strip])[...] *= 0.5
        blas.triangular_product_right(X, self.inverse[left, left])

    def to_inputs(self) -> Iterator[Task]:
        """Phase 4: back through L^-1."""
        size, products = len(self.m), 2.0 if self.whiten else 3.0
        if not self.whiten:
            yield float(size) ** 2, self._whitened_mean
        for cost, strip in strips(
            size, lambda start, stop: products * (stop - start) * (size - start) * size
        ):
            yield cost, partial(self._pulled_back, strip)

    def _whitened_mean(self) -> None:
        self.m_bar[...] = blas.times_vector(self.inverse, self.m_bar, transpose=True)

    def _pulled_back(self, strip: slice) -> None:
        upper_times_lower_strip(self.inverse, self._P_d, self.Kuu_bar, strip, sign=-1.0)
        if self.whiten:
            return
        below = slice(strip.start, None)
        blas.triangular_product(self.inverse[below, below], self.S_bar[below, strip], transpose=True)
        clear_above(self.S_bar, strip)

    phases: ClassVar = (from_batch, weighted_root, through_cholesky, to_inputs)


def _halves(part: slice) -> list[slice]:
    middle = (part.start + part.stop) // 2
    return [slice(part.start, middle), slice(middle, part.stop)]
