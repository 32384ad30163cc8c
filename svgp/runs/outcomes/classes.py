"""Targets that are classes: a probability for each, and the most probable label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.data import Columns
from svgp.diagnostics import scores
from svgp.runs.evaluation import Predictor
from svgp.runs.predictions import Predictions


class Classes:
    """Two classes, several, or several with an order."""

    outputs = ("probability", "label")

    def score(self, predictor: Predictor, columns: Columns, X: np.ndarray, Y: np.ndarray) -> dict[str, float]:
        """accuracy, nlpd (nats a row), and ece: of two classes on the probability of the second one, of more
        on that of the most probable one. With an order also mean_error, in levels."""
        likelihood, latent = predictor.likelihood, predictor.latent(X)
        nlpd = scores.nlpd(likelihood.predict_log_density(*latent, Y).numpy())
        probabilities = _plain(likelihood.class_probabilities(*latent))  # [N, K]
        targets = columns.targets_of(Y)
        if probabilities.shape[1] == 2:
            second = probabilities[:, 1:]
            return {
                "accuracy": scores.accuracy(targets, second),
                "nlpd": nlpd,
                "ece": scores.ece(targets, second),
            }
        found = {
            "accuracy": scores.class_accuracy(targets, probabilities),
            "nlpd": nlpd,
            "ece": scores.class_ece(targets, probabilities),
        }
        if columns.task == "ordinal":
            off = np.abs(probabilities.argmax(axis=1) - targets[:, 0])
            found["mean_error"] = float(off.mean())
        return found

    def predict(
        self,
        predictor: Predictor,
        columns: Columns,
        X: np.ndarray,
        levels: Sequence[float],
        extras: np.ndarray | None,
    ) -> Predictions:
        """Probabilities and labels; of two classes that of the second one."""
        latent = predictor.latent(X)
        probabilities = _plain(predictor.likelihood.class_probabilities(*latent))  # [N, K]
        labels = np.array(columns.classes, dtype=object)
        names = tuple(columns.target_names)
        if len(labels) == 2:
            second = probabilities[:, 1]
            label = labels[(second >= 0.5).astype(int)]
            std = np.sqrt(second * (1.0 - second))
            return Predictions(names, second, std, (), probability=second, label=label)
        most = probabilities.max(axis=1)
        return Predictions(
            names, most, np.sqrt(most * (1.0 - most)), (), label=labels[probabilities.argmax(axis=1)],
            probabilities=probabilities, classes=tuple(labels),
        )  # fmt: skip

    def serve(
        self,
        likelihood: Any,
        columns: Columns,
        latent: Sequence[tf.Tensor],
        levels: Sequence[float],
        extras: tf.Tensor | None,
    ) -> dict[str, tf.Tensor]:
        """`probability`: `[N]` of the second of two classes, `[N, K]` of more; `label [N]`."""
        probabilities = tf.cast(likelihood.class_probabilities(*latent), tf.float64)  # [N, K]
        labels = tf.constant(columns.classes)  # [K]
        if len(columns.classes or []) == 2:
            second = probabilities[:, 1]
            return {"probability": second, "label": tf.gather(labels, tf.cast(second >= 0.5, tf.int32))}
        return {"probability": probabilities, "label": tf.gather(labels, tf.argmax(probabilities, axis=1))}


def _plain(probabilities: Any) -> np.ndarray:
    return np.asarray(probabilities, np.float64)
