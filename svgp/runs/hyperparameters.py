"""What training found: every parameter with a role, in the model's units and in the table's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from svgp.data import Columns
from svgp.parameters import Hyperparameter, named_variables
from svgp.training.lbfgs.box import LIMITS, hyperparameters


class Found(NamedTuple):
    """One number: `value` of scaled inputs and targets, `original` in the table's units, if it has one."""

    role: str
    name: str
    input: str  # the column that it belongs to, or ""
    value: float
    original: float | None


def found_values(model: Any, columns: Columns) -> list[Found]:
    """The hyperparameters of kernel and likelihood, those of a role together, in the order of LIMITS."""
    paths = {id(variable): path for path, variable in named_variables(model).items()}
    values = [
        value
        for found in hyperparameters(model, len(columns.input_names))
        for value in _values(found, paths.get(id(found.variable), found.parameter.name), columns)
    ]
    order = list(LIMITS)
    # Stable: within a role as the kernel has them.
    return sorted(values, key=lambda v: order.index(v.role) if v.role in order else len(order))


def _values(found: Hyperparameter, name: str, columns: Columns) -> Iterator[Found]:
    values = np.asarray(found.parameter).astype(np.float64)  # a parameter refuses to change its type
    own = found.columns or ()
    by_input = values.ndim > 0 and values.shape[-1] == len(own)
    _, of_input, of_target = LIMITS.get(found.role, (None, 0, 0))
    scales = columns.target_scale
    # f of classes has no unit, nor has a latent function that several targets are mixed from.
    in_target = columns.task == "regression" and (len(scales) == 1 or values.shape[:1] == scales.shape)
    for place in np.ndindex(values.shape):
        column = own[place[-1]] if by_input else None
        # One lengthscale of several inputs has no unit but that of scaled ones, and a place no fixed zero.
        known = (not of_input or column is not None or len(own) == 1) and (not of_target or in_target)
        known = known and found.role != "location"
        unit = 1.0
        if known and of_input:
            unit *= float(columns.input_scale[own[0] if column is None else column]) ** of_input
        if known and of_target:
            unit *= float(scales[place[0] if len(scales) > 1 else 0]) ** of_target
        value = float(values[place])
        index = place[:-1] if by_input else place
        label = f"{name}[{', '.join(map(str, index))}]" if index else name
        of = "" if column is None else columns.input_names[column]
        yield Found(found.role, label, of, value, value * unit if known else None)
