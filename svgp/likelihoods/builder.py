"""From a config to a likelihood, with start values from the data where the config leaves them open."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from svgp.config.likelihood import (
    BernoulliLikelihood,
    GaussianLikelihood,
    PoissonLikelihood,
    StudentTLikelihood,
)
from svgp.errors import ModelError
from svgp.likelihoods.base import Likelihood
from svgp.likelihoods.bernoulli import Bernoulli
from svgp.likelihoods.gaussian import Gaussian
from svgp.likelihoods.poisson import Poisson
from svgp.likelihoods.student_t import StudentT

START_SHARE = 0.1  # of the target's variance is taken for noise at first: a fit can move either way from it
FLOOR_SHARE = 1e-6  # of the target's variance is the least noise variance

LikelihoodConfig = GaussianLikelihood | StudentTLikelihood | BernoulliLikelihood | PoissonLikelihood


def from_config(
    config: LikelihoodConfig, *, target_variance: float | np.ndarray = 1.0, dtype: tf.DType = tf.float64
) -> Likelihood:
    """The likelihood that `model.likelihood` describes.

    `target_variance` is that of the targets as the model sees them (1 when standardised), one number or
    [P]: each of P > 1 outputs then has noise of its own. Open start values: Gaussian noise variance 0.1 of
    it, Student-t scale the root of that; the Gaussian floor is 1e-6 of the least. A constant target counts
    as variance 1. Raises ModelError where the config's noise is not above the floor.
    """
    spread = np.asarray(target_variance, np.float64)
    spread = np.where(np.isfinite(spread) & (spread > 0.0), spread, 1.0)  # [] or [P]
    start: Any = START_SHARE * (float(spread.item()) if spread.size == 1 else spread)
    if isinstance(config, GaussianLikelihood):
        variance = start if config.variance is None else config.variance
        floor = FLOOR_SHARE * float(spread.min())
        if np.min(variance) <= floor:
            raise ModelError(
                f"model.likelihood.variance: {np.min(variance):g} is not above the floor {floor:g} (1e-6 of "
                "the target's variance); start from a larger value"
            )
        return Gaussian(variance, floor=floor, dtype=dtype)
    if isinstance(config, StudentTLikelihood):
        scale = np.sqrt(start) if config.scale is None else config.scale
        return StudentT(scale, config.df, dtype=dtype)
    if isinstance(config, BernoulliLikelihood):
        return Bernoulli(config.link, dtype=dtype)
    return Poisson(dtype=dtype)
