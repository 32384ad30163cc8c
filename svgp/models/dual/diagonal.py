"""A diagonal q(u) trained by natural gradients."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from svgp.errors import ModelError
from svgp.linalg import Factor, factorise, lower_and_inverse, marginals
from svgp.models.dual import algebra as dual
from svgp.models.dual.algebra import RowGradients
from svgp.models.dual.prior import (
    WIDE,
    BatchPrior,
    Outcome,
    batch_prior,
    batch_scale,
    data_value,
    hyperparameters,
    summed,
)
from svgp.models.dual.search import Search, climb, search
from svgp.models.replacement import Move
from svgp.models.svgp import SVGP
from svgp.replicas import replicas
from svgp.workers import present


class _Batch(NamedTuple):
    """All about a batch that does not depend on q."""

    prior: BatchPrior
    factor: Factor
    Y: tf.Tensor  # [B, P]
    scale: tuple[tf.Tensor, tf.Tensor]


class _Bound(NamedTuple):
    expected: tf.Tensor  # [] of all workers' rows
    own: tf.Tensor  # [] what this worker adds to the bound: to be differentiated, and summed then
    kl: tf.Tensor  # []
    explained: tf.Tensor  # [L, B]
    size: tf.Tensor  # [] of the sums that the bound is a difference of


class DiagonalDual:
    """q = N(m, diag(s^2)) in the model's own variables, whitened or not.

    The natural gradient of a diagonal Gaussian moves each precision by itself, `1/s^2 <- 1/s^2 - rho g_s / s`
    (g_s: the bound's derivative by s), an exact step for Gaussian noise. For the mean it would rescale each
    coordinate alone, a Jacobi iteration that correlated inducing points slow down without end. So the mean
    moves by the natural gradient of the full-covariance q instead, `m <- m + rho (I + W)^-1 g_m` whitened,
    with W averaged over batches as in `svgp.models.dual.algebra`: another positive-definite metric, the
    same optimum.

    Hyperparameters see the ordinary bound, q held. The model's q_mean and q_sqrt are always the current q.
    """

    def __init__(self, model: SVGP) -> None:
        if not replicas().alone:
            raise ModelError(
                "natural gradients: a diagonal q(u) is trained on one device, and this run has "
                f"{replicas().count}: set train.device: gpu, model.q_diag: false, or train.method: adam"
            )
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
        start = self._start()
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([*self.hyperparameters, *start[1:]])
            batch = self._batch(X, Y)
            now = self._bound(batch, *start[1:])
        pulls, gradients = self._pulls(tape, now, start, self.hyperparameters)
        moved = self._search(batch, start, now, pulls, rho)
        return self._outcome(batch, now, moved, gradients)

    def settle(self, X: tf.Tensor, Y: tf.Tensor) -> Outcome:
        """q's optimum for the whole data set, and the bound's gradient there: see `FullDual.settle`."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.hyperparameters)
            batch = self._batch(X, Y)
            with tape.stop_recording():
                reached = self._climb(batch)
            now = self._bound(batch, *reached.tensors[1:])
        none = tf.UnconnectedGradients.ZERO
        gradients = tape.gradient(now.own, self.hyperparameters, unconnected_gradients=none)
        return self._outcome(batch, now, reached, summed(*map(tf.convert_to_tensor, gradients)))

    def publish(self, X: tf.Tensor, Y: tf.Tensor, *, whole: bool) -> None:
        """Nothing to do: the model's own variables are the ones that move."""

    def _start(self) -> tuple[tf.Tensor, ...]:
        return tuple(tf.cast(x, WIDE) for x in self.variables.values())  # [L, M, M], [L, M], [L, M]

    def _climb(self, batch: _Batch) -> Search:
        def step(tensors: tuple[tf.Tensor, ...], rho: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, Search]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(tensors[1:])
                now = self._bound(batch, *tensors[1:])
            pulls, _ = self._pulls(tape, now, tensors, [])
            return now.expected - now.kl, now.size, self._search(batch, tensors, now, pulls, rho)

        return climb(step, self._start())

    @staticmethod
    def _pulls(
        tape: tf.GradientTape, now: _Bound, start: tuple[tf.Tensor, ...], variables: list[tf.Variable]
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """The bound's gradients by m, s and this worker's explained variances; and by `variables`."""
        sources = [*start[1:], now.explained, *variables]
        found = tape.gradient(now.own, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        g_m, g_s, *others = summed(*(tf.convert_to_tensor(x) for x in (*found[:2], *found[3:])))
        return [g_m, g_s, found[2]], others

    def _search(
        self, batch: _Batch, start: tuple[tf.Tensor, ...], now: _Bound, pulls: list[tf.Tensor], rho: tf.Tensor
    ) -> Search:
        """The step from (metric, m, s) along the bound's gradients by m, s and the explained variances."""
        metric, m, s = start
        whiten, factor = self.model.whiten, batch.factor
        g_m, g_s, g_explained = pulls
        A = dual.project(factor.L_inverse, tf.stop_gradient(batch.prior.Kuf))  # [1 or L, M, B]
        own = dual.moments(A, RowGradients(g_explained, g_explained, g_explained)).explained
        target = -2.0 * summed(own)[0]
        pull = g_m if whiten else tf.linalg.matvec(factor.L, g_m, transpose_a=True)  # [L, M]

        def trial(length: tf.Tensor) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
            moved = metric + length * (target - metric)
            _, root = lower_and_inverse(moved + tf.eye(m.shape[-1], dtype=WIDE))  # [L, M, M]
            change = tf.linalg.matvec(root, tf.linalg.matvec(root, pull), transpose_a=True)
            change = change if whiten else tf.linalg.matvec(factor.L, change)
            # NaN where the precision would not be positive: the search takes that for too long a step.
            state = (moved, m + length * change, tf.math.rsqrt(1.0 / s**2 - length * g_s / s))
            new = self._bound(batch, *state[1:])
            return new.expected - new.kl, state

        return search(trial, start, now.expected - now.kl, now.size, rho)

    def _batch(self, X: tf.Tensor, Y: tf.Tensor) -> _Batch:
        prior = batch_prior(self.model, X)
        return _Batch(prior, factorise(prior.Kuu, self.model.jitter), Y, batch_scale(self.model, X))

    def _bound(self, batch: _Batch, m: tf.Tensor, s: tf.Tensor) -> _Bound:
        prior = batch.prior
        matrices = (prior.Kuu, prior.Kuf, prior.kff)
        q = marginals(*matrices, m, tf.linalg.diag(s), batch.factor, whiten=self.model.whiten)
        residual = tf.maximum(q.residual, 0.0)
        rows = (q.mean, q.explained, residual, prior.mean)
        own, kl = data_value(self.model, *rows, batch.Y, batch.scale), tf.reduce_sum(q.kl)
        expected = summed(tf.stop_gradient(own))[0]
        own = own - kl if present().chief else own  # what all rows share is in the sum once
        return _Bound(expected, own, kl, q.explained, tf.abs(expected) + tf.abs(kl))

    def _outcome(self, batch: _Batch, now: _Bound, moved: Search, gradients: list[tf.Tensor]) -> Outcome:
        variables = self.variables.values()
        state = [tf.cast(x, v.dtype) for x, v in zip(moved.tensors, variables, strict=True)]
        jitter, repairs = tf.reduce_max(batch.factor.jitter), tf.reduce_sum(batch.factor.repairs)
        gradients = [tf.convert_to_tensor(x) for x in gradients]
        values = (now.expected - now.kl, now.expected, now.kl, jitter, repairs)
        return Outcome(*values, moved.rho, moved.retries, gradients, state)
