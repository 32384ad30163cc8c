"""q(f) and the bound of a model at any number of rows, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from svgp.models.predictive import Latent, SparseRows
from svgp.rows import as_rows
from svgp.workers import Workers

_ENTRIES = 2**23  # of one [L, M, n] matrix: 64 MiB in float64


class Bounds(NamedTuple):
    """Nats for all rows of the data set."""

    elbo: float
    objective: float  # what training maximises, without a log prior: the same number, but for bound: ppgpr


class Predictor(Protocol):
    """Who answers for rows: an `Evaluator` (the inducing points alone), or what `svgp predict` gives."""

    @property
    def likelihood(self) -> Any: ...

    def latent(self, X: np.ndarray) -> Latent: ...


class Evaluator:
    """q(f) from the inducing points alone and the exact ELBO of a model at any number of rows.

    Memory is bounded. It reads the model's variables anew at every call, so it follows training.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._dtype = model.dtype
        inputs = tf.TensorSpec([None, model.Z.shape[-1]], self._dtype)
        targets = tf.TensorSpec([None, model.num_columns], self._dtype)
        self._rows = max(256, _ENTRIES // (model.num_inducing * model.num_latent))
        self._compiled_bound = tf.function(self._bound, input_signature=[inputs, targets], autograph=False)

    @property
    def likelihood(self) -> Any:
        """The model's own, which calibration leaves alone."""
        return self.model.likelihood

    def latent(self, X: np.ndarray) -> Latent:
        """q(f) at scaled inputs X `[N, D]`."""
        found = SparseRows(self.model).parts(X)
        return Latent(found.mean, found.variance)

    def elbo(self, X: Any, Y: Any = None) -> float:
        """The ELBO in nats: exact where X `[n, D]`, Y `[n, P]` are all training rows, else an estimate.

        X may be `svgp.rows.Rows`, and Y is left out then.
        """
        return self.bounds(X, Y).elbo

    def bounds(self, X: Any, Y: Any = None, *, workers: Workers | None = None) -> Bounds:
        """The ELBO as above, and the objective, in one pass; each of several `workers` takes a share."""
        source, workers = as_rows(X, Y), workers or Workers()
        expected, kl, above = 0.0, 0.0, 0.0
        # A single chunk is done before its graph would be built.
        bound = self._bound if source.count <= self._rows else self._compiled_bound
        for _, X, Y in source.shard(*workers.shard).blocks():
            for rows in self._chunks(len(X)):
                parts = bound(tf.constant(X[rows], self._dtype), tf.constant(Y[rows], self._dtype))
                # Each part is scaled up to all N rows; its share of them takes that back.
                share = len(X[rows]) / source.count
                expected, kl = expected + share * float(parts.expected_log_likelihood), float(parts.kl)
                above += share * float(parts.objective - parts.elbo)  # exactly 0 where they are one
        kl = kl if kl else float(self.model.kl())  # of a worker without rows
        expected, above = (float(x) for x in workers.sum([expected, above]))
        return Bounds(expected - kl, expected - kl + above)

    def _bound(self, X: tf.Tensor, Y: tf.Tensor) -> Any:
        return self.model.elbo_parts((X, Y))

    def _chunks(self, count: int) -> Iterator[slice]:
        return (slice(start, start + self._rows) for start in range(0, count, self._rows))
