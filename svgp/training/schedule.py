"""When a run looks at itself: evaluates, logs, diagnoses, saves, and re-places redundant points.

All but saving depends on the number of steps alone, so that a resumed run looks where an uninterrupted one
does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from svgp.training.methods.affordable import rows_to_learn
from svgp.training.methods.base import Method

GROWTH = 1.1  # an iterative method is evaluated again when its steps have grown by so much
SELDOM = GROWTH**4  # the same of what costs more than an evaluation: a diagnosis, a new place for a point
DIAGNOSES = 20  # between start and end of a run whose length is known: each costs an eigendecomposition
PREDICTION = 1.5  # test rows that are predicted in the time of an iteration over one training row
SHARE = 5.0  # times longer that steps take than evaluations, of an iterative method
UP_TO_DATE = 2.0  # times longer that steps take than bringing the model up to date for an evaluation


@dataclass(frozen=True)
class Schedule:
    """Answers "now?" of a step, counted from 1 and ended.

    `evaluate_every` epochs, `log_every` steps, `checkpoint_every` seconds; `evaluations`: how many there will
    be, None where nobody knows. Where a step is an iteration over all rows (`iterative`), of the evaluations
    that would be due only those at which their number has grown by a tenth: all of the first ten, later one
    in a tenth of the time.
    """

    steps_per_epoch: int = 1
    iterative: bool = False
    evaluate_every: float = 1.0
    log_every: int = 10
    checkpoint_every: float = 60.0
    evaluations: float | None = None

    @staticmethod
    def of(config: Any, method: Method, *, rows: int = 0, test_rows: int = 0) -> Schedule:
        """What `config.train` asks for, of a method that sees so many `rows` a step if it is iterative.

        Predicting a large test set may take longer than an iteration: then so seldom that evaluations take
        about a fifth of the time. Nor more often than steps take UP_TO_DATE times as long as `publish`.
        """
        every = max(config.evaluate_every, UP_TO_DATE * method.publish_steps / method.steps_per_epoch)
        if method.iterative and test_rows:
            seen = min(rows_to_learn(method.model, rows, config) or rows, rows)
            every = max(every, float(math.ceil(SHARE * test_rows / (PREDICTION * seen))))
        ends = [config.max_epochs, config.max_steps and config.max_steps / method.steps_per_epoch]
        known = [end for end in ends if end]
        return Schedule(
            method.steps_per_epoch,
            method.iterative,
            every,
            config.log_every,
            config.checkpoint_every,
            min(known) / every if known else None,
        )

    def row_due(self, step: int) -> bool:
        """Whether a row is written: every `log_every` steps, and at each evaluation."""
        return step % self.log_every == 0 or self.evaluation_due(step)

    def evaluation_due(self, step: int) -> bool:
        """Whether to evaluate: where the step crosses a multiple of `evaluate_every` epochs."""
        epoch, before = (s / self.steps_per_epoch for s in (step, step - 1))
        tiny = 1e-9  # the last step of an epoch counts, however its fraction was rounded
        due = int((epoch + tiny) / self.evaluate_every) > int((before + tiny) / self.evaluate_every)
        return due and (not self.iterative or grows(self._evaluation(step), GROWTH))

    def diagnosis_due(self, step: int) -> bool:
        """Whether an evaluation also asks what the inducing points do."""
        number = max(1, self._evaluation(step))
        if self.iterative:
            return grows(number, SELDOM)
        if self.evaluations is None:  # an end that nobody knows: ever more seldom
            return number & (number - 1) == 0
        return number % math.ceil(self.evaluations / DIAGNOSES) == 0

    def replacement_due(self, step: int) -> bool:
        """Whether redundant points get new places before the next step: at first, and after evaluations."""
        if step == 0:
            return True
        due = self.evaluation_due(step)
        return due and (not self.iterative or grows(self._evaluation(step), SELDOM))

    def checkpoint_due(self, wall_s: float, saved_s: float) -> bool:
        """Whether so many seconds of training have passed since all state was saved."""
        return wall_s - saved_s >= self.checkpoint_every

    def _evaluation(self, step: int) -> int:
        return round(step / self.steps_per_epoch / self.evaluate_every)


def grows(number: int, factor: float) -> bool:
    """Whether `number` >= 1 is the first at or beyond a power of `factor`."""

    def power(count: int) -> int:
        return math.floor(math.log(count) / math.log(factor) + 1e-9)

    return number <= 1 or power(number) > power(number - 1)
