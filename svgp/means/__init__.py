"""Mean functions of the prior: what the model predicts far from all data."""

from __future__ import annotations

from svgp.means.builder import from_config
from svgp.means.column import Column
from svgp.means.functions import Constant, Linear, Mean, Zero
from svgp.means.network import NetworkMean
from svgp.means.polynomial import Polynomial

__all__ = ["Column", "Constant", "Linear", "Mean", "NetworkMean", "Polynomial", "Zero", "from_config"]
