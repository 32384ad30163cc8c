"""Kernels of what repeats itself: periodic, cosine and spectral mixture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from svgp.config.base import WholeNumber, setting
from svgp.config.kernels.base import KERNELS, Kernel, OneOrEach, OnInputs, variance_setting
from svgp.config.kernels.stationary import SquaredExponentialKernel, StationaryKernel


def _squared_exponential() -> SquaredExponentialKernel:
    return SquaredExponentialKernel(type="squared_exponential")


@KERNELS.register
class PeriodicKernel(OnInputs):
    """A stationary kernel on a circle: functions that repeat themselves exactly."""

    example: ClassVar[str] = "{type: periodic, inputs: [month]}"
    builds: ClassVar[str] = "svgp.kernels.periodic.Periodic"

    type: Literal["periodic"] = setting(..., "functions that repeat themselves")
    base: Kernel = setting(
        _squared_exponential, "a stationary kernel; lengthscales in periods / pi, where they are short"
    )
    period: OneOrEach | None = setting(
        None, "the period to start from: one number, or one for each input; null: the strongest in the data",
        unit="(standardised) input units", role="period",
    )  # fmt: skip

    def conflicts(self) -> Iterator[tuple[str, str]]:
        yield from super().conflicts()
        if not isinstance(self.base, StationaryKernel):
            yield "base", "expected a stationary kernel, such as {type: squared_exponential}"
        elif self.base.inputs is not None:
            yield "base.inputs", "state the inputs on the periodic kernel itself"


@KERNELS.register
class CosineKernel(OnInputs):
    """v cos(2 pi sum_d (x_d - x'_d) / l_d): one plane wave."""

    example: ClassVar[str] = "{type: cosine}"
    builds: ClassVar[str] = "svgp.kernels.cosine.Cosine"

    type: Literal["cosine"] = setting(..., "one plane wave")
    ard: bool = setting(True, "one wave length for each input, or one")
    variance: float | None = variance_setting()
    lengthscales: OneOrEach | None = setting(
        None, "wave lengths to start from: one number, or one for each input; null: from the data",
        unit="(standardised) input units", role="period",
    )  # fmt: skip


@KERNELS.register
class SpectralMixtureKernel(OnInputs):
    """Any stationary covariance, as a mixture of normals over frequencies."""

    example: ClassVar[str] = "{type: spectral_mixture, components: 4}"
    builds: ClassVar[str] = "svgp.kernels.spectral_mixture.SpectralMixture"

    type: Literal["spectral_mixture"] = setting(..., "a mixture over frequencies")
    components: WholeNumber = setting(4, "of the mixture", unit="components", ge=1, le=100)
    variance: float | None = variance_setting("variance of all components together; null: from the data")
