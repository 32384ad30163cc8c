"""`model.priors`: densities over hyperparameters, for which training finds the most probable values (MAP)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Union

from pydantic import Discriminator, Tag

from svgp.config.base import Section, setting


class GammaPrior(Section):
    """Density `x^(shape - 1) exp(-rate x)`: mean shape / rate; a shape above 1 keeps x away from 0."""

    example: ClassVar[str] = "{type: gamma, shape: 2, rate: 1}"

    type: Literal["gamma"] = setting(..., "a gamma density")
    shape: float = setting(..., "its shape", unit="none", gt=0)
    rate: float = setting(..., "its rate", unit="one over the parameter's unit", gt=0)


class LogNormalPrior(Section):
    """log x ~ N(log median, sigma^2): half lies below the median; sigma 1 is a factor of e each way."""

    example: ClassVar[str] = "{type: lognormal, median: 1, sigma: 1}"

    type: Literal["lognormal"] = setting(..., "a log-normal density")
    median: float = setting(..., "its median", unit="the parameter's unit", gt=0)
    sigma: float = setting(..., "standard deviation of log x", unit="none", gt=0)


def _kind(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
    return None if kind is None else f"<{kind}>"


Prior = Annotated[
    Union[  # noqa: UP007
        Annotated[GammaPrior, Tag("<gamma>")],
        Annotated[LogNormalPrior, Tag("<lognormal>")],
    ],
    Discriminator(_kind),
]


# For each key below: whose parameters, and which of them by their roles (`svgp.parameters`).
PRIOR_ROLES: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "lengthscales": (("kernel",), {"lengthscale"}),
    "variance": (("kernel",), {"variance"}),
    "noise": (("likelihood",), {"noise", "scale"}),
    "period": (("kernel",), {"period"}),
    "shape": (("kernel", "likelihood"), {"shape"}),
}


class PriorsConfig(Section):
    """Priors on positive hyperparameters; null: none, training maximises the bound alone."""

    example: ClassVar[str] = "{lengthscales: {type: gamma, shape: 2, rate: 1}}"

    lengthscales: Prior | None = setting(None, "on each lengthscale ((standardised) input units)")
    variance: Prior | None = setting(None, "on each kernel's variance (squared (standardised) target units)")
    noise: Prior | None = setting(None, "on the noise variance of gaussian, or the scale of student_t")

    period: Prior | None = setting(None, "on each period of a kernel ((standardised) input units)")
    shape: Prior | None = setting(
        None,
        "on each shape of a kernel (alpha of rational_quadratic) or likelihood (df of student_t is held)",
    )

    @property
    def given(self) -> Iterator[tuple[str, Prior]]:
        """Names and densities of those that are not null."""
        found = ((name, getattr(self, name)) for name in type(self).model_fields)
        return ((name, prior) for name, prior in found if prior is not None)
