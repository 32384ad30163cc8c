"""Likelihoods: how observations arise from function values."""

from __future__ import annotations

from svgp.likelihoods.base import Likelihood
from svgp.likelihoods.bernoulli import Bernoulli
from svgp.likelihoods.beta import Beta
from svgp.likelihoods.binomial import Binomial
from svgp.likelihoods.builder import from_config, latent_start, restored, targets_of
from svgp.likelihoods.gamma import Gamma
from svgp.likelihoods.gaussian import Gaussian
from svgp.likelihoods.heteroskedastic import Heteroskedastic
from svgp.likelihoods.laplace import Laplace
from svgp.likelihoods.lognormal import LogNormal
from svgp.likelihoods.negative_binomial import NegativeBinomial
from svgp.likelihoods.ordinal import Ordinal
from svgp.likelihoods.poisson import Poisson
from svgp.likelihoods.quantile import Quantile
from svgp.likelihoods.robust_max import RobustMax
from svgp.likelihoods.softmax import Softmax
from svgp.likelihoods.student_t import StudentT
from svgp.likelihoods.switched import Switched
from svgp.likelihoods.weibull import Exponential, Weibull
from svgp.likelihoods.zero_inflated_poisson import ZeroInflatedPoisson

__all__ = [
    "Bernoulli", "Beta", "Binomial", "Exponential", "Gamma", "Gaussian", "Heteroskedastic", "Laplace",
    "Likelihood", "LogNormal", "NegativeBinomial", "Ordinal", "Poisson", "Quantile", "RobustMax", "Softmax",
    "StudentT", "Switched",
    "Weibull", "ZeroInflatedPoisson", "from_config", "latent_start", "restored", "targets_of",
]  # fmt: skip
