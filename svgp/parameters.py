"""Constrained parameters: TensorFlow variables behind TFP bijectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from svgp.errors import ModelError

tfb = tfp.bijectors


def positive(
    value: Any, name: str, *, low: float = 0.0, dtype: tf.DType = tf.float64
) -> tfp.util.TransformedVariable:
    """A trainable parameter `low + exp(u)`, any shape.

    The exponential makes a step of the optimiser a relative change, so lengthscales of 1e-3 and
    1e3 are learned alike. Raises ModelError where `value` is not above `low` or not finite.
    """
    array = np.asarray(value, dtype=dtype.as_numpy_dtype)
    if not np.all(np.isfinite(array)) or not np.all(array > low):
        raise ModelError(f"{name}: must be finite and above {low:g}, got {array.tolist()}")
    bijector = tfb.Chain([tfb.Shift(np.asarray(low, array.dtype)), tfb.Exp()]) if low else tfb.Exp()
    return tfp.util.TransformedVariable(array, bijector, dtype=dtype, name=name)


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
