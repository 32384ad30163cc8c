"""Likelihoods of classes."""

from __future__ import annotations

from typing import ClassVar, Literal

from svgp.config.base import setting
from svgp.config.likelihoods.base import LIKELIHOODS, LikelihoodSection, Task


@LIKELIHOODS.register
class BernoulliLikelihood(LikelihoodSection):
    """y in {0, 1} with P(y = 1) = link(f)."""

    example: ClassVar[str] = "{type: bernoulli}"
    builds: ClassVar[str] = "svgp.likelihoods.bernoulli.Bernoulli"
    task: ClassVar[Task] = "binary"
    suits: ClassVar[str] = "two classes; its prediction is the probability of the second one"
    several_targets: ClassVar[bool] = False
    has_noise: ClassVar[bool] = False

    type: Literal["bernoulli"] = setting(..., "two classes")
    link: Literal["probit", "logit"] = setting("probit", "from the latent function to a probability")
