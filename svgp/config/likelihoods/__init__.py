"""`model.likelihood`: how an observation scatters around the latent function. One section for each kind.

A section names the class that it builds and the task that its targets belong to: adding a likelihood takes
its class and its section. Another package registers a section of its own with `LIKELIHOODS.register`.
"""

from __future__ import annotations

from svgp.config.likelihoods.base import LIKELIHOODS, Likelihood, LikelihoodSection, Task
from svgp.config.likelihoods.classes import BernoulliLikelihood
from svgp.config.likelihoods.counts import PoissonLikelihood
from svgp.config.likelihoods.regression import GaussianLikelihood, StudentTLikelihood

__all__ = [
    "LIKELIHOODS", "BernoulliLikelihood", "GaussianLikelihood", "Likelihood", "LikelihoodSection",
    "PoissonLikelihood", "StudentTLikelihood", "Task",
]  # fmt: skip
