"""The collapsed bound for Gaussian noise (Titsias 2009), its gradient and its optimal q(u), streamed.

With `L L^T = Kuu`, `A = L^-1 Kuf [M, N]`, `r = y - mean`, `d = kff - colsum(A o A)`, `B = I + A A^T / s2`,
`m = B^-1 A r / s2` and residuals `e = r - A^T m`, for P outputs that share kernel and noise:

    F = -N P/2 log(2 pi s2) - P/2 log|B| - |e|^2 / (2 s2) - |m|^2 / 2 - P sum phi(d)
    phi = d / (2 s2)   or, tight (Titsias 2025),   phi = log(1 + d / s2) / 2

|e|^2 / s2 + |m|^2 is the minimum over m of itself, so unlike `r^T r / s2 - ...` it does not cancel and
errors of m enter squared. Pass 1 sums A A^T and A r over panels of rows; pass 2 needs e and the gradient.
Adjoints, with w = 1 / s2 or, tight, 1 / (s2 + d); by the envelope theorem m and B^-1 are held:

    A_bar   = -P B^-1 A / s2 + P A diag(w) + m e^T / s2       Kuf_bar = L^-T A_bar     kff_bar = -P w / 2
    Kuu_bar = -L^-T X L^-1 / 2,   X = A_bar A^T = P (A diag(w) A^T - I + B^-1) + m m^T   (symmetric)
    mean_bar = e / s2
    s2_bar  = -N P / (2 s2) + P (M - tr B^-1) / (2 s2) + |e|^2 / (2 s2^2) - P sum dphi/ds2

No adjoint passes through a factorisation. Cost in M^2 N operations, standard bound: cheap 1 + 2 (Kuf Kfu is
summed, Kuf_bar is one product with Kuf), whitened 2 + 3 (A is made twice); tight 3 + 4. The cheap form
loses eps |Kuf Kfu| |L^-1|^2 / s2 nats (`Frame.cheap_error`); it is taken where that is below 1e-2.
Memory: O(M^2 + M C). Formulas: Titsias 2009, eq. 9; math.md of the project, section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError, NumericalError
from svgp.linalg import blas
from svgp.linalg.threads import single_threaded_blas
from svgp.models.collapsed_panels import PANEL_ENTRIES, Workspace, as_tensor, row_ranges
from svgp.models.collapsed_posterior import (
    Posterior,
    assign_posterior,
    bound_and_noise_adjoint,
    covariance_adjoint,
    optimal_posterior,
    row_adjoint,
)
from svgp.models.collapsed_statistics import (
    CHEAP_ERROR,
    Frame,
    Statistics,
    add_rows,
    factor_covariance,
    residual_variance,
)

Form = Literal["auto", "cheap", "whitened"]


class Stopped(Exception):
    """Raised between two panels where `keep_going()` says no; nothing has changed."""


@dataclass(frozen=True)
class Evaluation:
    """The bound at one setting of the parameters.

    `bound` in nats for all rows; `gradients` in the order of `CollapsedBound.variables`;
    `form` is `cheap` or `whitened`; `jitter` is what the diagonal of Kuu got, absolute.
    """

    bound: float
    gradients: list[np.ndarray]
    posterior: Posterior
    form: str
    jitter: float

    @property
    def kl(self) -> float:
        """KL(q(u) || p(u)) in nats at the optimal q(u)."""
        return self.posterior.kl


class CollapsedBound:
    """F(X, Y) of a model with Gaussian noise, as a function of the model's own variables.

    `model` is an SVGP with one kernel for all outputs and a Gaussian likelihood with one
    variance; `X [N, D]`, `Y [N, P]`. `bound` (default: the model's) is `standard` or `tight`. `chunk` rows
    a panel, default 2^21 / M. Raises ModelError where the model does not fit.
    """

    def __init__(
        self,
        model: Any,
        X: np.ndarray,
        Y: np.ndarray,
        *,
        bound: str | None = None,
        form: Form = "auto",
        chunk: int | None = None,
    ) -> None:
        self.model, self.X = model, X
        self.Y = np.asarray(Y, np.float64).reshape(len(X), -1)
        self.bound = bound or model.bound
        self.form = form
        self.chunk = chunk
        self.passes = 0  # over all rows
        check_model(model, self.Y.shape[1])
        self.variables = collapsed_variables(model)
        size = max(PANEL_ENTRIES, 256 * model.Z.shape[0]) if chunk is None else chunk * model.Z.shape[0]
        self._panel, self._scratch = Workspace(size), Workspace(size)
        signature = [tf.TensorSpec([None, X.shape[1]], tf.float64)]
        self._kernel_panel = tf.function(self._kernel_panel_graph, input_signature=signature)
        # Compiled, because TensorFlow's eager dispatch takes longer than the arithmetic of a small problem.
        self._square = tf.function(self._square_graph, input_signature=[])
        square, number = tf.TensorSpec([None, None], tf.float64), tf.TensorSpec([], tf.float64)
        self._square_adjoint = tf.function(self._square_adjoint_graph, input_signature=[square, number])

    def evaluate(self, keep_going: Callable[[], bool] = lambda: True) -> Evaluation:
        """F, its gradient and the optimal q(u), in two passes over the rows.

        Raises NumericalError where a factorisation fails or F is not finite, and Stopped.
        """
        with single_threaded_blas():
            return self._evaluate(keep_going)

    def _evaluate(self, keep_going: Callable[[], bool]) -> Evaluation:
        frame = self._frame()
        sums = self.statistics(frame, keep_going)
        posterior = optimal_posterior(frame, sums)
        outputs = self.Y.shape[1]
        Kuu_bar = covariance_adjoint(posterior, sums, outputs)
        total = Gradients(self.variables)
        squared_error = self._second_pass(posterior, total, keep_going)
        bound, noise_bar = bound_and_noise_adjoint(posterior, sums, squared_error, outputs)
        total.add_arrays(self._square_adjoint(tf.constant(Kuu_bar), tf.constant(noise_bar, tf.float64)))
        if not np.isfinite(bound) or not all(np.all(np.isfinite(g)) for g in total.arrays):
            raise NumericalError("the collapsed bound or its gradient is not finite")
        form = "whitened" if frame.whitened else "cheap"
        return Evaluation(bound, total.arrays, posterior, form, frame.jitter)

    def posterior(self) -> tuple[Posterior, Statistics]:
        """The optimal q(u) at the present parameters and the sums it came from: one pass over the rows."""
        with single_threaded_blas():
            frame = self._frame()
            sums = self.statistics(frame)
            return optimal_posterior(frame, sums), sums

    def assign(self, posterior: Posterior) -> None:
        """Give `model.q_mean` and `model.q_sqrt` the optimum: then `model.elbo((X, Y))` is F."""
        assign_posterior(self.model, posterior)

    def statistics(self, frame: Frame, keep_going: Callable[[], bool] = lambda: True) -> Statistics:
        """Sums over the rows of X, Y; sums of several machines with the same parameters add up."""
        sums = Statistics.zero(self.model.Z.shape[0], self.Y.shape[1], frame.tight)
        for rows in self._ranges(keep_going):
            Kuf, kff, mean = self._kernel_panel(self._rows(rows))
            panel = self._panel.copy_of(Kuf)  # [M, C]
            scratch = self._scratch.panel(*panel.shape)
            r = self.Y[rows] - np.asarray(mean)  # [C, P]
            add_rows(sums, frame, panel, np.asarray(kff, np.float64), r, scratch)
        self.passes += 1
        return sums

    def _frame(self) -> Frame:
        Kuu, noise, trace = (np.asarray(value) for value in self._square())
        L, L_inverse, jitter = factor_covariance(Kuu, self.model.jitter)
        tight = self.bound == "tight"
        frame = Frame(L, L_inverse, float(noise), jitter, tight, whitened=True)
        if tight or self.form == "whitened":
            return frame
        if self.form == "auto" and not frame.cheap_error(float(trace)) < CHEAP_ERROR:
            return frame
        return Frame(L, L_inverse, float(noise), jitter, tight, whitened=False)

    def _square_graph(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Kuu `[M, M]`, the noise, and about tr(Kuf Kfu), from a few hundred rows: the same at each call."""
        sample = self.X[:: max(1, len(self.X) // 256)]
        K = self.model.kernel.K(self.model.Z, tf.constant(sample, tf.float64))  # [M, 256]
        trace = tf.reduce_sum(tf.cast(K, tf.float64) ** 2) * (len(self.X) / len(sample))
        return self.model.kernel.K(self.model.Z), tf.reshape(self.model.likelihood.variance, []), trace

    def _square_adjoint_graph(self, Kuu_bar: tf.Tensor, noise_bar: tf.Tensor) -> list[tf.Tensor]:
        """The gradient through Kuu and the noise, in the order of `variables`."""
        with tf.GradientTape() as tape:
            Kuu, noise = self.model.kernel.K(self.model.Z), tf.reshape(self.model.likelihood.variance, [])
        adjoints = [tf.cast(Kuu_bar, Kuu.dtype), tf.cast(noise_bar, noise.dtype)]
        return tape.gradient(
            [Kuu, noise], self.variables, adjoints, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )

    def _ranges(self, keep_going: Callable[[], bool]) -> Any:
        for rows in row_ranges(len(self.X), self.model.Z.shape[0], self.chunk):
            if not keep_going():
                raise Stopped
            yield rows

    def _rows(self, rows: slice) -> tf.Tensor:
        return tf.convert_to_tensor(self.X[rows], tf.float64)  # [C, D]

    def _kernel_panel_graph(self, X: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Kuf `[M, C]`, kff `[C]` and the prior mean `[C, P]` of some rows."""
        kernel = self.model.kernel
        mean = tf.broadcast_to(self.model.mean(X), [tf.shape(X)[0], self.Y.shape[1]])
        return kernel.K(self.model.Z, X), kernel.K_diag(X), mean

    def _second_pass(self, posterior: Posterior, total: Gradients, keep_going: Callable[[], bool]) -> float:
        """Add the gradient through Kuf, kff and the mean to `total`; returns |e|^2."""
        adjoint = row_adjoint(posterior, self.Y.shape[1])  # [M, M]
        weights = posterior.weights  # [M, P]
        squared_error = 0.0
        for rows in self._ranges(keep_going):
            X = self._rows(rows)
            with tf.GradientTape() as tape:
                Kuf, kff, mean = self._kernel_panel(X)
            fitted = np.empty((len(mean), weights.shape[1]))  # [C, P]
            blas.product(np.asarray(Kuf, np.float64), weights, fitted, transpose_a=True)
            e = self.Y[rows] - np.asarray(mean) - fitted  # [C, P]
            squared_error += float(np.sum(e * e))
            Kuf_bar, kff_bar = self._panel_adjoint(posterior, adjoint, weights, Kuf, kff, e)
            mean_bar = tf.convert_to_tensor(e / posterior.frame.noise, mean.dtype)
            kff_bar = tf.convert_to_tensor(kff_bar, kff.dtype)
            total.add(tape, [Kuf, kff, mean], [as_tensor(Kuf_bar, Kuf), kff_bar, mean_bar])
        self.passes += 1
        return squared_error

    def _panel_adjoint(
        self,
        posterior: Posterior,
        adjoint: np.ndarray,
        weights: np.ndarray,
        Kuf: tf.Tensor,
        kff: tf.Tensor,
        e: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Kuf_bar `[M, C]` and kff_bar `[C]`."""
        frame, outputs = posterior.frame, e.shape[1]
        if frame.tight:
            A = self._panel.copy_of(Kuf)  # [M, C]
            blas.triangular_product(frame.L_inverse, A)
            w = outputs / (frame.noise + residual_variance(A, np.asarray(kff, np.float64)))  # [C]
            out = self._scratch.panel(*A.shape)
            np.multiply(A, w, out=out)
            blas.product(adjoint, A, out, beta=1.0)
            blas.triangular_product(frame.L_inverse, out, transpose=True)
        else:
            w = np.full(len(e), outputs / frame.noise)
            A = np.asarray(Kuf, np.float64)
            if frame.whitened:
                A = self._panel.copy_of(Kuf)
                blas.triangular_product(frame.L_inverse, A)
            out = self._scratch.panel(*A.shape)
            blas.product(adjoint, A, out)
        for column in range(outputs):
            blas.add_outer(out, weights[:, column] / frame.noise, e[:, column])
        return out, -0.5 * w


class Gradients:
    """A running sum of gradients with respect to `variables`."""

    def __init__(self, variables: list[tf.Variable]) -> None:
        self.variables = variables
        self.arrays = [np.zeros(v.shape, np.float64) for v in variables]

    def add(self, tape: tf.GradientTape, outputs: list[tf.Tensor], adjoints: list[tf.Tensor]) -> None:
        """Add `sum_i outputs_i^T adjoints_i`, pulled back through what the tape has seen."""
        self.add_arrays(tape.gradient(outputs, self.variables, output_gradients=adjoints))

    def add_arrays(self, gradients: Sequence[tf.Tensor | None]) -> None:
        """Add gradients in the order of the variables; None adds nothing."""
        for array, gradient in zip(self.arrays, gradients, strict=True):
            if gradient is not None:
                array += np.asarray(tf.convert_to_tensor(gradient))


def collapsed_variables(model: Any) -> list[tf.Variable]:
    """The trainable variables that F depends on: all but those of q(u)."""
    held = {id(v) for v in (model.q_mean, model.q_sqrt)}
    return [v for v in model.trainable_variables if id(v) not in held]


def check_model(model: Any, outputs: int) -> None:
    """Raise ModelError where `model` is not one that the collapsed bound covers."""
    noise = getattr(model.likelihood, "variance", None)
    if type(model.likelihood).__name__ != "Gaussian" or noise is None:
        kind = type(model.likelihood).__name__
        raise ModelError(f"the collapsed bound needs a Gaussian likelihood, got {kind}: use method: natgrad")
    if int(np.prod(tf.convert_to_tensor(noise).shape)) != 1:
        raise ModelError("the collapsed bound needs one noise variance for all outputs")
    if tf.convert_to_tensor(model.q_sqrt).shape.rank != 3:
        raise ModelError("the optimal q(u) has a full covariance: use model.posterior.type: full")
    if model.num_latent != outputs:
        raise ModelError(f"the model has {model.num_latent} latent GPs and the data {outputs} outputs")
    rank = model.kernel.K(model.Z[:1]).shape.rank
    if rank != 2:
        raise ModelError("the collapsed bound needs one kernel for all outputs, without batch dimensions")
