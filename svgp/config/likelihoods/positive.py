"""Likelihoods of positive numbers, some of which may be censored, and of shares."""

from __future__ import annotations

from typing import ClassVar, Literal

from svgp.config.base import Text, setting
from svgp.config.likelihoods.base import LIKELIHOODS, LikelihoodSection, Task


class PositiveSection(LikelihoodSection):
    """What those of positive numbers have in common."""

    task: ClassVar[Task] = "positive"

    censored: Text | None = setting(
        None, "a column that is 1 (true) where the target is right-censored: seen last then, and nothing yet"
    )

    @property
    def extra_columns(self) -> dict[str, str]:
        """The column that tells which rows are censored."""
        return {} if self.censored is None else {"censored": self.censored}


@LIKELIHOODS.register
class ExponentialLikelihood(PositiveSection):
    """Density exp(-y / s) / s with s = exp(f)."""

    example: ClassVar[str] = "{type: exponential}"
    builds: ClassVar[str] = "svgp.likelihoods.weibull.Exponential"
    suits: ClassVar[str] = "waiting times whose hazard does not depend on how long one has waited"
    has_noise: ClassVar[bool] = False

    type: Literal["exponential"] = setting(..., "waiting times of a constant hazard")


@LIKELIHOODS.register
class GammaLikelihood(PositiveSection):
    """Gamma with scale exp(f): mean shape exp(f), deviation proportional to it."""

    example: ClassVar[str] = "{type: gamma}"
    builds: ClassVar[str] = "svgp.likelihoods.gamma.Gamma"
    suits: ClassVar[str] = "a positive number whose scatter grows with its mean"
    has_noise: ClassVar[bool] = False

    type: Literal["gamma"] = setting(..., "positive numbers whose scatter grows with their mean")
    shape: float = setting(1.0, "shape to start from; larger: less scatter", unit="none", gt=0)


@LIKELIHOODS.register
class WeibullLikelihood(PositiveSection):
    """P(y > t) = exp(-(t / s)^shape) with s = exp(f)."""

    example: ClassVar[str] = "{type: weibull, censored: still_alive}"
    builds: ClassVar[str] = "svgp.likelihoods.weibull.Weibull"
    suits: ClassVar[str] = "times until something happens, which may not have happened yet (censored)"
    has_noise: ClassVar[bool] = False

    type: Literal["weibull"] = setting(..., "times until something happens")
    shape: float = setting(
        1.0, "shape to start from; above 1 the hazard rises with time, below 1 it falls", unit="none", gt=0
    )


@LIKELIHOODS.register
class LogNormalLikelihood(PositiveSection):
    """log y = f + scale e with e ~ N(0, 1)."""

    example: ClassVar[str] = "{type: lognormal}"
    builds: ClassVar[str] = "svgp.likelihoods.lognormal.LogNormal"
    suits: ClassVar[str] = "a positive number that scatters by factors"

    type: Literal["lognormal"] = setting(..., "positive numbers that scatter by factors")
    scale: float | None = setting(
        None, "deviation of log y to start from; null: from the data", unit="none", gt=0
    )


@LIKELIHOODS.register
class BetaLikelihood(LikelihoodSection):
    """Beta with mean Phi(f); values of 0 and 1 count as half a row's share of the data away from there, or
    half as far as the nearest other value."""

    example: ClassVar[str] = "{type: beta}"
    builds: ClassVar[str] = "svgp.likelihoods.beta.Beta"
    task: ClassVar[Task] = "share"
    suits: ClassVar[str] = "a share, from 0 to 1"
    has_noise: ClassVar[bool] = False

    type: Literal["beta"] = setting(..., "shares from 0 to 1")
    scale: float = setting(
        10.0, "sum of the exponents to start from; larger: less scatter", unit="none", gt=0
    )
