"""From the word in a config to a mean function."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.means.functions import Constant, Linear, Mean, Zero


def from_config(mean: str, *, num_inputs: int, num_latent: int = 1, dtype: tf.DType = tf.float64) -> Mean:
    """The mean function that `model.mean` names (zero, constant, linear), starting at zero.

    Raises ModelError at another word.
    """
    if mean == "zero":
        return Zero(num_latent, dtype=dtype)
    if mean == "constant":
        return Constant(np.zeros(num_latent), dtype=dtype)
    if mean == "linear":
        return Linear(np.zeros([num_inputs, num_latent]), np.zeros(num_latent), dtype=dtype)
    raise ModelError(f"model.mean: {mean!r} is not a mean function; use zero, constant or linear")
