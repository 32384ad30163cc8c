"""Sums and products of kernels, nested as deep as one likes."""

from __future__ import annotations

from typing import ClassVar

from svgp.config.base import setting
from svgp.config.kernels.base import KERNELS, Kernel, KernelSection


@KERNELS.register
class SumKernel(KernelSection):
    """The sum of its parts' covariances: independent functions added."""

    example: ClassVar[str] = "{sum: [{type: matern32}, {type: linear}]}"
    builds: ClassVar[str] = "svgp.kernels.combination.Sum"

    sum: list[Kernel] = setting(..., "the kernels to add", min_length=1)


@KERNELS.register
class ProductKernel(KernelSection):
    """The product of its parts' covariances."""

    example: ClassVar[str] = "{product: [{type: matern32}, {type: linear}]}"
    builds: ClassVar[str] = "svgp.kernels.combination.Product"

    product: list[Kernel] = setting(..., "the kernels to multiply", min_length=1)
