"""Linear algebra with hand-written adjoints: nothing is differentiated through a factorisation."""

from __future__ import annotations

from svgp.linalg.backend import backend
from svgp.linalg.decompositions import cholesky, eigh
from svgp.linalg.determinants import det, logdet, slogdet
from svgp.linalg.factor import Factor, factorise, lower_and_inverse
from svgp.linalg.marginals import Marginals, marginals
from svgp.linalg.solves import inverse, lstsq, solve, triangular_solve

__all__ = [
    "Factor",
    "Marginals",
    "backend",
    "cholesky",
    "det",
    "eigh",
    "factorise",
    "inverse",
    "logdet",
    "lower_and_inverse",
    "lstsq",
    "marginals",
    "slogdet",
    "solve",
    "triangular_solve",
]
