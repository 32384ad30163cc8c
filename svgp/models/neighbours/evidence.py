"""The log evidence with inducing points and neighbours, streamed: an approximation, no bound.

Rows stand in a fixed random order, n(i) are the m nearest before row i; b, D, at and yt as in `conditional`,
with y less its mean. Then y has the density of independent rows given v ~ N(0, I), u = L v:

    log p(y) ~ log N(yt | 0, At At^T + diag(D))        rows of At are at_i^T, here [N, M]
    B = I + At^T D^-1 At     p = At^T D^-1 yt     w = B^-1 p     e = yt - At w
    = -(N log 2 pi + sum log D + log|B| + sum e^2 / D + |w|^2) / 2

No neighbours: FITC. All earlier rows: the exact log evidence, whatever Z. Its sums are the collapsed bound's,
over rows divided by the roots of their own D: the same code finds w and B^-1 (`optimal_posterior`, unit
noise), and sums of several machines add up. P outputs share kernel and noise: w, e and yt add up.

Adjoints by row, w and B^-1 held:
    at_bar = (e w - P B^-1 at) / D     yt_bar = -e / D     D_bar = (e^2 + P at^T B^-1 at - P D) / (2 D^2)
and on through the neighbours as `conditional` says; then Kuu_bar = -L^-T X L^-1 / 2 with X = A_bar^T A, which
summed over all rows is w w^T - P (I - B^-1) - (Ut^T At + At^T Ut), symmetric: its lower triangle is enough.

Cost in M^2 N operations: 1 to project, 1 to sum, and 2 for B^-1 at, 1 for X, 1 back through L; beside these
about 2 m^2 M + 12 m M operations a row, m^3, and what is touched twice where rows do not fit in one block.
The passes over the rows: `svgp.models.neighbours.on_host`, on a GPU `on_device`; their memory: `blocks`.
Sources: Sang & Huang 2012, Katzfuss 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import NumericalError
from svgp.linalg.backend import use_host
from svgp.linalg.host import blas
from svgp.linalg.host.threads import single_threaded_blas
from svgp.models.collapsed.mean import mean_gradients, residuals
from svgp.models.collapsed.posterior import OptimalPosterior, optimal_posterior
from svgp.models.collapsed.square import congruence
from svgp.models.collapsed.statistics import Frame, Statistics, summed
from svgp.models.neighbours.blocks import Blocks
from svgp.models.neighbours.on_device import DevicePasses
from svgp.models.neighbours.on_host import HostPasses
from svgp.models.neighbours.process import ResidualProcess
from svgp.models.neighbours.search import earlier_neighbours, kernel_scales, random_order
from svgp.replicas import replicas
from svgp.workers import Workers


@dataclass(frozen=True)
class NeighbourEvaluation:
    """The evidence at one setting of the parameters: in nats for all rows, an approximation and no bound.

    `gradients` in the order of `NeighbourEvidence.variables`; `posterior` of v given all rows; `jitter` is
    what the diagonal of Kuu got, absolute.
    """

    evidence: float
    gradients: list[np.ndarray]
    posterior: OptimalPosterior
    jitter: float


class NeighbourEvidence:
    """log p(Y | X) of a model with Gaussian noise, as a function of the model's own variables.

    `model`: an SVGP, of which `kernel`, `likelihood` (one variance), `mean`, `Z` and `jitter` are read.
    `X [N, D]`, `Y [N, P]`. `count`: neighbours m of a row; `seed`: of the order. `neighbours [N, m]`: rows
    that come earlier, NONE for none; by default searched for, and kept while the model changes. `scales [D]`
    of that search: by default the model's present lengthscales. `variables`: what gradients are asked for, by
    default all. `process`: through which rows are seen, where not through the model's own points.
    `block_rows`, `panel_rows`: for tests.
    `group`: each of these workers goes through its share of the rows, and what they find is summed, `[M, M]`
    numbers and a gradient: all must call alike, with the same X and Y.
    """

    def __init__(
        self,
        model: Any,
        X: np.ndarray,
        Y: np.ndarray,
        *,
        count: int = 16,
        seed: int = 0,
        neighbours: np.ndarray | None = None,
        scales: np.ndarray | None = None,
        block_rows: int | None = None,
        panel_rows: int | None = None,
        group: Workers | None = None,
        variables: Sequence[tf.Variable] | None = None,
        process: ResidualProcess | None = None,
    ) -> None:
        self.group = group or Workers()
        self.model, self.X, self.count = model, np.asarray(X, np.float64), count
        self.Y = np.asarray(Y, np.float64).reshape(len(X), -1)
        self.order = random_order(len(X), seed)
        self.variables = self.trainable(model) if variables is None else list(variables)
        self.passes = 0  # over all rows
        on_device = not use_host(tf.zeros([1, 1], tf.float64))
        self.process = process or ResidualProcess(model, self.X.shape[1], self.variables, on_device)
        self._on_device, self._block_rows, self._panel_rows = on_device, block_rows, panel_rows
        self._work: Any = None  # the passes, HostPasses or DevicePasses: made once blocks are known
        self.search(kernel_scales(model.kernel, self.X) if scales is None else scales, neighbours)

    def search(self, scales: np.ndarray, neighbours: np.ndarray | None = None) -> None:
        """Find each row's neighbours where `scales [D]` measure distance, or take these: the value jumps."""
        if neighbours is None:
            neighbours = earlier_neighbours(self.X, scales, self.order, self.count, self._on_device)
        self.neighbours = neighbours
        kept = np.isfinite(scales)
        points = self.X[:, kept] / scales[kept]
        size = len(self.process.frame.L)
        devices = replicas().count if self._on_device else 1
        self._blocks = Blocks(points, neighbours, size, self._block_rows, self.group.shard, devices)
        if self._work is None and self._on_device:
            sizes = self.X.shape[1], self.Y.shape[1], neighbours.shape[1] + 1
            longest = self._blocks.longest
            self._work = DevicePasses(self.process, self.variables, *sizes, longest, self._panel_rows)
        elif self._work is None:
            self._work = HostPasses(self.process, len(self.X), self._panel_rows)

    @staticmethod
    def trainable(model: Any) -> list[tf.Variable]:
        """The variables that the evidence depends on: all that are trained but those of q(u)."""
        held = {id(getattr(model, name, None)) for name in ("q_mean", "q_sqrt")}
        return [v for v in model.trainable_variables if id(v) not in held]

    def evaluate(self, keep_going: Callable[[], bool] = lambda: True) -> NeighbourEvaluation:
        """The evidence and its gradient, in two passes over the rows.

        Raises NumericalError where a factorisation fails or the evidence is not finite, and Stopped.
        """
        self.process.read()
        with single_threaded_blas():
            R = residuals(self.model, self.X, self.Y)  # [N, P]
            sums, kept = self._first_pass(R, keep_going, keep=self._blocks.may_be_kept)
            posterior = optimal_posterior(self.process.frame, sums)
            return self._second_pass(posterior, sums, R, kept, keep_going)

    def statistics(self, frame: Frame | None = None) -> Statistics:
        """Sums over these rows; of several machines, seen through the same frame, they add up.

        `gram` At^T D^-1 At (lower triangle), `projection` At^T D^-1 yt, `squares` sum yt^2 / D, `log_ratio`
        sum log D: `evidence_from_sums` makes the evidence of them.
        """
        self.process.read()
        if frame is not None:
            self.process.frame = frame
        with single_threaded_blas():
            return self._first_pass(residuals(self.model, self.X, self.Y), lambda: True, keep=False)[0]

    def value(self) -> float:
        """The evidence alone, in one pass over the rows. Raises NumericalError as `evaluate` does."""
        sums = self.statistics()
        evidence = evidence_from_sums(optimal_posterior(self.process.frame, sums), sums)
        if not np.isfinite(evidence):
            raise NumericalError("the evidence with neighbours is not finite")
        return evidence

    def posterior(self) -> OptimalPosterior:
        """q(v) given all rows: its mean w `[M, P]` and covariance B^-1, in one pass over the rows."""
        return optimal_posterior(self.process.frame, self.statistics())

    def _first_pass(
        self, R: np.ndarray, keep_going: Callable[[], bool], keep: bool
    ) -> tuple[Statistics, Any]:
        with self.group.together():
            own, kept = self._work.first(self._blocks, self.X, R, keep_going, keep)
        self.passes += 1
        return summed(own, self.group), kept

    def _second_pass(
        self,
        posterior: OptimalPosterior,
        sums: Statistics,
        R: np.ndarray,
        kept: Any,
        keep_going: Callable[[], bool],
    ) -> NeighbourEvaluation:
        with self.group.together():
            adjoint = self._work.second(posterior, self._blocks, kept, self.X, R, keep_going)
        self.passes += 1
        X = blas.mirror_lower(np.sum(adjoint.moments, axis=0))
        trace = float(np.trace(X))
        frame = posterior.frame
        Kuu_bar = -0.5 * congruence(frame.L_inverse, X, frame.on_device, transpose=True)
        evidence = evidence_from(posterior, sums, float(self.group.sum([adjoint.squared_error])[0]))
        noise_bar = np.array([adjoint.noise_bar])
        from_kernel = self.process.kernel.gradients(self._work.lanes, Kuu_bar, noise_bar, trace)
        from_mean = mean_gradients(self.model, self.variables, self.X, -adjoint.r_bar)
        gradients = self.group.sum([one + other for one, other in zip(from_kernel, from_mean, strict=True)])
        if not np.isfinite(evidence) or not all(np.all(np.isfinite(g)) for g in gradients):
            raise NumericalError("the evidence with neighbours or its gradient is not finite")
        return NeighbourEvaluation(evidence, gradients, posterior, posterior.frame.jitter)


def evidence_from(posterior: OptimalPosterior, sums: Statistics, squared_error: float) -> float:
    """The evidence in nats, `squared_error` = sum e^2 / D."""
    outputs = posterior.mean.shape[1]
    quadratic = squared_error + float(np.sum(posterior.mean**2))
    spread = sums.rows * np.log(2.0 * np.pi) + float(np.sum(sums.log_ratio + posterior.log_det))
    return -0.5 * (outputs * spread + quadratic)


def evidence_from_sums(posterior: OptimalPosterior, sums: Statistics) -> float:
    """The same from one pass: sum e^2 / D = sum yt^2 / D - p^T w - |w|^2 loses digits with little noise."""
    w = posterior.mean
    squared_error = float(np.sum(sums.squares)) - float(np.sum(sums.projection * w)) - float(np.sum(w * w))
    return evidence_from(posterior, sums, max(squared_error, 0.0))
