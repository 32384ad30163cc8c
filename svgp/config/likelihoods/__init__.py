"""`model.likelihood`: how an observation scatters around the latent function. One section for each kind.

A section names the class that it builds and the task that its targets belong to: adding a likelihood takes
its class and its section. Another package registers a section of its own with `LIKELIHOODS.register`.
"""

from __future__ import annotations

from svgp.config.likelihoods.base import LIKELIHOODS, Likelihood, LikelihoodSection, Task
from svgp.config.likelihoods.classes import (
    BernoulliLikelihood,
    OrdinalLikelihood,
    RobustMaxLikelihood,
    SoftmaxLikelihood,
)
from svgp.config.likelihoods.counts import (
    BinomialLikelihood,
    NegativeBinomialLikelihood,
    PoissonLikelihood,
    ZeroInflatedPoissonLikelihood,
)
from svgp.config.likelihoods.positive import (
    BetaLikelihood,
    ExponentialLikelihood,
    GammaLikelihood,
    LogNormalLikelihood,
    WeibullLikelihood,
)
from svgp.config.likelihoods.regression import (
    GaussianLikelihood,
    HeteroskedasticLikelihood,
    LaplaceLikelihood,
    NoiseColumn,
    QuantileLikelihood,
    StudentTLikelihood,
)
from svgp.config.likelihoods.switched import SwitchedLikelihood

__all__ = [
    "LIKELIHOODS", "BernoulliLikelihood", "BetaLikelihood", "BinomialLikelihood", "ExponentialLikelihood",
    "GammaLikelihood", "GaussianLikelihood", "HeteroskedasticLikelihood", "LaplaceLikelihood", "Likelihood",
    "LikelihoodSection", "LogNormalLikelihood", "NegativeBinomialLikelihood", "NoiseColumn",
    "OrdinalLikelihood", "PoissonLikelihood", "QuantileLikelihood", "RobustMaxLikelihood",
    "SoftmaxLikelihood", "StudentTLikelihood", "SwitchedLikelihood",
    "Task", "WeibullLikelihood", "ZeroInflatedPoissonLikelihood",
]  # fmt: skip
