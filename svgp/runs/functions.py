"""What a run's posterior says of functions rather than of single rows: draws, joint covariances, slopes.

All of it agrees with what `predict` says of single rows: neighbours and calibration are part of it
(`svgp.models.predictive.joint`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.models.predictive import joint_covariance, predictive_draws
from svgp.models.predictive.served import ServedPredictive
from svgp.runs.predictions import as_table

if TYPE_CHECKING:
    from svgp.runs.run import Run

MOST_JOINT = 20_000  # rows of one joint covariance: 3 GiB


class Sampler:
    """`count` functions drawn from a run's posterior, in the target's original units.

    Of each draw f it gives E[y | f]: the function itself for a regression, a probability for classes, a rate
    for counts. Without noise: a draw is what might be true of the mean of many observations. The same seed
    gives the same functions for any rows; for kernels without explicit features (`svgp.models.pathwise`) so
    long as it is the same object, whose first rows say where the functions are to be good.
    """

    def __init__(self, run: Run, count: int, seed: int = 0) -> None:
        if count < 1:
            raise ModelError(f"sample: {count} draws; expected at least 1")
        self._run, self._count, self._seed = run, count, seed
        self._draws: Any = None

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Draws at scaled inputs X [N, D]: [K, N], or [K, N, P] for P > 1 targets."""
        run = self._run
        if self._draws is None:
            self._draws = predictive_draws(run.predictive, self._count, seed=self._seed, reference=X)
        F = self._draws(X)  # [K, N, L]
        mean = run.predictive.source.model.likelihood.conditional_mean(
            tf.constant(F, run.model.dtype)
        )  # [K, N, P]
        values = run.columns.unscale_mean(np.asarray(mean, np.float64))
        return values[..., 0] if values.shape[-1] == 1 else values


def covariance(run: Run, X: Any, *, full_output_cov: bool = False) -> np.ndarray:
    """The joint covariance of the function at rows X: [N, N], or [P, N, N] for several targets.

    In squared original units (of the transformed target, where data.target_transform says so), noise left
    out; its diagonal is the variance of the function that predictions have. For likelihoods other than
    regressions f is the latent function, which has no units. With `full_output_cov` the covariance of the
    functions in each row instead, [N, P, P]. Raises ModelError beyond 20,000 rows.
    """
    X = run.columns.read_inputs(as_table(X, run.columns))
    scale = run.columns.target_scale  # [P], 1 where targets are not standardised
    if full_output_cov:
        found = _between_functions(run, X)
        return found * np.outer(scale, scale) if found.shape[1] == len(scale) else found
    if len(X) > MOST_JOINT:
        raise ModelError(
            f"covariance: {len(X):,} rows; at most {MOST_JOINT:,}: draw functions instead (sample)"
        )
    found = joint_covariance(run.predictive, X)  # [Q, N, N]
    several = run.model.likelihood.latents_per_output
    if several > 1 and len(found) == several * len(scale) and run.columns.classes is None:
        found = found[::several]  # the target's own function; beside it one for the noise, say
    if len(found) == len(scale):
        found = found * (scale**2)[:, None, None]
    return found[0] if len(found) == 1 else found


def _between_functions(run: Run, X: np.ndarray) -> np.ndarray:
    """The covariance of the likelihood's functions in each row, [N, Q, Q]."""
    own, W = run.predictive.calibration, run.model.outputs.weights()
    if W is None:
        variance = np.asarray(run.predictive.latent(X).variance, np.float64)  # [N, Q]
        return variance[:, :, None] * np.eye(variance.shape[1])
    weights = np.asarray(W, np.float64)  # [Q, L]
    _, explained, residual = (np.asarray(x, np.float64) for x in run.model.posterior().latents(X))  # [N, L]
    scaled = np.sqrt(own.residual)[:, None] * weights
    parts = ((weights, explained), (scaled, residual))
    return sum(np.einsum("pl,nl,ql->npq", w, v, w) for w, v in parts)


def output_correlations(run: Run) -> np.ndarray:
    """Prior correlations of the functions, [Q, Q]: of `W diag(v) W^T`, v the latents' mean variance at Z."""
    model = run.model
    W = model.outputs.weights()
    if W is None:
        return np.eye(model.num_functions)
    prior = np.asarray(model.kernel.K_diag(model.Z), np.float64).reshape(-1, model.num_inducing)
    variance = np.broadcast_to(prior.mean(axis=1), model.num_latent)  # [L]
    scaled = np.asarray(W, np.float64) * np.sqrt(variance)  # [Q, L]
    B = scaled @ scaled.T
    deviation = np.sqrt(np.diag(B))
    return B / np.outer(deviation, deviation)


def gradient(run: Run, X: Any) -> np.ndarray:
    """The slope of the predicted mean in each input, at rows X: [N, D], or [N, P, D] for several targets.

    In original units of the target (probability for classes) by original units of the input, in the order of
    `columns.input_names`: of a categorical column one number for each level, as if it were a number. With
    neighbours it is the slope where the same ones are nearest: between there are small steps.
    """
    rows = run.columns.read_inputs(as_table(X, run.columns))
    predictor = ServedPredictive(run.predictive)
    likelihood, blocks, centres = predictor.likelihood, [], []
    for start in range(0, len(rows), predictor.rows):
        block = tf.constant(rows[start : start + predictor.rows], predictor.dtype)
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(block)
            mean = likelihood.predict_mean_and_var(*predictor.block(block))[0]  # [n, P]
            outputs = tf.unstack(mean, axis=1)
        centres.append(np.asarray(mean, np.float64))
        slopes = [tape.gradient(output, block, unconnected_gradients="zero") for output in outputs]
        blocks.append(np.stack([np.asarray(slope, np.float64) for slope in slopes], axis=1))  # [n, P, D]
    found = np.concatenate(blocks) if blocks else np.zeros((0, len(run.columns.target_names), rows.shape[1]))
    if found.shape[1] == len(run.columns.target_scale):
        # Of a transformed target it is the slope of the median, dy/dz at the mean of z.
        means = np.concatenate(centres) if centres else np.zeros((0, found.shape[1]))  # [N, P]
        found = found / np.exp(run.columns.log_slope(means))[:, :, None]
    found = found * run.columns.input_slopes(rows)[:, None, :]
    return found[:, 0] if found.shape[1] == 1 else found
