"""`model.likelihood`: how an observation scatters around the latent function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Union

from pydantic import Discriminator, Tag

from svgp.config.base import Section, setting

Task = Literal["regression", "binary", "count"]


class GaussianLikelihood(Section):
    """y = f + e with e ~ N(0, variance)."""

    example: ClassVar[str] = "{type: gaussian}"
    task: ClassVar[Task] = "regression"

    type: Literal["gaussian"] = setting("gaussian", "normal noise")
    variance: float | None = setting(
        None, "noise variance to start from; null: from the data",
        unit="squared units of the (standardised) target", gt=0,
    )  # fmt: skip


class StudentTLikelihood(Section):
    """y = f + scale e with e from Student's t: noise with outliers."""

    example: ClassVar[str] = "{type: student_t, df: 4.0}"
    task: ClassVar[Task] = "regression"

    type: Literal["student_t"] = setting(..., "noise with heavy tails")
    scale: float | None = setting(
        None, "noise scale to start from; null: from the data",
        unit="units of the (standardised) target", gt=0,
    )  # fmt: skip
    df: float = setting(
        4.0, "degrees of freedom: the smaller, the more outliers; above 2, where the variance exists",
        unit="degrees of freedom", gt=2,
    )  # fmt: skip


class BernoulliLikelihood(Section):
    """y in {0, 1} with P(y = 1) = link(f)."""

    example: ClassVar[str] = "{type: bernoulli}"
    task: ClassVar[Task] = "binary"

    type: Literal["bernoulli"] = setting(..., "two classes")
    link: Literal["probit", "logit"] = setting("probit", "from the latent function to a probability")


class PoissonLikelihood(Section):
    """y in {0, 1, 2, ...} with rate exp(f)."""

    example: ClassVar[str] = "{type: poisson}"
    task: ClassVar[Task] = "count"

    type: Literal["poisson"] = setting(..., "counts")


def _kind(value: Any) -> str | None:
    if isinstance(value, Mapping):
        return f"<{value.get('type', 'gaussian')}>"
    kind = getattr(value, "type", None)
    return None if kind is None else f"<{kind}>"


Likelihood = Annotated[
    Union[  # noqa: UP007
        Annotated[GaussianLikelihood, Tag("<gaussian>")],
        Annotated[StudentTLikelihood, Tag("<student_t>")],
        Annotated[BernoulliLikelihood, Tag("<bernoulli>")],
        Annotated[PoissonLikelihood, Tag("<poisson>")],
    ],
    Discriminator(_kind),
]
