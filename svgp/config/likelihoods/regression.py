"""Likelihoods of numbers of any sign."""

from __future__ import annotations

from typing import ClassVar, Literal

from svgp.config.base import setting
from svgp.config.likelihoods.base import LIKELIHOODS, LikelihoodSection, Task


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

    @property
    def collapsible(self) -> bool:
        """Yes: for normal noise of one variance."""
        return True


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
