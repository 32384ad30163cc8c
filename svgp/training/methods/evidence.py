"""The second stage of `collapsed`: kernel, noise and Z for predictions with neighbours, by L-BFGS."""

from __future__ import annotations

import copy
import time
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import NumericalError
from svgp.models.collapsed.panels import Stopped
from svgp.models.collapsed.posterior import assign_posterior
from svgp.models.neighbours.evidence import NeighbourEvaluation, NeighbourEvidence
from svgp.models.neighbours.search import kernel_scales
from svgp.models.priors import log_prior, with_prior_gradients
from svgp.training.lbfgs.box import box
from svgp.training.lbfgs.machine import Answer, Lbfgs
from svgp.training.lbfgs.units import variable_scales
from svgp.training.lbfgs.variables import ScaledVariables, wall
from svgp.workers import present

COUNT = 16  # neighbours a row in training; predictions may take more
MOVED = 0.2  # of log lengthscales since the last search: then neighbours are searched for anew
STEPS = 5  # with the same neighbours, at least


def twin(model: Any) -> Any:
    """A copy of an SVGP that shares no variable with it."""
    return copy.deepcopy(model)


class EvidenceFit:
    """Maximise the evidence with neighbours (`svgp.models.neighbours.evidence`) plus the log prior.

    The model is trained and given the optimal q(u) for the rows X `[N, D]`, Y `[N, P]`: of the joint
    distribution with neighbours, not of an SVGP. The evidence is an approximation, no bound. Neighbours are
    searched for again when a lengthscale has moved by a fifth; the objective jumps then, and L-BFGS goes on
    with what it has learnt of curvature. A trial point where the evidence cannot be computed makes the line
    search step back. Without `move_points` Z stays.
    """

    def __init__(
        self, model: Any, X: np.ndarray, Y: np.ndarray, *, seed: int = 0, count: int = COUNT,
        move_points: bool = True,
    ) -> None:  # fmt: skip
        self.model, self.X, self.Y = model, X, Y
        self._seed, self._count, self._workers = seed, count, present()
        self.step = 0
        self.searches = 1  # the first is made with the first evaluation
        self.repairs = 0
        self.seconds_an_evaluation = 0.0  # of the last one
        self.value = float("nan")  # the evidence of the last accepted iterate, in nats; NaN before the first
        self.evidence: NeighbourEvidence | None = None  # made when it is first needed: it searches
        self._searched = kernel_scales(model.kernel, X)  # [D] with which the neighbours were found
        self._steps_since = 0
        self.variables = NeighbourEvidence.trainable(model)
        if not move_points:
            self.variables = [v for v in self.variables if v is not model.Z]
        self._vector = ScaledVariables(self.variables, variable_scales(model, self.variables, X))
        self._limits = box(model, self.variables, X, Y)
        self.optimiser = Lbfgs(self._vector.pack(), self._limits * self._vector.scales[:, None])
        self._anchor: tuple[np.ndarray, float, np.ndarray] | None = None
        self._trial: tuple[np.ndarray, NeighbourEvaluation, Answer] | None = None
        self._pending: np.ndarray | None = None  # accepted by L-BFGS, and a stop came before all was done

    @property
    def converged(self) -> bool:
        """Whether L-BFGS has ended, and with the neighbours of the present lengthscales."""
        return bool(self.optimiser.finished) and not self._far()

    def advance(self, deadline: float | None = None) -> bool:
        """One accepted iterate; whether there was one. Raises Stopped at the deadline (`perf_counter`).

        And StopAsked, from where it goes on as if nothing had happened.
        """
        self._vector.forget()
        ended = self.optimiser.finished or (self._steps_since >= STEPS and self._far())
        if ended and self._pending is None:
            self._search_again()
        try:
            if self._pending is None:
                self._pending = self.optimiser.advance(lambda x: self._evaluate(x, deadline))
            if self._pending is None:
                return False
            self._accept(self._pending)
        finally:
            if self._anchor is not None:
                self._vector.unpack(self._anchor[0])
        self.step += 1
        self._steps_since += 1
        return True

    def release(self) -> None:
        """Give back the memory of an evaluation."""
        self.evidence = self._trial = None

    def state(self) -> dict[str, np.ndarray]:
        """All that the next `advance` depends on, but for the model's variables."""
        machine = {f"lbfgs/{name}": value for name, value in self.optimiser.state().items()}
        unknown = self._vector.pack(), np.nan, np.full(len(self._vector.scales), np.nan)
        anchor = dict(zip(("x", "f", "g"), map(np.asarray, self._anchor or unknown), strict=True))
        counters = [self.step, self._steps_since, self.searches, self.repairs]
        return {
            **machine,
            **{f"anchor/{name}": value for name, value in anchor.items()},
            "counters": np.array(counters, np.int64),
            "searched": self._searched,
            "scales": self._vector.scales,
            "value": np.asarray(self.value),
            "pending": np.zeros(0) if self._pending is None else self._pending,
        }

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from `state`, bit for bit; the model has its variables again already."""
        self._vector = ScaledVariables(self.variables, state["scales"].copy())
        self._searched = state["searched"].copy()
        self.optimiser.bounds = self._limits * self._vector.scales[:, None]
        self.optimiser.load_state(
            {n.removeprefix("lbfgs/"): v for n, v in state.items() if n.startswith("lbfgs/")}
        )
        self.step, self._steps_since, self.searches, self.repairs = state["counters"].tolist()
        known = np.isfinite(state["anchor/f"])
        self._anchor = (state["anchor/x"], float(state["anchor/f"]), state["anchor/g"]) if known else None
        self.value = float(state["value"])
        pending = state.get("pending", np.zeros(0))
        self._pending = pending.copy() if len(pending) else None
        self.evidence = self._trial = None

    def _search_again(self) -> None:
        self._searched = kernel_scales(self.model.kernel, self.X)
        self._steps_since = 0
        self.searches += 1
        self._trial = self._anchor = None
        if self.evidence is not None:
            self.evidence.search(self._searched)
        self.optimiser.renew()

    def _far(self) -> bool:
        """Whether a lengthscale has moved far since the neighbours were found."""
        now = kernel_scales(self.model.kernel, self.X)
        both = np.isfinite(now) & np.isfinite(self._searched)
        return bool(np.any(np.abs(np.log(now[both] / self._searched[both])) > MOVED))

    def _evaluate(self, x: np.ndarray, deadline: float | None) -> Answer:
        """-(evidence + log prior) and its gradient, per row."""
        self._vector.unpack(x)
        if self.evidence is None:
            self.evidence = NeighbourEvidence(
                self.model, self.X, self.Y, scales=self._searched, count=self._count, seed=self._seed,
                group=self._workers, variables=self.variables,
            )  # fmt: skip

        def keep_going() -> bool:
            return deadline is None or time.perf_counter() < deadline

        started = time.perf_counter()
        self._workers.require_same("parameters", x.tobytes())
        try:
            found = self.evidence.evaluate(self._workers.agreed(keep_going, Stopped))
        except NumericalError:
            if self._anchor is None:
                raise
            self.repairs += 1
            return wall(self._anchor, x)
        self.seconds_an_evaluation = time.perf_counter() - started
        scale = -1.0 / len(self.X)
        value = found.evidence + float(log_prior(self.model))
        zeros = [tf.zeros_like(v) for v in self.variables]
        priors = with_prior_gradients(self.model, self.variables, zeros)
        pairs = zip(found.gradients, priors, strict=True)
        gradient = np.concatenate([(g + np.asarray(p, np.float64)).ravel() for g, p in pairs])
        answer = scale * value, scale * gradient / self._vector.scales
        self._trial = (x.copy(), found, answer)
        if self._anchor is None:
            self._anchor = (x.copy(), *answer)
            self._adopt(found)
        return answer

    def _accept(self, x: np.ndarray) -> None:
        if self._trial is None or not np.array_equal(self._trial[0], x):
            self._evaluate(x, None)
        assert self._trial is not None
        _, found, answer = self._trial
        self._anchor, self._pending = (x.copy(), *answer), None
        self._adopt(found)

    def _adopt(self, found: NeighbourEvaluation) -> None:
        self.value = found.evidence
        assign_posterior(self.model, found.posterior)


__all__ = ["EvidenceFit", "Stopped", "twin"]
