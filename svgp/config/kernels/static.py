"""Kernels without a distance: linear, constant and white."""

from __future__ import annotations

from typing import ClassVar, Literal

from svgp.config.base import setting
from svgp.config.kernels.base import KERNELS, KernelSection, OnInputs, variance_setting


@KERNELS.register
class LinearKernel(OnInputs):
    """sum_d v_d x_d x'_d: straight lines through the origin."""

    example: ClassVar[str] = "{type: linear}"
    builds: ClassVar[str] = "svgp.kernels.static.Linear"

    type: Literal["linear"] = setting(..., "straight lines")
    ard: bool = setting(True, "one variance for each input (automatic relevance determination), or one")
    variance: float | None = variance_setting("variance of the slopes to start from; null: from the data")


@KERNELS.register
class ConstantKernel(KernelSection):
    """One unknown offset."""

    example: ClassVar[str] = "{type: constant}"
    builds: ClassVar[str] = "svgp.kernels.static.Constant"

    type: Literal["constant"] = setting(..., "one offset")
    variance: float | None = variance_setting()


@KERNELS.register
class WhiteKernel(KernelSection):
    """Noise that belongs to the function values."""

    example: ClassVar[str] = "{type: white}"
    builds: ClassVar[str] = "svgp.kernels.static.White"

    type: Literal["white"] = setting(..., "noise that belongs to the function")
    variance: float | None = variance_setting("variance to start from; null: 1% of the prior's")
