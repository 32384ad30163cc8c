"""The optimal q(u) for Gaussian noise from sums over rows, and the `[M, M]` adjoints of the bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from svgp.errors import NumericalError
from svgp.linalg.host import blas
from svgp.linalg.host.triangular import cholesky_and_inverse
from svgp.models.collapsed.panels import times_thin
from svgp.models.collapsed.statistics import Frame, Statistics


@dataclass(frozen=True)
class OptimalPosterior:
    """The optimal q(v) = N(m, S S^T) of u = L v: `B = I + A A^T / s2`, `m = B^-1 A r / s2`, `S S^T = B^-1`.

    B = U U^T with U *upper* triangular, so that S = U^-T is lower: no second factorisation.
    """

    frame: Frame
    mean: np.ndarray  # [M, P]
    sqrt: np.ndarray  # [M, M]
    covariance: np.ndarray  # [M, M], B^-1
    B: np.ndarray  # [M, M]
    log_det: float  # log|B|

    @property
    def kl(self) -> float:
        """KL(q(u) || p(u)) in nats, of all outputs."""
        size, outputs = self.mean.shape
        spread = float(np.trace(self.covariance)) - size + self.log_det
        return 0.5 * (float(np.sum(self.mean**2)) + outputs * spread)

    @property
    def weights(self) -> np.ndarray:
        """`a = L^-T m`, so that the mean of f is `Kfu a`: `[M, P]`."""
        return times_thin(self.frame.L_inverse, self.mean, transpose=True)

    def unwhitened(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean `[M, P]` and lower Cholesky factor `[M, M]` of q(u): `L m` and `L S`, both triangular."""
        sqrt = self.sqrt.copy()
        blas.triangular_product(self.frame.L, sqrt)
        return times_thin(self.frame.L, self.mean), sqrt


def optimal_posterior(frame: Frame, sums: Statistics) -> OptimalPosterior:
    """The optimal q(v). Raises NumericalError where rounding has made B indefinite."""
    gram = blas.mirror_lower(sums.gram.copy())
    projection = sums.projection
    if not frame.whitened:
        blas.triangular_product(frame.L_inverse, gram)
        blas.triangular_product_right(gram, frame.L_inverse, transpose=True)
        gram = 0.5 * (gram + gram.T)
        projection = times_thin(frame.L_inverse, projection)
    B = gram / frame.noise
    B[np.diag_indices_from(B)] += 1.0
    C = np.ascontiguousarray(B[::-1, ::-1])
    inverse = blas.aligned_empty(C.shape, C.dtype)  # [M, M]
    if not cholesky_and_inverse(C, inverse) or not np.all(np.isfinite(C)):
        raise NumericalError(
            "I + A A^T / noise is not positive definite: rounding has eaten the sums over rows"
        )
    sqrt = np.ascontiguousarray(inverse[::-1, ::-1].T)  # [M, M]
    covariance = blas.mirror_lower(blas.gram(sqrt))  # [M, M]
    mean = times_thin(covariance, projection) / frame.noise  # [M, P]
    return OptimalPosterior(frame, mean, sqrt, covariance, B, 2.0 * float(np.sum(np.log(np.diag(C)))))


def row_adjoint(posterior: OptimalPosterior, outputs: int) -> np.ndarray:
    """The `[M, M]` matrix by which a panel of rows is multiplied from the right for Kfu_bar.

    cheap: `L^-T Q L^-1`, for Kfu; whitened: `Q L^-1`, for A^T; Q = P (I - B^-1) / s2.
    tight: `-P B^-1 / s2`, for A^T, still to be multiplied by L^-1.
    """
    frame = posterior.frame
    scale = outputs / frame.noise
    Q = -scale * posterior.covariance
    if frame.tight:
        return Q
    Q[np.diag_indices_from(Q)] += scale
    blas.triangular_product_right(Q, frame.L_inverse)
    if not frame.whitened:
        blas.triangular_product(frame.L_inverse, Q, transpose=True)
    return Q


def covariance_adjoint(
    posterior: OptimalPosterior, sums: Statistics, outputs: int
) -> tuple[np.ndarray, float]:
    """`Kuu_bar = -L^-T X L^-1 / 2` `[M, M]`, and `sum(Kuf_bar o Kuf) = tr X`, for X = A_bar A^T.

    `X = P (W - I + B^-1) + m m^T`, W = A diag(1 / (s2 + d or 0)) A^T.
    """
    frame = posterior.frame
    if sums.weighted is not None:
        X = outputs * (blas.mirror_lower(sums.weighted.copy()) + posterior.covariance)
        X[np.diag_indices_from(X)] -= outputs
    else:
        X = outputs * (posterior.B + posterior.covariance)
        X[np.diag_indices_from(X)] -= 2.0 * outputs
    for column in posterior.mean.T:
        blas.add_outer(X, column, column)
    trace = float(np.trace(X))
    blas.triangular_product(frame.L_inverse, X, transpose=True)
    blas.triangular_product_right(X, frame.L_inverse)
    return -0.25 * (X + X.T), trace


def bound_and_noise_adjoint(
    posterior: OptimalPosterior, sums: Statistics, squared_error: float, outputs: int
) -> tuple[float, float]:
    """F in nats, and dF/ds2."""
    s2 = posterior.frame.noise
    size = len(posterior.B)
    count = sums.rows * outputs
    if posterior.frame.tight:
        slack, slack_bar = 0.5 * sums.log_ratio, -0.5 * sums.shrinkage
    else:
        explained = s2 * (float(np.trace(posterior.B)) - size)  # tr A A^T
        slack = 0.5 * (sums.prior - explained) / s2
        slack_bar = -slack / s2
    quadratic = squared_error / s2 + float(np.sum(posterior.mean**2))
    bound = (
        -0.5 * (count * np.log(2.0 * np.pi * s2) + outputs * posterior.log_det + quadratic) - outputs * slack
    )
    trace = float(np.trace(posterior.covariance))
    noise_bar = 0.5 * (outputs * (size - trace) - count + squared_error / s2) / s2 - outputs * slack_bar
    return float(bound), float(noise_bar)


def bound_from_sums(posterior: OptimalPosterior, sums: Statistics, outputs: int) -> float:
    """F in nats from one pass: |e|^2 = r^T r - m^T A r - s2 |m|^2 loses digits where noise is small."""
    projection = sums.projection
    if not posterior.frame.whitened:
        projection = times_thin(posterior.frame.L_inverse, projection)
    m, s2 = posterior.mean, posterior.frame.noise
    squared_error = sums.squares - float(np.sum(m * projection)) - s2 * float(np.sum(m * m))
    return bound_and_noise_adjoint(posterior, sums, max(squared_error, 0.0), outputs)[0]


def assign_posterior(model: object, posterior: OptimalPosterior) -> None:
    """Set `model.q_mean [P, M]` and `model.q_sqrt [P, M, M]` to the optimum, whitened as the model is."""
    mean, sqrt = (posterior.mean, posterior.sqrt) if model.whiten else posterior.unwhitened()  # type: ignore[attr-defined]
    for variable, value in ((model.q_mean, mean.T), (model.q_sqrt, sqrt)):  # type: ignore[attr-defined]
        variable.assign(np.broadcast_to(value, variable.shape).astype(variable.dtype.as_numpy_dtype))
