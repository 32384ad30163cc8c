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


class ClassSection(LikelihoodSection):
    """What those of several classes have in common."""

    several_targets: ClassVar[bool] = False
    has_noise: ClassVar[bool] = False


class FunctionEach(ClassSection):
    """A latent function for each class."""

    def functions(self, targets: int, classes: int = 0) -> int:
        """As many as classes."""
        return max(classes, 2)


@LIKELIHOODS.register
class SoftmaxLikelihood(FunctionEach):
    """P(y = k) = exp(f_k) / sum_j exp(f_j), a latent function for each class."""

    example: ClassVar[str] = "{type: softmax}"
    builds: ClassVar[str] = "svgp.likelihoods.softmax.Softmax"
    task: ClassVar[Task] = "multiclass"
    suits: ClassVar[str] = "classes without an order; its prediction is a probability of each"

    type: Literal["softmax"] = setting(..., "classes without an order")


@LIKELIHOODS.register
class RobustMaxLikelihood(FunctionEach):
    """The class of the largest latent function, but for a share epsilon of errors."""

    example: ClassVar[str] = "{type: robust_max}"
    builds: ClassVar[str] = "svgp.likelihoods.robust_max.RobustMax"
    task: ClassVar[Task] = "multiclass"
    suits: ClassVar[str] = "many classes without an order, some rows of which carry a wrong label"

    type: Literal["robust_max"] = setting(..., "many classes, some labels wrong")
    epsilon: float = setting(1e-3, "share of rows whose label is wrong", unit="none", gt=0, lt=1)


@LIKELIHOODS.register
class OrdinalLikelihood(ClassSection):
    """f and normal noise, cut into levels at edges that are learned."""

    example: ClassVar[str] = "{type: ordinal, levels: [low, middle, high]}"
    builds: ClassVar[str] = "svgp.likelihoods.ordinal.Ordinal"
    task: ClassVar[Task] = "ordinal"
    suits: ClassVar[str] = "classes with an order: marks, grades, stages"

    type: Literal["ordinal"] = setting(..., "classes with an order")
    levels: list[str | int | float] | None = setting(
        None, "the levels from the lowest to the highest; null: numbers, by value", min_length=2
    )
