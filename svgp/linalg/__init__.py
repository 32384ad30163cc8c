"""Linear algebra with hand-written adjoints: nothing is differentiated through a factorisation.

Importing it turns TensorFloat-32 off for the process: on a GPU TensorFlow's float32 products have 10 bits of
mantissa otherwise, too few to factorise a kernel matrix. Whoever wants it back for other work can ask for it
(`tf.config.experimental.enable_tensor_float_32_execution`) after the import.
"""

from __future__ import annotations

import tensorflow as tf

from svgp.linalg.autodiff.decompositions import cholesky, eigh
from svgp.linalg.autodiff.determinants import det, logdet, slogdet
from svgp.linalg.autodiff.solves import inverse, lstsq, solve, triangular_solve
from svgp.linalg.backend import backend
from svgp.linalg.factor import Factor, factorise, lower_and_inverse
from svgp.linalg.marginals import Marginals, marginals

tf.config.experimental.enable_tensor_float_32_execution(False)

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
