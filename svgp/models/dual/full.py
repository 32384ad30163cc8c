"""A full-covariance q(u) trained by natural gradients in its dual parameters (t-SVGP)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
from svgp.replicas import replicas
from svgp.workers import present

# A fall of the bound from one batch to the next that makes held duals suspect, and how much worse than held
# q(v) they must then be to be given up: nats a row. Batches of some dozen rows differ by less than that.
SUSPECT, FAILED = 0.3, 0.1


class _Part(NamedTuple):
    """What one device sees of a batch."""

    A: tf.Tensor  # [1 or L, M, B]
    residual: tf.Tensor  # [L, B]
    prior: BatchPrior
    Y: tf.Tensor  # [B, P]
    scale: tuple[tf.Tensor, tf.Tensor]  # as of `batch_scale`; the first is 0 for another device's rows
    tape: tf.GradientTape  # of the prior


class _Batch(NamedTuple):
    """All about a batch that does not depend on q."""

    L_inverse: tf.Tensor  # [1 or L, M, M]
    parts: list[_Part]
    rows: tf.Tensor  # [] of the data set


# q as each device has it: alike but for what it sees of the batch.
Points = list[DualPoint]


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
        batch, factor = self._batch(X, Y)
        points, fell_back = self._carry_over(batch, factor, whole)
        value, terms = self._data_terms(batch, points)
        sums = _moments(batch, terms)
        found = self._search(batch, points, value, sums, rho)
        moved = _points(found.tensors)
        if whole:
            points, (value, terms) = moved, self._data_terms(batch, moved)
            sums = _moments(batch, terms)
        gradients = self._gradients(batch, points, terms, sums)
        kl = tf.reduce_sum(points[0].kl)
        return Outcome(
            value - kl,
            value,
            kl,
            tf.reduce_max(factor.jitter),
            tf.reduce_sum(factor.repairs),
            found.rho,
            found.retries + fell_back,
            gradients,
            [moved[0].precision, moved[0].shift, factor.L_inverse, value - kl],
        )

    def settle(self, X: tf.Tensor, Y: tf.Tensor) -> Outcome:
        """q's optimum for the whole data set and the present hyperparameters, and the gradient by these.

        At the optimum q answers a change of the hyperparameters to second order only: this is the gradient
        of the bound with q maximised out. `rho` is the last step's, `retries` those of all steps.
        """
        batch, factor = self._batch(X, Y)
        points, _ = self._carry_over(batch, factor, whole=True)
        points, rho, retries = self._climb(batch, points)
        value, terms = self._data_terms(batch, points)
        gradients = self._gradients(batch, points, terms, _moments(batch, terms))
        kl = tf.reduce_sum(points[0].kl)
        jitter, repairs = tf.reduce_max(factor.jitter), tf.reduce_sum(factor.repairs)
        state = [points[0].precision, points[0].shift, factor.L_inverse, value - kl]
        return Outcome(value - kl, value, kl, jitter, repairs, rho, retries, gradients, state)

    def publish(self, X: tf.Tensor, Y: tf.Tensor, *, whole: bool) -> None:
        """Write the current q to the model's q_mean and q_sqrt; where it cannot be computed, keep the last.

        (X, Y) is the last batch, or the `whole` data set: then q goes on to its optimum for the
        hyperparameters' present values, of which `variables` know nothing.
        """
        model = self.model
        batch, factor = self._batch(X, Y)
        points, _ = self._carry_over(batch, factor, whole)
        if whole:
            points, _, _ = self._climb(batch, points)
        m, root = dual.mean_and_root(points[0].precision, points[0].shift)  # [L, M], [L, M, M]
        if not model.whiten:
            m, root = tf.linalg.matvec(factor.L, m), tf.matmul(factor.L, root)
        m, root = tf.cast(m, model.dtype), tf.cast(root, model.dtype)
        finite = tf.math.is_finite(tf.reduce_sum(m) + tf.reduce_sum(root))
        model.q_mean.assign(tf.where(finite, m, model.q_mean))
        model.q_sqrt.assign(tf.where(finite, root, model.q_sqrt))

    def _batch(self, X: tf.Tensor, Y: tf.Tensor) -> tuple[_Batch, Factor]:
        model, devices = self.model, replicas()
        shares, scale = devices.rows(X, Y), batch_scale(model, X)

        def prior_of(number: int) -> tuple[tf.GradientTape, BatchPrior]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(self.hyperparameters)
                prior = batch_prior(model, shares[number][0])
            return tape, prior

        found = devices.each(prior_of)
        factor = factorise(found[0][1].Kuu, model.jitter)

        def part(number: int) -> _Part:
            (_, Y, counts), (tape, prior) = shares[number], found[number]
            A = dual.project(factor.L_inverse, tf.stop_gradient(prior.Kuf))  # [1 or L, M, B]
            residual = prior.kff - tf.reduce_sum(A * A, -2)  # [1 or L, B]
            residual += tf.zeros([model.num_latent, 1], WIDE)
            return _Part(A, residual, prior, Y, (counts * scale[0], scale[1]), tape)

        return _Batch(factor.L_inverse, devices.each(part), scale[1]), factor

    def _evaluate(self, batch: _Batch, precision: tf.Tensor, shift: tf.Tensor) -> Points:
        narrow = self.model.batch_dtype
        return replicas().each(lambda n: dual.evaluate(batch.parts[n].A, precision, shift, narrow))

    def _data_terms(self, batch: _Batch, points: Points) -> tuple[tf.Tensor, list[DataTerm]]:
        """The value for the whole batch, and what it is made of on each device."""

        def term(number: int) -> DataTerm:
            part, point = batch.parts[number], points[number]
            marginals = (point.mean, point.explained, part.residual, part.prior.mean)
            return data_term(self.model, self.hyperparameters, *marginals, part.Y, part.scale)

        terms = replicas().each(term)
        return _total(term.value for term in terms), terms

    def _value(self, batch: _Batch, points: Points) -> tf.Tensor:
        def value(number: int) -> tf.Tensor:
            part, point = batch.parts[number], points[number]
            rows = (point.mean, point.explained, tf.maximum(part.residual, 0.0), part.prior.mean)
            return data_value(self.model, *rows, part.Y, part.scale)

        return _total(replicas().each(value)) - tf.reduce_sum(points[0].kl)

    def _carry_over(self, batch: _Batch, factor: Factor, whole: bool) -> tuple[Points, tf.Tensor]:
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
        value, rows = self._value(batch, as_duals), batch.rows
        fine = tf.constant(False) if whole else value >= self.variables["level"] - SUSPECT * rows

        def compare() -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
            as_whitened = self._evaluate(batch, W, e)
            least = self._value(batch, as_whitened) - (0.0 if whole else FAILED * rows)
            better = value >= least  # False for NaN
            return better, tf.cond(better, lambda: _copy(as_duals), lambda: _copy(as_whitened))

        held, chosen = tf.cond(fine, lambda: (tf.constant(True), _copy(as_duals)), compare)
        return _points(chosen), tf.cast(~held, tf.int32)

    def _search(
        self, batch: _Batch, points: Points, value: tf.Tensor, sums: Moments, rho: tf.Tensor
    ) -> Search:
        def trial(length: tf.Tensor) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
            new = self._evaluate(batch, *dual.natural_step(points[0], sums, length))
            return self._value(batch, new), _flat(new)

        kl = tf.reduce_sum(points[0].kl)
        return search(trial, _flat(points), value - kl, tf.abs(value) + tf.abs(kl), rho)

    def _climb(self, batch: _Batch, points: Points) -> tuple[Points, tf.Tensor, tf.Tensor]:
        """Natural-gradient steps from `points` until they gain nothing; the last rho, and all retries."""

        def step(tensors: tuple[tf.Tensor, ...], rho: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, Search]:
            start = _points(tensors)
            value, terms = self._data_terms(batch, start)
            found = self._search(batch, start, value, _moments(batch, terms), rho)
            kl = tf.reduce_sum(start[0].kl)
            return value - kl, tf.abs(value) + tf.abs(kl), found

        found = climb(step, _flat(points))
        return _points(found.tensors), found.rho, found.retries

    def _gradients(
        self, batch: _Batch, points: Points, terms: list[DataTerm], sums: Moments
    ) -> list[tf.Tensor]:
        """Of the dual-held bound, by each hyperparameter."""
        if not self.hyperparameters:
            return []

        def through(number: int) -> list[tf.Tensor]:
            part, data = batch.parts[number], terms[number]
            Kuu_bar, Kuf_bar = dual.adjoints(batch.L_inverse, part.A, points[number], sums, data.rows)
            if number or not present().chief:  # what all rows share is in the sum once
                Kuu_bar = tf.zeros_like(Kuu_bar)
            kff_bar = data.rows.residual  # [L, B]
            if part.prior.kff.shape[0] != kff_bar.shape[0]:
                kff_bar = tf.reduce_sum(kff_bar, 0, keepdims=True)
            found = part.tape.gradient(
                list(part.prior),
                self.hyperparameters,
                output_gradients=[Kuu_bar, Kuf_bar, kff_bar, data.prior_mean],
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            return [tf.convert_to_tensor(x) + y for x, y in zip(found, data.variables, strict=True)]

        return summed(*replicas().sum(replicas().each(through)))


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


def _moments(batch: _Batch, terms: list[DataTerm]) -> Moments:
    """Over the rows of all devices and workers."""
    own = replicas().each(lambda number: dual.moments(batch.parts[number].A, terms[number].rows))
    return Moments(*summed(*replicas().sum(own)))


def _total(values: Iterable[tf.Tensor]) -> tf.Tensor:
    """Of all devices and workers."""
    return summed(*replicas().sum([[value] for value in values]))[0]


def _wide_Kuu(model: SVGP) -> tf.Tensor:
    Kuu = tf.cast(model.Kuu(), WIDE)
    return Kuu if Kuu.shape.rank == 3 else Kuu[None]  # [1 or L, M, M]


def _flat(points: Points) -> tuple[tf.Tensor, ...]:
    return tuple(x for point in points for x in point)


def _points(tensors: Sequence[tf.Tensor]) -> Points:
    """What `_flat` made."""
    size = len(DualPoint._fields)
    return [DualPoint(*tensors[start : start + size]) for start in range(0, len(tensors), size)]


def _copy(points: Points) -> tuple[tf.Tensor, ...]:
    return tuple(map(tf.identity, _flat(points)))
