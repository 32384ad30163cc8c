"""`svgp.linalg.marginals` on the host's BLAS: the same formulas, each triangle computed once, in place.

`[M, B]` arrays have Kuf's type, all others q_mean's: where those differ (`precision: mixed`) a matrix is cast
on its way into a product with an `[M, B]` one, and what comes out of it is cast back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from svgp.linalg import blas, triangular
from svgp.linalg.threads import single_threaded_blas


def host_forward(
    L_inverse: tf.Tensor, Kuf: tf.Tensor, kff: tf.Tensor, q_mean: tf.Tensor, q_sqrt: tf.Tensor, whiten: bool
) -> tuple[tf.Tensor, ...]:
    """mean, explained, residual `[L, B]`, kl `[L]`, and what the backward pass needs: A, C, m, S."""
    wide, narrow = q_mean.dtype, Kuf.dtype
    outputs = tf.numpy_function(
        lambda *arrays: _single_threaded(_forward, *arrays, whiten),
        [L_inverse, Kuf, kff, q_mean, q_sqrt],
        [wide] * 4 + [narrow] * 2 + [wide] * 2,
    )
    latents, size, rows = q_mean.shape[0], Kuf.shape[-2], Kuf.shape[-1]
    row, square = [latents, rows], [latents, size, size]
    projections = [[Kuf.shape[0], size, rows], [latents, size, rows]]
    shapes = [row, row, row, [latents], *projections, [latents, size], square]
    return tuple(tf.ensure_shape(x, shape) for x, shape in zip(outputs, shapes, strict=True))


def host_backward(
    L_inverse: tf.Tensor,
    A: tf.Tensor,
    C: tf.Tensor,
    m: tf.Tensor,
    S: tf.Tensor,
    g_m: tf.Tensor,
    g_s: tf.Tensor,
    g_d: tf.Tensor,
    g_k: tf.Tensor,
    whiten: bool,
) -> tuple[tf.Tensor, ...]:
    """Adjoints of Kuu and Kuf (per latent), q_mean and q_sqrt."""
    outputs = tf.numpy_function(
        lambda *arrays: _single_threaded(_backward, *arrays, whiten),
        [L_inverse, A, C, m, S, g_m, g_s, g_d, g_k],
        [S.dtype, A.dtype, S.dtype, S.dtype],
    )
    shapes = [S.shape, C.shape, m.shape, S.shape]
    return tuple(tf.ensure_shape(x, shape) for x, shape in zip(outputs, shapes, strict=True))


def _single_threaded(function: Any, *arguments: Any) -> tuple[np.ndarray, ...]:
    with single_threaded_blas():
        return function(*arguments)


def _forward(
    L_inverse: np.ndarray,
    Kuf: np.ndarray,
    kff: np.ndarray,
    q_mean: np.ndarray,
    q_sqrt: np.ndarray,
    whiten: bool,
) -> tuple[np.ndarray, ...]:
    latents, size, rows = len(q_mean), Kuf.shape[-2], Kuf.shape[-1]
    wide, narrow = q_mean.dtype, Kuf.dtype
    A, C = _new(narrow, len(Kuf), size, rows), _new(narrow, latents, size, rows)
    S, m = _new(wide, latents, size, size), _new(wide, latents, size)
    for index in range(len(Kuf)):
        np.copyto(A[index], Kuf[index])
        blas.triangular_product(_as(narrow, L_inverse[index]), A[index])
    means = []
    for index in range(latents):
        inverse, a = L_inverse[min(index, len(L_inverse) - 1)], A[min(index, len(A) - 1)]
        if whiten:
            S[index], m[index] = q_sqrt[index], q_mean[index]
        else:
            triangular.lower_times_lower(inverse, q_sqrt[index], S[index])
            m[index] = blas.times_vector(inverse, q_mean[index])
        np.copyto(C[index], a)
        blas.triangular_product(_as(narrow, S[index]), C[index], transpose=True)
        means.append(blas.times_vector(a, _as(narrow, m[index]), transpose=True))
    mean = _as(wide, np.stack(means))
    explained = _as(wide, np.einsum("lmb,lmb->lb", C, C))
    residual = kff - np.einsum("lmb,lmb->lb", A, A)
    if len(residual) != latents:
        residual = np.repeat(residual, latents, axis=0)
    kl = np.array([_kl(m[index], S[index]) for index in range(latents)], wide)
    return mean, explained, residual, kl, A, C, m, S


def _kl(m: np.ndarray, S: np.ndarray) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):  # a singular or NaN q(u) shows in the result
        logdet = np.log(np.abs(np.diagonal(S))).sum()
    # Not `@`: NumPy's BLAS would start threads of its own, which go on spinning beside ours when it is done.
    squares = np.einsum("i,i->", m, m) + np.einsum("ij,ij->", S, S)
    return 0.5 * (squares - len(m)) - logdet


def _backward(
    L_inverse: np.ndarray,
    A: np.ndarray,
    C: np.ndarray,
    m: np.ndarray,
    S: np.ndarray,
    g_m: np.ndarray,
    g_s: np.ndarray,
    g_d: np.ndarray,
    g_k: np.ndarray,
    whiten: bool,
) -> tuple[np.ndarray, ...]:
    latents, size, rows = C.shape
    wide, narrow = m.dtype, A.dtype
    Kuu_bar, Kuf_bar = _new(wide, latents, size, size), _new(narrow, latents, size, rows)
    m_bar, S_bar = _new(wide, latents, size), _new(wide, latents, size, size)
    g_m, g_s, g_d = (_as(narrow, g) for g in (g_m, g_s, g_d))
    for i in range(latents):
        inverse, a = L_inverse[min(i, len(L_inverse) - 1)], A[min(i, len(A) - 1)]
        np.copyto(Kuf_bar[i], C[i])
        _kuf_adjoint(inverse, a, m[i], S[i], g_m[i], g_s[i], g_d[i], Kuf_bar[i])
        gradients = (g_m[i], g_s[i], g_d[i], g_k[i])
        _square_adjoints(inverse, a, m[i], S[i], gradients, whiten, Kuu_bar[i], m_bar[i], S_bar[i])
    return Kuu_bar, Kuf_bar, m_bar, S_bar


def _kuf_adjoint(
    inverse: np.ndarray,
    A: np.ndarray,
    m: np.ndarray,
    S: np.ndarray,
    g_m: np.ndarray,
    g_s: np.ndarray,
    g_d: np.ndarray,
    out: np.ndarray,
) -> None:
    """out, which holds C, becomes L^-T (m g_m + 2 S C g_s - 2 A g_d)."""
    inverse, S, m = (_as(A.dtype, x) for x in (inverse, S, m))
    blas.triangular_product(S, out)
    if np.array_equal(g_s, g_d):
        out -= A
        out *= 2.0 * g_s
    else:
        out *= 2.0 * g_s
        out -= A * (2.0 * g_d)
    blas.add_outer(out, m, g_m)
    blas.triangular_product(inverse, out, transpose=True)


def _square_adjoints(
    inverse: np.ndarray,
    A: np.ndarray,
    m: np.ndarray,
    S: np.ndarray,
    gradients: tuple[Any, ...],
    whiten: bool,
    Kuu_bar: np.ndarray,
    m_bar: np.ndarray,
    S_bar: np.ndarray,
) -> None:
    g_m, g_s, g_d, g_k = gradients
    wide = m.dtype
    P = _as(wide, blas.weighted_gram(A, g_s))  # [M, M]
    Agm = _as(wide, blas.times_vector(A, g_m))  # [M]
    W = blas.aligned_copy(P)
    blas.triangular_product(S, W, transpose=True)  # S^T P_s
    if not np.array_equal(g_s, g_d):
        P = _as(wide, blas.weighted_gram(A, g_d))
    X = Kuu_bar  # its memory serves X until the last product
    triangular.lower_of_lower_times_dense(S, W, X)
    X -= P
    X *= 2.0
    blas.add_outer(X, m, Agm)
    np.add(Agm, g_k * m, out=m_bar)
    _lower_of_transpose(W, 2.0, S_bar)
    S_bar += g_k * S
    diagonal = np.einsum("ii->i", S_bar)
    diagonal -= g_k / np.diagonal(S)
    if not whiten:
        blas.add_outer(X, m_bar, m)
        triangular.add_lower_times_lower_transposed(S_bar, S, X)
        m_bar[...] = blas.times_vector(inverse, m_bar, transpose=True)
        triangular.lower_transposed_times_lower(inverse, S_bar.copy(), S_bar)
        blas.zero_upper(S_bar)
    blas.zero_upper(X)
    np.einsum("ii->i", X)[...] *= 0.5
    triangular.lower_times_lower(X, inverse, P)
    triangular.upper_times_lower(inverse, P, X)
    np.negative(X, out=X)


def _lower_of_transpose(W: np.ndarray, scale: float, out: np.ndarray, block: int = 128) -> None:
    size = len(W)
    out.fill(0.0)
    for start in range(0, size, block):
        stop = min(start + block, size)
        np.multiply(W[:start, start:stop].T, scale, out=out[start:stop, :start])
        out[start:stop, start:stop] = np.tril(W[start:stop, start:stop].T) * scale


def _new(dtype: np.dtype, *shape: int) -> np.ndarray:
    return blas.aligned_empty(shape, dtype)


def _as(dtype: np.dtype, x: np.ndarray) -> np.ndarray:
    """x itself where it is of that type already."""
    return x.astype(dtype, copy=False)
