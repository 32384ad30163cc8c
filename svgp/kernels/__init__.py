"""Covariance functions: stationary, linear, constant, white noise, and their sums and products."""

from __future__ import annotations

from svgp.kernels.base import Kernel
from svgp.kernels.builder import active_columns, from_config
from svgp.kernels.combination import Product, Sum
from svgp.kernels.static import Constant, Linear, White
from svgp.kernels.stationary import Matern12, Matern32, Matern52, SquaredExponential, Stationary

__all__ = [
    "Constant",
    "Kernel",
    "Linear",
    "Matern12",
    "Matern32",
    "Matern52",
    "Product",
    "SquaredExponential",
    "Stationary",
    "Sum",
    "White",
    "active_columns",
    "from_config",
]
