"""The method `collapsed`: hyperparameters and Z by L-BFGS on the collapsed bound."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.budget import PASS_SHARE
from svgp.errors import NumericalError, RunError
from svgp.models import load_model_state, model_state
from svgp.models.bounds import require_elbo
from svgp.models.collapsed.bound import CollapsedBound, Evaluation, Stopped, collapsed_variables
from svgp.models.collapsed.posterior import bound_from_sums
from svgp.models.priors import log_prior, with_prior_gradients
from svgp.models.replacement import Move
from svgp.rows import Rows, as_rows
from svgp.training.lbfgs.box import box
from svgp.training.lbfgs.machine import Answer, Lbfgs
from svgp.training.lbfgs.units import variable_scales
from svgp.training.lbfgs.variables import ScaledVariables, wall
from svgp.training.methods.affordable import rows_to_learn
from svgp.training.methods.base import Method, StepRecord, no_time_left
from svgp.training.methods.drawn_rows import beyond, subset
from svgp.workers import present

# Rows for each coordinate of Z, with fewer of which Z stays where it is: it would learn the rows by heart. Of
# 540 rows with 500 columns, of which two matter, and 135 points: RMSE .087 after 20 steps, .104 after 2,500;
# with Z where it is .085 after 50, which are all. Concrete has .64 and trains well.
ROWS_A_COORDINATE = 0.1


class Collapsed(Method):
    """Maximise F (`svgp.models.collapsed`) plus the log prior by L-BFGS; a step is an accepted iterate.

    After each step the model is an ordinary SVGP at its optimal q(u). `config.subset_rows`: hyperparameters
    and Z are fitted to so many rows drawn at random, and `finish()`, which also runs when the optimiser ends
    or at the last step that the config allows, gives q(u) its optimum for all rows in one pass.
    `config.max_seconds` is read between two panels of rows; a step that it cuts short changes nothing, but
    the first evaluation is completed. Of that time the pass may take PASS_SHARE; where that is not enough it
    goes through rows in a random order until the time is up, and q(u) is the optimum for these. A trial point
    where F cannot be computed makes the line search step back; such repairs are counted. A stop that is asked
    for is seen between two panels as well (StopAsked), also in the first evaluation and the last pass; what
    `state()` says then leads to the same step. Raises ModelError where the model is not one for the collapsed
    bound, NumericalError where F does not exist at the start.
    """

    name = "collapsed"
    iterative = True
    settling = 30

    def __init__(self, model: Any, X: Any, Y: Any, config: Any) -> None:
        require_elbo(model, self.name)
        self.model = model
        self._elapsed = 0.0  # seconds of training, of an earlier part of the run as well
        self.max_seconds: float | None = config.max_seconds
        ends = (config.max_steps, config.max_epochs)
        self._last_step = min((end for end in ends if end is not None), default=np.inf)
        self._all = as_rows(X, Y)
        self._workers, self._seed = present(), config.seed
        self.variables = collapsed_variables(model)
        fitted = self._fit_to(rows_to_learn(model, self._all.count, config))
        self._complete = not self._subset  # whether q(u) has seen all rows that there is time for
        self._seen = fitted.count  # rows that q(u) has seen
        self._final_pass_s = 0.0
        X, Y = fitted.sample()
        self._vector = ScaledVariables(self.variables, variable_scales(model, self.variables, X))
        limits = box(model, self.variables, X, Y)  # [n, 2]
        self.optimiser = Lbfgs(self._vector.pack(), limits * self._vector.scales[:, None])
        self.evaluation: Evaluation | None = None  # of the last accepted iterate
        self._trial: tuple[np.ndarray, Evaluation, Answer] | None = None
        self._anchor: tuple[np.ndarray, float, np.ndarray] | None = None  # last accepted x, f and gradient
        self._repairs = 0
        self._summary = np.zeros(4)  # elbo, expected log-likelihood, kl, jitter
        self._time_is_up = False
        self._under_way = False  # L-BFGS has done its part of a step, and the rest has not been done yet
        self._pending: np.ndarray | None = None  # the iterate that it has accepted then

    def _fit_to(self, count: int | None) -> Rows:
        """Take so many rows for hyperparameters and Z; None: all."""
        fitted = subset(self._all, count, self._seed)
        if fitted.count < ROWS_A_COORDINATE * np.size(self.model.Z.numpy()):
            self.variables = [v for v in self.variables if v is not self.model.Z]
        self.bound = CollapsedBound(self.model, fitted, workers=self._workers, variables=self.variables)
        self._subset = fitted is not self._all
        return fitted

    @property
    def converged(self) -> bool:
        """Whether L-BFGS has ended: no decrease, no gradient, or no step that decreases."""
        return bool(self.optimiser.finished) and not self._under_way

    @property
    def ended(self) -> str | None:
        """That the time was up, where it was."""
        return no_time_left(self.max_seconds) if self._time_is_up else None

    @property
    def over(self) -> bool:
        """Whether it has ended by itself, or used the steps or seconds that its config allows."""
        return super().over or self.step >= self._last_step

    @property
    def notes(self) -> list[str]:
        """What a user should know at the end, a line each."""
        form = self.evaluation.form if self.evaluation else "no"
        lines = [
            f"collapsed bound ({self.bound.bound}): {form} form, {self.bound.passes} passes over the rows"
        ]
        if self._subset:
            lines[0] += f"; hyperparameters and Z from {self.bound.rows.count:,} of {self._all.count:,} rows"
            if self._seen < self._all.count:
                lines[0] += f", q(u) from {self._seen:,}: train.max_seconds left no time for more"
        if self.optimiser.finished:
            lines.append(f"L-BFGS: {self.optimiser.finished}")
        Z = self.model.Z
        if all(v is not Z for v in self.variables) and getattr(Z, "trainable", False):
            lines.append(
                f"inducing points stay where they are: {self.bound.rows.count:,} rows say too little of "
                f"their {np.size(Z.numpy()):,} coordinates"
            )
        return lines

    @property
    def elapsed(self) -> float:
        """Seconds of training, of an earlier part of the run as well."""
        return self._elapsed

    def spend(self, seconds: float) -> None:
        """Start the clock that `max_seconds` is read from at so many."""
        self._elapsed = seconds

    def advance(self) -> StepRecord:
        """One accepted iterate, or none where the optimiser has ended or the time is up. Raises StopAsked."""
        started = time.perf_counter()
        deadline = None if self.max_seconds is None else started + self.max_seconds - self._elapsed
        self._vector.forget()
        try:
            if not self._under_way:
                self._repairs = 0
                self._pending = self.optimiser.advance(lambda x: self._evaluate(x, deadline))
                self._under_way = True
            if self._pending is not None:
                self._accept(self._pending)
        except Stopped:
            self._time_is_up = True
        finally:
            self._restore()
            self._elapsed += time.perf_counter() - started
        if self._time_is_up or self.optimiser.finished or self.step + 1 >= self._last_step:
            self.finish()
        self._under_way = False
        self.step += 1
        elbo, expected, kl, jitter = self._summary.tolist()
        return StepRecord.of(
            self.step,
            float(self.step),
            elbo=elbo,
            expected_log_likelihood=expected,
            kl=kl,
            jitter=jitter,
            repairs=float(self._repairs),
        )

    def release(self) -> None:
        """Give back the bound's panels."""
        self.bound.release()

    @property
    def unseen(self) -> np.ndarray | None:
        """Rows in memory that no evaluation has seen, a random KEPT_MOST of them at most."""
        return beyond(self._all, self.bound.rows.count, self._seed)

    @property
    def bound_of_all_rows(self) -> float | None:
        """F, which the optimal q(u) attains."""
        known = self._complete and self.step and self._seen == self._all.count
        return float(self._summary[0]) if known else None

    def finish(self) -> bool:
        """Give the model the optimal q(u) for all rows (of `max_seconds`: those that are seen in time).

        False where it has it already.
        """
        if self._complete:
            return False
        started = time.perf_counter()
        everything = CollapsedBound(self.model, self._all, workers=self._workers, variables=())
        in_time = None
        if self.max_seconds is not None:
            deadline = started + self.max_seconds - self._elapsed

            def in_time() -> bool:
                return time.perf_counter() < deadline

        unless_asked = self._workers.agreed(lambda: True, Stopped)
        posterior, sums = everything.posterior(in_time, self._seed, unless_asked)
        self._complete = True
        self._elapsed += time.perf_counter() - started
        if sums.rows <= self.bound.rows.count:  # the subset's own says as much
            return False
        everything.assign(posterior)
        self._seen = sums.rows
        value = bound_from_sums(posterior, sums) * self._all.count / sums.rows
        self._summary = np.array([value, value + posterior.kl, posterior.kl, posterior.frame.jitter])
        return True

    def restart(self, move: Move) -> float:
        """Go on after `move`, which the model has made; what the objective gains, per row."""
        started, before = time.perf_counter(), self._anchor
        self._anchor = None
        self._vector.forget()
        x = self._vector.pack()
        answer = self._evaluate(x, None)
        self.optimiser.renew(x, answer)
        self._elapsed += time.perf_counter() - started
        return 0.0 if before is None else before[1] - answer[0]

    def state(self) -> dict[str, np.ndarray]:
        """The model's variables, what L-BFGS was told, and the counters."""
        arrays = {f"model/{name}": array for name, array in model_state(self.model).items()}
        machine = {f"lbfgs/{name}": value for name, value in self.optimiser.state().items()}
        own = {
            "step": np.asarray(self.step, np.int64),
            "elapsed": np.asarray(self._elapsed),
            "complete": np.asarray(self._complete),
            "seen": np.asarray(self._seen, np.int64),
            "summary": self._summary,
            "scales": self._vector.scales,
            "fitted": np.asarray(self.bound.rows.count, np.int64),  # rows; auto may choose others by now
            "under_way": np.array([self._under_way, self._repairs], np.int64),
            "pending": np.zeros(0) if self._pending is None else self._pending,
        }
        anchor = self._anchor or (self._vector.pack(), np.nan, np.full(len(self.optimiser.x), np.nan))
        kept = dict(zip(("anchor/x", "anchor/f", "anchor/g"), map(np.asarray, anchor), strict=True))
        return {**arrays, **machine, **own, **kept}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from `state`, bit for bit. Raises RunError where it belongs to another model."""
        model = {n.removeprefix("model/"): array for n, array in state.items() if n.startswith("model/")}
        if "000" in model:
            raise RunError(
                "the checkpoint was written by a version of svgp that numbered the model's arrays, and their "
                "order has changed since: go on with that version, or start a new run"
            )
        if len(state.get("lbfgs/x", ())) != len(self.optimiser.x):
            raise RunError(
                "the checkpoint does not fit the model: another kernel, Z, posterior or method, "
                "or one that an earlier version of svgp wrote: go on with that version, or start a new run"
            )
        load_model_state(self.model, model)
        if (count := int(state.get("fitted", self.bound.rows.count))) != self.bound.rows.count:
            self._fit_to(count)
        limits = self.optimiser.bounds / self._vector.scales[:, None]
        self._vector = ScaledVariables(self.variables, state["scales"].copy())
        self.optimiser.bounds = limits * self._vector.scales[:, None]
        machine = {n.removeprefix("lbfgs/"): v for n, v in state.items() if n.startswith("lbfgs/")}
        self.optimiser.load_state(machine)
        self.step, self._elapsed = int(state["step"]), float(state["elapsed"])
        self._summary, self._complete = state["summary"].copy(), bool(state["complete"])
        self._seen = int(state.get("seen", self._all.count if self._complete else self.bound.rows.count))
        known = np.isfinite(state["anchor/f"])
        self._anchor = (state["anchor/x"], float(state["anchor/f"]), state["anchor/g"]) if known else None
        under_way, self._repairs = state.get("under_way", np.zeros(2, np.int64)).tolist()
        self._under_way, self._time_is_up = bool(under_way), False
        pending = state.get("pending", np.zeros(0))
        self._pending = pending.copy() if len(pending) else None

    def _evaluate(self, x: np.ndarray, deadline: float | None) -> Answer:
        """-F and its gradient, per row. A point without a value gets a wall that sends the search back."""
        self._vector.unpack(x)
        first = self._anchor is None
        reserve = self._reserve_s()

        def keep_going() -> bool:
            return first or deadline is None or time.perf_counter() < deadline - reserve

        started = time.perf_counter()
        self._workers.require_same("parameters", x.tobytes())
        try:
            evaluation = self.bound.evaluate(self._workers.agreed(keep_going, Stopped))
        except NumericalError:
            if first:
                raise
            self._repairs += 1
            assert self._anchor is not None
            return wall(self._anchor, x)
        if self._subset:
            # One pass costs at most half an evaluation a row.
            seconds = time.perf_counter() - started
            self._final_pass_s = 0.5 * seconds * self._all.count / self.bound.rows.count
        answer = self._objective(evaluation)
        self._trial = (x.copy(), evaluation, answer)
        if first:
            self._anchor = (x.copy(), *answer)
            self._adopt(evaluation)
        return answer

    def _objective(self, evaluation: Evaluation) -> Answer:
        """-(F + log prior) and its gradient at the model's present values, per row."""
        scale, share = -1.0 / self.bound.rows.count, self.bound.rows.count / self._all.count
        value = evaluation.bound + share * float(log_prior(self.model))
        priors = with_prior_gradients(self.model, self.variables, [tf.zeros_like(v) for v in self.variables])
        pairs = zip(evaluation.gradients, priors, strict=True)
        gradient = np.concatenate([(g + share * np.asarray(p, np.float64)).ravel() for g, p in pairs])
        return scale * value, scale * gradient / self._vector.scales

    def _reserve_s(self) -> float:
        if not self._subset:
            return 0.0
        most = np.inf if self.max_seconds is None else PASS_SHARE * self.max_seconds
        return min(self._final_pass_s, most)

    def _accept(self, x: np.ndarray) -> None:
        if self._trial is None or not np.array_equal(self._trial[0], x):
            self._evaluate(x, None)
        assert self._trial is not None
        _, evaluation, answer = self._trial
        self._anchor, self._pending = (x.copy(), *answer), None
        self._complete, self._seen = not self._subset, self.bound.rows.count
        self._vector.unpack(x)
        self._adopt(evaluation)

    def _adopt(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation
        self.bound.assign(evaluation.posterior)
        # Of a subset: its value per row, for as many rows as there are.
        share = self._all.count / self.bound.rows.count
        value, kl = evaluation.bound * share, evaluation.kl
        self._summary = np.array([value, value + kl, kl, evaluation.jitter])

    def _restore(self) -> None:
        """The variables of the last accepted iterate, whatever was tried since."""
        if self._anchor is not None:
            self._vector.unpack(self._anchor[0])
