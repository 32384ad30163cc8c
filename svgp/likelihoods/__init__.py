"""Likelihoods: how observations arise from function values."""

from __future__ import annotations

from svgp.likelihoods.base import Likelihood
from svgp.likelihoods.gaussian import Gaussian

__all__ = ["Gaussian", "Likelihood"]
