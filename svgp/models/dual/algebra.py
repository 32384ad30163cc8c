"""q(u) in the dual parameters of t-SVGP, in the whitened frame, with every adjoint written by hand.

With `L L^T = Kuu` and `u = L v`, the data's part of q's natural parameters is a precision W and a shift e:

    q(v) ~ N(v | 0, I) exp(e^T v - v^T W v / 2)      B = I + W      S = B^-1      m = S e

(unwhitened: `Lam = L W L^T`, `l = L e`, `R = L B L^T`). Marginals and KL, with `A = L^-1 Kuf`:

    mean = A^T m          explained = diag(A^T S A)          residual = kff - colsum(A^2)
    KL = (tr S + |m|^2 - M + log|B|) / 2

The natural gradient needs the expected log-likelihood's derivatives alone, a for the mean and b for the
explained variance: `W -> -2 P`, `e -> A a - 2 P m`, `P = A b A^T`, each by a step rho (Khan & Lin 2017).

When hyperparameters move, `Kuu^-1 Lam Kuu^-1 = L^-T W L^-1` and `Kuu^-1 l = L^-T e` are held (Adam, Chang,
Khan & Solin 2021, section 3.3). From the frame of L_0 to that of L both change by one lower triangle
`G = L_0^-1 L`: `W = G^T W_0 G`, `e = G^T e_0`. That multiplies by one L^-1 at a time where the held
quantities themselves hold L^-1 twice, so an ill-conditioned Kuu costs half as many digits.

So held, the bound depends on L through `L L^T` alone: `L^T L_bar` is a symmetric Y, and for incoming
gradients g_* of mean, explained, residual and KL, with `H = I - S`, `P_* = A g_* A^T`, `T = P_s - g_k W / 2`,
`r = A g_m + g_k m`:

    Y = 2 H T H - 2 T + 2 P_d - g_k H + g_k m m^T - (H r) m^T - m (H r)^T          Kuu_bar = L^-T Y L^-1 / 2
    Kuf_bar = L^-T (m g_m + 2 S A g_s - 2 A g_d)          kff_bar = g_d

No factorisation and no solve in the backward pass. Checked against automatic differentiation in the tests.

C, S A and L^-T A_bar may be float32 (a model's batch_dtype) beside float64 factors: S <= I, and the kernel's
own adjoint is float32 there. Not A, whose rounding L^-1 would multiply for the mean and the residual (errors
of the bound grew 5 to 20 times), nor the P: W is made of them, N / noise times as large as the prior's 1.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import tensorflow as tf

from svgp.linalg import blocks, lower_and_inverse
from svgp.linalg.backend import use_host
from svgp.linalg.host import dual as dual_host


class DualPoint(NamedTuple):
    """q at one value of its dual parameters, and what a batch sees of it. All NaN where B has no factor."""

    precision: tf.Tensor  # W [L, M, M]
    shift: tf.Tensor  # e [L, M]
    mean: tf.Tensor  # [L, B]
    explained: tf.Tensor  # [L, B]
    kl: tf.Tensor  # [L]
    m: tf.Tensor  # [L, M]
    root: tf.Tensor  # [L, M, M] lower, S = root^T root
    C: tf.Tensor  # [L, M, B] root A, which may be float32


class Moments(NamedTuple):
    """Sums over a batch that natural gradient and adjoint share."""

    explained: tf.Tensor  # P_s [L, M, M]
    residual: tf.Tensor  # P_d [L, M, M]
    mean: tf.Tensor  # A g_m [L, M]


class RowGradients(NamedTuple):
    """Derivatives of an objective with respect to the marginals of each row, [L, B] each."""

    mean: tf.Tensor
    explained: tf.Tensor
    residual: tf.Tensor


def project(L_inverse: tf.Tensor, Kuf: tf.Tensor) -> tf.Tensor:
    """A = L^-1 Kuf [1 or L, M, B]."""
    if use_host(Kuf):
        A = tf.numpy_function(dual_host.project, [L_inverse, Kuf], Kuf.dtype)
        return tf.ensure_shape(A, Kuf.shape)
    return blocks.lower_product(L_inverse, Kuf)


def evaluate(
    A: tf.Tensor, precision: tf.Tensor, shift: tf.Tensor, narrow: tf.DType | None = None
) -> DualPoint:
    """q(f) and KL at dual parameters W [L, M, M], e [L, M], for A [1 or L, M, B]; C in the type `narrow`."""
    narrow = narrow or A.dtype
    if use_host(A):
        work = partial(dual_host.evaluate, narrow=narrow.as_numpy_dtype)
        outputs = tf.numpy_function(work, [A, precision, shift], [*[A.dtype] * 5, narrow])
        (latents, size), rows = shift.shape, A.shape[-1]
        row, vector, square = [latents, rows], [latents, size], [latents, size, size]
        shapes = [row, row, [latents], vector, square, [latents, size, rows]]
        parts = (tf.ensure_shape(x, shape) for x, shape in zip(outputs, shapes, strict=True))
        return DualPoint(precision, shift, *parts)
    L, root = lower_and_inverse(precision + tf.eye(shift.shape[-1], dtype=A.dtype))  # [L, M, M]
    m = tf.linalg.matvec(root, tf.linalg.matvec(root, shift), transpose_a=True)  # [L, M]
    C = blocks.lower_product(tf.cast(root, narrow), tf.cast(A, narrow))  # [L, M, B]
    explained = tf.cast(tf.reduce_sum(C * C, -2), A.dtype)  # [L, B]
    half_logdet = tf.reduce_sum(tf.math.log(tf.linalg.diag_part(L)), -1)  # [L]
    size = tf.cast(shift.shape[-1], A.dtype)
    kl = 0.5 * (tf.reduce_sum(root * root, [-2, -1]) + tf.reduce_sum(m * m, -1) - size) + half_logdet
    mean = tf.linalg.matvec(A, m, transpose_a=True)  # [L, B]
    return DualPoint(precision, shift, mean, explained, kl, m, root, C)


def moments(A: tf.Tensor, g: RowGradients) -> Moments:
    """P_s, P_d and A g_m of a batch."""
    if use_host(A):
        latents, size = g.mean.shape[0], A.shape[-2]
        outputs = tf.numpy_function(dual_host.moments, [A, *g], [A.dtype] * 3)
        shapes = [[latents, size, size], [latents, size, size], [latents, size]]
        return Moments(*(tf.ensure_shape(x, shape) for x, shape in zip(outputs, shapes, strict=True)))
    P_s = blocks.weighted_gram(A, g.explained[:, None, :])
    # Alike in the standard bound: one of the two products is saved there.
    alike = tf.reduce_all(tf.equal(g.explained, g.residual))
    P_d = tf.cond(alike, lambda: P_s, lambda: blocks.weighted_gram(A, g.residual[:, None, :]))
    return Moments(P_s, P_d, tf.linalg.matvec(A, g.mean))


def natural_step(point: DualPoint, sums: Moments, rho: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """W and e after a step rho (0 to 1) of natural-gradient ascent from `point`."""
    target = -2.0 * sums.explained  # [L, M, M]
    pull = sums.mean + tf.linalg.matvec(target, point.m)  # [L, M]
    return point.precision + rho * (target - point.precision), point.shift + rho * (pull - point.shift)


def adjoints(
    L_inverse: tf.Tensor, A: tf.Tensor, point: DualPoint, sums: Moments, g: RowGradients
) -> tuple[tf.Tensor, tf.Tensor]:
    """Kuu_bar [1 or L, M, M] and Kuf_bar [1 or L, M, B] of `objective - KL`, `g` those of the objective.

    The KL enters with g_k = -1. Kuu_bar is not symmetrised: it is right for a matrix whose two triangles
    move together, as a kernel matrix's do.
    """
    operands = (L_inverse, A, point.precision, point.m, point.root, point.C, *sums, *g)
    if use_host(A):
        types = [A.dtype, point.C.dtype]
        Kuu_bar, Kuf_bar = tf.numpy_function(dual_host.adjoints, operands, types)
        Kuu_bar, Kuf_bar = tf.ensure_shape(Kuu_bar, point.root.shape), tf.ensure_shape(Kuf_bar, point.C.shape)
    else:
        Kuu_bar, Kuf_bar = _adjoints(L_inverse, A, point, sums, g)
    if L_inverse.shape[0] == 1 and point.m.shape[0] != 1:  # shared: the latents' gradients add up
        Kuu_bar, Kuf_bar = (tf.reduce_sum(x, 0, keepdims=True) for x in (Kuu_bar, Kuf_bar))
    return Kuu_bar, tf.cast(Kuf_bar, A.dtype)


def reframe(
    old_inverse: tf.Tensor, L: tf.Tensor, precision: tf.Tensor, shift: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """W and e in the frame of L, from that of L_0 (`old_inverse` = L_0^-1), the duals held."""
    if use_host(L):
        outputs = tf.numpy_function(dual_host.reframe, [old_inverse, L, precision, shift], [L.dtype] * 2)
        return tf.ensure_shape(outputs[0], precision.shape), tf.ensure_shape(outputs[1], shift.shape)
    G = blocks.lower_times_lower(old_inverse, L)  # [1 or L, M, M]
    right = tf.linalg.matrix_transpose(blocks.lower_product(G, precision, transpose=True))  # W G, W symmetric
    moved = blocks.lower_product(G, right, transpose=True)  # [L, M, M]
    return 0.5 * (moved + tf.linalg.matrix_transpose(moved)), tf.linalg.matvec(G, shift, transpose_a=True)


def mean_and_root(precision: tf.Tensor, shift: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """m [L, M] and the lower triangular root [L, M, M] of S, as an SVGP keeps them.

    With the rows and columns of B in reverse order its Cholesky factor's inverse, turned back and
    transposed, is a lower triangle whose square is B^-1.
    """
    B = precision + tf.eye(shift.shape[-1], dtype=shift.dtype)  # [L, M, M]
    _, inverse = lower_and_inverse(tf.reverse(B, [-2, -1]))
    root = tf.linalg.matrix_transpose(tf.reverse(inverse, [-2, -1]))  # [L, M, M]
    return tf.linalg.matvec(root, tf.linalg.matvec(root, shift, transpose_a=True)), root


def from_mean_and_root(m: tf.Tensor, root: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """W and e of the whitened q(v) = N(m, root root^T), root lower triangular."""
    inverse = tf.linalg.triangular_solve(root, tf.eye(m.shape[-1], dtype=m.dtype) + tf.zeros_like(root))
    B = tf.matmul(inverse, inverse, transpose_a=True)  # [L, M, M]
    return B - tf.eye(m.shape[-1], dtype=m.dtype), tf.linalg.matvec(B, m)


def _adjoints(
    L_inverse: tf.Tensor, A: tf.Tensor, point: DualPoint, sums: Moments, g: RowGradients
) -> tuple[tf.Tensor, tf.Tensor]:
    m, narrow = point.m, point.C.dtype
    SA = blocks.lower_product(tf.cast(point.root, narrow), point.C, transpose=True)  # [L, M, B]
    g_m, g_s, g_d = (tf.cast(x[:, None, :], narrow) for x in g)  # [L, 1, B]
    A_bar = tf.cast(m[..., None], narrow) * g_m + 2.0 * SA * g_s - 2.0 * tf.cast(A, narrow) * g_d
    S = blocks.upper_times_lower(point.root, point.root)  # [L, M, M]
    H = tf.eye(m.shape[-1], dtype=A.dtype) - S
    T = sums.explained + 0.5 * point.precision  # [L, M, M]
    Y = 2.0 * (tf.matmul(tf.matmul(H, T), H) - T + sums.residual) + H  # [L, M, M]
    Hr = tf.linalg.matvec(H, sums.mean - m) + 0.5 * m  # [L, M]
    outer = Hr[:, :, None] * m[:, None, :]
    Y -= outer + tf.linalg.matrix_transpose(outer)
    right = blocks.lower_product(L_inverse, Y, transpose=True)  # L^-T Y, whose transpose is Y L^-1
    Kuu_bar = 0.5 * blocks.lower_product(L_inverse, tf.linalg.matrix_transpose(right), transpose=True)
    return Kuu_bar, blocks.lower_product(tf.cast(L_inverse, narrow), A_bar, transpose=True)
