"""The units in which L-BFGS sees the variables.

It starts from a multiple of the identity as its inverse Hessian, so it matters that a unit means about the
same everywhere. Inducing inputs are measured in lengthscales. One of M inducing points moves the bound far
less than a hyperparameter, which all rows feel: hyperparameters are stretched, or the first steps carry
them along the ridge on which variance and lengthscales grow together while Z stands still.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.training.lbfgs.box import column_deviation

# Test NLPD at M = 512 after 12 to 15 evaluations, with 1 and 1 / these two / 2 and 10: kin40k 0.14 / -0.01 /
# -0.04, pol -0.64 / -0.60 / -0.57. kin40k wants slow hyperparameters, pol (26 inputs) a small unit of Z.
HYPERPARAMETERS = 3.0
LENGTHSCALES = (1e-2, 1.5)  # limits to Z's unit, in standard deviations of the input column


def variable_scales(model: Any, variables: Sequence[tf.Variable], X: np.ndarray) -> np.ndarray:
    """What each number in `variables`, flattened, is multiplied by: `[n]`, at the model's present values."""
    spread = column_deviation(X)  # [D]
    lengthscales = np.asarray(model.kernel.input_lengthscales(X.shape[1]), np.float64)  # [..., D]
    shortest = lengthscales.reshape(-1, X.shape[1]).min(axis=0)  # [D], maybe infinite
    unit = np.clip(shortest, LENGTHSCALES[0] * spread, LENGTHSCALES[1] * spread)
    parts = []
    for variable in variables:
        size = int(np.prod(variable.shape))
        own = np.broadcast_to(1.0 / unit, variable.shape).ravel() if variable is model.Z else HYPERPARAMETERS
        parts.append(np.broadcast_to(own, [size]))
    return np.concatenate(parts)
