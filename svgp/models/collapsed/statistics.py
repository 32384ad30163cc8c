"""Sums over rows from which the collapsed bound follows; sums of several machines add up.

One machine makes the Frame once from the model's present parameters (`CollapsedBound.frame()`) and sends
it (it is plain arrays, and pickles); each computes `CollapsedBound(model, its X, its Y).statistics(frame)`;
any of them adds the answers with `+`, and `optimal_posterior(frame, total)` and `bound_from_sums` are those
of all rows together. [M, M] numbers travel, however many rows a machine has.
tests/models/collapsed/test_shards.py does it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from svgp.errors import NumericalError
from svgp.linalg import factorise
from svgp.linalg.host import blas
from svgp.linalg.host.grams import add_gram_of_rows
from svgp.models.collapsed.panels import Panel, times_thin
from svgp.workers import Workers

CHEAP_ERROR = 3.0  # nats, estimated; the true error was 1e-5 to 3e-3 of the estimate on ten UCI problems


@dataclass(frozen=True)
class Frame:
    """What every row is seen through: `L L^T = Kuu + jitter`, the noise s2, and how sums are taken.

    `noise` `[K]`: one variance for all P outputs, K = 1, or one for each of them, K = P.

    `whitened`: sums of A = L^-1 Kuf (stable); otherwise of Kuf itself (cheap, see `cheap_error`).
    `on_device`: whether what is made of the sums, M^3 operations, is a device's work as well.
    """

    L: np.ndarray  # [M, M]
    L_inverse: np.ndarray  # [M, M]
    noise: np.ndarray  # [K]
    jitter: float  # absolute
    tight: bool = False
    whitened: bool = True
    on_device: bool = False

    def project(self, Kfu: np.ndarray) -> None:
        """Put A^T = Kfu L^-T in the place of Kfu `[C, M]` if the frame is whitened."""
        if self.whitened:
            blas.triangular_product_right(Kfu, self.L_inverse, transpose=True)

    def cheap_error(self, gram_trace: float) -> float:
        """Rounding error of log|I + L^-1 (Kuf Kfu) L^-T / s2|, in nats, if Kuf Kfu is summed first.

        `eps tr(Kuf Kfu) |L^-1|_F^2 / s2`: the sum is known to eps of its norm, L^-1 from both sides
        enlarges that by at most |L^-1|_2^2 <= |L^-1|_F^2, and the smallest eigenvalue of B is 1.
        """
        norm = float(np.einsum("ij,ij->", self.L_inverse, self.L_inverse))
        return float(np.finfo(np.float64).eps) * gram_trace * norm / float(self.noise.min())


def factor_covariance(Kuu: np.ndarray, jitter: float) -> tuple[np.ndarray, np.ndarray, float]:
    """`L, L^-1` of `Kuu + jitter I` and the jitter used, by the rule of `svgp.linalg.factorise`.

    Raises NumericalError where no jitter was enough.
    """
    factor = factorise(tf.convert_to_tensor(Kuu, tf.float64), jitter)
    L, L_inverse = np.asarray(factor.L), np.asarray(factor.L_inverse)
    if not np.all(np.isfinite(L_inverse)):
        size = len(Kuu)
        raise NumericalError(
            f"Kuu [{size}, {size}] is not finite or not positive definite after a jitter of "
            f"{float(factor.jitter):.1e}: look at the lengthscales and at Z"
        )
    return L, L_inverse, float(factor.jitter)


@dataclass
class Statistics:
    """Sums over rows. With A = L^-1 Kuf, r = y - mean, d = kff - colsum(A o A), one column per row n:

    `gram` A A^T (lower triangle), `projection` A r; if not whitened Kuf in the place of A.
    `weighted` A diag(1 / (s2 + d)) A^T, summed over the noise variances, and `log_ratio` sum log(1 + d/s2),
    `shrinkage` sum d / (s2 (s2 + d)), of each one `[K]`: for the tight bound alone (`weighted` for its
    gradient). `prior` sum kff, `squares` sum r^2 of each output `[P]`, `rows`.
    """

    gram: np.ndarray  # [M, M]
    projection: np.ndarray  # [M, P]
    weighted: np.ndarray | None  # [M, M]
    rows: int = 0
    prior: float = 0.0
    squares: np.ndarray = field(default_factory=lambda: np.zeros(1))  # [P]
    log_ratio: np.ndarray = field(default_factory=lambda: np.zeros(1))  # [K]
    shrinkage: np.ndarray = field(default_factory=lambda: np.zeros(1))  # [K]

    @staticmethod
    def zero(size: int, outputs: int, tight: bool, noises: int = 1) -> Statistics:
        """Sums over no rows, for `size` inducing points; `tight`: with what its gradient needs."""
        weighted = np.zeros((size, size)) if tight else None
        each = np.zeros(outputs), np.zeros(noises), np.zeros(noises)
        return Statistics(np.zeros((size, size)), np.zeros((size, outputs)), weighted, 0, 0.0, *each)

    def __add__(self, other: Statistics) -> Statistics:
        """Sums over the rows of both, which must have been seen through the same Frame."""
        total = Statistics(self.gram + other.gram, self.projection + other.projection, None)
        if self.weighted is not None and other.weighted is not None:
            total.weighted = self.weighted + other.weighted
        for name in ("rows", "prior", "squares", "log_ratio", "shrinkage"):
            setattr(total, name, getattr(self, name) + getattr(other, name))
        return total


def summed(own: Statistics, workers: Workers) -> Statistics:
    """The sums over the rows of all workers, in one message."""
    if workers.alone:
        return own
    numbers = [own.rows, own.prior, own.squares, own.log_ratio, own.shrinkage]
    weighted = [] if own.weighted is None else [own.weighted]
    gram, projection, rows, prior, *each = workers.sum([own.gram, own.projection, *numbers, *weighted])
    found = each.pop() if weighted else None
    return Statistics(gram, projection, found, round(float(rows)), float(prior), *each)


def add_rows(into: Statistics, frame: Frame, panel: Panel, r: np.ndarray) -> None:
    """Add the rows of one panel, Kfu or A^T as `Frame.project` left it, with r `[C, P]` to `into`."""
    values = panel.values  # [C, M]
    add_gram_of_rows(values, into.gram)
    into.projection += times_thin(values, r, transpose=True)  # [M, P]
    into.rows += len(r)
    into.prior += float(panel.kff.sum())
    into.squares += np.sum(r * r, 0)
    if frame.tight:
        d = residual_variance(values, panel.kff)  # [C]
        total = frame.noise + d[:, None]  # [C, K]
        if into.weighted is not None:
            np.multiply(values, np.sum(1.0 / total, 1, keepdims=True) ** 0.5, out=panel.scratch)  # [C, M]
            add_gram_of_rows(panel.scratch, into.weighted)
        into.log_ratio += np.sum(np.log1p(d[:, None] / frame.noise), 0)
        into.shrinkage += np.sum(d[:, None] / total, 0) / frame.noise


def residual_variance(A: np.ndarray, kff: np.ndarray) -> np.ndarray:
    """`d = kff - rowsum(A o A)` for A `[C, M]`, not below zero, where rounding could put it."""
    return np.maximum(kff - np.einsum("cm,cm->c", A, A), 0.0)  # [C]
