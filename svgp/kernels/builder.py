"""From a config to a kernel, with start values from the data where the config leaves them open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.config.kernel import ProductKernel, SingleKernel, SumKernel
from svgp.errors import ModelError
from svgp.kernels.base import Kernel
from svgp.kernels.combination import Product, Sum
from svgp.kernels.static import Constant, Linear, White
from svgp.kernels.stationary import Matern12, Matern32, Matern52, SquaredExponential, Stationary

STATIONARY: dict[str, type[Stationary]] = {
    "squared_exponential": SquaredExponential,
    "matern12": Matern12,
    "matern32": Matern32,
    "matern52": Matern52,
}
WHITE_SHARE = 0.01  # of the prior variance is where a white kernel starts: a nugget, not the signal


def from_config(
    config: SingleKernel | SumKernel | ProductKernel,
    input_names: Sequence[str],
    *,
    lengthscales: Any,
    variance: float,
    dtype: tf.DType = tf.float64,
) -> Kernel:
    """The kernel that `model.kernel` describes, acting on columns called `input_names` (D of them).

    `lengthscales` [D] and `variance` are where numbers left open start. A sum of k parts starts
    each at variance / k, a product at variance^(1/k), so that the whole starts at `variance`; a
    linear kernel at variance / D (its own D), a white one at 1% of its share; ard: false at the
    geometric mean of the lengthscales. A name in `inputs` is a column, or a categorical column
    whose one-hot columns are called `name=level`. Raises ModelError at a name that is neither, and
    where the config's lengthscales are not one for each input.
    """
    if isinstance(config, SingleKernel):
        return _single(config, input_names, np.asarray(lengthscales, float), float(variance), dtype)
    if isinstance(config, SumKernel):
        combine, parts, share = Sum, config.sum, variance / len(config.sum)
    else:
        combine, parts, share = Product, config.product, variance ** (1.0 / len(config.product))
    return combine(
        [from_config(p, input_names, lengthscales=lengthscales, variance=share, dtype=dtype) for p in parts]
    )


def active_columns(inputs: Sequence[str], input_names: Sequence[str]) -> tuple[int, ...]:
    """Positions of the named inputs, a categorical one standing for all of its `name=level` columns.

    Raises ModelError, with the known names, where there is no such input.
    """
    found: list[int] = []
    for name in inputs:
        exact = [i for i, column in enumerate(input_names) if column == name]
        levels = [i for i, column in enumerate(input_names) if column.startswith(f"{name}=")]
        if not exact and not levels:
            raise ModelError(
                f"model.kernel: inputs: {name!r} is not an input; the inputs are {', '.join(input_names)}"
            )
        found.extend(exact or levels)
    return tuple(dict.fromkeys(found))


def _single(
    config: SingleKernel, input_names: Sequence[str], lengthscales: np.ndarray, start: float, dtype: tf.DType
) -> Kernel:
    active = None if config.inputs is None else active_columns(config.inputs, input_names)
    columns = list(range(len(input_names)) if active is None else active)
    variance = start if config.variance is None else config.variance
    if config.type == "constant":
        return Constant(variance, dtype=dtype)
    if config.type == "white":
        return White(WHITE_SHARE * start if config.variance is None else variance, dtype=dtype)
    if config.type == "linear":
        weight = start / len(columns) if config.variance is None else variance
        return Linear(
            np.full(len(columns), weight) if config.ard else weight, active_dims=active, dtype=dtype
        )
    start_lengthscales = _start_lengthscales(config, lengthscales[columns])
    return STATIONARY[config.type](variance, start_lengthscales, active_dims=active, dtype=dtype)


def _start_lengthscales(config: SingleKernel, from_data: np.ndarray) -> np.ndarray:
    if config.lengthscales is None:
        return from_data if config.ard else np.exp(np.mean(np.log(from_data)))
    given = np.asarray(config.lengthscales, float)
    if given.ndim == 0:
        return np.full(len(from_data), given) if config.ard else given
    if len(given) != len(from_data):
        raise ModelError(
            f"model.kernel: lengthscales: {len(given)} numbers for {len(from_data)} input columns; "
            "give one number, or one for each column"
        )
    return given
