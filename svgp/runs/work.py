"""Seconds of the parts of a run on a machine: steps, passes over the rows, scores, and what comes at the end.

A step of M points and B rows takes about `7.5 M^2 B + 3.8 M^3` operations a latent GP and some work on each
entry of a panel [M, B]; an evaluation of the collapsed bound `6 M^2 N + 12 M^3`, of the evidence with m
neighbours `(7 M^2 + 3 m^2 M) N` and the small matrices of each row. Constants in seconds are those of one
core of an AMD EPYC of 2023 (zen 4), by processor time. No TensorFlow.
"""

from __future__ import annotations

import math
from typing import Any

from svgp.budget import CLIMBS, JUDGED_FROM, can_judge, step_operations
from svgp.runs.decisions import (
    chosen_method,
    has_labels,
    has_second_stage,
    is_whole,
    rows_a_step,
    rows_to_learn,
)
from svgp.runs.machine import Machine

_EVALUATIONS = 1.1  # of L-BFGS an accepted step
_CALL_S, _STEP_S = 0.005, 0.005  # of Python and TensorFlow in an evaluation; in a step, beside it
# Of the second stage, in entries of a panel that take as long: a row's small matrices, with so much more for
# each input, and a search for its neighbours. Searches a step, and evaluations in looks at rows left out.
_ROW_ENTRIES, _ROW_ENTRIES_AN_INPUT, _SEARCH_ENTRIES = 850.0, 17.0, 1500.0
_SEARCHES, _LOOKS = 0.08, 0.05
_PASS, _SECOND_PASS = 0.4, 0.45  # of an evaluation: q(u) of a stage for all rows, where it was fitted to some
_NATURAL = 1.3  # times the operations of a step of natural gradients
_BATCH_S = 0.008  # of a step that is a graph, beside products
_COMPILED_S = 1.4  # of a graph
_WHOLE, _WHOLE_S = 9.0, 0.13  # steps of q(u) in one of natural gradients on all rows; beside the products
_SECOND_NEIGHBOURS, _MOST_NEIGHBOURS = 16, 128  # of a row in the second stage; weighed for predictions
_SCORE_S = 0.03  # of scoring, beside the test rows
_DIAGNOSES, _EIGEN = 10, 25.0  # of the points; times M^3 operations each
_NEAR, _TESTED = 1 << 19, 20_000  # of a stream: rows that may be neighbours, test rows that are scored
_JUDGES = 3000  # rows that say how many neighbours, and how wide predictions should be


class Work:
    """Of `config` on so many rows, of which `held` are in memory, and inputs; M points a latent GP."""

    def __init__(
        self, config: Any, rows: int, held: int, inputs: int, M: int, latents: int, on: Machine
    ) -> None:
        self.config, self.rows, self.held, self.inputs = config, rows, held, inputs
        self.M, self.latents, self.on = M, latents, on
        self.fitted = rows_to_learn(config, rows, M)
        asked = config.model.neighbours.count
        self.neighbours = _MOST_NEIGHBOURS if asked == "auto" else asked
        tested, whole = rows * _tenth(config), held == rows
        self.near, self.tested = (rows, tested) if whole else (min(rows, _NEAR), min(tested, _TESTED))

    def collapsed(self) -> list[float]:
        """A step of each stage: the bound, and where predictions see neighbours, the evidence with them."""
        step_s = _STEP_S * self.on.pace
        stages = [_EVALUATIONS * self._bound(self.fitted) + step_s]
        if self.has_second():
            seen = min(self.fitted, self.held)
            searching = _SEARCHES * self.on.seconds(0.0, _SEARCH_ENTRIES * seen)
            stages.append((_EVALUATIONS + _LOOKS) * self._evidence(seen) + searching + step_s)
        return stages

    def has_second(self) -> bool:
        """Whether training goes on with the evidence."""
        return bool(self.neighbours) and has_second_stage(self.config, self.latents)

    def batch(self) -> float:
        """A step on a batch; of natural gradients on all rows, of as many iterations as it has."""
        M, B = self.M, rows_a_step(self.config, self.rows, self.M)
        if is_whole(self.config, self.rows, M):
            once = self.on.seconds(step_operations(M, B), float(M * B))
            return self.latents * _WHOLE * once + _WHOLE_S * self.on.pace
        natural = chosen_method(self.config, self.rows, M) == "natgrad"
        operations = _NATURAL * step_operations(M, B) if natural else 7.5 * M**2 * B + 3.8 * M**3
        return (
            self.on.seconds(self.latents * operations, float(self.latents * M * B)) + _BATCH_S * self.on.pace
        )

    def graphs(self, method: str) -> float:
        """What a method that compiles its steps does beside them: that, and judging classes at the end."""
        seconds = _COMPILED_S * self.on.pace
        if method == "natgrad" and self.is_judged():
            climbs = CLIMBS * self.latents * step_operations(self.M, self.rows)
            seconds += self.on.seconds(climbs, 0.0) + _COMPILED_S * self.on.pace
        return seconds

    def is_judged(self) -> bool:
        """Whether rows left out judge natural gradients: of classes."""
        can = can_judge(self.config.train, self.rows, self.M, self.latents)
        return has_labels(self.config) and self.rows >= JUDGED_FROM and can

    def last_pass(self) -> float:
        """The passes over all rows for q(u) after a fit to some, of each stage's half of its time at most."""
        if self.fitted == self.rows:
            return 0.0
        seconds, second = _PASS * self._bound(self.rows), self.has_second()
        if second:
            seconds += _SECOND_PASS * self._evidence(self.held)
        limit = self.config.train.max_seconds
        return seconds if limit is None else min(seconds, 0.5 * limit / (1 + second))

    def score(self, steps: float, per_epoch: int, iterative: bool) -> float:
        """Scores on the test rows by the inducing points alone, and diagnoses, while training."""
        times = 1.0 + steps / per_epoch / self.config.train.evaluate_every
        if iterative:
            times = min(times, 10.0 + math.log(1.0 + times / 10.0) / math.log(1.1))
        once = self.on.seconds(2.0 * self.M**2 * self.tested * self.latents, 0.0)
        diagnoses = min(times, _DIAGNOSES) * self.on.seconds(_EIGEN * self.M**3 * self.latents, 0.0)
        return times * (once + _SCORE_S * self.on.pace) + diagnoses

    def end(self) -> float:
        """Rows left out for calibration and neighbours, and the test rows as predicted."""
        judges, M = min(self.held, _JUDGES), self.M
        if self.config.model.calibration == "none" and not self.neighbours:
            return self.on.seconds(2.0 * M**2 * self.tested * self.latents, 0.0)
        m = min(self.neighbours, self.held)
        a_row = self.latents * (2.0 * M**2 + m**3 / 3.0) + 2.0 * m**2 * M  # the kernel is that of all latents
        residuals = 4.0 * M**2 * self.near if self.neighbours else 0.0  # of all that may be neighbours
        ways = 2.0 if self.has_second() else 1.0  # of taking neighbours, of which the better one is kept
        rows = ways * judges + self.tested
        return self.on.seconds(a_row * rows + self.latents * residuals, self.latents * m**2 * rows)

    def _bound(self, rows: int) -> float:
        """An evaluation of the collapsed bound."""
        M = self.M
        return self.on.seconds(6.0 * M**2 * rows + 12.0 * M**3, float(M * rows)) + _CALL_S * self.on.pace

    def _evidence(self, rows: int) -> float:
        """An evaluation of the evidence with neighbours."""
        M = self.M
        operations = (7.0 * M**2 + 3.0 * _SECOND_NEIGHBOURS**2 * M) * rows + 12.0 * M**3
        entries = (2.0 * M + _ROW_ENTRIES + _ROW_ENTRIES_AN_INPUT * self.inputs) * rows
        return self.on.seconds(operations, entries) + _CALL_S * self.on.pace


def _tenth(config: Any) -> float:
    """Test rows, as a share of the training rows."""
    test = config.data.test
    return 0.0 if test is None else test.fraction or 0.1
