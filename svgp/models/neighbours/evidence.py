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
Memory: `svgp.models.neighbours.blocks`. On a GPU: `svgp.models.neighbours.on_device`. Sources: Sang & Huang
2012, Katzfuss 2021.
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
from svgp.linalg.host.grams import add_gram_of_rows, add_symmetric_product
from svgp.linalg.host.threads import single_threaded_blas, workers
from svgp.models.collapsed.mean import mean_gradients, residuals
from svgp.models.collapsed.panels import (
    LARGEST_LANES,
    PANEL_ENTRIES,
    SHARED_ENTRIES,
    Lane,
    run_panels,
    times_thin,
)
from svgp.models.collapsed.posterior import OptimalPosterior, optimal_posterior
from svgp.models.collapsed.statistics import Frame, Statistics, summed
from svgp.models.neighbours.blocks import Block, Blocks
from svgp.models.neighbours.conditional import Conditional, combination, pull_back, with_one
from svgp.models.neighbours.on_device import DeviceAdjoint, DevicePasses
from svgp.models.neighbours.process import ResidualProcess, SetMemory
from svgp.models.neighbours.search import earlier_neighbours, kernel_scales, random_order
from svgp.replicas import replicas
from svgp.workers import Workers

FEWEST_ROWS = 64  # of a panel: what NumPy does for each must not cost more than the arithmetic
MOST_ROWS = 1024


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


@dataclass
class Held:
    """What a block's rows have been found to be."""

    A: np.ndarray  # [U, M]
    slope: np.ndarray  # [U, M] of K(X, Z), where the kernel's adjoint needs nothing else
    V: np.ndarray  # [own, M] at_bar - ut, in the second pass
    At: np.ndarray  # [own, M]; it follows V in memory
    both: np.ndarray  # [2 own, M] V and At
    sets: SetMemory  # of the own rows
    conditionals: dict[int, Conditional]  # by the first row of a panel
    yt: np.ndarray  # [own, P]


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
        self._on_device, self._panel_rows = on_device, panel_rows
        self._device: DevicePasses | None = None
        self._block_rows = block_rows
        self._arrays: dict[int, np.ndarray] = {}
        self._make_lanes(panel_rows)
        self.search(kernel_scales(model.kernel, self.X) if scales is None else scales, neighbours)

    def search(self, scales: np.ndarray, neighbours: np.ndarray | None = None) -> None:
        """Find each row's neighbours where `scales [D]` measure distance, or take these: the value jumps."""
        if neighbours is None:
            neighbours = earlier_neighbours(self.X, scales, self.order, self.count)
        self.neighbours = neighbours
        kept = np.isfinite(scales)
        points = self.X[:, kept] / scales[kept]
        size = len(self.process.frame.L)
        devices = replicas().count if self._on_device else 1
        self._blocks = Blocks(points, neighbours, size, self._block_rows, self.group.shard, devices)
        if self._on_device and self._device is None:
            sizes = self.X.shape[1], self.Y.shape[1], neighbours.shape[1] + 1
            longest = self._blocks.longest
            self._device = DevicePasses(self.process, self.variables, *sizes, longest, self._panel_rows)

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

    def posterior(self) -> OptimalPosterior:
        """q(v) given all rows: its mean w `[M, P]` and covariance B^-1, in one pass over the rows."""
        return optimal_posterior(self.process.frame, self.statistics())

    # ---- first pass

    def _first_pass(
        self, R: np.ndarray, keep_going: Callable[[], bool], keep: bool
    ) -> tuple[Statistics, Any]:
        if self._device is not None:
            with self.group.together():
                own, there = self._device.first(self._blocks, self.X, R, keep_going, keep)
            self.passes += 1
            return summed(own, self.group), there
        size = len(self.process.frame.L)
        sums = [Statistics.zero(size, R.shape[1], tight=False) for _ in self._lanes]
        held = None
        with self.group.together():
            for block in self._blocks:
                held = self._transform(block, R, keep_going, sums)
        self.passes += 1
        return summed(sum(sums[1:], start=sums[0]), self.group), held if keep else None

    def _transform(
        self, block: Block, R: np.ndarray, keep_going: Callable[[], bool], sums: list[Statistics] | None
    ) -> Held:
        """A of a block's rows, b, D, at and yt of its own ones; `sums` get these where there are any."""
        held = self._memory(block, R.shape[1])
        X, r, noise = self.X[block.rows], R[block.rows], self.process.noise
        keep = self.process.kernel.keeps

        def project(lane: Lane, number: int, rows: slice) -> None:
            self.process.fill(X[rows], held.A[rows], lane, held.slope[rows] if keep else None)

        def transform(lane: Lane, number: int, rows: slice) -> None:
            sets, present, at = block.sets[rows], block.present[rows], held.At[rows]
            lam = np.full(sets.shape, noise)
            memory = SetMemory(*(x[rows] for x in held.sets)) if keep else None
            found = self.process.condition(X, held.A, sets, present, lam, at, memory)
            held.yt[rows] = np.einsum("cs,csp->cp", with_one(found.b), r[sets])
            held.conditionals[rows.start] = found
            if sums is not None:
                add_transformed(sums[number], held.At[rows], held.yt[rows], found.D, lane)

        self._run(project, len(block.rows), keep_going)
        self._run(transform, block.own, keep_going)
        return held

    # ---- second pass

    def _second_pass(
        self,
        posterior: OptimalPosterior,
        sums: Statistics,
        R: np.ndarray,
        kept: Any,
        keep_going: Callable[[], bool],
    ) -> NeighbourEvaluation:
        adjoint: Adjoint | DeviceAdjoint
        lanes: Sequence[Any] = self._lanes
        with self.group.together():
            if self._device is not None:
                adjoint = self._device.second(posterior, self._blocks, kept, self.X, R, keep_going)
                lanes = self._device.lanes
            else:
                adjoint = self._second_on_host(posterior, R, kept, keep_going)
        self.passes += 1
        X = blas.mirror_lower(np.sum(adjoint.moments, axis=0))
        trace = float(np.trace(X))
        L_inverse = posterior.frame.L_inverse
        blas.triangular_product(L_inverse, X, transpose=True)
        blas.triangular_product_right(X, L_inverse)
        Kuu_bar = -0.25 * (X + X.T)
        evidence = evidence_from(posterior, sums, float(self.group.sum([adjoint.squared_error])[0]))
        noise_bar = np.array([adjoint.noise_bar])
        from_kernel = self.process.kernel.gradients(lanes, Kuu_bar, noise_bar, trace)
        from_mean = mean_gradients(self.model, self.variables, self.X, -adjoint.r_bar)
        gradients = self.group.sum([one + other for one, other in zip(from_kernel, from_mean, strict=True)])
        if not np.isfinite(evidence) or not all(np.all(np.isfinite(g)) for g in gradients):
            raise NumericalError("the evidence with neighbours or its gradient is not finite")
        return NeighbourEvaluation(evidence, gradients, posterior, posterior.frame.jitter)

    def _second_on_host(
        self, posterior: OptimalPosterior, R: np.ndarray, kept: Held | None, keep_going: Callable[[], bool]
    ) -> Adjoint:
        size = len(posterior.mean)
        self.process.kernel.clear(self._lanes)
        adjoint = Adjoint(np.zeros_like(R), [np.zeros((size, size)) for _ in self._lanes])
        for block in self._blocks:
            held = kept or self._transform(block, R, keep_going, None)
            self._pull_back(posterior, block, held, R, adjoint, keep_going)
        return adjoint

    def _pull_back(
        self,
        posterior: OptimalPosterior,
        block: Block,
        held: Held,
        R: np.ndarray,
        adjoint: Adjoint,
        keep_going: Callable[[], bool],
    ) -> None:
        """Add the adjoints of a block's own rows."""
        X, r, outputs = self.X[block.rows], R[block.rows], R.shape[1]
        kernel, w = self.process.kernel, posterior.mean
        weights: np.ndarray = np.empty((2, *block.sets.shape))  # bt and -u
        yt_bar = np.empty_like(held.yt)
        scalars = np.zeros((len(self._lanes), 2))  # sum e^2 / D, noise_bar

        def rows_back(lane: Lane, number: int, rows: slice) -> None:
            found, at, v = held.conditionals[rows.start], held.At[rows], held.V[rows]
            sets, D, yt = found.sets, found.D, held.yt[rows]
            e = yt - times_thin(at, w)  # [C, P]
            blas.product(at, posterior.covariance[0], v)  # B^-1 at
            D_bar = np.einsum("cp,cp->c", e, e) + outputs * (np.einsum("cm,cm->c", at, v) - D)
            D_bar /= 2.0 * D**2
            v *= -outputs / D[:, None]
            for column, weight in zip(e.T, w.T, strict=True):
                blas.add_outer(v, column / D, weight)
            yt_bar[rows] = -e / D[:, None]
            b_bar = -np.einsum("cmp,cp->cm", r[sets[:, :-1]], yt_bar[rows])
            bt, u = with_one(found.b), pull_back(held.A, found, v, D_bar, b_bar)
            weights[0, rows], weights[1, rows] = bt, -u
            K, kept = found.covariances or kernel.sets(X[sets])
            K_bar = (0.5 * u)[:, :, None] * bt[:, None, :]
            K_bar += K_bar.transpose(0, 2, 1).copy()
            kernel.add_sets_adjoint(X[sets], K_bar, K, kept, lane)
            scalars[number] += np.sum(e**2 / D[:, None]), np.sum(u * bt)

        self._run(rows_back, block.own, keep_going)
        size = len(block.rows)
        twice = np.concatenate([block.sets, block.sets])
        back = combination(twice, weights.reshape(twice.shape), size).T.tocsr()  # [U, 2 own]
        for output, column in enumerate(yt_bar.T):
            parts = (weights[0] * column[:, None]).ravel()
            adjoint.r_bar[block.rows, output] += np.bincount(block.sets.ravel(), parts, size)

        def kernel_back(lane: Lane, number: int, rows: slice) -> None:
            panel = lane.panel(rows.stop - rows.start)
            if kernel.keeps:
                panel.slope = held.slope[rows]
            else:
                self.process.panel(X[rows], panel.values, lane)
            K_bar = back[rows] @ held.both  # A_bar
            add_symmetric_product(K_bar, held.A[rows], adjoint.moments[number])
            blas.triangular_product_right(K_bar, posterior.frame.L_inverse)
            kernel.add_adjoint(X[rows], panel, K_bar, np.zeros(len(K_bar)), lane)

        self._run(kernel_back, len(block.rows), keep_going)
        adjoint.squared_error += float(scalars[:, 0].sum())
        adjoint.noise_bar += float(scalars[:, 1].sum())

    # ---- memory and threads

    def _make_lanes(self, panel_rows: int | None) -> None:
        size = len(self.process.frame.L)
        alone = size > LARGEST_LANES
        wanted = (SHARED_ENTRIES if alone else PANEL_ENTRIES) // max(size, 1)
        self._chunk = panel_rows or min(max(wanted, FEWEST_ROWS), MOST_ROWS)
        count = 1 if alone else min(workers(), -(-len(self.X) // self._chunk))
        self._lanes = [Lane(self._chunk, size) for _ in range(max(1, count))]

    def _memory(self, block: Block, outputs: int) -> Held:
        """Arrays for a block, in the same memory each time."""
        size, rows, own, members = len(self.process.frame.L), len(block.rows), block.own, block.sets.shape[1]
        kept = self.process.kernel.keeps
        A, both = self._array(0, (rows, size)), self._array(1, (2 * own, size))
        slope = self._array(2, (rows if kept else 0, size))
        C = self._array(3, (own, members - 1, members - 1))
        K, K_slope = (self._array(place, (own if kept else 0, members, members)) for place in (4, 5))
        sets, yt = SetMemory(C, K, K_slope), np.empty((own, outputs))
        return Held(A, slope, both[:own], both[own:], both, sets, {}, yt)

    def _array(self, place: int, shape: tuple[int, ...]) -> np.ndarray:
        count = int(np.prod(shape))
        if place not in self._arrays or len(self._arrays[place]) < count:
            self._arrays[place] = np.empty(count)
        return self._arrays[place][:count].reshape(shape)

    def _run(
        self, work: Callable[[Lane, int, slice], None], rows: int, keep_going: Callable[[], bool]
    ) -> None:
        panels = -(-rows // self._chunk)
        panels = -(-panels // len(self._lanes)) * len(self._lanes) if rows >= len(self._lanes) else panels
        edges = [round(rows * index / max(panels, 1)) for index in range(panels + 1)]
        pieces = [slice(*both) for both in zip(edges[:-1], edges[1:], strict=True)]
        run_panels(self._lanes, pieces, work, keep_going)


@dataclass
class Adjoint:
    """Sums of the second pass."""

    r_bar: np.ndarray  # [N, P] of the residuals y - mean
    moments: list[np.ndarray]  # [M, M] of each lane: its part of X, lower triangle
    squared_error: float = 0.0  # sum e^2 / D
    noise_bar: float = 0.0


def add_transformed(into: Statistics, at: np.ndarray, yt: np.ndarray, D: np.ndarray, lane: Lane) -> None:
    """Add rows at `[C, M]`, yt `[C, P]` of variance D `[C]` to the sums."""
    root = D**-0.5
    scaled = lane.panel(len(at)).values  # [C, M]
    np.multiply(at, root[:, None], out=scaled)
    targets = yt * root[:, None]
    add_gram_of_rows(scaled, into.gram)
    for output, column in enumerate(targets.T):
        into.projection[:, output] += blas.times_vector(scaled, column, transpose=True)
    into.rows += len(at)
    into.squares += np.sum(targets**2, 0)
    into.log_ratio += float(np.sum(np.log(D)))


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
