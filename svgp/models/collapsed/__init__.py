"""The collapsed bound for Gaussian noise: q(u) in closed form, sums over rows, adjoints by hand."""

from __future__ import annotations

from svgp.models.collapsed.bound import CollapsedBound, Evaluation, check_model, collapsed_variables
from svgp.models.collapsed.panels import Stopped

__all__ = ["CollapsedBound", "Evaluation", "Stopped", "check_model", "collapsed_variables"]
