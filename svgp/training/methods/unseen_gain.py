"""Does the evidence with neighbours still help rows that it is not fitted to?

It may grow for a long time while Z and lengthscales learn the fitted rows by heart: of Friedman's first
function with unit noise (4,860 rows, 256 points) it gained .015 nats a row in fifty seconds and rows left out
nothing at all; with 2,250 rows and four inputs of twenty that matter, predictions became 4% worse meanwhile.
So rows left out are predicted now and then, after numbers of steps that grow by half each time, and where
PATIENCE looks in a row have found next to nothing better the stage is over.

A look is an estimate. Where noise is next to nothing few rows decide: bike, 1,000 rows, from 15 to 35 steps
-.087 nats a row with a standard error of .041, while the evidence gained .094; after 53 steps it was +.062.
So a look that may be a gain but for chance tells nothing where the evidence has risen. Where a table is
learnt by heart it rises as well, and each look finds less than the one before: six sines added up, 540 rows,
-.010 (.004), then -.012 (.005), while it gained .011 and .015.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from svgp.errors import NumericalError
from svgp.models.predictive.taken_out import Fold, predicted, seen_jointly
from svgp.training.convergence import CONVERGED

FIRST, GROWTH = 10, 1.5  # steps before the first look; each later one has so many times as many before it
PATIENCE = 2
MORE = 1  # look that is waited for while the evidence rises: two ended bike after 23 steps, at NLPD -7.1
LEAST = 2e-3  # nats a row that a look must find more than the best before it
MOST = 1000  # rows that are asked
RISEN = 0.02  # nats a row that the evidence has gained since the best look: it is not done
# Standard errors beyond the gain of a look, within which then lies less than LEAST: a gain over the best one,
# of several, and over the last one.
SURE, SURE_OF_LAST = 3.0, 2.0


class UnseenGain:
    """Log density of rows X `[T, D]`, Y `[T, P]` that the second stage is not fitted to, look by look."""

    def __init__(self, X: np.ndarray, Y: np.ndarray) -> None:
        self.X, self.Y = X[:MOST], Y[:MOST]
        self.due = FIRST  # steps at which to look next
        self.looks, self.without, self.patience = 0, 0, PATIENCE
        self._best_at = 0  # steps
        self._best = np.full(len(self.X), -np.inf)  # [T] log density of each row then
        self._last = self._best  # and at the last look
        self._evidence = -np.inf  # nats a row, then

    @property
    def best(self) -> float:
        """What the best look has found, nats a row; minus infinity before there is one."""
        return float(np.mean(self._best))

    def look(self, step: int, evidence: float, model: Any, X: np.ndarray, Y: np.ndarray, count: int) -> None:
        """Predict the rows after so many steps, by `model` and the rows X, Y whose q(u) it has.

        `evidence`: of these, nats a row. `count`: neighbours of a prediction. One that cannot be computed is
        no better.
        """
        at = np.arange(len(self.X))
        try:
            rows = seen_jointly(model, X, Y, count)
            densities = predicted([Fold(at, rows)], rows, self.X, self.Y, at).judge(calibrate=True).best
        except NumericalError:
            densities = np.full(len(self.X), -np.inf)
        self.looks, self.due = self.looks + 1, int(np.ceil(GROWTH * step))
        better = float(np.mean(densities)) > self.best + LEAST
        if better:
            self._best, self._best_at, self._evidence, self.without = densities, step, evidence, 0
        risen = bool(np.isfinite(self.best)) and evidence >= self._evidence + RISEN
        if not better and not (risen and self._may_be_better(densities)):
            self.without += 1
        self.patience, self._last = PATIENCE + MORE * risen, densities

    def _may_be_better(self, densities: np.ndarray) -> bool:
        """Whether `densities` `[T]` may on the average be above earlier ones, and chance hides it."""

        def most(earlier: np.ndarray, sure: float) -> float:
            gain = densities - earlier
            return float(np.mean(gain) + sure * np.std(gain) / np.sqrt(len(gain)))

        with np.errstate(invalid="ignore"):  # of a look that could not be computed: neither is then
            return most(self._best, SURE) > LEAST and most(self._last, SURE_OF_LAST) > LEAST

    @property
    def verdict(self) -> str | None:
        """That rows left out gain no more, in words, or None."""
        if self.without < self.patience:
            return None
        return (
            f"{CONVERGED}: {len(self.X)} rows left out are predicted no better than {self._best_at} steps "
            f"after the neighbours came in (by {LEAST:g} nats a row)"
        )

    def state(self) -> np.ndarray:
        """What later looks depend on."""
        counters = [self.due, self.looks, self.without, self.patience, self._best_at, self._evidence]
        return np.concatenate([counters, self._best, self._last])

    def load_state(self, state: np.ndarray) -> None:
        """Continue from there."""
        *counters, self._evidence = state[:6].tolist()
        self.due, self.looks, self.without, self.patience, self._best_at = map(int, counters)
        self._best, self._last = (part.copy() for part in np.split(state[6:], 2))
