"""Minibatch Adam on every trainable variable of a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.budget import batch_rows
from svgp.errors import RunError
from svgp.models import load_model_state, model_state
from svgp.models.priors import has_priors, log_prior
from svgp.models.replacement import Move
from svgp.replicas import replicas
from svgp.training.batches import Batches
from svgp.training.compilation import CompiledStep
from svgp.training.methods.base import Method, StepRecord
from svgp.workers import present

LEARNING_RATE = 0.01  # where the config leaves it open
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # Kingma & Ba 2015, their defaults; the loss is in nats of N rows


class AdamOptimiser:
    """Adam (Kingma & Ba 2015, algorithm 1), one fused pass over each variable.

    `m <- b1 m + (1-b1) g`, `v <- b2 v + (1-b2) g^2`,
    `x <- x - lr sqrt(1-b2^t)/(1-b1^t) m / (sqrt(v) + eps)`.
    The slots are plain variables, so a checkpoint can hold them. `model.Z` has an `inducing_rate` of its own
    where one is given. Where `model.inducing_range` (low `[D]`, high `[D]`) is given, each step ends with Z
    clipped to it.
    """

    def __init__(
        self,
        variables: Sequence[tf.Variable],
        learning_rate: float,
        model: Any = None,
        *,
        inducing_rate: float | None = None,
    ) -> None:
        self.variables = list(variables)
        apart = inducing_rate is not None and model is not None
        self._rates = [inducing_rate if apart and x is model.Z else learning_rate for x in self.variables]
        found = None if model is None else model.inducing_range
        self._ranges = [found if found is not None and x is model.Z else None for x in self.variables]
        self.m = [tf.Variable(tf.zeros_like(x), trainable=False) for x in self.variables]
        self.v = [tf.Variable(tf.zeros_like(x), trainable=False) for x in self.variables]
        # A float, since TensorFlow keeps integer variables off the GPU; exact up to 2^53 steps.
        self.step = tf.Variable(0.0, dtype=tf.float64, trainable=False)

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """One update; `gradients` are of the loss to minimise, in the order of the variables."""
        self.step.assign_add(1.0)
        powers = [tf.constant(beta, tf.float64) ** self.step for beta in (BETA_1, BETA_2)]
        steps = zip(self.variables, self.m, self.v, gradients, self._ranges, self._rates, strict=True)
        for x, m, v, gradient, limits, rate in steps:
            tf.raw_ops.ResourceApplyAdam(
                var=x.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=tf.cast(powers[0], x.dtype),
                beta2_power=tf.cast(powers[1], x.dtype),
                lr=tf.constant(rate, x.dtype),
                beta1=tf.constant(BETA_1, x.dtype),
                beta2=tf.constant(BETA_2, x.dtype),
                epsilon=tf.constant(EPSILON, x.dtype),
                grad=gradient,
            )
            if limits is not None:
                low, high = (tf.constant(limit, x.dtype) for limit in limits)  # [D] each
                x.assign(tf.clip_by_value(x, low, high))

    def forget(self, model: Any, moved: np.ndarray) -> None:
        """Start anew on the inducing points `moved` `[r]` (indices), which are other points now.

        Of Z it is their rows. Of q, all from the first one on: whitened values, and q_sqrt's rows, are
        relative to the points before. The mean gradient m starts at zero there. The mean square v takes that
        of other entries: from zero it would lag behind, and the first thirty steps be six times longer.
        """
        first = np.arange(model.num_inducing) >= np.min(moved)  # [M]
        stale = {
            model.Z.ref(): np.isin(np.arange(model.num_inducing), moved)[:, None],  # [M, 1]
            model.q_mean.ref(): first if model.whiten else np.isin(np.arange(len(first)), moved),  # [M]
            model.q_sqrt.ref(): first if model.q_diag else first[:, None],  # [M] or [M, 1]
        }
        for x, m, v in zip(self.variables, self.m, self.v, strict=True):
            if (mask := stale.get(x.ref())) is not None:
                square = v.numpy()
                typical = (
                    square.mean(axis=0) if x is model.Z else square.sum() / max(1, np.count_nonzero(square))
                )
                m.assign(np.where(mask, 0.0, m.numpy()).astype(square.dtype))
                v.assign(np.where(mask, typical, square).astype(square.dtype))

    def slots(self) -> dict[str, tf.Variable]:
        """The moments and the count of steps, under names that are stable from run to run."""
        # A tf.Module lists its variables in the order of its attributes' names: the number is stable,
        # and the variable's own name beside it shows a checkpoint of another model for what it is.
        names = [f"{number:03d}.{x.name.split(':')[0]}" for number, x in enumerate(self.variables)]
        slots = (("m", self.m), ("v", self.v))
        named = {f"{slot}/{name}": x for slot, xs in slots for name, x in zip(names, xs, strict=True)}
        return {**named, "step": self.step}


class Adam(Method):
    """The method `adam`: gradients of a minibatch's objective and log prior, Adam steps on all parameters.

    The objective is the ELBO, or what `model.bound: ppgpr` puts in its place.
    One step costs its gradient plus two passes over the parameters (a sum that shows whether
    the gradient is finite, and the update). No gradient clipping: Adam's step is bounded by its
    learning rate already. A loss or a gradient that is not finite leaves every variable as it was.
    """

    name = "adam"
    learning_rate = LEARNING_RATE

    def __init__(self, model: Any, X: Any, Y: Any, config: Any) -> None:
        self.model = model
        rate = LEARNING_RATE if config.learning_rate is None else config.learning_rate
        self.learning_rate = rate
        self._optimiser = AdamOptimiser(model.trainable_variables, rate, model)
        self._batches = Batches(X, Y, batch_rows(config, model.num_data), config.seed, model.Z.dtype)
        self.steps_per_epoch = self._batches.steps_per_epoch
        self._iterator: Iterator[tuple[tf.Tensor, tf.Tensor]] | None = None
        self.compiled_step = CompiledStep(self._update, self._batches.signature)

    def advance(self) -> StepRecord:
        """Take one step on the next minibatch."""
        if self._iterator is None:
            self._iterator = self._batches.starting_at(self.step)
        statistics = self.compiled_step(*next(self._iterator))
        self.step += 1
        return StepRecord(self.step, self.step / self.steps_per_epoch, statistics)

    def restart(self, move: Move) -> float:
        """Go on after `move`, which the model has made; what that does to the bound no batch can tell: 0."""
        self._optimiser.forget(self.model, move.moved)
        return 0.0

    def state(self) -> dict[str, np.ndarray]:
        """Parameters, slots and the number of steps, which is the position in the data too."""
        parameters = {f"model/{name}": array for name, array in model_state(self.model).items()}
        slots = {f"adam/{name}": slot.numpy() for name, slot in self._optimiser.slots().items()}
        return {**parameters, **slots, "step": np.asarray(self.step, dtype=np.int64)}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from `state`. Raises RunError where it belongs to another model."""
        slots = {f"adam/{name}": slot for name, slot in self._optimiser.slots().items()}
        wrong = [name for name, slot in slots.items() if name not in state or slot.shape != state[name].shape]
        if wrong:
            raise RunError(f"the checkpoint does not fit the model: {', '.join(wrong[:4])} differ")
        prefix = "model/"
        load_model_state(
            self.model, {name[len(prefix) :]: x for name, x in state.items() if name.startswith(prefix)}
        )
        for name, slot in slots.items():
            slot.assign(state[name])
        self.step = int(state["step"])
        self._iterator = None

    def _update(self, X: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        devices = replicas()
        shares = devices.rows(X, Y)
        found = devices.each(lambda number: self._differentiate(*shares[number][:2]))
        gradients, loss, parts = found[0]
        if not (devices.alone and present().alone):
            # Each scaled its own rows up to all N: the mean by rows is what all of them in one batch give.
            tensors = [[*gradients, loss, tf.stack(_numbers(parts))] for gradients, loss, parts in found]
            *gradients, loss, numbers = _mean_by_rows(tensors, shares)
            parts = tf.unstack(numbers)
        # A sum is finite only where each term is: one read instead of a mask the size of M^2.
        sums = [tf.reduce_sum(gradient) for gradient in gradients]
        finite = tf.reduce_all([tf.math.is_finite(value) for value in [loss, *sums]])

        def update() -> tf.Tensor:
            self._optimiser.apply(gradients)
            return tf.constant(True)

        tf.cond(finite, update, lambda: tf.constant(False))
        values = (*parts, finite)  # Elbo is in the order of STATISTICS
        return tf.stack(_numbers(values))  # [7]

    def _differentiate(self, X: tf.Tensor, Y: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor, Any]:
        """The loss on these rows with its gradient, and the parts of the ELBO."""
        variables = self._optimiser.variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            parts = self.model.elbo_parts((X, Y))
            loss = -parts.objective
            if has_priors(self.model):
                loss -= log_prior(self.model)
        gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [tf.convert_to_tensor(gradient) for gradient in gradients], loss, parts


def _numbers(values: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    return [tf.reduce_max(tf.cast(value, tf.float64)) for value in values]


def _mean_by_rows(
    tensors: Sequence[Sequence[tf.Tensor]], shares: Sequence[tuple[tf.Tensor, ...]]
) -> list[tf.Tensor]:
    """The means of all devices' and workers' tensors, weighted by the rows that each has seen.

    `shares` as `Replicas.rows` gives them. One message between workers.
    """
    weighted = []
    for own, (X, *_, counts) in zip(tensors, shares, strict=True):
        rows = counts * tf.cast(tf.shape(X)[0], tf.float64)
        weighted.append([*(tf.cast(x, tf.float64) * rows for x in own), rows])
    *sums, total = present().sum_tensors(replicas().sum(weighted))
    return [tf.cast(x / total, before.dtype) for x, before in zip(sums, tensors[0], strict=True)]
