"""From a config to a likelihood, with start values from the data where the config leaves them open."""

from __future__ import annotations

import math

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
    config: LikelihoodConfig, *, target_variance: float = 1.0, dtype: tf.DType = tf.float64
) -> Likelihood:
    """The likelihood that `model.likelihood` describes.

    `target_variance` is that of the targets as the model sees them (1 when standardised). Open
    start values: Gaussian noise variance 0.1 of it, Student-t scale the root of that; the Gaussian
    floor is 1e-6 of it. A constant target counts as variance 1. Raises ModelError where the
    config's noise is not above the floor.
    """
    usable = math.isfinite(target_variance) and target_variance > 0.0
    target_variance = float(target_variance) if usable else 1.0
    if isinstance(config, GaussianLikelihood):
        start = START_SHARE * target_variance if config.variance is None else config.variance
        floor = FLOOR_SHARE * target_variance
        if start <= floor:
            raise ModelError(
                f"model.likelihood.variance: {start:g} is not above the floor {floor:g} (1e-6 of the "
                "target's variance); start from a larger value"
            )
        return Gaussian(start, floor=floor, dtype=dtype)
    if isinstance(config, StudentTLikelihood):
        scale = math.sqrt(START_SHARE * target_variance) if config.scale is None else config.scale
        return StudentT(scale, config.df, dtype=dtype)
    if isinstance(config, BernoulliLikelihood):
        return Bernoulli(config.link, dtype=dtype)
    return Poisson(dtype=dtype)
