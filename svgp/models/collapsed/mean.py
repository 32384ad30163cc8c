"""The prior mean in the collapsed bound: residuals of the targets, and the gradient through them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.means import Zero

ROWS = 1 << 16  # at a time


def residuals(model: Any, X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """`Y - mean(X)` `[N, P]`; Y itself where the mean is zero."""
    if isinstance(model.mean, Zero):
        return Y
    result = np.empty_like(Y)
    for rows in _blocks(len(X)):
        np.subtract(Y[rows], np.asarray(model.mean(X[rows]), np.float64), out=result[rows])
    return result


def mean_gradients(
    model: Any, variables: Sequence[tf.Variable], X: np.ndarray, mean_bar: np.ndarray
) -> list[np.ndarray]:
    """The gradient of `sum(mean(X) o mean_bar)`, mean_bar `[N, P]`, in the order of `variables`."""
    result = [np.zeros(v.shape, np.float64) for v in variables]
    own = {id(v) for v in model.mean.trainable_variables}
    wanted = [index for index, v in enumerate(variables) if id(v) in own]
    for rows in _blocks(len(X)) if wanted else []:
        with tf.GradientTape() as tape:
            mean = tf.broadcast_to(model.mean(X[rows]), mean_bar[rows].shape)  # [C, P]
        adjoint = tf.cast(mean_bar[rows], mean.dtype)
        found = tape.gradient(mean, [variables[i] for i in wanted], output_gradients=adjoint)
        for index, gradient in zip(wanted, found, strict=True):
            if gradient is not None:
                result[index] += np.asarray(tf.convert_to_tensor(gradient))
    return result


def _blocks(rows: int) -> list[slice]:
    return [slice(start, min(start + ROWS, rows)) for start in range(0, rows, ROWS)]
