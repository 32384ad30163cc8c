"""Choosing the inducing inputs Z: one rule a file, one door, `choose`."""

from __future__ import annotations

from svgp.inducing.choose import RULES, choose
from svgp.inducing.cover_tree import cover_tree
from svgp.inducing.greedy_variance import further_points, greedy_variance, with_further
from svgp.inducing.k_means import k_means
from svgp.inducing.random_rows import random_rows
from svgp.inducing.redundancy import Redundancy, redundant_points
from svgp.inducing.z_file import read_inducing_file

__all__ = [
    "RULES",
    "Redundancy",
    "choose",
    "cover_tree",
    "further_points",
    "greedy_variance",
    "k_means",
    "random_rows",
    "read_inducing_file",
    "redundant_points",
    "with_further",
]
