"""The evidence with neighbours on the host: both passes over the rows, by BLAS and hand-written adjoints.

The formulas are those of `svgp.models.neighbours.evidence` and `conditional`. Panels of a block's rows are
shared by lanes, a thread each; what the first pass has found of a block stays for the second where it is all
there is. On a GPU: `svgp.models.neighbours.on_device`, with the same two methods.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from svgp.linalg.host import blas
from svgp.linalg.host.grams import add_gram_of_rows, add_symmetric_product
from svgp.linalg.host.threads import workers
from svgp.models.collapsed.panels import (
    LARGEST_LANES,
    PANEL_ENTRIES,
    SHARED_ENTRIES,
    Lane,
    run_panels,
    times_thin,
)
from svgp.models.collapsed.posterior import OptimalPosterior
from svgp.models.collapsed.statistics import Statistics
from svgp.models.neighbours.blocks import Block, Blocks
from svgp.models.neighbours.conditional import Conditional, combination, pull_back, with_one
from svgp.models.neighbours.process import ResidualProcess, SetMemory

FEWEST_ROWS = 64  # of a panel: what NumPy does for each must not cost more than the arithmetic
MOST_ROWS = 1024


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


@dataclass
class HostAdjoint:
    """Sums of the second pass."""

    r_bar: np.ndarray  # [N, P] of the residuals y - mean
    moments: list[np.ndarray]  # [M, M] of each lane: its part of X, lower triangle
    squared_error: float = 0.0  # sum e^2 / D
    noise_bar: float = 0.0


class HostPasses:
    """Both passes for the model of `process`.

    `rows` N of all; `panel_rows`: of a panel, for tests.
    """

    def __init__(self, process: ResidualProcess, rows: int, panel_rows: int | None) -> None:
        self.process = process
        self._arrays: dict[int, np.ndarray] = {}
        size = len(process.frame.L)
        alone = size > LARGEST_LANES
        wanted = (SHARED_ENTRIES if alone else PANEL_ENTRIES) // max(size, 1)
        self._chunk = panel_rows or min(max(wanted, FEWEST_ROWS), MOST_ROWS)
        count = 1 if alone else min(workers(), -(-rows // self._chunk))
        self.lanes = [Lane(self._chunk, size) for _ in range(max(1, count))]

    def first(
        self, blocks: Blocks, X: np.ndarray, R: np.ndarray, keep_going: Callable[[], bool], keep: bool
    ) -> tuple[Statistics, Held | None]:
        """The sums over these rows X `[N, D]`, R `[N, P]`; `keep`: and what the last block is."""
        size = len(self.process.frame.L)
        sums = [Statistics.zero(size, R.shape[1], tight=False) for _ in self.lanes]
        held = None
        for block in blocks:
            held = self._transform(block, X, R, keep_going, sums)
        return sum(sums[1:], start=sums[0]), held if keep else None

    def second(
        self, posterior: OptimalPosterior, blocks: Blocks, kept: Held | None, X: np.ndarray, R: np.ndarray,
        keep_going: Callable[[], bool],
    ) -> HostAdjoint:  # fmt: skip
        """The adjoints of all rows; the gradient through panels and sets is left in `lanes`."""
        size = len(posterior.mean)
        self.process.kernel.clear(self.lanes)
        adjoint = HostAdjoint(np.zeros_like(R), [np.zeros((size, size)) for _ in self.lanes])
        for block in blocks:
            held = kept or self._transform(block, X, R, keep_going, None)
            self._pull_back(posterior, block, held, X, R, adjoint, keep_going)
        return adjoint

    # ---- what is done with a block

    def _transform(
        self, block: Block, X: np.ndarray, R: np.ndarray, keep_going: Callable[[], bool],
        sums: list[Statistics] | None,
    ) -> Held:  # fmt: skip
        """A of a block's rows, b, D, at and yt of its own ones; `sums` get these where there are any."""
        held = self._memory(block, R.shape[1])
        X, r, noise = X[block.rows], R[block.rows], self.process.noise
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

    def _pull_back(
        self,
        posterior: OptimalPosterior,
        block: Block,
        held: Held,
        X: np.ndarray,
        R: np.ndarray,
        adjoint: HostAdjoint,
        keep_going: Callable[[], bool],
    ) -> None:
        """Add the adjoints of a block's own rows."""
        X, r, outputs = X[block.rows], R[block.rows], R.shape[1]
        kernel, w = self.process.kernel, posterior.mean
        weights: np.ndarray = np.empty((2, *block.sets.shape))  # bt and -u
        yt_bar = np.empty_like(held.yt)
        scalars = np.zeros((len(self.lanes), 2))  # sum e^2 / D, noise_bar

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
        panels = -(-panels // len(self.lanes)) * len(self.lanes) if rows >= len(self.lanes) else panels
        edges = [round(rows * index / max(panels, 1)) for index in range(panels + 1)]
        pieces = [slice(*both) for both in zip(edges[:-1], edges[1:], strict=True)]
        run_panels(self.lanes, pieces, work, keep_going)


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
