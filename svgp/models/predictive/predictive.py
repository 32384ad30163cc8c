"""What a trained model says of new rows: f from the inducing points, corrected by what is known besides."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from svgp.models.predictive.sparse import SparseRows


class Latent(NamedTuple):
    """The predictive distribution of f, row by row, in the model's units."""

    mean: np.ndarray  # [N, L]
    variance: np.ndarray  # [N, L]


class Predictive:
    """p(f* | training rows) of a trained model, and the likelihood p(y* | f*) that goes with it.

    A snapshot: it does not follow later changes of the model.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.sparse = SparseRows(model)

    @property
    def likelihood(self) -> Any:
        return self.model.likelihood

    def latent(self, X: np.ndarray) -> Latent:
        """p(f*) at scaled inputs X `[N, D]`."""
        found = self.sparse.parts(X)
        return Latent(found.mean, found.variance)
