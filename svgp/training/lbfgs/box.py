"""The box that L-BFGS searches: limits of the unconstrained variables, from the spread of the data.

Without limits three hundred steps carry the lengthscale of an input that does not matter to 1e6 and
beyond, where nothing depends on it any more and Kuu loses rank. A thousand standard deviations say
the same ("this input is irrelevant") and stay harmless.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.parameters import Hyperparameter, own_hyperparameters

VARIANCES = (1e-6, 1e3)  # of a kernel, in variances of the target; v and l grow together for ever otherwise
LARGEST_NOISE = 10.0  # variances of the target
# For each role of a positive parameter (`svgp.parameters`) its limits, and the powers of the input's and of
# the target's standard deviation that are their unit. Other roles have no limits but their own bijector's.
LIMITS: dict[str, tuple[tuple[float | None, float], int, int]] = {
    "lengthscale": ((1e-3, 1e3), 1, 0),
    "period": ((1e-3, 1e3), 1, 0),
    "rate": ((1e-3, 1e3), -1, 0),
    "weight": ((1e-6, 1e6), -2, 0),
    "variance": (VARIANCES, 0, 2),
    "offset": ((1e-6, 1e6), 0, 0),
    "shape": ((1e-2, 1e4), 0, 0),
    "noise": ((None, LARGEST_NOISE), 0, 2),
    "scale": ((1e-3, LARGEST_NOISE**0.5), 0, 1),
}
Z_MARGIN = 0.5  # ranges of the input column beyond the data


def box(model: Any, variables: list[tf.Variable], X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Lower and upper limit of each number in `variables`, flattened: `[n, 2]`; a start outside widens it.

    `model.inducing_range` (low `[D]`, high `[D]`), where it has one, holds Z instead of a margin around X.
    """
    limits = {id(model.Z): model.inducing_range or inducing_limits(X)}
    targets = Y[:, : Y.shape[1] - len(model.likelihood.extras)]  # [N, P]
    regression = model.likelihood.task == "regression"  # else f is not in units of the target
    known = targets[:, np.isfinite(targets).any(axis=0)]  # a target may be missing in some rows, or in all
    variance = (float(np.mean(np.nanvar(known, axis=0))) if regression and known.size else 0.0) or 1.0
    for found in hyperparameters(model, X.shape[1]):
        if found.role in LIMITS:
            limits.update(_limits_of(found, X, variance))
    rows = []
    for variable in variables:
        value = variable.numpy().astype(np.float64)
        low, high = limits.get(id(variable), (-np.inf, np.inf))
        low, high = np.broadcast_to(low, value.shape), np.broadcast_to(high, value.shape)
        rows.append(np.stack([np.minimum(low, value).ravel(), np.maximum(high, value).ravel()], 1))
    return np.concatenate(rows)


def inducing_limits(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where inducing points may go: the range of each column and a margin."""
    low, high = X.min(axis=0), X.max(axis=0)
    margin = Z_MARGIN * np.maximum(high - low, 1e-3)
    return low - margin, high + margin


def column_deviation(X: np.ndarray) -> np.ndarray:
    """Standard deviation of each column, 1 where it is constant: `[D]`."""
    spread = X.std(axis=0)
    return np.where(spread > 0, spread, 1.0)


def hyperparameters(model: Any, columns: int) -> Iterator[Hyperparameter]:
    """Those of the kernel, of inputs with so many columns, and of the likelihood."""
    yield from model.kernel.hyperparameters(range(columns))
    for module in (model.likelihood, *model.likelihood.submodules):
        yield from own_hyperparameters(module)


def _limits_of(
    found: Hyperparameter, X: np.ndarray, target_variance: float
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """The limits of a positive parameter as limits of the variable behind its bijector."""
    (low, high), input_power, target_power = LIMITS[found.role]
    parameter, variable = found.parameter, found.variable
    scale: Any = target_variance if target_power == 2 else target_variance ** (0.5 * target_power)
    if input_power and found.columns is not None:
        spread = column_deviation(X)[list(found.columns)]
        if parameter.shape.rank == 0 or parameter.shape[-1] != len(spread):
            spread = np.exp(np.mean(np.log(spread)))
        scale = scale * spread**input_power
    dtype = variable.dtype
    upper = np.asarray(parameter.bijector.inverse(tf.constant(np.asarray(high * scale), dtype)))
    if low is None:
        return {id(variable): (np.asarray(np.log(1e-12)), upper)}
    lower = np.asarray(parameter.bijector.inverse(tf.constant(np.asarray(low * scale), dtype)))
    return {id(variable): (lower, upper)}
