"""Does the evidence with neighbours still help rows that it is not fitted to?

It may grow for a long time while Z and lengthscales learn the fitted rows by heart: of Friedman's first
function with unit noise (4,860 rows, 256 points) it gained .015 nats a row in fifty seconds and rows left out
nothing at all; with 2,250 rows and four inputs of twenty that matter, predictions became 4% worse meanwhile.
So rows left out are predicted now and then, after numbers of steps that grow by half each time, and where
PATIENCE looks in a row have found next to nothing better the stage is over.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from svgp.errors import NumericalError
from svgp.models.predictive.taken_out import Fold, predicted, seen_jointly
from svgp.training.convergence import CONVERGED

FIRST, GROWTH = 10, 1.5  # steps before the first look; each later one has so many times as many before it
PATIENCE = 2
LEAST = 2e-3  # nats a row that a look must find more than the best before it
MOST = 1000  # rows that are asked


class UnseenGain:
    """Log density of rows X `[T, D]`, Y `[T, P]` that the second stage is not fitted to, look by look."""

    def __init__(self, X: np.ndarray, Y: np.ndarray) -> None:
        self.X, self.Y = X[:MOST], Y[:MOST]
        self.due = FIRST  # steps at which to look next
        self.best, self.looks, self.without = -np.inf, 0, 0
        self._best_at = 0  # steps

    def look(self, step: int, model: Any, X: np.ndarray, Y: np.ndarray, count: int) -> None:
        """Predict the rows after so many steps, by `model` and the rows X, Y whose q(u) it has.

        `count`: neighbours of a prediction. One that cannot be computed is no better.
        """
        at = np.arange(len(self.X))
        try:
            rows = seen_jointly(model, X, Y, count)
            found = predicted([Fold(at, rows)], rows, self.X, self.Y, at).judge(calibrate=True).reached
        except NumericalError:
            found = -np.inf
        self.looks, self.due = self.looks + 1, int(np.ceil(GROWTH * step))
        if found > self.best + LEAST:
            self.best, self._best_at, self.without = found, step, 0
        else:
            self.without += 1

    @property
    def verdict(self) -> str | None:
        """That rows left out gain no more, in words, or None."""
        if self.without < PATIENCE:
            return None
        return (
            f"{CONVERGED}: {len(self.X)} rows left out are predicted no better than {self._best_at} steps "
            f"after the neighbours came in (by {LEAST:g} nats a row)"
        )

    def state(self) -> np.ndarray:
        """What later looks depend on."""
        return np.array([self.due, self.best, self.looks, self.without, self._best_at])

    def load_state(self, state: np.ndarray) -> None:
        """Continue from there."""
        due, self.best, looks, without, best_at = state.tolist()
        self.due, self.looks, self.without, self._best_at = map(int, (due, looks, without, best_at))
