"""Likelihoods: how observations arise from function values."""

from __future__ import annotations

from svgp.likelihoods.base import Likelihood
from svgp.likelihoods.bernoulli import Bernoulli
from svgp.likelihoods.builder import from_config, latent_start, restored, targets_of
from svgp.likelihoods.gaussian import Gaussian
from svgp.likelihoods.poisson import Poisson
from svgp.likelihoods.student_t import StudentT

__all__ = [
    "Bernoulli",
    "Gaussian",
    "Likelihood",
    "Poisson",
    "StudentT",
    "from_config",
    "latent_start",
    "restored",
    "targets_of",
]
