"""The optimal q(u) for Gaussian noise from sums over rows, and the `[M, M]` adjoints of the bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from svgp.linalg.host import blas
from svgp.models.collapsed.panels import times_thin
from svgp.models.collapsed.square import congruence, factored, lower_times_lower, times_lower
from svgp.models.collapsed.statistics import Frame, Statistics


@dataclass(frozen=True)
class OptimalPosterior:
    """The optimal q(v) = N(m, S S^T) of u = L v: `B = I + A A^T / s2`, `m = B^-1 A r / s2`, `S S^T = B^-1`.

    One B for each of the frame's K noise variances. B = U U^T with U *upper* triangular, so that S = U^-T is
    lower: no second factorisation.
    """

    frame: Frame
    mean: np.ndarray  # [M, P]
    sqrt: np.ndarray  # [K, M, M]
    covariance: np.ndarray  # [K, M, M], B^-1
    B: np.ndarray  # [K, M, M]
    log_det: np.ndarray  # [K] log|B|

    @property
    def share(self) -> float:
        """Outputs that have one noise variance in common: P where K = 1, else 1."""
        return self.mean.shape[1] / len(self.B)

    @property
    def kl(self) -> float:
        """KL(q(u) || p(u)) in nats, of all outputs."""
        spread = traces(self.covariance) - len(self.mean) + self.log_det  # [K]
        return 0.5 * (float(np.sum(self.mean**2)) + self.share * float(spread.sum()))

    @property
    def weights(self) -> np.ndarray:
        """`a = L^-T m`, so that the mean of f is `Kfu a`: `[M, P]`."""
        return times_thin(self.frame.L_inverse, self.mean, transpose=True)

    def unwhitened(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean `[M, P]` and lower Cholesky factor `[K, M, M]` of q(u): `L m` and `L S`, both triangular."""
        L, on_device = self.frame.L, self.frame.on_device
        return times_thin(L, self.mean), np.stack([lower_times_lower(L, S, on_device) for S in self.sqrt])


def optimal_posterior(frame: Frame, sums: Statistics) -> OptimalPosterior:
    """The optimal q(v). Raises NumericalError where rounding has made B indefinite."""
    gram = blas.mirror_lower(sums.gram.copy())
    projection = sums.projection
    if not frame.whitened:
        gram = congruence(frame.L_inverse, gram, frame.on_device)
        projection = times_thin(frame.L_inverse, projection)
    parts = [factored(gram, noise, frame.on_device) for noise in frame.noise]
    B, sqrt, covariance, log_det = (np.stack(part) for part in zip(*parts, strict=True))
    groups = [projection] if len(B) == 1 else [column[:, None] for column in projection.T]
    means = [times_thin(one, group) for one, group in zip(covariance, groups, strict=True)]
    return OptimalPosterior(frame, np.hstack(means) / frame.noise, sqrt, covariance, B, log_det)


def traces(matrices: np.ndarray) -> np.ndarray:
    """Of matrices `[K, M, M]`: `[K]`."""
    return np.einsum("kii->k", matrices)


def row_adjoint(posterior: OptimalPosterior) -> np.ndarray:
    """The `[M, M]` matrix by which a panel of rows is multiplied from the right for Kfu_bar.

    cheap: `L^-T Q L^-1`, for Kfu; whitened: `Q L^-1`, for A^T; Q = sum_p (I - B^-1) / s2.
    tight: `-sum_p B^-1 / s2`, for A^T, still to be multiplied by L^-1.
    """
    frame = posterior.frame
    scale = posterior.share / frame.noise  # [K]
    Q = -np.tensordot(scale, posterior.covariance, 1)
    if frame.tight:
        return Q
    Q[np.diag_indices_from(Q)] += scale.sum()
    if frame.whitened:
        return times_lower(Q, frame.L_inverse, frame.on_device)
    return congruence(frame.L_inverse, Q, frame.on_device, transpose=True)


def covariance_adjoint(posterior: OptimalPosterior, sums: Statistics) -> tuple[np.ndarray, float]:
    """`Kuu_bar = -L^-T X L^-1 / 2` `[M, M]`, and `sum(Kuf_bar o Kuf) = tr X`, for X = A_bar A^T.

    `X = sum_p (W - I + B^-1) + m m^T`, W = A diag(1 / (s2 + d or 0)) A^T.
    """
    frame, share, outputs = posterior.frame, posterior.share, posterior.mean.shape[1]
    X = posterior.covariance.sum(0)
    if sums.weighted is not None:
        X = share * (blas.mirror_lower(sums.weighted.copy()) + X)
        X[np.diag_indices_from(X)] -= outputs
    else:
        X = share * (posterior.B.sum(0) + X)
        X[np.diag_indices_from(X)] -= 2.0 * outputs
    for column in posterior.mean.T:
        blas.add_outer(X, column, column)
    trace = float(np.trace(X))
    return -0.5 * congruence(frame.L_inverse, X, frame.on_device, transpose=True), trace


def bound_and_noise_adjoint(
    posterior: OptimalPosterior, sums: Statistics, squared_errors: np.ndarray
) -> tuple[float, np.ndarray]:
    """F in nats, and dF/ds2 `[K]`, from the squared errors of each output `[P]`."""
    s2, share, size = posterior.frame.noise, posterior.share, len(posterior.mean)
    squared_error = squared_errors.reshape(len(s2), -1).sum(1)  # [K]
    count = sums.rows * share
    if posterior.frame.tight:
        slack, slack_bar = 0.5 * sums.log_ratio, -0.5 * sums.shrinkage
    else:
        explained = s2 * (traces(posterior.B) - size)  # tr A A^T
        slack = 0.5 * (sums.prior - explained) / s2
        slack_bar = -slack / s2
    spread = count * np.log(2.0 * np.pi * s2) + share * posterior.log_det + squared_error / s2
    bound = -0.5 * float(np.sum(spread + 2.0 * share * slack)) - 0.5 * float(np.sum(posterior.mean**2))
    trace = traces(posterior.covariance)
    noise_bar = 0.5 * (share * (size - trace) - count + squared_error / s2) / s2 - share * slack_bar
    return bound, noise_bar


def bound_from_sums(posterior: OptimalPosterior, sums: Statistics) -> float:
    """F in nats from one pass: |e|^2 = r^T r - m^T A r - s2 |m|^2 loses digits where noise is small."""
    projection = sums.projection
    if not posterior.frame.whitened:
        projection = times_thin(posterior.frame.L_inverse, projection)
    m, s2 = posterior.mean, posterior.frame.noise
    squared_errors = sums.squares - np.sum(m * projection, 0) - s2 * np.sum(m * m, 0)  # [P]
    return bound_and_noise_adjoint(posterior, sums, np.maximum(squared_errors, 0.0))[0]


def assign_posterior(model: object, posterior: OptimalPosterior) -> None:
    """Set `model.q_mean [P, M]` and `model.q_sqrt [P, M, M]` to the optimum, whitened as the model is."""
    mean, sqrt = (posterior.mean, posterior.sqrt) if model.whiten else posterior.unwhitened()  # type: ignore[attr-defined]
    for variable, value in ((model.q_mean, mean.T), (model.q_sqrt, sqrt)):  # type: ignore[attr-defined]
        variable.assign(np.broadcast_to(value, variable.shape).astype(variable.dtype.as_numpy_dtype))
