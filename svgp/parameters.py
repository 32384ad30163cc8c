"""Constrained parameters: TensorFlow variables behind TFP bijectors, each with a role.

A role says what kind of number a parameter is, so that limits, priors, start values and reports apply to it
whatever kernel or likelihood it belongs to:

    lengthscale  a distance between inputs
    period       the same, of something that repeats
    rate         one over a distance between inputs, such as a frequency
    location     a place among the inputs
    weight       of inputs inside a kernel, in one over their unit squared
    variance     of a function, in squared units of the target
    offset       added to inner products, without a unit
    noise        a variance of observations
    scale        a deviation of observations, in the target's unit
    shape        a number without a unit, such as the exponent of a tail
    share        a number between two limits, such as a probability
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from svgp.errors import ModelError

tfb = tfp.bijectors
Formula = Callable[[Any], tf.Tensor]

Role = Literal[
    "lengthscale",
    "period",
    "rate",
    "location",
    "weight",
    "variance",
    "offset",
    "noise",
    "scale",
    "shape",
    "share",
]


class Hyperparameter(NamedTuple):
    """A parameter, what it is, and the input columns whose unit it has (None: of no column)."""

    parameter: tfp.util.TransformedVariable
    role: Role
    columns: tuple[int, ...] | None

    @property
    def variable(self) -> tf.Variable:
        """The unconstrained variable behind the parameter."""
        return self.parameter.pretransformed_input


class _Parameter(tfp.util.TransformedVariable):
    """A TransformedVariable that `read` reads and `write` sets: its bijector's formulas as plain operations.

    A bijector hashes itself and its arguments to look for a value that it has given before. No value was ever
    found again (a variable's changes), and looking took ten times as long as the formula.
    """

    def __init__(
        self, value: np.ndarray, bijector: Any, read: Formula, write: Formula, *, dtype: tf.DType, name: str
    ) -> None:
        self._read, self._write = read, write
        variable = tf.Variable(write(tf.constant(value, dtype)), name=name, dtype=dtype)
        super().__init__(value, bijector, dtype=dtype, name=name, pretransformed_input=variable)

    def assign(self, value: Any, **named: Any) -> Any:
        """Set the constrained value."""
        return self.pretransformed_input.assign(self._write(tf.convert_to_tensor(value, self.dtype)), **named)

    @property
    def transform_fn(self) -> Formula:
        """The constrained value of an unconstrained one."""
        return self._read


def positive(
    value: Any, name: str, *, role: Role | None = None, low: float = 0.0, dtype: tf.DType = tf.float64
) -> tfp.util.TransformedVariable:
    """A trainable parameter `low + exp(u)`, any shape.

    The exponential makes a step of the optimiser a relative change, so lengthscales of 1e-3 and
    1e3 are learned alike. Raises ModelError where `value` is not above `low` or not finite.
    """
    array = np.asarray(value, dtype=dtype.as_numpy_dtype)
    if not np.all(np.isfinite(array)) or not np.all(array > low):
        raise ModelError(f"{name}: must be finite and above {low:g}, got {array.tolist()}")
    if not low:
        return _with_role(_Parameter(array, tfb.Exp(), tf.exp, tf.math.log, dtype=dtype, name=name), role)
    shift = np.asarray(low, array.dtype)
    chain = tfb.Chain([tfb.Shift(shift), tfb.Exp()])
    read, write = lambda u: tf.exp(u) + shift, lambda x: tf.math.log(x - shift)
    return _with_role(_Parameter(array, chain, read, write, dtype=dtype, name=name), role)


def bounded(
    value: Any, name: str, low: float, high: float, *, role: Role | None = None, dtype: tf.DType = tf.float64
) -> tfp.util.TransformedVariable:
    """A trainable parameter `low + (high - low) sigmoid(u)`, any shape. ModelError outside of these."""
    array = np.asarray(value, dtype=dtype.as_numpy_dtype)
    if not np.all((array > low) & (array < high)):
        raise ModelError(f"{name}: must lie between {low:g} and {high:g}, got {array.tolist()}")
    limits = (np.asarray(limit, array.dtype) for limit in (low, high))
    return _with_role(tfp.util.TransformedVariable(array, tfb.Sigmoid(*limits), dtype=dtype, name=name), role)


def unconstrained(
    value: Any, name: str, *, role: Role | None = None, dtype: tf.DType = tf.float64
) -> tfp.util.TransformedVariable:
    """A trainable parameter that may be any number, any shape. Raises ModelError where it is not finite."""
    array = np.asarray(value, dtype=dtype.as_numpy_dtype)
    if not np.all(np.isfinite(array)):
        raise ModelError(f"{name}: must be finite, got {array.tolist()}")
    same = tf.convert_to_tensor
    return _with_role(_Parameter(array, tfb.Identity(), same, same, dtype=dtype, name=name), role)


def own_hyperparameters(module: tf.Module, columns: Sequence[int] | None = None) -> Iterator[Hyperparameter]:
    """The parameters with a role that a module itself holds, in the order of their names."""
    for _, value in sorted(vars(module).items()):
        if isinstance(value, tfp.util.TransformedVariable) and (role := getattr(value, "role", None)):
            yield Hyperparameter(value, role, None if columns is None else tuple(columns))


def _with_role(parameter: tfp.util.TransformedVariable, role: Role | None) -> tfp.util.TransformedVariable:
    if role is not None and role not in get_args(Role):
        raise ModelError(f"{parameter.name}: role {role!r}; expected one of {', '.join(get_args(Role))}")
    parameter.role = role
    return parameter


def named_variables(module: tf.Module) -> dict[str, tf.Variable]:
    """Every variable of a module by its path of attributes, `kernel.lengthscales` say.

    A constrained parameter gives its unconstrained variable. The names depend on attributes alone, not on
    the order of creation, so they serve in files.
    """
    return dict(_walk(module, ""))


def _walk(value: Any, path: str) -> Iterator[tuple[str, tf.Variable]]:
    if isinstance(value, tf.Variable):
        yield path, value
    elif isinstance(value, tfp.util.TransformedVariable):
        yield path, value.pretransformed_input
    elif isinstance(value, tf.Module):
        for name, child in sorted(vars(value).items()):
            if not name.startswith("_"):
                yield from _walk(child, f"{path}.{name}" if path else name)
    elif isinstance(value, (list, tuple)):
        for index, child in enumerate(value):
            yield from _walk(child, f"{path}.{index}")
