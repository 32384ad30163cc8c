"""Where panels `Kfu [C, M]` come from, and where their adjoints go: NumPy on the host, or TensorFlow.

Both read the parameters in `begin`, serve panels to several threads at a time, each with its own lane, and
turn the lanes' sums into the gradient with respect to `variables` in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from svgp.kernels import host
from svgp.models.collapsed.panels import Lane, Panel

SAMPLE = 256  # rows from which tr(Kuf Kfu) is estimated: the same at each call


class KernelRows(Protocol):
    """The kernel as the passes over the rows see it."""

    def begin(self) -> tuple[np.ndarray, np.ndarray]:
        """Read the parameters: Kuu `[M, M]` without jitter, and the noise variances `[K]`."""

    def trace(self, X: np.ndarray) -> float:
        """About tr(Kuf Kfu) for rows X `[N, D]`, from some of them."""

    keeps: bool  # whether `add_adjoint` needs nothing of a panel but its slope

    def fill(self, X: np.ndarray, panel: Panel, lane: Lane) -> None:
        """Kfu as the panel's values, kff, and the slope, of some rows."""

    def clear(self, lanes: Sequence[Lane]) -> None:
        """Set the lanes' sums of the gradient to zero."""

    def add_adjoint(
        self, X: np.ndarray, panel: Panel, K_bar: np.ndarray, kff_bar: np.ndarray, lane: Lane
    ) -> None:
        """Add to the lane's gradient, of the rows that the panel was filled for. K_bar is overwritten."""

    def gradients(
        self, lanes: Sequence[Lane], Kuu_bar: np.ndarray, noise_bar: np.ndarray, products: float
    ) -> list[np.ndarray]:
        """All of it, in the order of the variables; `products` is sum(Kuf_bar o Kuf)."""


def kernel_rows(model: Any, variables: Sequence[tf.Variable], columns: int) -> KernelRows:
    """The faster of the two that can do the model's kernel; inputs have so many columns."""
    kind = HostRows if host.supports(model.kernel) and model.Z.dtype == tf.float64 else TensorFlowRows
    return kind(model, variables, columns)


def compiled(function: Callable[..., Any], signature: Sequence[tf.TensorSpec] = ()) -> Callable[..., Any]:
    """`function` as one graph, traced when it is first called.

    Not a `tf.function`, of which TensorFlow warns where many objects have one of the same name.
    """
    traced = tf.function(function, input_signature=list(signature), autograph=False)
    graphs: list[Callable[..., Any]] = []

    def call(*arguments: Any) -> Any:
        if not graphs:
            graphs.append(traced.get_concrete_function())
        return graphs[0](*arguments)

    return call


class HostRows:
    """A stationary kernel in NumPy."""

    keeps = True

    def __init__(self, model: Any, variables: Sequence[tf.Variable], columns: int) -> None:
        self.model, self.variables, self._columns = model, list(variables), columns
        self._held: list[np.ndarray] | None = None  # values that `begin` takes
        # Compiled: called eagerly, 1 and 5 ms at each evaluation of the bound instead of 0.2 and 0.3. Without
        # variables there are no such evaluations, and the graph would take longer than a dozen calls.
        self._read = compiled(self._read_graph) if self.variables else self._read_graph
        self._pull = compiled(
            self._pull_graph, [tf.TensorSpec(None, tf.float64)] * (4 + len(model.kernel.shapes))
        )

    def begin(self) -> tuple[np.ndarray, np.ndarray]:
        self._values = self._held or [np.array(v, np.float64) for v in self._read()]
        Z, lengthscales, variance, *shapes, noise = self._values
        kind = type(self.model.kernel)
        self._kernel = host.HostStationary(kind, Z, lengthscales, float(variance), [float(s) for s in shapes])
        self._square = self._kernel.square()
        return self._square[0], noise

    def trace(self, X: np.ndarray) -> float:
        sample = np.asarray(X[:: max(1, len(X) // SAMPLE)], np.float64)
        K = np.empty((len(sample), len(self._square[0])))
        self._kernel.covariance(sample, K, np.empty_like(K))
        return float(np.einsum("cm,cm->", K, K)) * (len(X) / len(sample))

    def fill(self, X: np.ndarray, panel: Panel, lane: Lane) -> None:
        self._kernel.covariance(X, panel.values, panel.slope)
        if not self._kernel.separate_slope:
            np.copyto(panel.slope, panel.values)
        panel.kff.fill(self._kernel.variance)

    def clear(self, lanes: Sequence[Lane]) -> None:
        for lane in lanes:
            lane.sums = self._kernel.zero_moments(), 0.0

    def add_adjoint(
        self, X: np.ndarray, panel: Panel, K_bar: np.ndarray, kff_bar: np.ndarray, lane: Lane
    ) -> None:
        moments, prior = lane.sums
        self._kernel.add_adjoint(X, K_bar, panel.slope, moments)
        lane.sums = moments, prior + float(np.sum(kff_bar))

    def gradients(
        self, lanes: Sequence[Lane], Kuu_bar: np.ndarray, noise_bar: np.ndarray, products: float
    ) -> list[np.ndarray]:
        moments = self._kernel.zero_moments()
        for lane in lanes:
            moments.add(lane.sums[0])
        # kff is the variance itself.
        products += self._kernel.variance * sum(lane.sums[1] for lane in lanes)
        rows = self._kernel.gradients(moments, products)
        square = self._kernel.square_gradients(Kuu_bar, *self._square)
        found = [np.add(one, other) for one, other in zip(rows, square, strict=True)]
        if (extra := self._extra(lanes)) is not None:
            found = [np.add(one, other) for one, other in zip(found, extra, strict=True)]
        *found, shapes = found
        found += list(shapes)
        adjoints = [tf.constant(value, tf.float64) for value in (*found, noise_bar)]
        return [np.asarray(tf.convert_to_tensor(g), np.float64) for g in self._pull(*adjoints)]

    def _extra(self, lanes: Sequence[Lane]) -> host.KernelGradients | None:
        """What a class made from this one adds to the gradient."""
        return None

    def _read_graph(self) -> list[tf.Tensor]:
        """Z `[M, D]`, the lengthscale of each input `[D]`, the kernel's variance and shapes, the noise."""
        kernel, noise = self.model.kernel, _noise(self.model)
        lengthscales = kernel.input_lengthscales(self._columns)
        values = (self.model.Z, lengthscales, kernel.variance, *kernel.shape_values(), noise)
        return [tf.convert_to_tensor(x) for x in values]

    def _pull_graph(self, *adjoints: tf.Tensor) -> Any:
        """From the adjoints of what `_read_graph` reads to the variables behind it."""
        with tf.GradientTape() as tape:
            outputs = self._read_graph()
        return _gradients(tape, outputs, self.variables, adjoints)


class TensorFlowRows:
    """Any kernel, by TensorFlow's operations and their gradients."""

    keeps = False  # a tape holds more than a panel, and not in our memory

    def __init__(self, model: Any, variables: Sequence[tf.Variable], columns: int) -> None:
        self.model, self.variables = model, list(variables)
        self._Z: Any = model.Z
        rows = tf.TensorSpec([None, columns], tf.float64)
        matrix, noises = tf.TensorSpec([None, None], tf.float64), tf.TensorSpec([None], tf.float64)
        self._panel = compiled(self._panel_graph, [rows, rows])
        # Compiled, because TensorFlow's eager dispatch takes longer than the arithmetic of a small problem.
        self._square = compiled(self._square_graph, [rows])
        self._pull = compiled(self._pull_graph, [matrix, noises])

    def begin(self) -> tuple[np.ndarray, np.ndarray]:
        Kuu, noise = (np.asarray(value, np.float64) for value in self._square(self._points()))
        return Kuu, noise

    def trace(self, X: np.ndarray) -> float:
        sample = X[:: max(1, len(X) // SAMPLE)]
        K = np.asarray(self._panel(tf.convert_to_tensor(sample, tf.float64), self._points())[0], np.float64)
        return float(np.einsum("cm,cm->", K, K)) * (len(X) / len(sample))

    def fill(self, X: np.ndarray, panel: Panel, lane: Lane) -> None:
        with tf.GradientTape() as tape:
            outputs = self._panel(tf.convert_to_tensor(X, tf.float64), self._points())
        lane.tape = (tape, outputs)
        np.copyto(panel.values, np.asarray(outputs[0]))
        np.copyto(panel.kff, np.asarray(outputs[1]))

    def clear(self, lanes: Sequence[Lane]) -> None:
        for lane in lanes:
            lane.sums = [np.zeros(v.shape, np.float64) for v in self.variables]

    def add_adjoint(
        self, X: np.ndarray, panel: Panel, K_bar: np.ndarray, kff_bar: np.ndarray, lane: Lane
    ) -> None:
        tape, outputs = lane.tape
        adjoints = [tf.convert_to_tensor(K_bar), tf.convert_to_tensor(kff_bar)]
        for array, gradient in zip(
            lane.sums, _gradients(tape, outputs, self.variables, adjoints), strict=True
        ):
            array += np.asarray(tf.convert_to_tensor(gradient))

    def gradients(
        self, lanes: Sequence[Lane], Kuu_bar: np.ndarray, noise_bar: np.ndarray, products: float
    ) -> list[np.ndarray]:
        parts = [lane.sums for lane in lanes]
        parts.append(self._pull(tf.constant(Kuu_bar), tf.constant(noise_bar, tf.float64)))
        columns = zip(*parts, strict=True)
        return [np.sum([np.asarray(tf.convert_to_tensor(p)) for p in column], axis=0) for column in columns]

    def _points(self) -> tf.Tensor:
        return tf.cast(tf.convert_to_tensor(self._Z), tf.float64)

    def _panel_graph(self, X: tf.Tensor, Z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Kfu `[C, M]` and kff `[C]`."""
        kernel = self.model.kernel
        return kernel.K(X, Z, dtype=tf.float64), kernel.K_diag(X, dtype=tf.float64)

    def _square_graph(self, Z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self.model.kernel.K(Z, dtype=tf.float64), _noise(self.model)

    def _pull_graph(self, Kuu_bar: tf.Tensor, noise_bar: tf.Tensor) -> list[tf.Tensor]:
        """The gradient through Kuu and the noise."""
        with tf.GradientTape() as tape:
            outputs = self._square_graph(self._points())
        return _gradients(tape, outputs, self.variables, [Kuu_bar, noise_bar])


def _noise(model: Any) -> tf.Tensor:
    """The noise variances [K]; of a likelihood that has none, zero."""
    known = model.likelihood.noise in ("shared", "per_output")
    return tf.reshape(model.likelihood.noise_variance(), [-1]) if known else tf.zeros([1], tf.float64)


def _gradients(
    tape: tf.GradientTape, outputs: Sequence[tf.Tensor], variables: Any, adjoints: Sequence[tf.Tensor]
) -> list[tf.Tensor]:
    adjoints = [tf.cast(adjoint, output.dtype) for adjoint, output in zip(adjoints, outputs, strict=True)]
    zero = tf.UnconnectedGradients.ZERO
    return tape.gradient(outputs, variables, output_gradients=adjoints, unconnected_gradients=zero)
