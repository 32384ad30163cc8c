"""Kernels of categories."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from svgp.config.base import WholeNumber, setting
from svgp.config.kernels.base import KERNELS, OnInputs, Positive, variance_setting


@KERNELS.register
class CategoricalKernel(OnInputs):
    """A learned covariance between the levels of one of data.categorical: W W^T + diag(kappa)."""

    example: ClassVar[str] = "{type: categorical, inputs: [colour]}"
    builds: ClassVar[str] = "svgp.kernels.categorical.Categorical"

    type: Literal["categorical"] = setting(..., "a covariance between levels")
    rank: WholeNumber = setting(2, "columns of W: in how many ways levels may resemble", unit="columns", ge=1)
    variance: float | None = variance_setting()

    def conflicts(self) -> Iterator[tuple[str, str]]:
        yield from super().conflicts()
        if self.inputs is None or len(self.inputs) != 1:
            yield "inputs", "expected one of data.categorical, such as [colour]"


@KERNELS.register
class HammingKernel(OnInputs):
    """v exp(-sum of 1 / l_c over the columns c that differ): for categories, mixed or many."""

    example: ClassVar[str] = "{type: hamming, inputs: [colour, size]}"
    builds: ClassVar[str] = "svgp.kernels.categorical.Hamming"

    type: Literal["hamming"] = setting(..., "how many columns differ")
    variance: float | None = variance_setting()
    lengthscales: Positive | None = setting(
        None, "differing columns over which rows become strangers, to start from; null: all of them",
        unit="columns", role="shape",
    )  # fmt: skip
