"""From a config to a mean function."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.config.means import MEANS
from svgp.config.registry import load_class
from svgp.errors import ModelError
from svgp.means.functions import Mean
from svgp.means.start import MeanStart


def from_config(
    mean: Any,
    *,
    num_inputs: int,
    num_latent: int = 1,
    dtype: tf.DType = tf.float64,
    input_names: Sequence[str] | None = None,
    columns: Any = None,
    seed: int = 0,
) -> Mean:
    """The mean function that `model.mean` describes, a section or the word for one, starting at zero.

    `input_names` are needed by a column's, and `columns`, which knows how the table was scaled. Raises
    ModelError at another word, or another name.
    """
    if isinstance(mean, str):
        section = MEANS.get(mean)
        if section is None:
            known = ", ".join(MEANS)
            raise ModelError(f"model.mean: {mean!r} is not a mean function; use one of {known}")
        mean = section.model_validate({"type": mean})
    names = [f"x{d + 1}" for d in range(num_inputs)] if input_names is None else input_names
    scales = ("input_mean", "input_scale", "target_mean", "target_scale")
    known_scales = {name: np.asarray(getattr(columns, name)) for name in scales if hasattr(columns, name)}
    start = MeanStart(tuple(names), num_latent, seed, **known_scales)
    kind = load_class(mean)
    stated = {name: getattr(mean, name) for name in type(mean).model_fields if name != "type"}
    if "dtype" not in signature(kind).parameters:  # a part of it has one
        found: Mean = kind(**kind.arguments(start, {**stated, "dtype": dtype}))
    else:
        found = kind(**kind.arguments(start, stated), dtype=dtype)
    return found
