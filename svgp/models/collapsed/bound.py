"""The collapsed bound for Gaussian noise (Titsias 2009), its gradient and its optimal q(u), streamed.

With `L L^T = Kuu`, `A = L^-1 Kuf [M, N]`, `r = y - mean`, `d = kff - colsum(A o A)`, `B = I + A A^T / s2`,
`m = B^-1 A r / s2` and residuals `e = r - A^T m`, for P outputs that share the kernel and the noise:

    F = -N P/2 log(2 pi s2) - P/2 log|B| - |e|^2 / (2 s2) - |m|^2 / 2 - P sum phi(d)
    phi = d / (2 s2)   or, tight (Titsias 2025),   phi = log(1 + d / s2) / 2

|e|^2 / s2 + |m|^2 is the minimum over m of itself, so unlike `r^T r / s2 - ...` it does not cancel and
errors of m enter squared. Pass 1 sums A A^T and A r over panels of rows; pass 2 needs e and the gradient.
Adjoints, with w = 1 / s2 or, tight, 1 / (s2 + d); by the envelope theorem m and B^-1 are held:

    A_bar   = -P B^-1 A / s2 + P A diag(w) + m e^T / s2       Kuf_bar = L^-T A_bar     kff_bar = -P w / 2
    Kuu_bar = -L^-T X L^-1 / 2,   X = A_bar A^T = P (A diag(w) A^T - I + B^-1) + m m^T   (symmetric)
    mean_bar = e / s2
    s2_bar  = -N P / (2 s2) + P (M - tr B^-1) / (2 s2) + |e|^2 / (2 s2^2) - P sum dphi/ds2

Outputs with noise variances of their own have a B each, and F and all adjoints are sums over them: passes
over the rows cost the same (w is summed over the outputs before it is used), P factorisations come on top.

No adjoint passes through a factorisation. Cost in M^2 N operations, standard bound: cheap 1 + 2 (Kuf Kfu is
summed, Kuf_bar is one product with Kuf), whitened 2 + 2; tight 3 + 3, and one more for rows whose A is not
kept between the passes. The cheap form loses eps |Kuf Kfu| |L^-1|^2 / s2 nats (`Frame.cheap_error`); it is
taken where that is below 3, when the true error is below 1e-2.
Memory: O(M^2 + M C), and up to 1 GiB of panels that are kept (`svgp.models.collapsed.panels`).
Formulas: Titsias 2009, eq. 9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError, NumericalError
from svgp.linalg.backend import use_host
from svgp.linalg.host.threads import single_threaded_blas
from svgp.models.bounds import Bound, as_bound
from svgp.models.collapsed.device import DevicePasses
from svgp.models.collapsed.host import HostPasses
from svgp.models.collapsed.kernels import TensorFlowRows, kernel_rows
from svgp.models.collapsed.mean import mean_gradients, residuals
from svgp.models.collapsed.panels import Stopped
from svgp.models.collapsed.posterior import (
    OptimalPosterior,
    assign_posterior,
    bound_and_noise_adjoint,
    covariance_adjoint,
    optimal_posterior,
)
from svgp.models.collapsed.statistics import (
    CHEAP_ERROR,
    Frame,
    Statistics,
    factor_covariance,
    summed,
)
from svgp.rows import Block, as_rows
from svgp.workers import Workers

__all__ = ["CollapsedBound", "Evaluation", "Stopped", "check_model", "collapsed_variables"]

Form = Literal["auto", "cheap", "whitened"]
BLOCK_ROWS = 1 << 16  # rows that are in memory at a time, where not all of them are
SHUFFLED_ROWS = 1 << 14  # between two looks at the clock


@dataclass(frozen=True)
class Evaluation:
    """The bound at one setting of the parameters.

    `bound` in nats for all rows; `gradients` in the order of `CollapsedBound.variables`;
    `form` is `cheap` or `whitened`; `jitter` is what the diagonal of Kuu got, absolute.
    """

    bound: float
    gradients: list[np.ndarray]
    posterior: OptimalPosterior
    form: str
    jitter: float

    @property
    def kl(self) -> float:
        """KL(q(u) || p(u)) in nats at the optimal q(u)."""
        return self.posterior.kl


class CollapsedBound:
    """F(X, Y) of a model with Gaussian noise, as a function of the model's own variables.

    `model` is an SVGP with one kernel for all outputs and a Gaussian likelihood, of one variance or of one
    for each output; `X [N, D]`, `Y [N, P]`, or X `svgp.rows.Rows` and no Y. `bound`: one of
    `svgp.models.bounds`, by default the model's. `chunk`: rows a panel, for tests. `workers`: each goes
    through its shard of the rows, and what they find is summed, `[M, M]` numbers and a gradient: all must
    call alike. `variables`: those that gradients are wanted of, by default all that F depends on.
    Raises ModelError where the model does not fit.
    """

    def __init__(
        self,
        model: Any,
        X: Any,
        Y: Any = None,
        *,
        bound: str | Bound | None = None,
        form: Form = "auto",
        chunk: int | None = None,
        workers: Workers | None = None,
        variables: Sequence[tf.Variable] | None = None,
    ) -> None:
        self.model, self.rows = model, as_rows(X, Y)
        self.workers = workers or Workers()
        self._own = self.rows.shard(*self.workers.shard)  # the rows that this one goes through
        self.bound = as_bound(bound or model.bound)
        self.form = form
        self.chunk = chunk
        self.passes = 0  # over all rows
        check_model(model, self.rows.outputs)
        self.variables = collapsed_variables(model) if variables is None else list(variables)
        self._work: HostPasses | DevicePasses
        if use_host(tf.zeros([1, 1], tf.float64)):
            self._kernel = kernel_rows(model, self.variables, self.rows.inputs)
            longest = self._own.count if self._own.in_memory else min(self._own.count, BLOCK_ROWS)
            self._work = HostPasses(model, self._kernel, longest, self.rows.outputs, chunk)
        else:
            self._kernel = TensorFlowRows(model, self.variables, self.rows.inputs)
            self._work = DevicePasses(model, self.variables, self.rows.inputs, self.rows.outputs, chunk)

    def evaluate(self, keep_going: Callable[[], bool] = lambda: True) -> Evaluation:
        """F, its gradient and the optimal q(u), in two passes over the rows.

        Raises NumericalError where a factorisation fails or F is not finite, and Stopped.
        """
        with single_threaded_blas():
            return self._evaluate(keep_going)

    def _evaluate(self, keep_going: Callable[[], bool]) -> Evaluation:
        frame = self.frame()
        sums = self._first_pass(frame, keep_going, keep=self._kernel.keeps)
        posterior = optimal_posterior(frame, sums)
        Kuu_bar, products = covariance_adjoint(posterior, sums)
        with self.workers.together():
            squared_errors, from_mean = self._second_pass(posterior, keep_going)
        (squared_errors,) = self.workers.sum([squared_errors])
        bound, noise_bar = bound_and_noise_adjoint(posterior, sums, squared_errors)
        if not self.workers.chief:  # what all rows share is in the sum once
            Kuu_bar, noise_bar, products = np.zeros_like(Kuu_bar), np.zeros_like(noise_bar), 0.0
        lanes: Sequence[Any] = self._work.lanes
        from_kernel = self._kernel.gradients(lanes, Kuu_bar, noise_bar, products)
        gradients = [one + other for one, other in zip(from_kernel, from_mean, strict=True)]
        gradients = self.workers.sum(gradients)
        if not np.isfinite(bound) or not all(np.all(np.isfinite(g)) for g in gradients):
            raise NumericalError("the collapsed bound or its gradient is not finite")
        form = "whitened" if frame.whitened else "cheap"
        return Evaluation(bound, gradients, posterior, form, frame.jitter)

    def posterior(
        self, keep_going: Callable[[], bool] | None = None, seed: int = 0,
        between: Callable[[], bool] = lambda: True,
    ) -> tuple[OptimalPosterior, Statistics]:  # fmt: skip
        """The optimal q(u) at the present parameters and the sums it came from: one pass over the rows.

        With `keep_going` in an order that `seed` shuffles, and, from where that says no, of the rows seen by
        then: `rows` of the sums says how many. `between` two panels may raise, or say no for Stopped.
        """
        with single_threaded_blas():
            frame = self.frame()
            self._kernel.begin()
            blocks = None if keep_going is None else self._shuffled(keep_going, seed)
            # A third less than with the gradient.
            sums = self._first_pass(frame, between, gradient=False, blocks=blocks)
            return optimal_posterior(frame, sums), sums

    def assign(self, posterior: OptimalPosterior) -> None:
        """Give `model.q_mean` and `model.q_sqrt` the optimum: then `model.elbo((X, Y))` is F."""
        assign_posterior(self.model, posterior)

    def release(self) -> None:
        """Give back the memory of kept panels; the next evaluation takes it again."""
        self._work.release()

    def frame(self) -> Frame:
        """How the model's present parameters see each row: what `statistics` of all machines must share.

        Each worker makes its own. To factor takes 2/3 M^3 operations, beside some 6 M^2 of each row, for
        which the others would wait, and a message of L and L^-1 is 2 M^2 numbers: at M = 1000 it took each
        of four workers on one machine more processor time than the factor does, at 256 three times as much.
        """
        with single_threaded_blas():
            Kuu, noise = self._kernel.begin()
            L, L_inverse, jitter = factor_covariance(Kuu, self.model.jitter)
        tight = self.bound.is_tight
        on_device = isinstance(self._work, DevicePasses)
        frame = Frame(L, L_inverse, noise, jitter, tight, whitened=True, on_device=on_device)
        if tight or self.form == "whitened":
            return frame
        if self.form == "auto":
            X = self.rows.sample()[0]
            trace = self._kernel.trace(X) * (self.rows.count / len(X))
            if not frame.cheap_error(trace) < CHEAP_ERROR:
                return frame
        return replace(frame, whitened=False)

    def statistics(self, frame: Frame, keep_going: Callable[[], bool] = lambda: True) -> Statistics:
        """Sums over the rows of X, Y; sums of several machines with the same parameters add up."""
        with single_threaded_blas():
            self._kernel.begin()
            return self._first_pass(frame, keep_going)

    def _blocks(self) -> Iterator[Block]:
        return self._own.blocks(None if self._own.in_memory else BLOCK_ROWS)

    def _shuffled(self, keep_going: Callable[[], bool], seed: int) -> Iterator[Block]:
        """Each row once, in a random order, until there is no going on; but not none."""
        start = 0
        batches = self._own.batches(SHUFFLED_ROWS, seed)
        while start < self._own.count and (not start or keep_going()):
            X, Y = next(batches)
            yield Block(start, X, Y)
            start += len(X)

    def _first_pass(
        self, frame: Frame, keep_going: Callable[[], bool], *, keep: bool = False, gradient: bool = True,
        blocks: Iterator[Block] | None = None,
    ) -> Statistics:  # fmt: skip
        """Sums over all rows (or those of `blocks`); `keep` panels for `_second_pass`.

        For the `gradient`, or the value alone.
        """
        blocks = self._blocks() if blocks is None else blocks
        with self.workers.together():
            self._work.begin_first(frame, keep=keep, gradient=gradient)
            for block in blocks:
                self._work.add_first(block, self._residuals(block), keep_going)
            own = self._work.statistics()
        self.passes += 1
        return summed(own, self.workers)

    def _second_pass(
        self, posterior: OptimalPosterior, keep_going: Callable[[], bool]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """|e|^2 `[P]` and the gradient through the mean; that through Kuf and kff is left with the lanes."""
        self._work.begin_second(posterior)
        squared_errors = np.zeros(self.rows.outputs)
        from_mean = [np.zeros(v.shape) for v in self.variables]
        for block in self._blocks():
            errors = self._work.add_second(block, self._residuals(block), keep_going)  # [n, P]
            squared_errors += np.sum(errors**2, 0)
            gradients = mean_gradients(self.model, self.variables, block.X, errors / posterior.frame.noise)
            from_mean = list(map(np.add, from_mean, gradients))
        self.passes += 1
        return squared_errors, from_mean

    def _residuals(self, block: Block) -> np.ndarray:
        """`[n, P]`."""
        return residuals(self.model, block.X, np.asarray(block.Y, np.float64))


def collapsed_variables(model: Any) -> list[tf.Variable]:
    """The trainable variables that F depends on: all but those of q(u)."""
    held = {id(v) for v in (model.q_mean, model.q_sqrt)}
    return [v for v in model.trainable_variables if id(v) not in held]


def check_model(model: Any, outputs: int) -> None:
    """Raise ModelError where `model` is not one that the collapsed bound covers."""
    noise = model.likelihood.noise
    if noise is None:
        kind = type(model.likelihood).__name__
        raise ModelError(f"the collapsed bound needs a Gaussian likelihood, got {kind}: use method: natgrad")
    if noise == "per_row":
        raise ModelError("the collapsed bound needs one noise variance for all rows: use method: natgrad")
    if model.lacks_targets:
        raise ModelError("some targets are missing, and the collapsed bound needs all: use method: natgrad")
    if tf.convert_to_tensor(model.q_sqrt).shape.rank != 3:
        raise ModelError("the optimal q(u) has a full covariance: use model.posterior.type: full")
    if model.outputs.mixes:
        raise ModelError("the collapsed bound needs independent outputs, and these mix latent GPs")
    if model.num_latent != outputs:
        raise ModelError(f"the model has {model.num_latent} latent GPs and the data {outputs} outputs")
    if model.separate_points:
        raise ModelError("the collapsed bound needs one set of inducing points for all outputs")
    rank = model.kernel.K(model.Z[:1]).shape.rank
    if rank != 2:
        raise ModelError("the collapsed bound needs one kernel for all outputs, without batch dimensions")
