"""Kernels made of other kernels: additive, change points, warped inputs, groups, and networks in front."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from svgp.config.base import Names, Text, WholeNumber, setting
from svgp.config.kernels.base import KERNELS, Kernel, KernelSection, OnInputs, variance_setting
from svgp.config.kernels.stationary import Matern32Kernel

Units = Annotated[WholeNumber, Field(ge=1, le=10_000)]


@KERNELS.register
class AdditiveKernel(OnInputs):
    """Functions of each input by itself, of each pair (order 2), and so on."""

    example: ClassVar[str] = "{additive: {order: 2}}"
    builds: ClassVar[str] = "svgp.kernels.additive.Additive"

    type: Literal["additive"] = setting(..., "functions of few inputs each")
    order: WholeNumber = setting(2, "of how many inputs together at most", unit="inputs", ge=1, le=10)
    base: Literal["squared_exponential", "matern12", "matern32", "matern52"] = setting(
        "squared_exponential", "the kernel of one input"
    )
    variance: float | None = variance_setting("variance of all orders together; null: from the data")


@KERNELS.register
class ChangePointsKernel(KernelSection):
    """One kernel before, between and after some places of an input."""

    example: ClassVar[str] = (
        "{type: change_points, kernels: [{type: matern32}, {type: matern12}], switch: time}"
    )
    builds: ClassVar[str] = "svgp.kernels.change_points.ChangePoints"

    type: Literal["change_points"] = setting(..., "one kernel after another")
    kernels: list[Kernel] = setting(..., "the kernels, in the order of the input", min_length=2)
    switch: Text | None = setting(None, "the input along which they change; null: the first")
    locations: list[float] | None = setting(
        None, "where they change, to start from: one less than kernels; null: at even shares of the rows"
    )
    steepness: float | None = setting(
        None, "how abruptly, to start from; null: within a tenth of a standard deviation",
        unit="one over (standardised) input units", role="rate", gt=0,
    )  # fmt: skip

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if self.locations is not None and len(self.locations) != len(self.kernels) - 1:
            yield "locations", f"{len(self.locations)} for {len(self.kernels)} kernels; expected one less"


@KERNELS.register
class WarpedKernel(OnInputs):
    """A kernel of inputs that are stretched and squeezed by a learned monotonic map (Kumaraswamy)."""

    example: ClassVar[str] = "{type: warped, base: {type: matern32}}"
    builds: ClassVar[str] = "svgp.kernels.warped.Warped"

    type: Literal["warped"] = setting(..., "stretched inputs")
    base: Kernel = setting(Matern32Kernel, "the kernel of the stretched inputs")


@KERNELS.register
class GroupedKernel(KernelSection):
    """The same kernel on each of several groups of inputs, each with a scale of its own, added up."""

    example: ClassVar[str] = "{type: grouped, groups: [[a, b], [c]]}"
    builds: ClassVar[str] = "svgp.kernels.combination.Grouped"

    type: Literal["grouped"] = setting(..., "a sum over groups of inputs")
    groups: list[Names] = setting(..., "the inputs of each group", min_length=1)
    base: Kernel = setting(Matern32Kernel, "the kernel of each group")


@KERNELS.register
class DeepKernel(OnInputs):
    """A network learns the features between which a kernel measures distances. It can overfit."""

    example: ClassVar[str] = "{type: deep, layers: [64, 32, 2], base: {type: matern32}}"
    builds: ClassVar[str] = "svgp.kernels.deep.Deep"

    type: Literal["deep"] = setting(..., "a kernel of features that a network learns")
    layers: list[Units] = setting([64, 32, 2], "units of each layer, the features last", min_length=1)
    base: Kernel = setting(Matern32Kernel, "the kernel of the features")
