"""From a config to a likelihood, with start values from the data where the config leaves them open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.config.registry import load_class
from svgp.likelihoods.base import Likelihood
from svgp.likelihoods.start import LatentStart, Targets


def from_config(
    config: Any,
    targets: Targets | None = None,
    *,
    target_variance: float | np.ndarray = 1.0,
    dtype: tf.DType = tf.float64,
) -> Likelihood:
    """The likelihood that `model.likelihood` describes: an instance of the class that its section names.

    `target_variance` is that of the targets as the model sees them (1 when standardised), one number or
    [P]: each of P > 1 outputs then has noise of its own. A constant target counts as variance 1. `targets`
    are the training rows themselves. Raises ModelError where the config's settings do not suit the data.
    """
    spread = np.asarray(target_variance, np.float64)
    spread = np.atleast_1d(np.where(np.isfinite(spread) & (spread > 0.0), spread, 1.0))  # [P]
    targets = Targets(np.zeros((0, len(spread)))) if targets is None else targets
    kind = load_class(config)
    return kind(**kind.arguments_for(config, replace(targets, variance=spread)), dtype=dtype)


def restored(config: Any, arguments: Mapping[str, Any], *, dtype: tf.DType = tf.float64) -> Likelihood:
    """A likelihood of the structure that `Likelihood.arguments` told; its values come later."""
    likelihood: Likelihood = load_class(config).restored(config, arguments, dtype)
    return likelihood


def targets_of(config: Any, Y: np.ndarray, classes: int = 0) -> Targets:
    """Training rows Y [N, P + E] as a likelihood is made from them; a missing target is the mean."""
    extras = len(getattr(config, "extra_columns", {}))
    outputs = Y.shape[1] - extras
    values, told = Y[:, :outputs], Y[:, outputs:]
    missing = np.isnan(values)
    if missing.any():
        values = np.where(missing, np.nanmean(values, axis=0), values)
    return Targets(values, told, classes)


def latent_start(config: Any, targets: Targets) -> LatentStart:
    """Where f starts under the likelihood that `config` describes."""
    found: LatentStart = load_class(config).latent_start(config, targets)
    return found
