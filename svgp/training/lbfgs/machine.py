"""L-BFGS within a box: a state machine that asks for evaluations, can be saved, and keeps what it has learnt.

Steps are those of Nocedal (1980): minus the gradient times an inverse Hessian of the last MEMORY steps and
what they changed in the gradient. Coordinates at a limit, against which gradient or direction push, are held,
the recursion takes the rest, and trial points are projected onto the box (Bertsekas 1982), along which the
line search goes (`svgp.training.lbfgs.line_search`).

Why not SciPy's L-BFGS-B. Its memory cannot be carried over a change of the objective, and the evidence
changes each time neighbours are searched for: pol, 256 points, nats a row of this and of SciPy's begun anew
each time, after 24 and 46 evaluations: 1.044 and 1.035, 1.061 and 1.053; bike after 61 and 107: 4.170 and
4.172, 4.188 and 4.185; kin40k after 48 and 90: .571 and .573, .591 and .591. Steps until the run ends:
housing 186 and 300, concrete 124 and 140, energy 470 and 650. Nor can SciPy's state be saved: it had to run
in a thread, and was resumed by hearing all its answers again.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from svgp.training.lbfgs.line_search import DECREASE, Point, search

MEMORY = 50  # pairs that the inverse Hessian is made of; at 60 steps kin40k gains 0.02 nats a row over 10
SMALLEST_DECREASE = 1e-10  # relative, per iteration, of an objective in nats a row
SMALLEST_GRADIENT = 1e-7
NO_GRADIENT = f"the gradient is nowhere above {SMALLEST_GRADIENT:g}"
NO_DECREASE = f"a step decreased the objective by less than {SMALLEST_DECREASE:g} of it"
NO_STEP = "no step decreases the objective"
REASONS = ("", NO_GRADIENT, NO_DECREASE, NO_STEP)

Answer = tuple[float, np.ndarray]


class Lbfgs:
    """Minimise f over the box `bounds [n, 2]` from `start [n]`.

    `advance(evaluate)` returns the next accepted iterate, or None where there is none any more. `x [n]`: the
    last one; `finished`: why there is no further one.
    """

    def __init__(self, start: np.ndarray, bounds: np.ndarray) -> None:
        self.bounds = np.asarray(bounds, np.float64)
        self.x = np.clip(np.asarray(start, np.float64), *self.bounds.T)
        self.answer: Answer | None = None  # at x
        self._steps = np.zeros((0, len(self.x)))  # [k, n], oldest first
        self._changes = np.zeros((0, len(self.x)))  # [k, n] of the gradient
        self.finished = ""

    def advance(self, evaluate: Callable[[np.ndarray], Answer]) -> np.ndarray | None:
        """Run to the next accepted iterate. What `evaluate` raises passes through, and nothing is lost."""
        if self.finished:
            return None
        if self.answer is None:
            self.answer = evaluate(self.x.copy())
        value, gradient = self.answer
        if not np.any(np.abs(self._inside(self.x - gradient) - self.x) > SMALLEST_GRADIENT):
            self.finished = NO_GRADIENT
            return None
        found = self._search(evaluate)
        if found is None and len(self._steps):  # which may be the fault of an old memory
            self._forget()
            found = self._search(evaluate)
        if found is None:
            self.finished = NO_STEP
            return None
        step, change = found.x - self.x, found.gradient - gradient
        if step @ change > np.finfo(np.float64).eps * (change @ change):
            self._steps = np.vstack([self._steps, step])[-MEMORY:]
            self._changes = np.vstack([self._changes, change])[-MEMORY:]
        if value - found.value <= SMALLEST_DECREASE * max(abs(value), abs(found.value), 1.0):
            self.finished = NO_DECREASE
        self.x, self.answer = found.x, (found.value, found.gradient)
        return self.x.copy()

    def renew(self, x: np.ndarray | None = None, answer: Answer | None = None) -> None:
        """Go on with an objective that has changed, from x, with what the old one taught of curvature.

        answer: at x, where it is known. A coordinate of x that has been moved has its part of the memory
        forgotten.
        """
        if x is not None:
            kept = np.isclose(self.x, x, rtol=1e-9, atol=1e-9)  # going through units changes last digits
            self._steps, self._changes = self._steps * kept, self._changes * kept
            self.x = np.asarray(x, np.float64).copy()
        self.answer, self.finished = answer, ""

    def state(self) -> dict[str, np.ndarray]:
        """Everything that the next `advance` depends on."""
        value, gradient = self.answer or (np.nan, np.full(len(self.x), np.nan))
        return {
            "x": self.x,
            "value": np.asarray(value),
            "gradient": gradient,
            "steps": self._steps,
            "changes": self._changes,
            "finished": np.asarray(REASONS.index(self.finished), np.int64),
        }

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue where `state` was taken, bit for bit."""
        self.x = state["x"].copy()
        known = np.isfinite(state["value"])
        self.answer = (float(state["value"]), state["gradient"].copy()) if known else None
        self._steps, self._changes = state["steps"].copy(), state["changes"].copy()
        self.finished = REASONS[int(state["finished"])]

    def _inside(self, x: np.ndarray) -> np.ndarray:
        return np.clip(x, *self.bounds.T)

    def _forget(self) -> None:
        self._steps, self._changes = self._steps[:0], self._changes[:0]

    def _search(self, evaluate: Callable[[np.ndarray], Answer]) -> Point | None:
        """The end of a step from x; None where none decreases."""
        assert self.answer is not None
        value, gradient = self.answer
        direction = self._direction(gradient)
        slope = float(gradient @ direction)
        if not slope < 0.0:
            return None
        low, high = self.bounds.T

        def at(step: float) -> Point:
            x = self._inside(self.x + step * direction)
            f, g = evaluate(x.copy())
            moving = np.where((x > low) & (x < high), direction, 0.0)
            enough = bool(f <= value + DECREASE * min(float(gradient @ (x - self.x)), 0.0))
            return Point(step, x, float(f), g, float(g @ moving), enough)

        first = 1.0 if len(self._steps) else min(1.0, 1.0 / float(np.linalg.norm(direction)))
        return search(at, Point(0.0, self.x, value, gradient, slope, True), first)

    def _direction(self, gradient: np.ndarray) -> np.ndarray:
        """Downhill, and away from the limits that x is at."""
        low, high = self.x <= self.bounds[:, 0], self.x >= self.bounds[:, 1]
        free = ~((low & (gradient > 0.0)) | (high & (gradient < 0.0)))
        while True:
            direction = -self._times_inverse_hessian(np.where(free, gradient, 0.0), free)
            outward = free & ((low & (direction < 0.0)) | (high & (direction > 0.0)))
            if not outward.any():
                return direction
            free &= ~outward

    def _times_inverse_hessian(self, q: np.ndarray, free: np.ndarray) -> np.ndarray:
        """The two-loop recursion among the `free` coordinates, where the pairs' curvature is positive."""
        if not len(self._steps):
            return q
        steps, changes = self._steps, self._changes
        if not free.all():
            steps, changes = steps * free, changes * free
        products = np.einsum("kn,kn->k", steps, changes)
        squares = np.einsum("kn,kn->k", changes, changes)
        pairs = np.flatnonzero(products > np.finfo(np.float64).eps * squares)
        if not len(pairs):
            return q
        weights = np.zeros(len(products))
        for k in pairs[::-1]:
            weights[k] = steps[k] @ q / products[k]
            q = q - weights[k] * changes[k]
        q *= products[pairs[-1]] / squares[pairs[-1]]
        for k in pairs:
            q += (weights[k] - changes[k] @ q / products[k]) * steps[k]
        return q
