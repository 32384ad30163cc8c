"""`svgp.models.dual.algebra` on the host's BLAS: the same formulas, each triangle computed once, in place.

Cost for each latent GP, a multiplication and an addition counted as two: `project` M^2 B, `evaluate`
M^2 B + 2/3 M^3, `moments` M^2 B, `adjoints` 2 M^2 B + 4.3 M^3, `reframe` 2.3 M^3.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from svgp.linalg.host import blas, triangular
from svgp.linalg.host.threads import single_threaded_blas

Arrays = tuple[np.ndarray, ...]
Result = TypeVar("Result")


def _single_threaded(function: Callable[..., Result]) -> Callable[..., Result]:
    @wraps(function)
    def wrapped(*arrays: np.ndarray, **options: Any) -> Result:
        with single_threaded_blas():
            return function(*arrays, **options)

    return wrapped


def _shared(stack: np.ndarray, index: int) -> np.ndarray:
    """The matrix of latent `index`, from a stack that may hold one for all."""
    return stack[min(index, len(stack) - 1)]


@_single_threaded
def project(L_inverse: np.ndarray, Kuf: np.ndarray) -> np.ndarray:
    A = blas.aligned_copy(Kuf)
    for index, matrix in enumerate(A):
        blas.triangular_product(_shared(L_inverse, index), matrix)
    return A


@_single_threaded
def evaluate(A: np.ndarray, precision: np.ndarray, shift: np.ndarray, narrow: Any) -> Arrays:
    """mean, explained, kl, m, root and C; NaN throughout where one latent's B has no Cholesky factor.

    C is made in the type `narrow`.
    """
    (latents, size), rows = shift.shape, A.shape[-1]
    shapes = (
        (latents, rows),
        (latents, rows),
        (latents,),
        shift.shape,
        precision.shape,
        (latents, size, rows),
    )
    types = [*[A.dtype] * 5, narrow]
    outputs = tuple(blas.aligned_empty(*both) for both in zip(shapes, types, strict=True))
    mean, explained, kl, m, root, C = outputs
    for i in range(latents):
        a, B = _shared(A, i), blas.aligned_copy(precision[i])
        B.reshape(-1)[:: size + 1] += 1.0
        if not (np.isfinite(B).all() and triangular.cholesky_and_inverse(B, root[i])):
            for x in outputs:
                x.fill(np.nan)
            return outputs
        m[i] = blas.times_vector(root[i], blas.times_vector(root[i], shift[i]), transpose=True)
        np.copyto(C[i], a)
        blas.triangular_product(root[i].astype(narrow, copy=False), C[i])
        mean[i] = blas.times_vector(a, m[i], transpose=True)
        explained[i] = np.einsum("mb,mb->b", C[i], C[i])
        # Not `@`: NumPy's own BLAS would spread a long dot product over threads that wait by spinning.
        squares = np.einsum("ij,ij->", root[i], root[i]) + np.einsum("i,i->", m[i], m[i])
        kl[i] = 0.5 * (squares - size) + np.log(np.diagonal(B)).sum()
    return outputs


@_single_threaded
def moments(A: np.ndarray, g_m: np.ndarray, g_s: np.ndarray, g_d: np.ndarray) -> Arrays:
    latents, size = len(g_m), A.shape[-2]
    P_s = blas.aligned_empty((latents, size, size), A.dtype)
    P_d, Agm = blas.aligned_empty(P_s.shape, A.dtype), blas.aligned_empty((latents, size), A.dtype)
    for i in range(latents):
        a = _shared(A, i)
        P_s[i] = blas.weighted_gram(a, g_s[i])
        # Equal in the standard bound; they part where a residual below zero was cut off.
        P_d[i] = P_s[i] if np.array_equal(g_s[i], g_d[i]) else blas.weighted_gram(a, g_d[i])
        Agm[i] = blas.times_vector(a, g_m[i])
    return P_s, P_d, Agm


@_single_threaded
def adjoints(
    L_inverse: np.ndarray,
    A: np.ndarray,
    precision: np.ndarray,
    m: np.ndarray,
    root: np.ndarray,
    C: np.ndarray,
    P_s: np.ndarray,
    P_d: np.ndarray,
    Agm: np.ndarray,
    g_m: np.ndarray,
    g_s: np.ndarray,
    g_d: np.ndarray,
) -> Arrays:
    """Kuu_bar, and Kuf_bar in C's type, one for each latent."""
    Kuu_bar, Kuf_bar = blas.aligned_empty(root.shape, A.dtype), blas.aligned_copy(C)
    for i in range(len(m)):
        inverse = _shared(L_inverse, i)
        operands = (inverse, _shared(A, i), m[i], root[i], g_m[i], g_s[i], g_d[i])
        own, a, mean, S_root, *g = (x.astype(C.dtype, copy=False) for x in operands)
        _kuf_adjoint(own, a, mean, S_root, (g[0], g[1], g[2]), Kuf_bar[i])
        _kuu_adjoint(inverse, precision[i], m[i], root[i], (P_s[i], P_d[i], Agm[i]), Kuu_bar[i])
    return Kuu_bar, Kuf_bar


@_single_threaded
def reframe(old_inverse: np.ndarray, L: np.ndarray, precision: np.ndarray, shift: np.ndarray) -> Arrays:
    moved, moved_shift = blas.aligned_copy(precision), blas.aligned_copy(shift)
    G = blas.aligned_empty(L.shape, L.dtype)
    for i, matrix in enumerate(G):
        triangular.lower_times_lower(old_inverse[i], L[i], matrix)
    for i, W in enumerate(moved):
        g = _shared(G, i)
        blas.triangular_product_right(W, g)
        blas.triangular_product(g, W, transpose=True)
        blas.mirror_lower(W)
        moved_shift[i] = blas.times_vector(g, shift[i], transpose=True)
    return moved, moved_shift


def _kuf_adjoint(
    inverse: np.ndarray, A: np.ndarray, m: np.ndarray, root: np.ndarray, g: Arrays, out: np.ndarray
) -> None:
    """out, which holds C, becomes L^-T (m g_m + 2 S A g_s - 2 A g_d)."""
    g_m, g_s, g_d = g
    blas.triangular_product(root, out, transpose=True)
    if np.array_equal(g_s, g_d):
        out -= A
        out *= 2.0 * g_s
    else:
        out *= 2.0 * g_s
        out -= A * (2.0 * g_d)
    blas.add_outer(out, m, g_m)
    blas.triangular_product(inverse, out, transpose=True)


def _kuu_adjoint(
    inverse: np.ndarray, precision: np.ndarray, m: np.ndarray, root: np.ndarray, sums: Arrays, out: np.ndarray
) -> None:
    """out becomes L^-T Phi(Y) L^-1: only Y's lower triangle is computed."""
    P_s, P_d, Agm = sums
    size = len(m)
    H = blas.aligned_empty(out.shape, out.dtype)
    triangular.lower_transposed_times_lower(root, root, H)
    blas.mirror_lower(H)
    np.negative(H, out=H)
    H.reshape(-1)[:: size + 1] += 1.0
    T = 0.5 * precision + P_s
    HT = blas.aligned_empty(out.shape, out.dtype)
    blas.product(H, T, HT)
    Y = T  # its memory: -T + P_d + H / 2 + H T H, then twice that
    np.subtract(P_d, T, out=Y)
    Y += 0.5 * H
    triangular.add_lower_of_product(HT, H, Y)
    Y *= 2.0
    Hr = blas.times_vector(H, Agm - m) + 0.5 * m
    blas.add_outer(Y, Hr, -m)
    blas.add_outer(Y, m, -Hr)
    blas.zero_upper(Y)
    np.einsum("ii->i", Y)[...] *= 0.5
    triangular.lower_times_lower(Y, inverse, HT)
    triangular.upper_times_lower(inverse, HT, out)
