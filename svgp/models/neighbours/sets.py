"""Covariances of many small sets of points and their adjoints, beside the panels of the collapsed bound."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from svgp.kernels import host
from svgp.kernels.host import KernelGradients
from svgp.models.collapsed.kernels import HostRows, KernelRows, TensorFlowRows
from svgp.models.collapsed.panels import Lane

Memory = tuple[np.ndarray, np.ndarray] | None


class KernelSets(KernelRows, Protocol):
    """The kernel as predictions with neighbours see it: panels K(X, Z), and sets K(X_c, X_c)."""

    def sets(self, X: np.ndarray, memory: Memory = None) -> tuple[np.ndarray, Any]:
        """`[C, s, s]` for C sets of s points `[C, s, D]`, and what `add_sets_adjoint` wants to have back.

        `memory`: two arrays `[C, s, s]` that may be used for it.
        """

    def add_sets_adjoint(
        self, X: np.ndarray, K_bar: np.ndarray, K: np.ndarray, kept: Any, lane: Lane
    ) -> None:
        """Add to the lane's gradient that through `sets(X)`; K_bar `[C, s, s]` is symmetric."""

    def at(self, Z: np.ndarray) -> KernelSets:
        """Points Z `[M, D]` in the place of the model's, kernel and noise as read last; no gradients."""


def kernel_sets(
    model: Any, variables: Sequence[tf.Variable], columns: int, on_device: bool = False
) -> KernelSets:
    """The faster of the two that can do the model's kernel; inputs have so many columns.

    `on_device`: TensorFlow's, whose gradient takes what a device has summed.
    """
    simple = host.supports(model.kernel) and model.Z.dtype == tf.float64 and not on_device
    return (HostSets if simple else TensorFlowSets)(model, variables, columns)


class HostSets(HostRows):
    """A stationary kernel in NumPy."""

    def at(self, Z: np.ndarray) -> HostSets:
        other = copy.copy(self)
        other._held, other.variables = [Z, *self._values[1:]], []
        return other

    def clear(self, lanes: Sequence[Lane]) -> None:
        super().clear(lanes)
        for lane in lanes:
            lane.set_sums = [np.zeros(self._columns), 0.0, np.zeros(len(self.model.kernel.shapes))]

    def sets(self, X: np.ndarray, memory: Memory = None) -> tuple[np.ndarray, Any]:
        return self._kernel.sets(X, memory)

    def add_sets_adjoint(
        self, X: np.ndarray, K_bar: np.ndarray, K: np.ndarray, kept: Any, lane: Lane
    ) -> None:
        for place, value in enumerate(self._kernel.sets_gradients(X, K_bar, K, kept)):
            lane.set_sums[place] += value

    def _extra(self, lanes: Sequence[Lane]) -> KernelGradients:
        l_bar, products, shapes = (np.sum([lane.set_sums[k] for lane in lanes], axis=0) for k in range(3))
        return KernelGradients(
            np.zeros(self.model.Z.shape), l_bar, float(products) / self._kernel.variance, shapes
        )


class TensorFlowSets(TensorFlowRows):
    """Any kernel that takes batches of inputs, by TensorFlow's operations and their gradients."""

    def __init__(self, model: Any, variables: Sequence[tf.Variable], columns: int) -> None:
        super().__init__(model, variables, columns)
        # In float64 whatever the kernel's type: what the points leave is a difference. Traced for each shape.
        self._sets = tf.function(lambda X: model.kernel.K(X, dtype=tf.float64), autograph=False)

    def at(self, Z: np.ndarray) -> TensorFlowSets:
        other = copy.copy(self)
        other._Z, other.variables = Z, []
        return other

    def sets(self, X: np.ndarray, memory: Memory = None) -> tuple[np.ndarray, Any]:
        count = len(X)
        # Kernels want to know the batch's size: of powers of two there are few.
        padded = 1 << max(0, count - 1).bit_length()
        points = np.concatenate([X, np.broadcast_to(X[-1:], (padded - count, *X.shape[1:]))])
        with tf.GradientTape() as tape:
            K = self._sets(tf.convert_to_tensor(points, tf.float64))
        return np.array(K[:count], np.float64), (tape, K)

    def add_sets_adjoint(
        self, X: np.ndarray, K_bar: np.ndarray, K: np.ndarray, kept: Any, lane: Lane
    ) -> None:
        tape, output = kept
        adjoint = np.zeros(output.shape, output.dtype.as_numpy_dtype)
        adjoint[: len(K_bar)] = K_bar
        found = tape.gradient(
            output, self.variables, output_gradients=tf.convert_to_tensor(adjoint),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )  # fmt: skip
        for array, gradient in zip(lane.sums, found, strict=True):
            array += np.asarray(tf.convert_to_tensor(gradient))
