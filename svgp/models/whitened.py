"""q(u) in the whitened frame, u = L v with L L^T = Kuu + jitter I, whatever form a model keeps it in.

L is lower triangular, so with further points behind the ones there are, the old v are the first of the new
ones, and q(u_old) p(u_new | u_old) is q(v_old) N(v_new | 0, I).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from scipy.linalg import solve_triangular

from svgp.errors import NumericalError
from svgp.linalg import factorise


class Frame(NamedTuple):
    """The factor of Kuu and its inverse, [1 or L, M, M] each, float64."""

    L: np.ndarray
    L_inverse: np.ndarray


def frame_of(model: Any, Z: np.ndarray | None = None) -> Frame:
    """That of the model's points, or of others `[M', D]`. Raises NumericalError where Kuu has no factor."""
    Kuu = model.kernel.K(np.asarray(model.Z if Z is None else Z, np.float64), dtype=tf.float64)
    factor = factorise(Kuu if Kuu.shape.rank == 3 else Kuu[None], model.jitter)
    found = Frame(factor.L.numpy(), factor.L_inverse.numpy())
    if not np.isfinite(found.L).all():
        raise NumericalError("Kuu at the inducing points has no factor; raise model.jitter")
    return found


def whitened(model: Any, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Mean [L, M] and lower root [L, M, M] of q(v), float64."""
    m, root = (np.asarray(tf.convert_to_tensor(x), np.float64) for x in (model.q_mean, model.q_root()))
    if model.whiten:
        return m, root
    return (frame.L_inverse @ m[..., None])[..., 0], np.tril(frame.L_inverse @ root)


def extended(m: np.ndarray, root: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """q(v) with `count` further points at their prior: no KL, and q(f) as it was."""
    latents, size = m.shape
    wide = np.zeros((latents, size + count, size + count))
    wide[:, :size, :size] = root
    wide[:, range(size, size + count), range(size, size + count)] = 1.0
    return np.concatenate([m, np.zeros((latents, count))], axis=1), wide


def assign_whitened(model: Any, frame: Frame, m: np.ndarray, root: np.ndarray) -> None:
    """Give the model q(v) = N(m, root root^T), in its own form; a diagonal one takes 1 / (S^-1)_ii."""
    if not model.whiten:
        m, root = (frame.L @ m[..., None])[..., 0], np.tril(frame.L @ root)
    if model.q_diag:
        root = nearest_diagonal(root)
    kind = model.dtype.as_numpy_dtype
    if not (np.isfinite(m).all() and np.isfinite(root).all()):
        raise NumericalError("q(u) is not finite; the model is as it was")
    model.q_mean.assign(m.astype(kind))
    model.q_sqrt.assign(root.astype(kind))


def nearest_diagonal(root: np.ndarray) -> np.ndarray:
    """Standard deviations `[L, M]`: 1 / sqrt((S^-1)_ii) of S = root root^T, the least KL(diagonal || q)."""
    eye = np.eye(root.shape[-1])
    inverses = np.stack([solve_triangular(R, eye, lower=True) for R in root])  # [L, M, M]
    return 1.0 / np.sqrt(np.sum(inverses**2, axis=-2))
