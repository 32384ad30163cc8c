"""Targets that are numbers: means, deviations and quantiles in original units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from scipy.special import ndtr

from svgp.data import Columns
from svgp.diagnostics import scores
from svgp.runs.evaluation import Predictor
from svgp.runs.predictions import Predictions


class Numbers:
    """Regression, positive numbers, shares and counts."""

    outputs = ("mean", "std", "quantiles")

    def score(self, predictor: Predictor, columns: Columns, X: np.ndarray, Y: np.ndarray) -> dict[str, float]:
        """rmse, nlpd (nats a row, all targets together); coverage_50, _90 and _95 but of counts.

        For several targets also rmse_<name>. Missing targets count for nothing. A row that is censored counts
        in nlpd, with the probability of being beyond where it was seen last, and in nothing else. Of a
        quantile regression `below`, the share of observations below the quantile, stands for coverages.
        """
        likelihood, latent = predictor.likelihood, predictor.latent(X)
        log_density = likelihood.predict_log_density(*latent, Y).numpy()  # [N]
        told, targets = columns.extras_of(Y), columns.targets_of(Y)
        seen = ~np.isnan(targets)  # [N, P]
        if told is not None and "censored" in columns.extras:
            seen &= told[:, [list(columns.extras).index("censored")]] == 0.0
        # A density in original units: p(y) = p(z) dz/dy.
        slope = np.where(seen, columns.log_slope(np.where(seen, targets, 0.0)), 0.0)  # [N, P]
        nlpd = scores.nlpd(log_density) - float(slope.sum(axis=1).mean())
        actual, predicted = columns.unscale_mean(targets), _moments(likelihood, columns, latent, told)[0]
        found = {"rmse": _rmse(actual, predicted, seen), "nlpd": nlpd}
        level = getattr(likelihood, "level", None)
        if level is not None:  # of a quantile regression: what lies below should be `level`
            found["below"] = float(np.mean((actual <= predicted)[seen])) if seen.any() else float("nan")
        elif np.any(dense := [columns.kind.of_target(p).continuous for p in range(targets.shape[1])]):
            levels, judged = scores.quantile_levels(), seen & np.array(dense)
            quantiles = likelihood.predict_quantiles(*latent, levels, told).numpy()  # [N, P, 2 K]
            covered = dict.fromkeys(scores.LEVELS, float("nan"))  # of no row, where all are censored
            if judged.any():
                covered = scores.quantile_coverages(targets[judged], quantiles[judged])
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
        mean, std = _moments(likelihood, columns, latent, extras)
        scaled = likelihood.predict_quantiles(*latent, list(levels), extras).numpy().astype(np.float64)
        quantiles = np.moveaxis(columns.unscale_mean(np.moveaxis(scaled, 2, 0)), 0, 2)  # [N, P, K]
        names = tuple(columns.target_names)
        if len(names) > 1:
            return Predictions(names, mean, std, tuple(levels), quantiles)
        return Predictions(names, mean[:, 0], std[:, 0], tuple(levels), quantiles[:, 0])

    def serve(
        self,
        likelihood: Any,
        columns: Columns,
        latent: Sequence[tf.Tensor],
        levels: Sequence[float],
        extras: tf.Tensor | None,
    ) -> dict[str, tf.Tensor]:
        """`mean [N, P]`, `std [N, P]` and `quantiles [N, P, K]`."""
        if columns.transforms:
            shares, weights = _quadrature(latent)
            nodes = tf.cast(likelihood.predict_quantiles(*latent, shares, extras), tf.float64)
            values = original(columns, nodes)  # [N, P, K]
            mean = tf.reduce_sum(values * weights, axis=-1)
            variance = tf.reduce_sum((values - mean[..., None]) ** 2 * weights, axis=-1)
            quantiles = tf.cast(likelihood.predict_quantiles(*latent, levels, extras), tf.float64)
            return {"mean": mean, "std": tf.sqrt(variance), "quantiles": original(columns, quantiles)}
        found = likelihood.predict_mean_and_var(*latent, extras)
        mean, variance = (tf.cast(x, tf.float64) for x in found)
        quantiles = tf.cast(likelihood.predict_quantiles(*latent, levels, extras), tf.float64)  # [N, P, K]
        shift, scale = columns.target_mean, columns.target_scale  # [P]
        return {
            "mean": mean * scale + shift,
            "std": tf.sqrt(variance) * scale,
            "quantiles": quantiles * scale[:, None] + shift[:, None],
        }


def _quadrature(latent: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Levels p_i and weights w_i with E[g(z)] = sum_i w_i g(Q(p_i)), Q the quantiles of z.

    p_i = Phi(u_i) for the nodes u_i of Gauss and Hermite: for normal z exact for polynomials g of degree 39
    (17 in float32, where levels closer to one are one).
    """
    single = np.dtype(tf.as_dtype(latent[0].dtype).as_numpy_dtype) == np.float32
    nodes, weights = np.polynomial.hermite_e.hermegauss(9 if single else 20)
    return ndtr(nodes), weights / weights.sum()


def _moments(
    likelihood: Any, columns: Columns, latent: Sequence[tf.Tensor], extras: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation [N, P] of a new observation in original units."""
    if not columns.transforms:
        found = likelihood.predict_mean_and_var(*latent, extras)
        mean, variance = (part.numpy().astype(np.float64) for part in found)
        return columns.unscale_mean(mean), columns.unscale_std(np.sqrt(variance))
    levels, weights = _quadrature(latent)
    nodes = likelihood.predict_quantiles(*latent, levels, extras).numpy().astype(np.float64)  # [N, P, K]
    values = columns.unscale_mean(np.moveaxis(nodes, 2, 0))  # [K, N, P]
    mean = np.tensordot(weights, values, axes=1)
    return mean, np.sqrt(np.tensordot(weights, (values - mean) ** 2, axes=1))


def original(columns: Columns, values: tf.Tensor) -> tf.Tensor:
    """`Columns.unscale_mean` of scaled values [N, P, K], by TensorFlow's operations."""
    values = values * columns.target_scale[:, None] + columns.target_mean[:, None]
    parts = [_inverse(found, values[:, place]) for place, found in enumerate(columns.transforms)]
    return tf.stack(parts, axis=1)


def _inverse(transform: Any, t: tf.Tensor) -> tf.Tensor:
    if transform is None:
        return t
    if transform.name == "log":
        return tf.exp(t)
    flat = tf.reshape(t, [-1])
    place = tf.searchsorted(tf.constant(transform.t), flat, side="right") - 1
    place = tf.clip_by_value(place, 0, len(transform.t) - 2)
    slopes = np.diff(transform.y) / np.diff(transform.t)
    found = tf.gather(transform.y, place) + (flat - tf.gather(transform.t, place)) * tf.gather(slopes, place)
    return tf.reshape(found, tf.shape(t))


def _rmse(actual: np.ndarray, predicted: np.ndarray, seen: np.ndarray) -> float:
    return scores.rmse(actual[seen], predicted[seen]) if seen.any() else float("nan")
