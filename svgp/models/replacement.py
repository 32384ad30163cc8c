"""Redundant inducing points given places where the residual variance is largest, and q(u) taken along.

With u_k the values at the points that stay and u_n those at the new places,

    q'(u_k, u_n) = p(u_n | u_k) q(u_k)        u_n = P u_k + chol(C) xi,   xi ~ N(0, I)
    P = Knk Kkk^-1      C = Knn - Knk Kkk^-1 Kkn      (K with the model's jitter on its diagonal)

Exactly kept: q(u_k), and with it q'(f) = int p(f | u_k) q(u_k) at every input, which does not depend on where
the new places are. It differs from the old q(f) by what the removed values knew beyond u_k, in the prior at
most the threshold of redundancy of their variance. The KL becomes that of q(u_k), by the chain rule never
more than before. So a move costs the bound next to nothing, and what it can gain is left to training.

Where q is diagonal, its mean is that of q' and its variances are 1 / (S^-1)_ii with S the covariance of q':
the diagonal Gaussian nearest to q' in KL(diagonal || q'). It keeps q(f)'s mean, not its variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from scipy.linalg import solve_triangular
from threadpoolctl import threadpool_limits

from svgp.errors import NumericalError
from svgp.inducing import further_points
from svgp.inducing.redundancy import redundancy_threshold, redundant_for_all, smallest_noise
from svgp.inducing.rows import random_subset
from svgp.linalg import factorise
from svgp.models.whitened import nearest_diagonal

ROWS = 8192  # candidates for new places, drawn anew each time
WORTH = 10.0  # thresholds of redundancy that a new place must leave unexplained: else it goes back and forth


@dataclass(frozen=True)
class Plan:
    """Which points move, and where: `moved` `[r]` ascending indices, `Z` `[M, D]` with the new places in."""

    moved: np.ndarray
    Z: np.ndarray


def plan_replacement(model: Any, X: np.ndarray, *, seed: int | Sequence[int] = 0) -> Plan | None:
    """New places among the rows X `[N, D]` for points that the others determine; None where none is due.

    Redundant is what `svgp.inducing.redundancy` finds. A new place is the row with the largest residual
    variance given the points that stay and the places before it, taken while more than ten times the
    threshold of redundancy is left there. At most 8,192 rows, drawn by `seed`, are looked at.
    O(M^3 + rows M^2), the second part only where a point is redundant.
    """
    Z = np.asarray(model.Z, np.float64)  # [M, D]
    # NumPy's own BLAS: threads that wait for each other cost more than they save.
    with threadpool_limits(limits=1, user_api="blas"):
        Kuu = _covariance(model, Z).numpy()  # [1 or L, M, M]
        if not np.isfinite(Kuu).all():
            return None
        threshold = redundancy_threshold(Kuu, smallest_noise(model.likelihood))
        found = redundant_for_all(Kuu, threshold)
    if not len(found.redundant):
        return None
    needed = Z[np.sort(found.order[: found.kept])]
    rows = random_subset(np.asarray(X, np.float64), ROWS, np.random.default_rng(seed))
    jitter = float(np.max(model.factor().jitter))
    try:
        places = further_points(
            rows, needed, len(found.redundant), model.kernel, jitter=jitter, least=WORTH * threshold
        )
    except np.linalg.LinAlgError:
        return None
    if not len(places):
        return None
    moved = np.sort(found.order[::-1][: len(places)])  # the order ends in the redundant ones
    Z[moved] = places
    return Plan(moved, Z)


def replace_points(model: Any, plan: Plan) -> Move:
    """Give `model` the points of `plan` and q'. Raises NumericalError, and changes nothing, if Kuu fails."""
    move = Move(model, plan)
    mean, root = (np.asarray(tf.convert_to_tensor(x), np.float64) for x in (model.q_mean, model.q_root()))
    mean, root = (move.whitened if model.whiten else move.unwhitened)(mean, root)
    root = nearest_diagonal(root) if model.q_diag else root
    if not (np.isfinite(mean).all() and np.isfinite(root).all()):
        raise NumericalError("redundant inducing points: q(u) has no finite conditional at their new places")
    kind = model.dtype.as_numpy_dtype
    for variable, value in ((model.Z, plan.Z), (model.q_mean, mean), (model.q_sqrt, root)):
        variable.assign(value.astype(kind))
    return move


class Move:
    """The map `u -> u' = H u + F xi` from the values at the old points to those at the new ones.

    H `[1 or L, M, M]` is the identity for points that stay and P in the rows of those that move;
    F `[1 or L, M, r]` is chol(C) there, `moved` `[r]` their indices. Built before the model is changed.
    Raises NumericalError where a factorisation fails.
    """

    def __init__(self, model: Any, plan: Plan) -> None:
        self.moved = plan.moved
        size, count = len(plan.Z), len(plan.moved)
        stay = np.setdiff1d(np.arange(size), self.moved)  # [k]
        old = factorise(_covariance(model, np.asarray(model.Z, np.float64)), model.jitter)
        new = factorise(_covariance(model, plan.Z), model.jitter)
        # With the new places last, the factor's blocks are L_k, P L_k and chol(C).
        apart = factorise(_covariance(model, plan.Z[np.r_[stay, self.moved]]), model.jitter)
        self._L, self._L_inverse, L = old.L.numpy(), new.L_inverse.numpy(), apart.L.numpy()
        if not all(np.isfinite(x).all() for x in (self._L, self._L_inverse, L)):
            raise NumericalError("redundant inducing points: Kuu at their new places cannot be factorised")
        first = len(stay)
        self.H, self.F = np.zeros((len(L), size, size)), np.zeros((len(L), size, count))
        self.H[:, stay, stay] = 1.0
        for H, F, factor in zip(self.H, self.F, L, strict=True):
            P = solve_triangular(factor[:first, :first], factor[first:, :first].T, lower=True, trans="T").T
            H[np.ix_(self.moved, stay)] = P  # [r, k]
            F[self.moved] = factor[first:, first:]  # [r, r]

    def unwhitened(self, mean: np.ndarray, root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """q' of q(u) = N(mean `[L, M]`, root root^T), root `[L, M, M]`; the new root is lower triangular."""
        return _pushed(self.H, self.F, mean, root)

    def whitened(self, mean: np.ndarray, root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same for q(v), u = L v before and u' = L' v' after."""
        with threadpool_limits(limits=1, user_api="blas"):
            H, F = self._L_inverse @ self.H @ self._L, self._L_inverse @ self.F
        return _pushed(H, F, mean, root)


def _pushed(
    H: np.ndarray, F: np.ndarray, mean: np.ndarray, root: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and lower root of `H x + F xi` for x ~ N(mean, root root^T): no covariance is formed."""
    latents = len(mean)
    with threadpool_limits(limits=1, user_api="blas"):
        noise = np.broadcast_to(F, (latents, *F.shape[1:]))
        wide = np.concatenate([H @ root, noise], axis=-1)  # [L, M, M + r]
        upper = np.linalg.qr(wide.swapaxes(-1, -2), mode="r")  # [L, M, M]
        mean = (H @ mean[..., None])[..., 0]
    signs = np.where(np.diagonal(upper, axis1=-2, axis2=-1) < 0, -1.0, 1.0)  # [L, M]
    return mean, np.tril((upper * signs[..., None]).swapaxes(-1, -2))


def _covariance(model: Any, Z: np.ndarray) -> tf.Tensor:
    Kuu = model.kernel.K(Z, dtype=tf.float64)
    return Kuu if Kuu.shape.rank == 3 else Kuu[None]  # [1 or L, M, M]
