"""What every kind of outcome can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from svgp.data import Columns
from svgp.runs.evaluation import Predictor
from svgp.runs.predictions import Predictions


class Outcome(Protocol):
    """Scores, predictions and exported tensors of one kind of target."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the exported tensors."""
        ...

    def score(self, predictor: Predictor, columns: Columns, X: np.ndarray, Y: np.ndarray) -> dict[str, float]:
        """Test metrics of scaled rows X `[N, D]`, Y `[N, P + E]`, in original units."""
        ...

    def predict(
        self,
        predictor: Predictor,
        columns: Columns,
        X: np.ndarray,
        levels: Sequence[float],
        extras: np.ndarray | None,
    ) -> Predictions:
        """Predictions at scaled inputs X `[N, D]`."""
        ...

    def serve(
        self,
        likelihood: Any,
        columns: Columns,
        latent: Sequence[tf.Tensor],
        levels: Sequence[float],
        extras: tf.Tensor | None,
    ) -> dict[str, tf.Tensor]:
        """The same of q(f)'s mean and variance `[N, Q]`, inside a graph, in original units and float64."""
        ...
