"""Predictions that see their neighbours: the residual process that inducing points leave, conditioned."""

from __future__ import annotations

from svgp.models.neighbours.process import ResidualProcess
from svgp.models.neighbours.search import NONE, Nearest, earlier_neighbours, kernel_scales, random_order

__all__ = ["NONE", "Nearest", "ResidualProcess", "earlier_neighbours", "kernel_scales", "random_order"]
