"""A diagonal q(u) trained by natural gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

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


class _Part(NamedTuple):
    """All about what one device sees of a batch that does not depend on q."""

    prior: BatchPrior
    factor: Factor
    Y: tf.Tensor  # [B, P]
    scale: tuple[tf.Tensor, tf.Tensor]  # as of `batch_scale`; the first is 0 for another device's rows
    tape: tf.GradientTape  # which has seen the hyperparameters


class _Own(NamedTuple):
    """What one device adds to the bound."""

    expected: tf.Tensor  # []
    bound: tf.Tensor  # [] to be differentiated: with the KL, which all share, on one of them
    kl: tf.Tensor  # []
    explained: tf.Tensor  # [L, B]


class _Bound(NamedTuple):
    expected: tf.Tensor  # [] of the rows of all devices and workers
    kl: tf.Tensor  # []
    size: tf.Tensor  # [] of the sums that the bound is a difference of


class _Pulls(NamedTuple):
    """The bound's gradients."""

    mean: tf.Tensor  # [L, M] by m
    deviation: tf.Tensor  # [L, M] by s
    explained: list[tf.Tensor]  # [L, B] by what each device's rows have
    others: list[tf.Tensor]  # by variables


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
        start, parts = self._start(), self._parts(X, Y)
        now, pulls = self._slopes(parts, start[1:], self.hyperparameters, [part.tape for part in parts])
        moved = self._search(parts, start, now, pulls, rho)
        return self._outcome(parts, now, moved, pulls.others)

    def settle(self, X: tf.Tensor, Y: tf.Tensor) -> Outcome:
        """q's optimum for the whole data set, and the bound's gradient there: see `FullDual.settle`."""
        parts = self._parts(X, Y)
        reached = self._climb(parts)
        tapes = [part.tape for part in parts]
        now, pulls = self._slopes(parts, reached.tensors[1:], self.hyperparameters, tapes)
        return self._outcome(parts, now, reached, pulls.others)

    def publish(self, X: tf.Tensor, Y: tf.Tensor, *, whole: bool) -> None:
        """Nothing to do: the model's own variables are the ones that move."""

    def _start(self) -> tuple[tf.Tensor, ...]:
        return tuple(tf.cast(x, WIDE) for x in self.variables.values())  # [L, M, M], [L, M], [L, M]

    def _climb(self, parts: list[_Part]) -> Search:
        def step(tensors: tuple[tf.Tensor, ...], rho: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, Search]:
            tapes = [tf.GradientTape(watch_accessed_variables=False) for _ in parts]
            now, pulls = self._slopes(parts, tensors[1:], [], tapes)
            return now.expected - now.kl, now.size, self._search(parts, tensors, now, pulls, rho)

        return climb(step, self._start())

    def _slopes(
        self, parts: list[_Part], at: tuple[tf.Tensor, ...], variables: list[tf.Variable],
        tapes: list[tf.GradientTape],
    ) -> tuple[_Bound, _Pulls]:  # fmt: skip
        """The bound at m, s and its gradients; `tapes`, one a device, have seen what `variables` made."""
        m, s = at

        def on(number: int) -> tuple[_Own, list[tf.Tensor]]:
            with tapes[number] as tape:
                tape.watch([m, s])
                own = self._own(parts[number], m, s, number)
            sources = [m, s, own.explained, *variables]
            found = tape.gradient(own.bound, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            return own, [tf.convert_to_tensor(x) for x in found]

        owns, found = zip(*replicas().each(on), strict=True)
        g_m, g_s, *others = summed(*replicas().sum([[*x[:2], *x[3:]] for x in found]))
        return _together(owns), _Pulls(g_m, g_s, [x[2] for x in found], others)

    def _search(
        self, parts: list[_Part], start: tuple[tf.Tensor, ...], now: _Bound, pulls: _Pulls, rho: tf.Tensor
    ) -> Search:
        """The step from (metric, m, s) along the bound's gradients by m, s and the explained variances."""
        metric, m, s = start
        whiten, factor = self.model.whiten, parts[0].factor
        g_m, g_s = pulls[:2]

        def moments(number: int) -> list[tf.Tensor]:
            part, g = parts[number], pulls.explained[number]
            A = dual.project(part.factor.L_inverse, tf.stop_gradient(part.prior.Kuf))  # [1 or L, M, B]
            return [dual.moments(A, RowGradients(g, g, g)).explained]

        target = -2.0 * summed(*replicas().sum(replicas().each(moments)))[0]
        pull = g_m if whiten else tf.linalg.matvec(factor.L, g_m, transpose_a=True)  # [L, M]

        def trial(length: tf.Tensor) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
            moved = metric + length * (target - metric)
            _, root = lower_and_inverse(moved + tf.eye(m.shape[-1], dtype=WIDE))  # [L, M, M]
            change = tf.linalg.matvec(root, tf.linalg.matvec(root, pull), transpose_a=True)
            change = change if whiten else tf.linalg.matvec(factor.L, change)
            # NaN where the precision would not be positive: the search takes that for too long a step.
            state = (moved, m + length * change, tf.math.rsqrt(1.0 / s**2 - length * g_s / s))
            new = _together(replicas().each(lambda n: self._own(parts[n], *state[1:], n)))
            return new.expected - new.kl, state

        return search(trial, start, now.expected - now.kl, now.size, rho)

    def _parts(self, X: tf.Tensor, Y: tf.Tensor) -> list[_Part]:
        shares, scale = replicas().rows(X, Y), batch_scale(self.model, X)

        def part(number: int) -> _Part:
            x, y, counts = shares[number]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(self.hyperparameters)
                prior = batch_prior(self.model, x)
            factor = factorise(prior.Kuu, self.model.jitter)
            return _Part(prior, factor, y, (counts * scale[0], scale[1]), tape)

        return replicas().each(part)

    def _own(self, part: _Part, m: tf.Tensor, s: tf.Tensor, number: int) -> _Own:
        prior = part.prior
        matrices = (prior.Kuu, prior.Kuf, prior.kff)
        q = marginals(*matrices, m, tf.linalg.diag(s), part.factor, whiten=self.model.whiten)
        residual = tf.maximum(q.residual, 0.0)
        rows = (q.mean, q.explained, residual, prior.mean)
        value, kl = data_value(self.model, *rows, part.Y, part.scale), tf.reduce_sum(q.kl)
        shared = number == 0 and present().chief  # what all rows share is in the sum once
        return _Own(tf.stop_gradient(value), value - kl if shared else value, kl, q.explained)

    def _outcome(self, parts: list[_Part], now: _Bound, moved: Search, gradients: list[tf.Tensor]) -> Outcome:
        variables = self.variables.values()
        state = [tf.cast(x, v.dtype) for x, v in zip(moved.tensors, variables, strict=True)]
        jitter, repairs = tf.reduce_max(parts[0].factor.jitter), tf.reduce_sum(parts[0].factor.repairs)
        gradients = [tf.convert_to_tensor(x) for x in gradients]
        values = (now.expected - now.kl, now.expected, now.kl, jitter, repairs)
        return Outcome(*values, moved.rho, moved.retries, gradients, state)


def _together(owns: Sequence[_Own]) -> _Bound:
    """Of all devices and workers."""
    expected, kl = summed(*replicas().sum([[own.expected] for own in owns]))[0], owns[0].kl
    return _Bound(expected, kl, tf.abs(expected) + tf.abs(kl))
