"""`svgp.linalg.marginals` on the host's BLAS: the same formulas, each triangle computed once, in place.

Both passes are a few phases of tasks that do not wait for each other (`svgp.linalg.host.strips`): in the
forward pass a panel of the batch's rows goes through everything on one thread.

`[M, B]` arrays have Kuf's type, all others q_mean's: where those differ (`precision: mixed`) a matrix is cast
on its way into a product with an `[M, B]` one, and what comes out of it is cast back.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.linalg.host import blas
from svgp.linalg.host.marginals_adjoint import SERIAL, LatentAdjoint
from svgp.linalg.host.strips import Task, panels, run_largest_first, strips
from svgp.linalg.host.threads import single_threaded_blas


def host_forward(
    L_inverse: tf.Tensor, Kuf: tf.Tensor, kff: tf.Tensor, q_mean: tf.Tensor, q_sqrt: tf.Tensor, whiten: bool
) -> tuple[tf.Tensor, ...]:
    """mean, explained, residual `[L, B]`, kl `[L]`, and what the backward pass needs: A, C, m, S."""
    wide, narrow = q_mean.dtype, Kuf.dtype
    outputs = tf.numpy_function(
        lambda *arrays: _single_threaded(_forward, *arrays, whiten),
        [L_inverse, Kuf, kff, q_mean, q_sqrt],
        [wide] * 4 + [narrow] * 2 + ([] if whiten else [wide] * 2),
    )
    latents, size, rows = q_mean.shape[0], Kuf.shape[-2], Kuf.shape[-1]
    row, square = [latents, rows], [latents, size, size]
    projections = [[Kuf.shape[0], size, rows], [latents, size, rows]]
    shapes = [row, row, row, [latents], *projections, *([] if whiten else [[latents, size], square])]
    found = [tf.ensure_shape(x, shape) for x, shape in zip(outputs, shapes, strict=True)]
    return (*found, q_mean, q_sqrt) if whiten else tuple(found)


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


def _single_threaded(function: Callable[..., Any], *arguments: Any) -> tuple[np.ndarray, ...]:
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
    """mean, explained, residual, kl, A, C; and, unwhitened, m and S, which else are q_mean and q_sqrt."""
    latents, (own, size, rows) = len(q_mean), Kuf.shape
    wide, narrow = q_mean.dtype, Kuf.dtype
    A, C = _new(narrow, own, size, rows), _new(narrow, latents, size, rows)
    S, m = (q_sqrt, q_mean) if whiten else (_new(wide, latents, size, size), _new(wide, latents, size))
    mean, explained = _new(wide, latents, rows), _new(wide, latents, rows)
    prior_part, kl = _new(wide, own, rows), _new(wide, latents)

    def whitened_mean(index: int) -> None:
        inverse = L_inverse[min(index, len(L_inverse) - 1)]
        m[index] = blas.times_vector(inverse, q_mean[index])

    def whitened_root(index: int, columns: slice) -> None:
        below, s = slice(columns.start, None), S[index]
        s[: columns.start, columns] = 0.0
        np.copyto(s[below, columns], q_sqrt[index, below, columns])
        inverse = L_inverse[min(index, len(L_inverse) - 1)]
        blas.triangular_product(inverse[below, below], s[below, columns])

    if not whiten:
        over_size = strips(size, _triangle(size))
        tasks: list[Task] = [
            (c, partial(whitened_root, i, part)) for i in range(latents) for c, part in over_size
        ]
        tasks += [(float(size) ** 2, partial(whitened_mean, i)) for i in range(latents)]
        run_largest_first(tasks)
    inverses, roots, means = _as(narrow, L_inverse), _as(narrow, S), _as(narrow, m)

    def panel(index: int, columns: slice) -> None:
        a = A[index, :, columns]
        np.copyto(a, Kuf[index, :, columns])
        blas.triangular_product(inverses[index], a)
        prior_part[index, columns] = np.einsum("mb,mb->b", a, a)
        for latent in range(latents) if own == 1 else (index,):
            c = C[latent, :, columns]
            mean[latent, columns] = blas.times_vector(a, means[latent], transpose=True)
            np.copyto(c, a)
            blas.triangular_product(roots[latent], c, transpose=True)
            explained[latent, columns] = np.einsum("mb,mb->b", c, c)

    def divergence(index: int) -> None:
        kl[index] = _kl(m[index], S[index])

    over_rows = panels(rows, float(size) ** 2 * rows * (1 + latents / own))
    tasks = [(c, partial(panel, i, part)) for i in range(own) for c, part in over_rows]
    run_largest_first(tasks + [(0.0, partial(divergence, i)) for i in range(latents)])
    residual = np.broadcast_to(kff - prior_part, mean.shape).copy()
    found = (mean, explained, residual, kl, A, C)
    return found if whiten else (*found, m, S)


def _triangle(size: int) -> Callable[[int, int], float]:
    """What some columns of a lower triangle cost in a product with another one."""
    return lambda start, stop: float(stop - start) * (size - start) ** 2


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
    wide, narrow = m.dtype, A.dtype
    square = S.shape
    Kuu_bar, S_bar, m_bar = _new(wide, *square), _new(wide, *square), _new(wide, *m.shape)
    Kuf_bar = _new(narrow, *C.shape)
    narrow_inverse, narrow_root = _as(narrow, L_inverse), _as(narrow, S)
    works = []
    for i in range(len(C)):
        shared = min(i, len(L_inverse) - 1)
        g_m_i, g_s_i, g_d_i = (_as(narrow, g[i]) for g in (g_m, g_s, g_d))
        work = LatentAdjoint(
            inverse=L_inverse[shared],
            narrow_inverse=narrow_inverse[shared],
            A=A[min(i, len(A) - 1)],
            C=C[i],
            m=m[i],
            S=S[i],
            narrow_root=narrow_root[i],
            g_m=g_m_i,
            g_s=g_s_i,
            g_d=g_d_i,
            g_k=g_k[i],
            Kuu_bar=Kuu_bar[i],
            Kuf_bar=Kuf_bar[i],
            m_bar=m_bar[i],
            S_bar=S_bar[i],
            whiten=whiten,
        )
        works.append(work)
    if len(works) == 1 and len(m[0]) <= SERIAL:
        works[0].alone()
        return Kuu_bar, Kuf_bar, m_bar, S_bar
    for phase in LatentAdjoint.phases:
        run_largest_first([task for work in works for task in phase(work)])
    return Kuu_bar, Kuf_bar, m_bar, S_bar


def _new(dtype: np.dtype, *shape: int) -> np.ndarray:
    return blas.aligned_empty(shape, dtype)


def _as(dtype: np.dtype, x: np.ndarray) -> np.ndarray:
    """x itself where it is of that type already."""
    return x.astype(dtype, copy=False)
