"""L-BFGS within a box: a state machine that asks for evaluations, can be saved, and keeps what it has learnt.

Steps are those of Nocedal (1980): minus the gradient times an inverse Hessian of the last MEMORY steps and
what they changed in the gradient. Coordinates at a limit, against which gradient or direction push, are held,
the recursion takes the rest, and trial points are projected onto the box (Bertsekas 1982), along which the
line search goes (`svgp.training.lbfgs.line_search`).

Why not SciPy's L-BFGS-B. Its memory cannot be carried over a change of the objective, and the evidence
changes each time neighbours are searched for: pol, 256 points, nats a row of this and of SciPy's begun anew
each time, after 24 and 46 evaluations: 1.044 and 1.035, 1.061 and 1.053; bike after 61 and 107: 4.170 and
4.172, 4.188 and 4.185; kin40k after 48 and 90: .571 and .573, .591 and .591. Steps until the run ends:
housing 186 and 300, concrete 124 and 140, energy 470 and 650, wine 82 and 132, yacht 225 and 198. Nor can
SciPy's state be saved: it had to run in a thread, and was resumed by hearing all its answers again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from svgp.training.lbfgs.line_search import DECREASE, Point, search

MEMORY = 50  # pairs that the inverse Hessian is made of; at 60 steps kin40k gains 0.02 nats a row over 10
SMALLEST_DECREASE = 1e-10  # relative, per iteration, of an objective in nats a row
SMALLEST_GRADIENT = 1e-7
NO_GRADIENT = f"the gradient is nowhere above {SMALLEST_GRADIENT:g}"
NO_DECREASE = f"a step decreased the objective by less than {SMALLEST_DECREASE:g} of it"
NO_STEP = "no step decreases the objective"
EPS = float(np.finfo(np.float64).eps)
REASONS = ("", NO_GRADIENT, NO_DECREASE, NO_STEP)

Answer = tuple[float, np.ndarray]


class Pair(NamedTuple):
    """A step `[n]` and what it changed in the gradient `[n]`."""

    step: np.ndarray
    change: np.ndarray
    product: float
    square: float  # of the change

    @classmethod
    def of(cls, step: np.ndarray, change: np.ndarray) -> Pair:
        """With their products."""
        return cls(step, change, float(step @ change), float(change @ change))

    def among(self, held: np.ndarray) -> tuple[float, float]:
        """The products without the coordinates `held`, a few numbers of them."""
        change = self.change[held]
        return self.product - float(self.step[held] @ change), self.square - float(change @ change)


class Lbfgs:
    """Minimise f over the box `bounds [n, 2]` from `start [n]`.

    `advance(evaluate)` returns the next accepted iterate, or None where there is none any more. `x [n]`: the
    last one; `finished`: why there is no further one.
    """

    def __init__(self, start: np.ndarray, bounds: np.ndarray) -> None:
        self.bounds = np.asarray(bounds, np.float64)
        self.x = np.clip(np.asarray(start, np.float64), *self.bounds.T)
        self.answer: Answer | None = None  # at x
        self._pairs: list[Pair] = []  # oldest first
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
        if found is None and self._pairs:  # which may be the fault of an old memory
            self._pairs = []
            found = self._search(evaluate)
        if found is None:
            self.finished = NO_STEP
            return None
        pair = Pair.of(found.x - self.x, found.gradient - gradient)
        if pair.product > EPS * pair.square:
            self._pairs = [*self._pairs, pair][-MEMORY:]
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
            self._pairs = [Pair.of(pair.step * kept, pair.change * kept) for pair in self._pairs]
            self.x = np.asarray(x, np.float64).copy()
        self.answer, self.finished = answer, ""

    def state(self) -> dict[str, np.ndarray]:
        """Everything that the next `advance` depends on."""
        value, gradient = self.answer or (np.nan, np.full(len(self.x), np.nan))
        shape = len(self._pairs), len(self.x)
        return {
            "x": self.x,
            "value": np.asarray(value),
            "gradient": gradient,
            "steps": np.array([pair.step for pair in self._pairs]).reshape(shape),
            "changes": np.array([pair.change for pair in self._pairs]).reshape(shape),
            "finished": np.asarray(REASONS.index(self.finished), np.int64),
        }

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue where `state` was taken, bit for bit."""
        self.x = state["x"].copy()
        known = np.isfinite(state["value"])
        self.answer = (float(state["value"]), state["gradient"].copy()) if known else None
        pairs = zip(state["steps"].copy(), state["changes"].copy(), strict=True)
        self._pairs = [Pair.of(step, change) for step, change in pairs]
        self.finished = REASONS[int(state["finished"])]

    def _inside(self, x: np.ndarray) -> np.ndarray:
        return np.clip(x, *self.bounds.T)

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

        first = 1.0 if self._pairs else min(1.0, 1.0 / float(np.linalg.norm(direction)))
        return search(at, Point(0.0, self.x, value, gradient, slope, True), first)

    def _direction(self, gradient: np.ndarray) -> np.ndarray:
        """Downhill, and away from the limits that x is at."""
        low, high = self.x <= self.bounds[:, 0], self.x >= self.bounds[:, 1]
        free = ~((low & (gradient > 0.0)) | (high & (gradient < 0.0)))
        while True:
            direction = -self._times_inverse_hessian(gradient, np.flatnonzero(~free))
            outward = free & ((low & (direction < 0.0)) | (high & (direction > 0.0)))
            if not outward.any():
                return direction
            free &= ~outward

    def _times_inverse_hessian(self, gradient: np.ndarray, held: np.ndarray) -> np.ndarray:
        """The two-loop recursion among all coordinates but `held`, where the pairs' curvature is positive."""
        q, scratch = gradient.copy(), np.empty_like(gradient)
        q[held] = 0.0
        known = [(pair, *pair.among(held)) for pair in self._pairs]
        known = [(pair, product, square) for pair, product, square in known if product > EPS * square]
        weights = []
        for pair, product, _ in reversed(known):
            weights.append(pair.step @ q / product)
            q -= np.multiply(pair.change, weights[-1], out=scratch)
            q[held] = 0.0
        if known:
            _, product, square = known[-1]
            q *= product / square
        for (pair, product, _), weight in zip(known, reversed(weights), strict=True):
            q += np.multiply(pair.step, weight - pair.change @ q / product, out=scratch)
            q[held] = 0.0
        return q
