"""Likelihoods of numbers of any sign."""

from __future__ import annotations

from typing import ClassVar, Literal

from svgp.config.base import Section, Text, setting
from svgp.config.likelihoods.base import LIKELIHOODS, LikelihoodSection, Task


class NoiseColumn(Section):
    """Noise whose standard deviation is known for each row."""

    example: ClassVar[str] = "{column: sigma}"

    column: Text = setting(..., "the column of standard deviations, in the target's own unit")


@LIKELIHOODS.register
class GaussianLikelihood(LikelihoodSection):
    """y = f + e with e ~ N(0, variance)."""

    example: ClassVar[str] = "{type: gaussian}"
    builds: ClassVar[str] = "svgp.likelihoods.gaussian.Gaussian"
    task: ClassVar[Task] = "regression"
    suits: ClassVar[str] = "a number with normal noise; student_t if some rows are far off"

    type: Literal["gaussian"] = setting("gaussian", "normal noise")
    variance: float | None = setting(
        None, "noise variance to start from; null: from the data",
        unit="squared units of the (standardised) target", gt=0,
    )  # fmt: skip

    noise: NoiseColumn | None = setting(
        None, "standard deviations that are known for each row; 'variance' is then what comes on top of them"
    )

    @property
    def collapsible(self) -> bool:
        """For normal noise of one variance."""
        return self.noise is None

    @property
    def extra_columns(self) -> dict[str, str]:
        """The column of known standard deviations."""
        return {} if self.noise is None else {"noise": self.noise.column}


@LIKELIHOODS.register
class StudentTLikelihood(LikelihoodSection):
    """y = f + scale e with e from Student's t: noise with outliers."""

    example: ClassVar[str] = "{type: student_t, df: 4.0}"
    builds: ClassVar[str] = "svgp.likelihoods.student_t.StudentT"
    task: ClassVar[Task] = "regression"
    suits: ClassVar[str] = "a number with heavy-tailed noise; gaussian if no row is far off"

    type: Literal["student_t"] = setting(..., "noise with heavy tails")
    scale: float | None = setting(
        None, "noise scale to start from; null: from the data",
        unit="units of the (standardised) target", gt=0,
    )  # fmt: skip
    df: float = setting(
        4.0, "degrees of freedom: the smaller, the more outliers; above 2, where the variance exists",
        unit="degrees of freedom", gt=2,
    )  # fmt: skip


@LIKELIHOODS.register
class LaplaceLikelihood(LikelihoodSection):
    """y = f + e with density exp(-|e| / scale) / (2 scale): f is the median."""

    example: ClassVar[str] = "{type: laplace}"
    builds: ClassVar[str] = "svgp.likelihoods.laplace.Laplace"
    task: ClassVar[Task] = "regression"
    suits: ClassVar[str] = "a number with a sharp peak of noise and tails; the median is predicted"

    type: Literal["laplace"] = setting(..., "noise with exponential tails")
    scale: float | None = setting(
        None, "noise scale to start from; null: from the data",
        unit="units of the (standardised) target", gt=0,
    )  # fmt: skip


@LIKELIHOODS.register
class HeteroskedasticLikelihood(LikelihoodSection):
    """y = f + exp(g) e: the size of the noise is a function of the inputs as well."""

    example: ClassVar[str] = "{type: heteroskedastic}"
    builds: ClassVar[str] = "svgp.likelihoods.heteroskedastic.Heteroskedastic"
    task: ClassVar[Task] = "regression"
    suits: ClassVar[str] = "a number whose scatter depends on the inputs"
    has_noise: ClassVar[bool] = False

    type: Literal["heteroskedastic"] = setting(..., "noise that depends on the inputs")
    noise: Literal["gaussian", "student_t"] = setting("gaussian", "its distribution")
    df: float = setting(
        4.0, "for noise: student_t, degrees of freedom: the smaller, the more outliers",
        unit="degrees of freedom", gt=2,
    )  # fmt: skip

    def functions(self, targets: int, classes: int = 0) -> int:
        """The target's own, and one for the size of its noise."""
        return 2 * targets


@LIKELIHOODS.register
class QuantileLikelihood(LikelihoodSection):
    """f is the quantile of y at `level`, by the asymmetric Laplace density."""

    example: ClassVar[str] = "{type: quantile, level: 0.9}"
    builds: ClassVar[str] = "svgp.likelihoods.quantile.Quantile"
    task: ClassVar[Task] = "regression"
    suits: ClassVar[str] = "a number of which one quantile is wanted, whatever the noise"

    type: Literal["quantile"] = setting(..., "one quantile of the target")
    level: float = setting(0.9, "the share of observations that lie below it", unit="none", gt=0, lt=1)
    scale: float | None = setting(
        None, "scale of the check loss to start from; null: from the data",
        unit="units of the (standardised) target", gt=0,
    )  # fmt: skip
