"""The box that L-BFGS-B searches: limits of the unconstrained variables, from the spread of the data.

Without limits three hundred steps carry the lengthscale of an input that does not matter to 1e6 and
beyond, where nothing depends on it any more and Kuu loses rank. A thousand standard deviations say
the same ("this input is irrelevant") and stay harmless.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

LENGTHSCALES = (1e-3, 1e3)  # standard deviations of the input column
VARIANCES = (1e-6, 1e3)  # of a kernel, in variances of the target; v and l grow together for ever otherwise
LARGEST_NOISE = 10.0  # variances of the target
Z_MARGIN = 0.5  # ranges of the input column beyond the data


def box(model: Any, variables: list[tf.Variable], X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Lower and upper limit of each number in `variables`, flattened: `[n, 2]`; a start outside widens it.

    `model.inducing_range` (low `[D]`, high `[D]`), where it has one, holds Z instead of a margin around X.
    """
    limits = {id(model.Z): getattr(model, "inducing_range", None) or inducing_limits(X)}
    regression = model.likelihood.task == "regression"  # else f is not in units of the target
    scale = (float(np.mean(np.var(Y, axis=0))) if regression else 0.0) or 1.0
    for module in (model.kernel, *model.kernel.submodules):
        if (lengthscales := getattr(module, "lengthscales", None)) is not None:
            spread = column_deviation(X, getattr(module, "active_dims", None))
            if lengthscales.shape.rank == 0 or lengthscales.shape[-1] != len(spread):
                spread = np.exp(np.mean(np.log(spread)))
            limits.update(limits_of(lengthscales, spread, LENGTHSCALES))
        if (variance := getattr(module, "variance", None)) is not None:
            limits.update(limits_of(variance, scale, VARIANCES))
    noise, deviation = (getattr(model.likelihood, name, None) for name in ("variance", "scale"))
    if noise is not None:
        limits.update(limits_of(noise, scale, (None, LARGEST_NOISE)))
    if deviation is not None:  # of a Student-t, in units of the target
        limits.update(limits_of(deviation, np.sqrt(scale), (1e-3, np.sqrt(LARGEST_NOISE))))
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


def column_deviation(X: np.ndarray, active_dims: tuple[int, ...] | None) -> np.ndarray:
    """Standard deviation of each active column, 1 where it is constant: `[A]`."""
    spread = X.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    return spread if active_dims is None else spread[list(active_dims)]


def limits_of(
    parameter: Any, scale: Any, interval: tuple[float | None, float]
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """The limits of a positive parameter as limits of the variable behind its bijector."""
    low, high = interval
    variable = parameter.pretransformed_input
    dtype = variable.dtype
    upper = np.asarray(parameter.bijector.inverse(tf.constant(np.asarray(high * scale), dtype)))
    if low is None:
        return {id(variable): (np.asarray(np.log(1e-12)), upper)}
    lower = np.asarray(parameter.bijector.inverse(tf.constant(np.asarray(low * scale), dtype)))
    return {id(variable): (lower, upper)}
