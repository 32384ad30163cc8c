"""Mean functions of the prior: what the model predicts far from all data."""

from __future__ import annotations

from svgp.means.builder import from_config
from svgp.means.functions import Constant, Linear, Mean, Zero

__all__ = ["Constant", "Linear", "Mean", "Zero", "from_config"]
