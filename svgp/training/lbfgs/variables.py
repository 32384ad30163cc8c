"""What methods that run L-BFGS over a model's variables share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from svgp.training.lbfgs.machine import Answer

WALL = 0.1  # share of a failed step at which the line search is told to look


def pack(variables: Sequence[tf.Variable]) -> np.ndarray:
    """All numbers of `variables` in one float64 vector `[n]`."""
    return np.concatenate([np.zeros(0), *(v.numpy().astype(np.float64).ravel() for v in variables)])


def unpack(variables: Sequence[tf.Variable], x: np.ndarray) -> None:
    """Give `variables` the numbers of x `[n]`: the inverse of `pack`."""
    start = 0
    for variable in variables:
        stop = start + int(np.prod(variable.shape))
        variable.assign(x[start:stop].reshape(variable.shape).astype(variable.dtype.as_numpy_dtype))
        start = stop


class ScaledVariables:
    """Variables as one vector x `[n]`, each number times its scale `[n]`.

    What `unpack` gave them it does not give again, until `forget`: of a small model that takes as long as a
    product.
    """

    def __init__(self, variables: Sequence[tf.Variable], scales: np.ndarray) -> None:
        self.variables, self.scales = variables, scales
        self._at: np.ndarray | None = None  # what the variables have, as far as is known

    def pack(self) -> np.ndarray:
        """x."""
        return self.scales * pack(self.variables)

    def unpack(self, x: np.ndarray) -> None:
        """Give the variables x, unless they have it."""
        if self._at is None or not np.array_equal(self._at, x):
            unpack(self.variables, x / self.scales)
            self._at = x.copy()

    def forget(self) -> None:
        """Others may have changed the variables."""
        self._at = None


def wall(anchor: tuple[np.ndarray, float, np.ndarray], x: np.ndarray) -> Answer:
    """An answer for an x `[n]` where the objective does not exist, that sends a line search back.

    The parabola through `anchor` (the last iterate, its value and gradient), with its slope there, whose
    minimum is at a tenth of the step.
    """
    start, value, gradient = anchor
    step = x - start
    slope = abs(float(gradient @ step)) + 1e-12
    height = slope * (0.5 / WALL - 1.0)
    return value + height, step * (slope * (1.0 / WALL - 1.0) / float(step @ step))
