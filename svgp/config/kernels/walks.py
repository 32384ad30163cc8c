"""Kernels of random walks."""

from __future__ import annotations

from typing import ClassVar, Literal

from svgp.config.base import setting
from svgp.config.kernels.base import KERNELS, OnInputs, variance_setting


class WalkKernel(OnInputs):
    """A walk from an origin, where it is zero."""

    variance: float | None = variance_setting("of a walk over one unit; null: from the data")
    origin: float | None = setting(
        None, "where the walk starts from zero; null: half a standard deviation before the first row",
        unit="(standardised) input units", ge=-1e300,
    )  # fmt: skip


@KERNELS.register
class BrownianKernel(WalkKernel):
    """min(t, t') from an origin: Brownian motion."""

    example: ClassVar[str] = "{type: brownian, inputs: [time]}"
    builds: ClassVar[str] = "svgp.kernels.brownian.Brownian"

    type: Literal["brownian"] = setting(..., "Brownian motion")


@KERNELS.register
class IntegratedBrownianKernel(WalkKernel):
    """The integral of a Brownian motion: with a linear kernel the cubic smoothing spline."""

    example: ClassVar[str] = "{type: integrated_brownian, inputs: [time]}"
    builds: ClassVar[str] = "svgp.kernels.brownian.IntegratedBrownian"

    type: Literal["integrated_brownian"] = setting(..., "the integral of Brownian motion")
