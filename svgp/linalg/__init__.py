"""Linear algebra with hand-written adjoints: nothing is differentiated through a factorisation."""

from __future__ import annotations

from svgp.linalg.autodiff.decompositions import cholesky, eigh
from svgp.linalg.autodiff.determinants import det, logdet, slogdet
from svgp.linalg.autodiff.solves import inverse, lstsq, solve, triangular_solve
from svgp.linalg.backend import backend
from svgp.linalg.factor import Factor, factorise, lower_and_inverse
from svgp.linalg.marginals import Marginals, marginals

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
