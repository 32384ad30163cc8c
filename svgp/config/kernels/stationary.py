"""Kernels of a distance: squared exponential and Matérn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from svgp.config.base import setting
from svgp.config.kernels.base import KERNELS, OneOrEach, OnInputs, variance_setting


class StationaryKernel(OnInputs):
    """A covariance that falls with the distance. Numbers left at null start from the data."""

    ard: bool = setting(True, "one lengthscale for each input (automatic relevance determination), or one")
    variance: float | None = variance_setting()
    lengthscales: OneOrEach | None = setting(
        None, "lengthscales to start from: one number, or one for each input; null: from the data",
        unit="(standardised) input units", role="lengthscale",
    )  # fmt: skip

    def conflicts(self) -> Iterator[tuple[str, str]]:
        yield from super().conflicts()
        if isinstance(self.lengthscales, list):
            if not self.ard:
                yield "lengthscales", "ard: false has one lengthscale; give one number, or set ard: true"
            elif not self.lengthscales:
                yield "lengthscales", "an empty list; give one number, or one for each input"


@KERNELS.register
class SquaredExponentialKernel(StationaryKernel):
    """v exp(-r^2 / 2): infinitely smooth functions."""

    example: ClassVar[str] = "{type: squared_exponential}"
    builds: ClassVar[str] = "svgp.kernels.squared_exponential.SquaredExponential"

    type: Literal["squared_exponential"] = setting(..., "infinitely smooth")


@KERNELS.register
class Matern12Kernel(StationaryKernel):
    """v exp(-r): continuous and rough functions."""

    example: ClassVar[str] = "{type: matern12}"
    builds: ClassVar[str] = "svgp.kernels.matern.Matern12"

    type: Literal["matern12"] = setting(..., "continuous and rough")


@KERNELS.register
class Matern32Kernel(StationaryKernel):
    """v (1 + s) exp(-s), s = sqrt(3) r: once differentiable functions."""

    builds: ClassVar[str] = "svgp.kernels.matern.Matern32"

    type: Literal["matern32"] = setting("matern32", "once differentiable")


@KERNELS.register
class Matern52Kernel(StationaryKernel):
    """v (1 + s + s^2 / 3) exp(-s), s = sqrt(5) r: twice differentiable functions."""

    example: ClassVar[str] = "{type: matern52}"
    builds: ClassVar[str] = "svgp.kernels.matern.Matern52"

    type: Literal["matern52"] = setting(..., "twice differentiable")


@KERNELS.register
class RationalQuadraticKernel(StationaryKernel):
    """v (1 + r^2 / (2 alpha))^-alpha: squared exponentials of many lengths."""

    example: ClassVar[str] = "{type: rational_quadratic}"
    builds: ClassVar[str] = "svgp.kernels.rational_quadratic.RationalQuadratic"

    type: Literal["rational_quadratic"] = setting(..., "squared exponentials of many lengths")
    alpha: float = setting(
        1.0, "how widely the lengths spread, to start from: small is wide", unit="none", role="shape", gt=0
    )
