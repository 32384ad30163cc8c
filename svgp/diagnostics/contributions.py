"""What each inducing point adds to the KL divergence and to the explained variance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, qr, solve_triangular


@dataclass(frozen=True)
class Contributions:
    """Per-point parts of one latent GP.

    kl `[M]`: nats, each >= 0, sum is KL[q(u) || p(u)].
    explained `[M]`: share of the prior variance, averaged over rows, each >= 0; sums to 1 - mean(residual).
    residual `[n]`: `d_n / kff_n`, the share that no point explains.
    """

    kl: np.ndarray
    explained: np.ndarray
    residual: np.ndarray


def contributions(
    Kuu: np.ndarray,
    Kuf: np.ndarray,
    kff: np.ndarray,
    mean: np.ndarray,
    factor: np.ndarray,
    *,
    order: np.ndarray,
    whiten: bool,
) -> Contributions:
    """The chain rule over the points in `order`, for one latent GP.

    With u sorted by `order`, `Kuu = L L^T`, `A = L^-1 Kuf` and q(L^-1 u) = N(m, T T^T), point i, given
    the ones before it,
    - adds `KL_i = (m_i^2 + |T_i|^2 - 1 - log r_i^2) / 2` nats, r_i the diagonal of the triangular
      factor of T T^T. This is E_q KL[q(u_i | u_<i) || p(u_i | u_<i)], so it is never negative.
    - explains `A_in^2` of `kff_n`, the fall in the residual variance when i joins.
    Both sum to the totals. Starting from the most informative point (pivoted Cholesky) makes the
    parts independent of how Z is numbered, and leaves redundant points with next to nothing.

    Kuu `[M, M]` jitter included, Kuf `[M, n]`, kff `[n]`, mean `[M]`, factor `[M, M]` of q's covariance,
    both of L^-1 u when `whiten`, with L the factor of Kuu in its own order. Raises LinAlgError
    when Kuu is not positive definite.
    """
    if whiten:
        L_own = cholesky(Kuu, lower=True, check_finite=False)  # [M, M]
        mean, factor = L_own @ mean, L_own @ factor
    L = cholesky(Kuu[np.ix_(order, order)], lower=True, check_finite=False)  # [M, M]
    joint = np.concatenate([Kuf[order], mean[order, None], factor[order]], axis=1)  # [M, n + 1 + M]
    joint = solve_triangular(L, joint, lower=True, overwrite_b=True, check_finite=False)
    n = Kuf.shape[1]
    explained = joint[:, :n] ** 2 / kff  # [M, n]
    m, T = joint[:, n], joint[:, n + 1 :]  # [M], [M, M]
    kl = 0.5 * (m**2 + np.einsum("ij,ij->i", T, T) - 1.0) - _log_diagonal(T)  # [M]
    back = np.argsort(order)
    return Contributions(
        kl=np.maximum(kl, 0.0)[back],
        explained=explained.mean(axis=1)[back],
        residual=np.clip(1.0 - explained.sum(axis=0), 0.0, 1.0),
    )


def _log_diagonal(T: np.ndarray) -> np.ndarray:
    """`log r_i` `[M]`, r the diagonal of the triangular factor of T T^T."""
    try:
        r = np.diagonal(cholesky(T @ T.T, lower=True, check_finite=False))  # [M]
        exact = bool(np.all(r > 1e-3 * np.linalg.norm(T, axis=1)))
    except np.linalg.LinAlgError:
        exact = False
    if not exact:  # squaring T lost its small directions; QR keeps them, at several times the cost
        (R,) = qr(T.T, mode="r", check_finite=False)
        r = np.abs(np.diagonal(R))
    return np.log(np.maximum(r, np.finfo(float).tiny))
