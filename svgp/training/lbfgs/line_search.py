"""A step along a path that satisfies the strong Wolfe conditions (Nocedal and Wright 2006, section 3.5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

DECREASE = 1e-4  # of what the slope at the start promises, at least
CURVATURE = 0.9  # share of the slope at the start that may be left
LONGER = 2.5  # by which a step grows whose end still falls steeply
LONGEST = 1e3
MOST = 20  # evaluations
MARGIN = 0.1  # of the bracket, next to its ends, where no point is tried


class Point(NamedTuple):
    """Where the path has been looked at."""

    step: float
    x: np.ndarray  # [n]
    value: float
    gradient: np.ndarray  # [n]
    slope: float  # of the value by the step
    enough: bool  # whether it decreases as the first condition asks


def search(at: Callable[[float], Point], start: Point, step: float = 1.0) -> Point | None:
    """A point whose value has fallen enough and whose slope is small, `step` tried first.

    at: looks at a step. start: the point of step 0, with a negative slope. Where no point does both within
    MOST evaluations, the lowest that has fallen enough; None where none has. What `at` raises passes through.
    """
    low, high, best = start, None, None  # the bracket's better end, its other one, the lowest seen
    for _ in range(MOST):
        point = at(step)
        if point.enough and (best is None or point.value < best.value):
            best = point
        if point.enough and point.value < low.value:
            if abs(point.slope) <= CURVATURE * abs(start.slope):
                return point
            if point.slope * ((np.inf if high is None else high.step) - low.step) >= 0.0:
                high = low
            low = point
        else:
            high = point
        if high is None:
            if step >= LONGEST:
                break
            step = min(LONGER * step, LONGEST)
        else:
            step = between(low, high)
            if abs(high.step - low.step) < 1e-12 * max(low.step, high.step):
                break
    return best


def between(one: Point, other: Point) -> float:
    """The minimum of the cubic through both, values and slopes, kept off the ends; else the middle."""
    width = other.step - one.step
    mixed = one.slope + other.slope - 3.0 * (other.value - one.value) / width
    root = mixed * mixed - one.slope * other.slope
    step = one.step + 0.5 * width
    if np.isfinite(root) and root >= 0.0:
        root = np.copysign(np.sqrt(root), width)
        divisor = other.slope - one.slope + 2.0 * root
        if divisor != 0.0:
            step = other.step - width * (other.slope + root - mixed) / divisor
    left, right = sorted((one.step, other.step))
    margin = MARGIN * (right - left)
    return float(min(max(step, left + margin), right - margin))
