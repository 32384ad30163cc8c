"""A diagonal q(u) trained by natural gradients."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from svgp.linalg import Factor, factorise, lower_and_inverse, marginals
from svgp.models import dual
from svgp.models.dual import RowGradients
from svgp.models.dual_prior import (
    WIDE,
    BatchPrior,
    Outcome,
    batch_prior,
    batch_scale,
    data_value,
    hyperparameters,
)
from svgp.models.dual_search import search
from svgp.models.replacement import Move
from svgp.models.svgp import SVGP


class _Bound(NamedTuple):
    expected: tf.Tensor  # []
    kl: tf.Tensor  # []
    explained: tf.Tensor  # [L, B]


class DiagonalDual:
    """q = N(m, diag(s^2)) in the model's own variables, whitened or not.

    The natural gradient of a diagonal Gaussian moves each precision by itself, `1/s^2 <- 1/s^2 - rho g_s / s`
    (g_s: the bound's derivative by s), an exact step for Gaussian noise. For the mean it would rescale each
    coordinate alone, a Jacobi iteration that correlated inducing points slow down without end. So the mean
    moves by the natural gradient of the full-covariance q instead, `m <- m + rho (I + W)^-1 g_m` whitened,
    with W averaged over batches as in `svgp.models.dual`: another positive-definite metric, the same optimum.

    Hyperparameters see the ordinary bound, q held. The model's q_mean and q_sqrt are always the current q.
    """

    def __init__(self, model: SVGP) -> None:
        self.model = model
        self.hyperparameters = hyperparameters(model)
        size = model.num_inducing
        metric = tf.zeros([model.num_latent, size, size], WIDE)
        self.variables = {
            "metric": tf.Variable(metric, trainable=False, name="metric"),
            "q_mean": model.q_mean,
            "q_sqrt": model.q_sqrt,
        }

    def restart(self, move: Move) -> None:
        """Take the metric along to the model's points after `move`, as q' of N(0, (I + W)^-1)."""
        zero = tf.zeros(self.model.q_mean.shape, WIDE)
        _, root = dual.mean_and_root(tf.convert_to_tensor(self.variables["metric"]), zero)
        _, root = move.whitened(zero.numpy(), root.numpy())
        self.variables["metric"].assign(dual.from_mean_and_root(zero, tf.constant(root))[0])

    def propose(self, X: tf.Tensor, Y: tf.Tensor, rho: tf.Tensor, *, whole: bool) -> Outcome:
        """A natural-gradient step of at most `rho`, and the bound's gradient by the hyperparameters."""
        model, scale = self.model, batch_scale(self.model, X)
        m, s = tf.cast(model.q_mean, WIDE), tf.cast(model.q_sqrt, WIDE)  # [L, M]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([*self.hyperparameters, m, s])
            prior = batch_prior(model, X)
            factor = factorise(prior.Kuu, model.jitter)
            now = self._bound(prior, factor, m, s, Y, scale)
            elbo = now.expected - now.kl
        sources = [m, s, now.explained, *self.hyperparameters]
        found = tape.gradient(elbo, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        g_m, g_s, g_explained, *gradients = (tf.convert_to_tensor(x) for x in found)
        A = dual.project(factor.L_inverse, tf.stop_gradient(prior.Kuf))  # [1 or L, M, B]
        target = -2.0 * dual.moments(A, RowGradients(g_explained, g_explained, g_explained)).explained
        pull = g_m if model.whiten else tf.linalg.matvec(factor.L, g_m, transpose_a=True)  # [L, M]

        def trial(length: tf.Tensor) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
            metric = self.variables["metric"] + length * (target - self.variables["metric"])
            _, root = lower_and_inverse(metric + tf.eye(model.num_inducing, dtype=WIDE))  # [L, M, M]
            change = tf.linalg.matvec(root, tf.linalg.matvec(root, pull), transpose_a=True)
            change = change if model.whiten else tf.linalg.matvec(factor.L, change)
            # NaN where the precision would not be positive: the search takes that for too long a step.
            state = (metric, m + length * change, tf.math.rsqrt(1.0 / s**2 - length * g_s / s))
            new = self._bound(prior, factor, *state[1:], Y, scale)
            return new.expected - new.kl, state

        start = (tf.convert_to_tensor(self.variables["metric"]), m, s)
        moved = search(trial, start, elbo, tf.abs(now.expected) + tf.abs(now.kl), rho)
        state = [tf.cast(x, v.dtype) for x, v in zip(moved.tensors, self.variables.values(), strict=True)]
        jitter, repairs = tf.reduce_max(factor.jitter), tf.reduce_sum(factor.repairs)
        return Outcome(
            elbo, now.expected, now.kl, jitter, repairs, moved.rho, moved.retries, gradients, state
        )

    def publish(self, X: tf.Tensor, Y: tf.Tensor, *, whole: bool) -> None:
        """Nothing to do: the model's own variables are the ones that move."""

    def _bound(
        self, prior: BatchPrior, factor: Factor, m: tf.Tensor, s: tf.Tensor, Y: tf.Tensor,
        scale: tuple[tf.Tensor, tf.Tensor],
    ) -> _Bound:  # fmt: skip
        matrices = (prior.Kuu, prior.Kuf, prior.kff)
        q = marginals(*matrices, m, tf.linalg.diag(s), factor, whiten=self.model.whiten)
        residual = tf.maximum(q.residual, 0.0)
        expected = data_value(self.model, q.mean, q.explained, residual, prior.mean, Y, scale)
        return _Bound(expected, tf.reduce_sum(q.kl), q.explained)
