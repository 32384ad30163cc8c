"""The residual process of a model at its present kernel and Z: what predictions and evidence both condition.

`R(x, x') = k(x, x') - a(x)^T a(x')`, `a(x) = L^-1 k(Z, x)`, `L L^T = Kuu + jitter`; see `conditional`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from svgp.linalg.backend import use_host
from svgp.linalg.host.threads import single_threaded_blas
from svgp.models.collapsed.panels import Lane, Lanes, Panel
from svgp.models.collapsed.statistics import Frame, factor_covariance
from svgp.models.neighbours.conditional import Conditional, condition
from svgp.models.neighbours.sets import kernel_sets


class SetMemory(NamedTuple):
    """For what the sets of C rows need; the same at each evaluation: new memory would take a tenth of it."""

    C: np.ndarray  # [C, m, m]
    K: np.ndarray  # [C, m + 1, m + 1]
    slope: np.ndarray  # [C, m + 1, m + 1]


class ResidualProcess:
    """Reads `model.kernel`, `model.Z`, `model.jitter` (and the noise, where there is one) when made.

    One kernel for all latents. `columns`: of the inputs, D. `variables`: what gradients will be asked for;
    `on_device`: whether a device sums what they are made of.
    """

    def __init__(
        self, model: Any, columns: int, variables: Sequence[tf.Variable] = (), on_device: bool = False
    ) -> None:
        self.model = model
        self.kernel = kernel_sets(model, variables, columns, on_device)
        self._points: np.ndarray | None = None
        self._on_device = not use_host(tf.zeros([1, 1], tf.float64))
        self.graphs: dict[tuple[int, ...], Any] = {}  # of a device, which the same kernel over others has too
        self.read()

    def at(self, Z: np.ndarray) -> ResidualProcess:
        """The same kernel and noise over other points Z `[M, D]`. Raises NumericalError."""
        other = copy.copy(self)
        other.kernel, other._points = self.kernel.at(Z), Z
        other.read()
        return other

    def points(self) -> np.ndarray:
        """Z `[M, D]`."""
        return np.asarray(self.model.Z.numpy() if self._points is None else self._points, np.float64)

    def read(self) -> None:
        """Read the parameters anew. Raises NumericalError where Kuu has no factor."""
        with single_threaded_blas():
            Kuu, noise = self.kernel.begin()
            self.noise = float(noise[0])  # of the evidence, which has one
            L, L_inverse, jitter = factor_covariance(Kuu, float(self.model.jitter))
        # The noise is in each row's own variance: of unit noise are the rows that are divided by its root.
        self.frame = Frame(L, L_inverse, np.ones(1), jitter, on_device=self._on_device)

    def project(self, X: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """A: the rows `a(x_i)^T` `[N, M]` for X `[N, D]`; M^2 operations a row, on all threads."""
        size = len(self.frame.L)
        A = np.empty((len(X), size)) if out is None else out
        if len(X) == 0:
            return A
        lanes = Lanes(len(X), size)

        def fill(lane: Lane, number: int, rows: slice) -> None:
            self.fill(X[rows], A[rows], lane)

        with single_threaded_blas():
            lanes.run(fill, lambda: True)
        return A

    def fill(self, X: np.ndarray, A: np.ndarray, lane: Lane, slope: np.ndarray | None = None) -> None:
        """Rows of A for some rows, with a lane's memory; `slope [C, M]`: to be kept for their adjoint."""
        self.panel(X, A, lane, slope)
        self.frame.project(A)

    def panel(self, X: np.ndarray, values: np.ndarray, lane: Lane, slope: np.ndarray | None = None) -> Panel:
        """K(X, Z) in `values [C, M]`, and its slope, by default in a lane's memory."""
        own = lane.panel(len(X))
        panel = Panel(values, own.slope if slope is None else slope, own.scratch, own.kff)
        self.kernel.fill(X, panel, lane)
        return panel

    def condition(
        self,
        X: np.ndarray,
        A: np.ndarray,
        sets: np.ndarray,
        present: np.ndarray,
        lam: np.ndarray,
        at: np.ndarray | None = None,
        memory: SetMemory | None = None,
    ) -> Conditional:
        """b and D of rows given their neighbours (see `svgp.models.neighbours.conditional`).

        X `[U, D]`, A `[U, M]` of a pool of rows, `sets [C, m + 1]` the pool's rows [neighbours; row],
        `present [C, m]` (`index_sets` makes both), `lam [C, m + 1]` noise variances of the sets; the last
        is part of D, and 0 there gives the variance of f. `at [C, M]` is filled, where given; `memory`: the
        covariances are kept there for the adjoint. Runs on the calling thread; threads may share it.
        """
        if memory is None:
            return condition(A, sets, present, self.kernel.sets(X[sets])[0], lam, at)
        covariances = self.kernel.sets(X[sets], (memory.K, memory.slope))
        found = condition(A, sets, present, covariances[0], lam, at, memory.C)
        found.covariances = covariances
        return found
