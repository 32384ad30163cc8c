"""Constrained parameters: TensorFlow variables behind TFP bijectors."""

from __future__ import annotations

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
