"""Both passes of the collapsed bound over the rows on the host: by BLAS and hand-written adjoints, in panels.

The formulas are those of `svgp.models.collapsed.bound`. Lanes, a thread each, share the panels of a block;
what pass 1 made of the first of them stays in memory for pass 2. On a GPU: `svgp.models.collapsed.device`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from svgp.linalg.host import blas
from svgp.models.collapsed.kernels import KernelRows
from svgp.models.collapsed.panels import Lane, Lanes, Panel, times_thin
from svgp.models.collapsed.posterior import OptimalPosterior, row_adjoint
from svgp.models.collapsed.statistics import Frame, Statistics, add_rows, residual_variance
from svgp.rows import Block


class HostPasses:
    """Both passes for one model, whose `kernel` fills panels; blocks of up to `rows`, `outputs` P.

    `chunk`: rows of a panel, for tests.
    """

    def __init__(self, model: Any, kernel: KernelRows, rows: int, outputs: int, chunk: int | None) -> None:
        self._kernel, self._sizes = kernel, (int(model.Z.shape[0]), outputs)
        self.panels = Lanes(rows, self._sizes[0], chunk)

    @property
    def lanes(self) -> list[Lane]:
        """With them pass 2 leaves the gradient through Kuf and kff."""
        return self.panels.lanes

    def release(self) -> None:
        """Give back the memory of kept panels."""
        self.panels.release()

    def begin_first(self, frame: Frame, *, keep: bool, gradient: bool) -> None:
        """Pass 1 begins; `keep` panels for pass 2. For the `gradient`, or the value alone."""
        self._frame, self._keep = frame, keep
        tight = frame.tight and gradient
        self._sums = [Statistics.zero(*self._sizes, tight, len(frame.noise)) for _ in self.lanes]

    def add_first(self, block: Block, R: np.ndarray, keep_going: Callable[[], bool]) -> None:
        """A block of rows X `[n, D]` with residuals R `[n, P]`. Raises Stopped."""

        def add(lane: Lane, number: int, rows: slice) -> None:
            panel = self.panels.panel(lane, rows, block.start) if self._keep else lane.panel(length(rows))
            self._kernel.fill(block.X[rows], panel, lane)
            self._frame.project(panel.values)
            add_rows(self._sums[number], self._frame, panel, R[rows])

        self.panels.run(add, keep_going, len(R))

    def statistics(self) -> Statistics:
        """The sums of pass 1."""
        return sum(self._sums[1:], start=self._sums[0])

    def begin_second(self, posterior: OptimalPosterior) -> None:
        """Pass 2 begins."""
        self._posterior, self._right = posterior, row_adjoint(posterior)  # [M, M]
        self._kernel.clear(self.lanes)

    def add_second(self, block: Block, R: np.ndarray, keep_going: Callable[[], bool]) -> np.ndarray:
        """The errors e `[n, P]` of a block; its part of the kernel's gradient is added to the lanes."""
        posterior, frame = self._posterior, self._posterior.frame
        weights = posterior.weights  # [M, P]
        own_weights = posterior.mean if frame.whitened else weights  # of what a panel holds
        errors = np.empty_like(R)

        def add(lane: Lane, number: int, rows: slice) -> None:
            X, panel = block.X[rows], self.panels.kept(rows, block.start)
            if panel is None:
                panel = lane.panel(len(X))
                self._kernel.fill(X, panel, lane)
                frame.project(panel.values)
            e = errors[rows]  # [C, P]
            np.subtract(R[rows], times_thin(panel.values, own_weights), out=e)
            K_bar, kff_bar = panel_adjoint(posterior, self._right, panel)
            for column, weight in zip((e / frame.noise).T, weights.T, strict=True):
                blas.add_outer(K_bar, column, weight)
            self._kernel.add_adjoint(X, panel, K_bar, kff_bar, lane)

        self.panels.run(add, keep_going, len(R))
        return errors


def length(rows: slice) -> int:
    """How many rows a slice holds."""
    return int(rows.stop - rows.start)


def panel_adjoint(
    posterior: OptimalPosterior, right: np.ndarray, panel: Panel
) -> tuple[np.ndarray, np.ndarray]:
    """Kfu_bar `[C, M]` without its term of rank P, as the panel's scratch, and kff_bar `[C]`."""
    frame, values, K_bar = posterior.frame, panel.values, panel.scratch
    if not frame.tight:
        blas.product(values, right, K_bar)
        return K_bar, np.full(len(values), -0.5 * posterior.share * np.sum(1.0 / frame.noise))
    d = residual_variance(values, panel.kff)  # [C]
    w = posterior.share * np.sum(1.0 / (frame.noise + d[:, None]), 1)  # [C]
    np.multiply(values, w[:, None], out=K_bar)
    blas.product(values, right, K_bar, beta=1.0)
    blas.triangular_product_right(K_bar, frame.L_inverse)
    return K_bar, -0.5 * w
