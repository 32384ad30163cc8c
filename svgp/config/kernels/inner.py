"""Kernels of inner products: polynomials and wide networks."""

from __future__ import annotations

from typing import ClassVar, Literal

from svgp.config.base import WholeNumber, setting
from svgp.config.kernels.base import KERNELS, OnInputs, variance_setting


class WeightedKernel(OnInputs):
    """A function of weighted inner products. Numbers left at null start from the data."""

    ard: bool = setting(True, "one weight variance for each input, or one")
    variance: float | None = variance_setting()
    weight_variances: float | None = setting(
        None, "variance of the weights of inputs to start from; null: from the data",
        unit="one over squared (standardised) input units", role="weight", gt=0,
    )  # fmt: skip
    bias_variance: float = setting(
        1.0, "variance of the bias to start from", unit="none", role="offset", gt=0
    )


@KERNELS.register
class ArcCosineKernel(WeightedKernel):
    """An infinitely wide layer of steps (order 0), ramps (1) or squared ramps (2)."""

    example: ClassVar[str] = "{type: arc_cosine, order: 1}"
    builds: ClassVar[str] = "svgp.kernels.arc_cosine.ArcCosine"

    type: Literal["arc_cosine"] = setting(..., "a wide layer of steps or ramps")
    order: Literal[0, 1, 2] = setting(1, "0: steps, 1: ramps, 2: squared ramps", unit="an order", ge=0)


@KERNELS.register
class NeuralNetworkKernel(WeightedKernel):
    """An infinitely wide layer of sigmoids: changes near the origin, level far from it."""

    example: ClassVar[str] = "{type: neural_network}"
    builds: ClassVar[str] = "svgp.kernels.neural_network.NeuralNetwork"

    type: Literal["neural_network"] = setting(..., "a wide layer of sigmoids")


@KERNELS.register
class PolynomialKernel(OnInputs):
    """(offset + sum_d v_d x_d x'_d)^degree: polynomials in all inputs together."""

    example: ClassVar[str] = "{type: polynomial, degree: 2}"
    builds: ClassVar[str] = "svgp.kernels.polynomial.Polynomial"

    type: Literal["polynomial"] = setting(..., "polynomials")
    degree: WholeNumber = setting(3, "of the polynomials", unit="a degree", ge=1, le=20)
    ard: bool = setting(True, "one variance for each input, or one")
    variance: float | None = variance_setting("variance of the slopes to start from; null: from the data")
    offset: float | None = setting(
        None, "what lower powers weigh, to start from; null: from the data", unit="none", role="offset", gt=0
    )
