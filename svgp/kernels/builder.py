"""From a config to a kernel, with start values from the data where the config leaves them open.

One function for all kernels: the section names the class, the class turns what is stated and what the data
suggest into the arguments of its constructor (`Kernel.arguments`), and builds its parts in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.config.registry import load_class
from svgp.errors import ModelError
from svgp.kernels.base import Kernel
from svgp.kernels.start import Start


def from_config(
    config: Any,
    input_names: Sequence[str],
    *,
    lengthscales: Any,
    variance: float,
    dtype: tf.DType = tf.float64,
    X: np.ndarray | None = None,
    Y: np.ndarray | None = None,
    seed: int = 0,
) -> Kernel:
    """The kernel that `model.kernel` describes, acting on columns called `input_names` (D of them).

    `lengthscales` [D] and `variance` are where numbers left open start, and the training rows X [N, D],
    Y [N, P] tell more where there are any (a period, say). Sums and products share the variance among their
    parts, so that the whole starts at `variance`. A name in `inputs` is a column, or a categorical column
    whose one-hot columns are called `name=level`. Raises ModelError at a name that is neither, and
    where the config's lengthscales are not one for each input.
    """
    start = Start(
        names=tuple(input_names),
        all_lengthscales=np.asarray(lengthscales, float),
        variance=float(variance),
        dtype=dtype,
        columns=tuple(range(len(input_names))),
        build=_build,
        all_rows=X,
        targets=Y,
        seed=seed,
    )
    return _build(config, start)


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


def _build(section: Any, start: Start) -> Kernel:
    stated = {name: getattr(section, name) for name in type(section).model_fields if name != "type"}
    stated = {name: value for name, value in stated.items() if value is not None}
    inputs = stated.pop("inputs", None)
    active = None if inputs is None else active_columns(inputs, start.names)
    kind = load_class(section)
    arguments = kind.arguments(start.on(active), stated)
    if active is not None:
        arguments["active_dims"] = _among(active, start, inputs)
    if "dtype" in signature(kind).parameters:
        arguments["dtype"] = start.dtype
    return kind(**arguments)


def _among(active: Sequence[int], start: Start, inputs: Sequence[str]) -> list[int]:
    """Positions of columns among those of the kernel around this one."""
    if set(active) - set(start.columns):
        around = ", ".join(start.names[column] for column in start.columns)
        raise ModelError(f"model.kernel: inputs: {list(inputs)}, and the kernel around it acts on {around}")
    return [start.columns.index(column) for column in active]
