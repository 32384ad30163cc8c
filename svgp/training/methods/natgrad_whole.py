"""The method `natgrad` where one batch holds all rows: q(u) at its optimum, all else by L-BFGS."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from svgp.errors import NumericalError, RunError
from svgp.models import load_model_state, model_state
from svgp.models.bounds import require_elbo
from svgp.models.dual.diagonal import DiagonalDual
from svgp.models.dual.full import FullDual
from svgp.models.priors import log_prior, with_prior_gradients
from svgp.models.replacement import Move
from svgp.rows import as_rows
from svgp.training.lbfgs.box import box
from svgp.training.lbfgs.machine import Answer, Lbfgs
from svgp.training.lbfgs.variables import pack, unpack, wall
from svgp.training.methods.base import Method, StepRecord, require_alone
from svgp.training.methods.held_out import RESTORED, HeldOut

# Accepted iterates a step. One costs as much as four or five steps of Adam (q's climb is five to ten products
# and factorisations), so a step of four costs no more than twenty of those, and gets further.
ITERATES = 4


class _Trial(NamedTuple):
    """What was found at x."""

    x: np.ndarray  # [n]
    answer: Answer
    summary: np.ndarray  # [5] elbo, expected log-likelihood, kl, jitter, repairs
    posterior: list[tf.Tensor]  # values of the dual variables at q's optimum


class WholeNaturalGradient(Method):
    """Maximise `max_q ELBO(q, theta) + log prior(theta)` over theta, hyperparameters and Z, by L-BFGS.

    For each theta that is looked at, natural gradients in the dual parameters bring q to its optimum, from
    where the last accepted theta had it: about five to ten steps, none of which needs a kernel matrix. The
    gradient by theta is the partial derivative then, and has no noise, so curvature can be learnt from it;
    there is no step size. Adam's noise-proof small steps need some thousand iterations for the same.

    A step is ITERATES accepted iterates; after it the model is an ordinary SVGP at its optimal q(u). A theta
    where the bound does not exist makes the line search step back, counted as a repair.
    Raises NumericalError where the bound does not exist at the start.
    """

    name = "natgrad"
    iterative = True
    settling = 10  # of ITERATES each

    @classmethod
    def describe_step_size(cls, config: Any) -> str | None:
        """There is none, and why."""
        return "learning rate: none, hyperparameters by L-BFGS since a batch holds all rows"

    def __init__(self, model: Any, X: Any, Y: Any, config: Any) -> None:
        require_elbo(model, self.name)
        require_alone(self.name)
        self.model = model
        self.posterior = DiagonalDual(model) if model.q_diag else FullDual(model)
        self.variables = self.posterior.hyperparameters
        rows = as_rows(X, Y)
        X, Y = (np.concatenate(parts) for parts in list(zip(*rows.blocks(), strict=True))[1:])  # one batch
        Y = np.asarray(Y, np.float64)
        self._rows = rows.count
        judged = bool(self.variables) and HeldOut.applies(model, rows.count, config)
        self._held_out = HeldOut(self.posterior, X, Y, config.seed) if judged else None
        self._restored = False
        self._data = tuple(tf.constant(x, model.Z.dtype) for x in (X, Y))
        signature = [tf.TensorSpec(x.shape, x.dtype) for x in self._data]
        self._compiled_settle = tf.function(self._settle, input_signature=signature, autograph=False)
        self._compiled_publish = tf.function(self._publish, input_signature=signature, autograph=False)
        limits = box(model, self.variables, X, Y) if self.variables else np.zeros((0, 2))
        self.optimiser = Lbfgs(pack(self.variables), limits)
        self._anchor: tuple[np.ndarray, float, np.ndarray] | None = None  # last accepted x, f and gradient
        self._trial: _Trial | None = None
        self._summary = np.zeros(5)
        self._counters = {"evaluations": 0, "shortened": 0, "walls": 0}

    @property
    def converged(self) -> bool:
        """Whether L-BFGS has ended, or had nothing to do: q is at its optimum after one step."""
        return bool(self.optimiser.finished) or (self.step > 0 and not self.variables)

    @property
    def notes(self) -> list[str]:
        """What a user should know at the end, a line each."""
        evaluations, shortened, walls = self._counters.values()
        lines = [
            f"natural gradients on all rows: {evaluations} evaluations of the bound at its best q(u), "
            f"{shortened} shortened steps of q(u)"
        ]
        lines += [f"{walls} trial points had no bound; the search stepped back"] if walls else []
        lines += [RESTORED] if self._restored else []
        return lines + ([f"L-BFGS: {self.optimiser.finished}"] if self.optimiser.finished else [])

    def advance(self) -> StepRecord:
        """ITERATES accepted iterates, or as many as there are before the optimiser ends."""
        walls = self._counters["walls"]
        try:
            if not self.variables and self._anchor is None:
                self._evaluate(pack(self.variables))  # which accepts the start
            for _ in range(ITERATES if self.variables else 0):
                x = self.optimiser.advance(self._evaluate)
                if x is None:
                    break
                self._accept(x)
        finally:
            self._restore()
        self.publish()
        self.step += 1
        elbo, expected, kl, jitter, repairs = self._summary.tolist()
        return StepRecord.of(
            self.step,
            float(self.step),
            elbo=elbo,
            expected_log_likelihood=expected,
            kl=kl,
            jitter=jitter,
            repairs=repairs + self._counters["walls"] - walls,
        )

    def publish(self) -> None:
        """Give the model the current q: it is an ordinary SVGP then. Changes nothing of the training."""
        self._compiled_publish(*self._data)

    def finish(self) -> bool:
        """Go back to the start where rows left out say so, as `NaturalGradient` does; whether it did."""
        if self._held_out is None or self._restored or not self.step:
            return False
        self._restored = self._held_out.restore_better()
        if self._restored:
            x = pack(self.variables)
            self._evaluate(x)
            self._accept(x)
        self.publish()
        return self._restored

    def restart(self, move: Move) -> float:
        """Go on after `move`, which the model has made; what the objective gains, per row."""
        before, self._anchor = self._anchor, None
        self.posterior.restart(move)
        x = pack(self.variables)
        answer = self._evaluate(x)
        self.optimiser.renew(x, answer)
        return 0.0 if before is None else before[1] - answer[0]

    def state(self) -> dict[str, np.ndarray]:
        """Parameters, dual parameters, what L-BFGS was told, and the counters."""
        parameters = {f"model/{name}": array for name, array in model_state(self.model).items()}
        dual = {f"dual/{name}": variable.numpy() for name, variable in self.posterior.variables.items()}
        machine = {f"lbfgs/{name}": value for name, value in self.optimiser.state().items()}
        unknown = (pack(self.variables), np.nan, np.full(len(self.optimiser.x), np.nan))
        names = ("anchor/x", "anchor/f", "anchor/g")
        anchor = dict(zip(names, map(np.asarray, self._anchor or unknown), strict=True))
        own = {
            "step": np.asarray(self.step, np.int64),
            "summary": self._summary,
            "counters": np.array(list(self._counters.values()), np.int64),
            "restored": np.asarray(self._restored),
        }
        return {**parameters, **dual, **machine, **anchor, **own}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from `state`, bit for bit. Raises RunError where it belongs to another model or method."""
        own = {f"dual/{name}": variable for name, variable in self.posterior.variables.items()}
        wrong = [name for name, x in own.items() if name not in state or x.shape != state[name].shape]
        wrong += ["lbfgs/x"] if len(state.get("lbfgs/x", ())) != len(self.optimiser.x) else []
        if wrong:
            raise RunError(
                f"the checkpoint does not fit the model: {', '.join(wrong[:4])} differ "
                "(or train.learning_rate was a number then, and is null now)"
            )
        model = {n.removeprefix("model/"): x for n, x in state.items() if n.startswith("model/")}
        load_model_state(self.model, model)
        for name, variable in own.items():
            variable.assign(state[name])
        self.optimiser.load_state(
            {n.removeprefix("lbfgs/"): x for n, x in state.items() if n.startswith("lbfgs/")}
        )
        known = np.isfinite(state["anchor/f"])
        self._anchor = (state["anchor/x"], float(state["anchor/f"]), state["anchor/g"]) if known else None
        self._trial = None
        self.step, self._summary = int(state["step"]), state["summary"].copy()
        self._counters = dict(zip(self._counters, state["counters"].tolist(), strict=True))
        self._restored = bool(state.get("restored", False))

    def _evaluate(self, x: np.ndarray) -> Answer:
        """-(bound + log prior) and its gradient, per row; where there is none, what sends the search back."""
        unpack(self.variables, x)
        found, gradient, posterior = self._compiled_settle(*self._data)
        statistics, gradient = found.numpy(), gradient.numpy()
        self._counters["evaluations"] += 1
        self._counters["shortened"] += int(statistics[-1])
        value = statistics[0] + float(log_prior(self.model))
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            if self._anchor is None:
                raise NumericalError(
                    "natgrad: the bound or its gradient is not finite at the starting values; try a larger "
                    "model.jitter, other starting lengthscales, or train.method: adam"
                )
            self._counters["walls"] += 1
            return wall(self._anchor, x)
        answer = -value / self._rows, -gradient / self._rows
        self._trial = _Trial(x.copy(), answer, statistics[:-1], posterior)
        if self._anchor is None:
            self._accept(x)
        return answer

    def _accept(self, x: np.ndarray) -> None:
        if self._trial is None or not np.array_equal(self._trial.x, x):
            self._evaluate(x)
        assert self._trial is not None
        self._anchor = (x.copy(), *self._trial.answer)
        self._summary = self._trial.summary
        for variable, value in zip(self.posterior.variables.values(), self._trial.posterior, strict=True):
            variable.assign(value)
        self._trial = None

    def _restore(self) -> None:
        """The hyperparameters of the last accepted iterate, whatever was tried since."""
        if self._anchor is not None:
            unpack(self.variables, self._anchor[0])

    def _settle(self, X: tf.Tensor, Y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        outcome = self.posterior.settle(X, Y)
        gradients = with_prior_gradients(self.model, self.variables, outcome.gradients)
        flat = [tf.zeros([0], tf.float64), *(tf.reshape(tf.cast(g, tf.float64), [-1]) for g in gradients)]
        statistics = [tf.cast(x, tf.float64) for x in (*outcome[:5], outcome.retries)]
        return tf.stack(statistics), tf.concat(flat, 0), outcome.state  # [6], [n]

    def _publish(self, X: tf.Tensor, Y: tf.Tensor) -> None:
        self.posterior.publish(X, Y, whole=False)
