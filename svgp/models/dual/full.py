"""A full-covariance q(u) trained by natural gradients in its dual parameters (t-SVGP)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.linalg import Factor, factorise
from svgp.models.dual import algebra as dual
from svgp.models.dual.algebra import DualPoint, Moments
from svgp.models.dual.prior import (
    WIDE,
    BatchPrior,
    DataTerm,
    Outcome,
    batch_prior,
    batch_scale,
    data_term,
    data_value,
    hyperparameters,
    summed,
)
from svgp.models.dual.search import Search, climb, search
from svgp.models.replacement import Move
from svgp.models.svgp import SVGP
from svgp.workers import present

# A fall of the bound from one batch to the next that makes held duals suspect, and how much worse than held
# q(v) they must then be to be given up: nats a row. Batches of some dozen rows differ by less than that.
SUSPECT, FAILED = 0.3, 0.1


class _Batch(NamedTuple):
    """All about a batch that does not depend on q."""

    L_inverse: tf.Tensor  # [1 or L, M, M]
    A: tf.Tensor  # [1 or L, M, B]
    residual: tf.Tensor  # [L, B]
    prior: BatchPrior
    Y: tf.Tensor  # [B, P]
    scale: tuple[tf.Tensor, tf.Tensor]


class FullDual:
    """Dual parameters of a model's q(u), from its present q_mean and q_sqrt on.

    The model's own q_mean and q_sqrt follow only when `publish()` is called. `variables` are all that it
    remembers: W and e (`svgp.models.dual.algebra`), the inverse of the factor of Kuu in whose frame they
    are, and `level`, the bound of the last batch.
    Raises ModelError where the model's q(u) has a singular covariance.
    """

    def __init__(self, model: SVGP) -> None:
        self.model = model
        self.hyperparameters = hyperparameters(model)
        values = zip(("precision", "shift", "frame", "level"), _duals(model), strict=True)
        self.variables = {name: tf.Variable(x, trainable=False, name=name) for name, x in values}

    def restart(self, move: Move) -> None:
        """Take the duals of the q(u) that the model has after `move`. Raises ModelError, as at the start."""
        for variable, value in zip(self.variables.values(), _duals(self.model), strict=True):
            variable.assign(value)

    def propose(self, X: tf.Tensor, Y: tf.Tensor, rho: tf.Tensor, *, whole: bool) -> Outcome:
        """A natural-gradient step of at most `rho`, and the dual-held gradient by the hyperparameters.

        A batch that is the `whole` data set moves q first, so that bound and gradient are those of the new q.
        From a sample of the rows both are taken before q has adapted to it: they are unbiased then.
        """
        batch, tape, factor = self._batch(X, Y)
        point, fell_back = self._carry_over(batch, factor, whole)
        data = self._data_term(batch, point)
        sums = _moments(batch, data)
        found = self._search(batch, point, data, sums, rho)
        moved = DualPoint(*found.tensors)
        if whole:
            point, data = moved, self._data_term(batch, moved)
            sums = _moments(batch, data)
        gradients = self._gradients(tape, batch, point, data, sums)
        kl = tf.reduce_sum(point.kl)
        return Outcome(
            data.value - kl,
            data.value,
            kl,
            tf.reduce_max(factor.jitter),
            tf.reduce_sum(factor.repairs),
            found.rho,
            found.retries + fell_back,
            gradients,
            [moved.precision, moved.shift, factor.L_inverse, data.value - kl],
        )

    def settle(self, X: tf.Tensor, Y: tf.Tensor) -> Outcome:
        """q's optimum for the whole data set and the present hyperparameters, and the gradient by these.

        At the optimum q answers a change of the hyperparameters to second order only: this is the gradient
        of the bound with q maximised out. `rho` is the last step's, `retries` those of all steps.
        """
        batch, tape, factor = self._batch(X, Y)
        point, _ = self._carry_over(batch, factor, whole=True)
        point, rho, retries = self._climb(batch, point)
        data = self._data_term(batch, point)
        gradients = self._gradients(tape, batch, point, data, _moments(batch, data))
        kl = tf.reduce_sum(point.kl)
        jitter, repairs = tf.reduce_max(factor.jitter), tf.reduce_sum(factor.repairs)
        state = [point.precision, point.shift, factor.L_inverse, data.value - kl]
        return Outcome(data.value - kl, data.value, kl, jitter, repairs, rho, retries, gradients, state)

    def publish(self, X: tf.Tensor, Y: tf.Tensor, *, whole: bool) -> None:
        """Write the current q to the model's q_mean and q_sqrt; where it cannot be computed, keep the last.

        (X, Y) is the last batch, or the `whole` data set: then q goes on to its optimum for the
        hyperparameters' present values, of which `variables` know nothing.
        """
        model = self.model
        batch, _, factor = self._batch(X, Y)
        point, _ = self._carry_over(batch, factor, whole)
        if whole:
            point, _, _ = self._climb(batch, point)
        m, root = dual.mean_and_root(point.precision, point.shift)  # [L, M], [L, M, M]
        if not model.whiten:
            m, root = tf.linalg.matvec(factor.L, m), tf.matmul(factor.L, root)
        m, root = tf.cast(m, model.dtype), tf.cast(root, model.dtype)
        finite = tf.math.is_finite(tf.reduce_sum(m) + tf.reduce_sum(root))
        model.q_mean.assign(tf.where(finite, m, model.q_mean))
        model.q_sqrt.assign(tf.where(finite, root, model.q_sqrt))

    def _batch(self, X: tf.Tensor, Y: tf.Tensor) -> tuple[_Batch, tf.GradientTape, Factor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.hyperparameters)
            prior = batch_prior(self.model, X)
        factor = factorise(prior.Kuu, self.model.jitter)
        A = dual.project(factor.L_inverse, tf.stop_gradient(prior.Kuf))  # [1 or L, M, B]
        residual = prior.kff - tf.reduce_sum(A * A, -2)  # [1 or L, B]
        residual += tf.zeros([self.model.num_latent, 1], WIDE)
        return _Batch(factor.L_inverse, A, residual, prior, Y, batch_scale(self.model, X)), tape, factor

    def _evaluate(self, batch: _Batch, precision: tf.Tensor, shift: tf.Tensor) -> DualPoint:
        return dual.evaluate(batch.A, precision, shift, self.model.batch_dtype)

    def _data_term(self, batch: _Batch, point: DualPoint) -> DataTerm:
        marginals = (point.mean, point.explained, batch.residual, batch.prior.mean)
        return data_term(self.model, self.hyperparameters, *marginals, batch.Y, batch.scale)

    def _value(self, batch: _Batch, point: DualPoint) -> tf.Tensor:
        rows = (point.mean, point.explained, tf.maximum(batch.residual, 0.0), batch.prior.mean)
        return summed(data_value(self.model, *rows, batch.Y, batch.scale))[0] - tf.reduce_sum(point.kl)

    def _carry_over(self, batch: _Batch, factor: Factor, whole: bool) -> tuple[DualPoint, tf.Tensor]:
        """q under the present hyperparameters: duals held, or where these fail, q(v); and whether they did.

        Held duals follow a change of Kuu; but where Kuu is nearly singular they hold large weights of
        opposite signs, which a move of Z unbalances, and without a log-concave likelihood they can become
        invalid. W and e in the frame of the new factor as they were in the old one's are always valid.

        The `whole` data set gets the better of the two. A sample of the rows must not choose like that: it
        would prefer whichever suits the sample, at each step, and q and hyperparameters drift away (200 steps
        on housing, Student-t, ended 16 nats lower). It gives held duals up where they fail by far.
        """
        W, e = (tf.convert_to_tensor(self.variables[name]) for name in ("precision", "shift"))
        as_duals = self._evaluate(batch, *dual.reframe(self.variables["frame"], factor.L, W, e))
        value, rows = self._value(batch, as_duals), batch.scale[1]
        fine = tf.constant(False) if whole else value >= self.variables["level"] - SUSPECT * rows

        def compare() -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
            as_whitened = self._evaluate(batch, W, e)
            least = self._value(batch, as_whitened) - (0.0 if whole else FAILED * rows)
            better = value >= least  # False for NaN
            return better, tf.cond(better, lambda: _copy(as_duals), lambda: _copy(as_whitened))

        held, chosen = tf.cond(fine, lambda: (tf.constant(True), _copy(as_duals)), compare)
        return DualPoint(*chosen), tf.cast(~held, tf.int32)

    def _search(
        self, batch: _Batch, point: DualPoint, data: DataTerm, sums: Moments, rho: tf.Tensor
    ) -> Search:
        def trial(length: tf.Tensor) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
            new = self._evaluate(batch, *dual.natural_step(point, sums, length))
            return self._value(batch, new), tuple(new)

        kl = tf.reduce_sum(point.kl)
        return search(trial, tuple(point), data.value - kl, tf.abs(data.value) + tf.abs(kl), rho)

    def _climb(self, batch: _Batch, point: DualPoint) -> tuple[DualPoint, tf.Tensor, tf.Tensor]:
        """Natural-gradient steps from `point` until they gain nothing; the last rho, and all retries."""

        def step(tensors: tuple[tf.Tensor, ...], rho: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, Search]:
            start = DualPoint(*tensors)
            data = self._data_term(batch, start)
            found = self._search(batch, start, data, _moments(batch, data), rho)
            kl = tf.reduce_sum(start.kl)
            return data.value - kl, tf.abs(data.value) + tf.abs(kl), found

        found = climb(step, tuple(point))
        return DualPoint(*found.tensors), found.rho, found.retries

    def _gradients(
        self, tape: tf.GradientTape, batch: _Batch, point: DualPoint, data: DataTerm, sums: Moments
    ) -> list[tf.Tensor]:
        """Of the dual-held bound, by each hyperparameter."""
        if not self.hyperparameters:
            return []
        Kuu_bar, Kuf_bar = dual.adjoints(batch.L_inverse, batch.A, point, sums, data.rows)
        if not present().chief:  # what all rows share is in the sum once
            Kuu_bar = tf.zeros_like(Kuu_bar)
        kff_bar = data.rows.residual  # [L, B]
        if batch.prior.kff.shape[0] != kff_bar.shape[0]:
            kff_bar = tf.reduce_sum(kff_bar, 0, keepdims=True)
        through_prior = tape.gradient(
            list(batch.prior),
            self.hyperparameters,
            output_gradients=[Kuu_bar, Kuf_bar, kff_bar, data.prior_mean],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        own = [tf.convert_to_tensor(x) + y for x, y in zip(through_prior, data.variables, strict=True)]
        return summed(*own)


def _duals(model: SVGP) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """W, e, the inverse of the factor whose frame they are in, of the model's q; and no level yet."""
    factor = factorise(_wide_Kuu(model), model.jitter)
    m, root = tf.cast(model.q_mean, WIDE), tf.cast(model.q_root(), WIDE)
    if not model.whiten:
        m, root = tf.linalg.matvec(factor.L_inverse, m), tf.matmul(factor.L_inverse, root)
    precision, shift = dual.from_mean_and_root(m, root)
    if not np.isfinite(precision.numpy()).all():
        raise ModelError(
            "natural gradients: q_sqrt is singular, or Kuu could not be factorised; start q at the prior"
        )
    return precision, shift, factor.L_inverse, tf.constant(-np.inf, WIDE)


def _moments(batch: _Batch, data: DataTerm) -> Moments:
    """Over the rows of all workers."""
    return Moments(*summed(*dual.moments(batch.A, data.rows)))


def _wide_Kuu(model: SVGP) -> tf.Tensor:
    Kuu = tf.cast(model.Kuu(), WIDE)
    return Kuu if Kuu.shape.rank == 3 else Kuu[None]  # [1 or L, M, M]


def _copy(point: DualPoint) -> tuple[tf.Tensor, ...]:
    return tuple(tf.identity(x) for x in point)
