"""The marginals of q(f) at a batch of rows, and the KL of q(u), as one operation with one adjoint.

With `L L^T = Kuu`, `A = L^-1 Kuf` and the whitened posterior `q(v) = N(m, S S^T)` (u = L v):

    mean = A^T m      explained = colsum((S^T A)^2)      residual = kff - colsum(A^2)
    KL = (|m|^2 + |S|^2 - M - 2 sum log|S_ii|) / 2

An unwhitened posterior N(m_u, S_u S_u^T) is whitened first, `m = L^-1 m_u`, `S = L^-1 S_u`. Its KL then is
the usual one with log|Kuu|: that term sits in `-2 sum log|S_ii| = log|Kuu| - 2 sum log|S_u,ii|`, and its
adjoint Kuu^-1 / 2 is the identity that the adjoint of S adds to `X` below, at no cost.

Backward, with no factorisation and no triangular solve (g_* are the incoming gradients):

    P_s = A g_s A^T     P_d = A g_d A^T
    m_bar = A g_m + g_k m                 S_bar = tril(2 P_s S) + g_k (S - diag(1 / S_ii))
    Kuf_bar = L^-T (m g_m + 2 S S^T A g_s - 2 A g_d)                        kff_bar = g_d
    Kuu_bar = -sym(L^-T Phi(X) L^-1),  X = m (A g_m)^T + 2 S S^T P_s - 2 P_d
                                           and, unwhitened, + m_bar m^T + S_bar S^T

where the KL's part of m_bar and S_bar reaches Kuu only in the unwhitened case. Checked against automatic
differentiation in the tests. Source: Murray, "Differentiation of the Cholesky decomposition", 2016, applied
to the bound of Hensman, Fusi and Lawrence, 2013.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from svgp.errors import ModelError
from svgp.linalg import blocks
from svgp.linalg.backend import use_host
from svgp.linalg.factor import Factor
from svgp.linalg.host.marginals import host_backward, host_forward


class Marginals(NamedTuple):
    """By latent GP and row its mean, and the variance in two parts, `explained + residual`; and the KL."""

    mean: tf.Tensor  # [L, B]
    explained: tf.Tensor  # [L, B] variance that q(u) leaves
    residual: tf.Tensor  # [L, B] prior variance that the inducing points do not account for
    kl: tf.Tensor  # [L] KL(q(u) || p(u))


def marginals(
    Kuu: tf.Tensor,
    Kuf: tf.Tensor,
    kff: tf.Tensor,
    q_mean: tf.Tensor,
    q_sqrt: tf.Tensor,
    factor: Factor,
    *,
    whiten: bool,
) -> Marginals:
    """Marginals of q(f) and KL(q(u) || p(u)), differentiable in all but `factor`.

    Args: `Kuu [1 or L, M, M]`, `Kuf [1 or L, M, B]`, `kff [1 or L, B]` (1: shared by all latents),
    `q_mean [L, M]`, `q_sqrt [L, M, M]` lower triangular (the part above the diagonal must be zero), and the
    factor of `Kuu + jitter I`. All of one type but Kuf, whose type is that of all `[M, B]` products
    (float32 for `precision: mixed`; `[M, M]` work stays in float64). The gradient with respect to Kuu is not
    symmetrised: it is right for a matrix whose two triangles move together, as a kernel matrix's do.
    """
    host = use_host(Kuf, size=Kuu.shape[-1])

    @tf.custom_gradient
    def operation(
        Kuu: tf.Tensor, Kuf: tf.Tensor, kff: tf.Tensor, q_mean: tf.Tensor, q_sqrt: tf.Tensor
    ) -> tuple[tuple[tf.Tensor, ...], object]:
        L_inverse = factor.L_inverse  # [1 or L, M, M]
        forward = host_forward if host else _forward
        mean, explained, residual, kl, A, C, m, S = forward(L_inverse, Kuf, kff, q_mean, q_sqrt, whiten)

        def gradient(g_m: tf.Tensor, g_s: tf.Tensor, g_d: tf.Tensor, g_k: tf.Tensor) -> tuple[tf.Tensor, ...]:
            backward = host_backward if host else _backward
            Kuu_bar, Kuf_bar, m_bar, S_bar = backward(L_inverse, A, C, m, S, g_m, g_s, g_d, g_k, whiten)
            kff_bar = g_d
            if Kuu.shape[0] == 1 and q_mean.shape[0] != 1:  # shared: the latents' gradients add up
                Kuu_bar, Kuf_bar = (tf.reduce_sum(x, 0, keepdims=True) for x in (Kuu_bar, Kuf_bar))
            if kff.shape[0] == 1 and q_mean.shape[0] != 1:
                kff_bar = tf.reduce_sum(g_d, 0, keepdims=True)
            bars = (Kuu_bar, Kuf_bar, kff_bar, m_bar, S_bar)
            return tuple(_differentiable_once(bar, Kuu, q_mean) for bar in bars)

        return (mean, explained, residual, kl), gradient

    return Marginals(*operation(Kuu, Kuf, kff, q_mean, q_sqrt))


@tf.custom_gradient
def _differentiable_once(bar: tf.Tensor, *inputs: tf.Tensor) -> tuple[tf.Tensor, object]:
    """`bar`, which refuses to be differentiated: that would take the factor for a constant and be wrong."""

    def refuse(g: tf.Tensor) -> tuple[tf.Tensor, ...]:
        raise ModelError(
            "second derivatives of the ELBO (of the marginals of q(f)) are not available: its adjoint is "
            "written for one derivative; svgp.linalg.logdet and model.kl() can be differentiated twice"
        )

    return tf.identity(bar), refuse


def _forward(
    L_inverse: tf.Tensor, Kuf: tf.Tensor, kff: tf.Tensor, q_mean: tf.Tensor, q_sqrt: tf.Tensor, whiten: bool
) -> tuple[tf.Tensor, ...]:
    wide, narrow = q_mean.dtype, Kuf.dtype
    A = blocks.lower_product(tf.cast(L_inverse, narrow), Kuf)  # [1 or L, M, B]
    m = q_mean if whiten else tf.linalg.matvec(L_inverse, q_mean)  # [L, M]
    S = q_sqrt if whiten else blocks.lower_times_lower(L_inverse, q_sqrt)  # [L, M, M]
    C = blocks.lower_product(tf.cast(S, narrow), A, transpose=True)  # [L, M, B]
    mean = tf.cast(tf.linalg.matvec(A, tf.cast(m, narrow), transpose_a=True), wide)  # [L, B]
    explained = tf.cast(tf.reduce_sum(C * C, -2), wide)  # [L, B]
    residual = kff - tf.cast(tf.reduce_sum(A * A, -2), wide) + tf.zeros_like(explained)  # [L, B]
    diagonal = tf.linalg.diag_part(S)  # [L, M]
    size = tf.cast(tf.shape(S)[-1], S.dtype)
    kl = 0.5 * (tf.reduce_sum(m * m, -1) + tf.reduce_sum(S * S, [-2, -1]) - size)
    kl -= tf.reduce_sum(tf.math.log(tf.abs(diagonal)), -1)  # [L]
    return mean, explained, residual, kl, A, C, m, S


def _backward(
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
    wide, narrow = m.dtype, A.dtype
    g_m, g_s, g_d = (tf.cast(g[..., None, :], narrow) for g in (g_m, g_s, g_d))  # [L, 1, B]
    g_k = g_k[:, None]  # [L, 1]
    A_bar = tf.cast(m[..., None], narrow) * g_m + 2.0 * blocks.lower_product(tf.cast(S, narrow), C) * g_s
    A_bar -= 2.0 * A * g_d  # [L, M, B]
    Kuf_bar = blocks.lower_product(tf.cast(L_inverse, narrow), A_bar, transpose=True)  # [L, M, B]
    P_s = tf.cast(blocks.weighted_gram(A, g_s), wide)  # [L, M, M]
    # Alike in the standard bound: one of the two products is saved there.
    alike = tf.reduce_all(tf.equal(g_s, g_d))
    P_d = tf.cond(alike, lambda: P_s, lambda: tf.cast(blocks.weighted_gram(A, g_d), wide))  # [L, M, M]
    Agm = tf.cast(tf.reduce_sum(A * g_m, -1), wide)  # [L, M]
    W = blocks.lower_product(S, P_s, transpose=True)  # [L, M, M]
    X = (
        2.0 * blocks.lower_of_product(S, W) - 2.0 * P_d + m[..., None] * Agm[:, None, :]
    )  # lower half, as below
    m_bar = Agm + g_k * m  # [L, M]
    S_bar = tf.linalg.band_part(2.0 * tf.linalg.matrix_transpose(W) + g_k[..., None] * S, -1, 0)
    S_bar = tf.linalg.set_diag(S_bar, tf.linalg.diag_part(S_bar) - g_k / tf.linalg.diag_part(S))
    if not whiten:
        X += m_bar[..., None] * m[:, None, :] + blocks.lower_of_lower_times_upper(S_bar, S)
        m_bar = tf.linalg.matvec(L_inverse, m_bar, transpose_a=True)
        S_bar = blocks.lower_of_upper_times_lower(L_inverse, S_bar)
    lower = tf.linalg.band_part(X, -1, 0)
    Phi = tf.linalg.set_diag(lower, 0.5 * tf.linalg.diag_part(lower))  # [L, M, M]
    Kuu_bar = -blocks.upper_times_lower(L_inverse, blocks.lower_times_lower(Phi, L_inverse))  # [L, M, M]
    return Kuu_bar, Kuf_bar, m_bar, S_bar
