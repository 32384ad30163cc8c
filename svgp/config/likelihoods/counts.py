"""Likelihoods of counts."""

from __future__ import annotations

from typing import ClassVar, Literal

from svgp.config.base import Text, setting
from svgp.config.likelihoods.base import LIKELIHOODS, LikelihoodSection, Task


class CountSection(LikelihoodSection):
    """What those with a log rate have in common."""

    task: ClassVar[Task] = "count"
    has_noise: ClassVar[bool] = False

    exposure: Text | None = setting(
        None, "a column to which the expected count is proportional: hours, areas, people (1 in predictions "
        "for a table without it)"
    )  # fmt: skip

    @property
    def extra_columns(self) -> dict[str, str]:
        """The column of exposures."""
        return {} if self.exposure is None else {"exposure": self.exposure}


@LIKELIHOODS.register
class PoissonLikelihood(CountSection):
    """y in {0, 1, 2, ...} with rate exp(f)."""

    example: ClassVar[str] = "{type: poisson}"
    builds: ClassVar[str] = "svgp.likelihoods.poisson.Poisson"
    suits: ClassVar[str] = "a count: 0, 1, 2, ..."

    type: Literal["poisson"] = setting(..., "counts")


@LIKELIHOODS.register
class NegativeBinomialLikelihood(CountSection):
    """Counts of mean mu = exp(f) and variance mu + alpha mu^2."""

    example: ClassVar[str] = "{type: negative_binomial}"
    builds: ClassVar[str] = "svgp.likelihoods.negative_binomial.NegativeBinomial"
    suits: ClassVar[str] = "a count that scatters more than Poisson's"

    type: Literal["negative_binomial"] = setting(..., "counts that scatter more than Poisson's")
    alpha: float = setting(0.5, "over-dispersion to start from; 0 would be Poisson", unit="none", gt=0)


@LIKELIHOODS.register
class ZeroInflatedPoissonLikelihood(CountSection):
    """Zero with probability `zeros`, else Poisson with rate exp(f)."""

    example: ClassVar[str] = "{type: zero_inflated_poisson}"
    builds: ClassVar[str] = "svgp.likelihoods.zero_inflated_poisson.ZeroInflatedPoisson"
    suits: ClassVar[str] = "a count with more zeros than Poisson's"

    type: Literal["zero_inflated_poisson"] = setting(..., "counts with more zeros than Poisson's")
    zeros: float = setting(0.2, "share of additional zeros to start from", unit="none", gt=0, lt=1)


@LIKELIHOODS.register
class BinomialLikelihood(LikelihoodSection):
    """y of n trials with probability 1 / (1 + exp(-f)), n from a column."""

    example: ClassVar[str] = "{type: binomial, trials: n}"
    builds: ClassVar[str] = "svgp.likelihoods.binomial.Binomial"
    task: ClassVar[Task] = "count"
    suits: ClassVar[str] = "how many of so many trials succeeded"
    has_noise: ClassVar[bool] = False

    type: Literal["binomial"] = setting(..., "successes of so many trials")
    trials: Text = setting(..., "the column that holds the number of trials (1 in predictions without it)")

    @property
    def extra_columns(self) -> dict[str, str]:
        """The column of trials."""
        return {"trials": self.trials}
