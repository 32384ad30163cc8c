"""The method `natgrad`: q(u) by natural gradients, hyperparameters and Z by Adam."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.budget import JUDGED_TASKS, RATE, batch_rows, step_operations, takes_all_rows
from svgp.errors import RunError
from svgp.models import load_model_state, model_state
from svgp.models.bounds import require_elbo
from svgp.models.dual.diagonal import DiagonalDual
from svgp.models.dual.full import FullDual
from svgp.models.dual.prior import Outcome
from svgp.models.priors import with_prior_gradients
from svgp.models.replacement import Move
from svgp.rows import as_rows
from svgp.rows.base import part_of_batch
from svgp.training.batches import Batches
from svgp.training.compilation import CompiledStep
from svgp.training.methods.adam import AdamOptimiser
from svgp.training.methods.base import Method, StepRecord
from svgp.training.methods.held_out import RESTORED, HeldOut
from svgp.training.methods.natgrad_whole import WholeNaturalGradient
from svgp.workers import present

# Of hyperparameters, where the config leaves it open; and Z's. Found on counts, two_classes, breast_cancer
# and housing (Student-t) in batches of 100: with 0.03 for both, or 0.1 for both, the bound after 200 steps
# was 1 to 16 nats lower on each. Points that jump about keep q(u) from settling.
LEARNING_RATE, INDUCING_RATE = 0.1, 0.01
# Once it has settled q averages over about so many epochs, but no fewer batches than these: its noise
# misleads the hyperparameters.
RECENT_EPOCHS, RECENT_STEPS = 2.0, 16.0
RECOVERY = 1.5  # a step length that had to be cut grows back by this factor a step
WARM_UP_WHOLE, WARM_UP = 5, 10  # steps that move q alone: far from its optimum the other gradients mislead

ALL_ROWS = 8192  # so few rows are all used to bring q up to date where the model is looked at
# Steps of a climb on all of them, and seconds of one that are not worth a thought. Digits, 1,617 rows and ten
# latents: brought up to date after each epoch of two steps, q took nine tenths of the time.
CLIMB, SOON = 12.0, 0.2
JUDGED = 40  # the step after which rows left out first say whether training helps: q has settled by then


class NaturalGradient(Method):
    """t-SVGP (Adam, Chang, Khan & Solin 2021): natural gradients in the dual parameters of q(u).

    A step of length rho replaces a share rho of q's natural parameters by what the batch asks for. A whole
    data set in one batch has rho = 1, exact for Gaussian noise. Minibatches have
    `rho_t = max(2 / (t + 1), min(B / (2 N), 1/16))`: a mean over all batches so far in which the t-th weighs
    t, so that what was asked far from the optimum is soon forgotten, then one over two epochs or so. A step
    that would lower the bound of its own batch, or leave the cone of valid precisions, is halved until it
    does not, and the next ones grow back (`svgp.models.dual.search`): no length has to be tuned.

    Hyperparameters and Z follow the gradient of the bound with the duals held, by Adam with
    `config.learning_rate` (0.1 where it is null). Z moves no faster than that, and by 0.01 or a tenth of it,
    whichever is more. All that is M by M is float64 in any precision.

    Of classes, rows left out say after JUDGED steps and at the end whether that has helped predictions; where
    it has made them worse, training ends with what it began with (`svgp.training.methods.held_out`).

    The model's q_mean and q_sqrt are brought up to date by `publish()`.
    """

    name = "natgrad"
    learning_rate = LEARNING_RATE

    @classmethod
    def variant(cls, model: Any, rows: int, config: Any) -> type[Method]:
        """L-BFGS for the hyperparameters where a batch holds all rows, else (and if a rate is given) Adam.

        L-BFGS compares bounds of neighbouring values, which float32 kernel matrices make noisy: Adam there.
        """
        exact = model.dtype.name == model.batch_dtype.name == "float64"
        labels = model.likelihood.task in JUDGED_TASKS
        whole = takes_all_rows(config, rows, model.num_inducing, labels) and present().alone
        # Optima of latents that outputs mix depend on each other: q would take many steps to settle.
        apart = not model.outputs.mixes
        return WholeNaturalGradient if whole and exact and apart else cls

    def __init__(self, model: Any, X: Any, Y: Any, config: Any) -> None:
        require_elbo(model, self.name)
        self.model = model
        self.posterior = DiagonalDual(model) if model.q_diag else FullDual(model)
        rate = LEARNING_RATE if config.learning_rate is None else config.learning_rate
        self.learning_rate = rate
        inducing_rate = min(rate, max(INDUCING_RATE, 0.1 * rate))
        self._optimiser = AdamOptimiser(
            self.posterior.hyperparameters, rate, model, inducing_rate=inducing_rate
        )
        rows = as_rows(X, Y)
        self._batches = Batches(rows, None, batch_rows(config, rows.count), config.seed, model.Z.dtype)
        self.steps_per_epoch = self._batches.steps_per_epoch
        counters = {"trust": 1.0, "retries": 0.0, "taken": 0.0, "restored": 0.0}
        self._counters = {n: tf.Variable(v, trainable=False, dtype=tf.float64) for n, v in counters.items()}
        self._iterator: Iterator[tuple[tf.Tensor, tf.Tensor]] | None = None
        self.compiled_step = CompiledStep(self._update, self._batches.signature)
        self._compiled_publish = tf.function(
            self._publish, input_signature=self._batches.signature, autograph=False
        )
        self._last: tuple[tf.Tensor, tf.Tensor] | None = None  # the last batch; None: the model is up to date
        own = part_of_batch(rows.count, present().shard)
        self._all = tuple(x[own] for x in rows.sample()) if rows.count <= ALL_ROWS else None
        self._held_out: HeldOut | None = None
        if self._all is not None and HeldOut.applies(model, rows.count, config):
            self._held_out = HeldOut(self.posterior, self._all[0], self._all[1], config.seed)

    @property
    def retries(self) -> int:
        """How often a natural-gradient step was shortened so far."""
        return int(self._counters["retries"].numpy())

    @property
    def publish_steps(self) -> float:
        """Those of a climb of q on all rows, where rows are few and it takes more than an instant."""
        if self._all is None:
            return 0.0
        size, rows = self.model.num_inducing, len(self._all[0])
        climb = CLIMB * step_operations(size, rows)
        soon = self.model.num_latent * climb < SOON * RATE
        return 0.0 if soon else climb / step_operations(size, self._batches.batch_size)

    @property
    def notes(self) -> list[str]:
        """What a user should know at the end, a line each."""
        lines = [f"natural gradients: {self.retries} shortened steps in {self.step}"]
        return lines + ([RESTORED] if self._restored else [])

    @property
    def ended(self) -> str | None:
        """That training has made predictions worse, where it has."""
        return "rows left out: training makes their predictions worse" if self._restored else None

    def advance(self) -> StepRecord:
        """Take one step on the next minibatch."""
        if self._iterator is None:
            self._iterator = self._batches.starting_at(self.step)
        self._last = next(self._iterator)
        statistics = self.compiled_step(*self._last)
        self.step += 1
        if self.step == JUDGED:
            self._judge()
        return StepRecord(self.step, self.step / self.steps_per_epoch, statistics)

    def finish(self) -> bool:
        """Let rows left out judge what training has done."""
        return self._judge()

    def publish(self) -> None:
        """Give the model the current q: it is an ordinary SVGP then. Changes nothing of the training."""
        if self._last is not None:
            dtype = self.model.Z.dtype
            X, Y = self._last if self._all is None else (tf.constant(x, dtype) for x in self._all)
            self._compiled_publish(X, Y)

    def restart(self, move: Move) -> float:
        """Go on after `move`, made by the model with the q that `publish` gave it; see `Adam.restart`."""
        self.posterior.restart(move)
        self._optimiser.forget(self.model, move.moved)
        self._last = None
        return 0.0

    def state(self) -> dict[str, np.ndarray]:
        """Parameters, dual parameters, slots, step length and the number of steps."""
        parameters = {f"model/{name}": array for name, array in model_state(self.model).items()}
        own = {name: variable.numpy() for name, variable in self._own().items()}
        return {**parameters, **own, "step": np.asarray(self.step, dtype=np.int64)}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from `state`. Raises RunError where it belongs to another model or method."""
        own = self._own()
        wrong = [name for name, x in own.items() if name not in state or x.shape != state[name].shape]
        if wrong:
            raise RunError(f"the checkpoint does not fit the model: {', '.join(wrong[:4])} differ")
        prefix = "model/"
        load_model_state(
            self.model, {name[len(prefix) :]: x for name, x in state.items() if name.startswith(prefix)}
        )
        for name, variable in own.items():
            variable.assign(state[name])
        self.step = int(state["step"])
        self._iterator = None
        self._last = self._batches.at(self.step - 1) if self.step else None

    @property
    def _restored(self) -> bool:
        return bool(self._counters["restored"].numpy())

    def _judge(self) -> bool:
        """Go back to the start where rows left out say so; whether it did."""
        if self._held_out is None or self._restored or not self.step:
            return False
        if self._held_out.restore_better():
            self._counters["restored"].assign(1.0)
        self.publish()
        return self._restored

    def _own(self) -> dict[str, tf.Variable]:
        groups = {
            "dual": self.posterior.variables,
            "adam": self._optimiser.slots(),
            "natgrad": self._counters,
        }
        return {f"{group}/{name}": x for group, members in groups.items() for name, x in members.items()}

    def _step_length(self) -> tf.Tensor:
        if self.steps_per_epoch == 1:
            return tf.constant(1.0, tf.float64)
        recent = max(RECENT_EPOCHS * self.steps_per_epoch, RECENT_STEPS)
        return tf.maximum(2.0 / (self._counters["taken"] + 2.0), tf.constant(1.0 / recent, tf.float64))

    def _publish(self, X: tf.Tensor, Y: tf.Tensor) -> None:
        self.posterior.publish(X, Y, whole=self._all is not None)

    def _update(self, X: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        whole = self.steps_per_epoch == 1
        wanted = self._step_length() * self._counters["trust"]
        outcome = self.posterior.propose(X, Y, wanted, whole=whole)
        # A sum is finite only where each term is: one read instead of a mask the size of M^2.
        sums = [tf.reduce_sum(tf.cast(x, tf.float64)) for x in (*outcome.gradients, *outcome.state)]
        finite = tf.reduce_all(tf.math.is_finite(tf.stack([outcome.elbo, *sums])))

        def update() -> tf.Tensor:
            self._assign(outcome, wanted)
            return tf.constant(True)

        tf.cond(finite, update, lambda: tf.constant(False))
        values = (*outcome[:5], outcome.elbo, finite)  # an Outcome begins in the order of STATISTICS
        return tf.stack([tf.cast(value, tf.float64) for value in values])  # [7]

    def _assign(self, outcome: Outcome, wanted: tf.Tensor) -> None:
        counters = self._counters
        for variable, value in zip(self.posterior.variables.values(), outcome.state, strict=True):
            variable.assign(value)
        share = tf.where(
            outcome.retries > 0, tf.maximum(outcome.rho / wanted, 1e-3), tf.constant(RECOVERY, tf.float64)
        )
        counters["trust"].assign(tf.minimum(counters["trust"] * share, 1.0))
        counters["retries"].assign_add(tf.cast(outcome.retries, tf.float64))
        counters["taken"].assign_add(1.0)
        if not self._optimiser.variables:
            return
        warm_up = float(WARM_UP_WHOLE if self.steps_per_epoch == 1 else WARM_UP)

        def move() -> tf.Tensor:
            variables, gradients = self._optimiser.variables, outcome.gradients
            self._optimiser.apply([-x for x in with_prior_gradients(self.model, variables, gradients)])
            return tf.constant(True)

        tf.cond(counters["taken"] > warm_up, move, lambda: tf.constant(False))
