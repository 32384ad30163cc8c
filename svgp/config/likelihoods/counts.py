"""Likelihoods of counts."""

from __future__ import annotations

from typing import ClassVar, Literal

from svgp.config.base import setting
from svgp.config.likelihoods.base import LIKELIHOODS, LikelihoodSection, Task


@LIKELIHOODS.register
class PoissonLikelihood(LikelihoodSection):
    """y in {0, 1, 2, ...} with rate exp(f)."""

    example: ClassVar[str] = "{type: poisson}"
    builds: ClassVar[str] = "svgp.likelihoods.poisson.Poisson"
    task: ClassVar[Task] = "count"
    suits: ClassVar[str] = "a count: 0, 1, 2, ..."
    has_noise: ClassVar[bool] = False

    type: Literal["poisson"] = setting(..., "counts")
