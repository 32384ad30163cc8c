"""Targets that are numbers: means, deviations and quantiles in original units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.data import Columns
from svgp.diagnostics import scores
from svgp.runs.evaluation import Predictor
from svgp.runs.predictions import Predictions


class Numbers:
    """Regression, positive numbers, shares and counts."""

    outputs = ("mean", "std", "quantiles")

    def score(self, predictor: Predictor, columns: Columns, X: np.ndarray, Y: np.ndarray) -> dict[str, float]:
        """rmse, nlpd (nats a row, all targets together); coverage_50, _90 and _95 unless they are counts.

        For several targets also rmse_<name>. Missing targets count for nothing. A row that is censored counts
        in nlpd, with the probability of being beyond where it was seen last, and in nothing else.
        """
        likelihood, latent = predictor.likelihood, predictor.latent(X)
        log_density = likelihood.predict_log_density(*latent, Y).numpy()  # [N]
        told, targets = columns.extras_of(Y), columns.targets_of(Y)
        seen = ~np.isnan(targets)  # [N, P]
        if told is not None and "censored" in columns.extras:
            seen &= told[:, [list(columns.extras).index("censored")]] == 0.0
        # A density in original units: dy = scale dz.
        nlpd = scores.nlpd(log_density) + float((seen * np.log(columns.target_scale)).sum(axis=1).mean())
        mean = likelihood.predict_mean_and_var(*latent, told)[0].numpy()  # [N, P]
        actual, predicted = columns.unscale_mean(targets), columns.unscale_mean(mean)
        found = {"rmse": _rmse(actual, predicted, seen), "nlpd": nlpd}
        if columns.kind.continuous:
            levels = scores.quantile_levels()
            quantiles = likelihood.predict_quantiles(*latent, levels, told).numpy()  # [N, P, 2 K]
            covered = scores.quantile_coverages(targets[seen], quantiles[seen])
            found |= {f"coverage_{level * 100:.0f}": share for level, share in covered.items()}
        if len(columns.target_names) > 1:
            for p, name in enumerate(columns.target_names):
                found[f"rmse_{name}"] = _rmse(actual[:, p], predicted[:, p], seen[:, p])
        return found

    def predict(
        self,
        predictor: Predictor,
        columns: Columns,
        X: np.ndarray,
        levels: Sequence[float],
        extras: np.ndarray | None,
    ) -> Predictions:
        """Mean and standard deviation of a new observation, and its quantiles."""
        latent, likelihood = predictor.latent(X), predictor.likelihood
        found = likelihood.predict_mean_and_var(*latent, extras)
        mean, variance = (part.numpy().astype(np.float64) for part in found)
        scaled = likelihood.predict_quantiles(*latent, list(levels), extras).numpy().astype(np.float64)
        quantiles = np.moveaxis(columns.unscale_mean(np.moveaxis(scaled, 2, 0)), 0, 2)  # [N, P, K]
        mean, std = columns.unscale_mean(mean), columns.unscale_std(np.sqrt(variance))  # [N, P]
        names = tuple(columns.target_names)
        if len(names) > 1:
            return Predictions(names, mean, std, tuple(levels), quantiles)
        return Predictions(names, mean[:, 0], std[:, 0], tuple(levels), quantiles[:, 0])

    def serve(
        self, likelihood: Any, columns: Columns, latent: Sequence[tf.Tensor], levels: Sequence[float]
    ) -> dict[str, tf.Tensor]:
        """`mean [N, P]`, `std [N, P]` and `quantiles [N, P, K]`."""
        mean, variance = (tf.cast(x, tf.float64) for x in likelihood.predict_mean_and_var(*latent))
        quantiles = tf.cast(likelihood.predict_quantiles(*latent, levels), tf.float64)  # [N, P, K]
        shift, scale = columns.target_mean, columns.target_scale  # [P]
        return {
            "mean": mean * scale + shift,
            "std": tf.sqrt(variance) * scale,
            "quantiles": quantiles * scale[:, None] + shift[:, None],
        }


def _rmse(actual: np.ndarray, predicted: np.ndarray, seen: np.ndarray) -> float:
    return scores.rmse(actual[seen], predicted[seen]) if seen.any() else float("nan")
