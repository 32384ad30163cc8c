"""The model that evidence trains: a kernel, noise, mean and Z of its own, beside the sparse model's."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.parameters import named_variables


class NeighbourModel(tf.Module):
    """Prior, Gaussian noise and inducing inputs Z `[M, D]`, whose q(u) follows from the rows in closed form.

    `noise` is `likelihood.variance`, one number for all outputs. It has no ELBO: what it is trained by is an
    approximation of the log evidence (`svgp.models.neighbours.evidence`), and no bound.
    """

    def __init__(
        self, kernel: Any, likelihood: Any, mean: Any, Z: Any, *, jitter: float, trainable_Z: bool = True
    ) -> None:
        super().__init__(name="NeighbourModel")
        self.kernel, self.likelihood, self.mean = kernel, likelihood, mean
        self.Z = tf.Variable(np.asarray(Z, np.float64), trainable=trainable_Z, name="Z")
        self.jitter = jitter
        self.dtype = kernel.dtype


def copy_values(source: tf.Module, target: tf.Module) -> None:
    """Give `target` the values of all variables that `source` has by the same names. Raises ModelError."""
    values = named_variables(source)
    for name, variable in named_variables(target).items():
        if name not in values or values[name].shape != variable.shape:
            raise ModelError(f"{name} {list(variable.shape)}: the other model has none of that shape")
        variable.assign(values[name])
