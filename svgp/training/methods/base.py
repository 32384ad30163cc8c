"""What a training method is: a state machine that the loop advances one step at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

STATISTICS = ("elbo", "expected_log_likelihood", "kl", "jitter", "repairs", "objective", "finite")


@dataclass(frozen=True)
class StepRecord:
    """Outcome of one step.

    `step` counts the steps taken, this one included; `epoch` the passes over the data.
    `statistics` is `[7]` in the order of STATISTICS (nats for the whole data set; `finite` 0 or 1).
    `objective` is what the method maximises, the log prior left out: the ELBO, but for `model.bound: ppgpr`.
    It may be a tensor still being computed: read it late, so that a GPU is not waited for.
    """

    step: int
    epoch: float
    statistics: Any

    @staticmethod
    def of(
        step: int,
        epoch: float,
        *,
        elbo: float,
        expected_log_likelihood: float,
        kl: float,
        jitter: float = 0.0,
        repairs: float = 0.0,
    ) -> StepRecord:
        """A record from plain numbers of a method that maximises the ELBO; finite where that is."""
        finite = float(np.isfinite(elbo))
        values = (elbo, expected_log_likelihood, kl, jitter, repairs, elbo, finite)
        return StepRecord(step, epoch, np.asarray(values, dtype=np.float64))

    def values(self) -> np.ndarray:
        """The statistics as an array `[7]`; waits for the step to end."""
        return np.asarray(self.statistics, dtype=np.float64)


class Method(Protocol):
    """Advance, and hold the state that makes advancing repeatable.

    `state()` holds everything that `advance()` reads and changes: parameters, slots, counters.
    `load_state(method.state())` on a method built alike continues bit for bit.
    A step whose loss or gradient is not finite must leave the parameters as they were.

    A method may also have `iterative = True` (a step is an iteration over all rows: evaluated seldom),
    `finish() -> bool` (what is left to do when training ends; whether it changed the model), and
    `notes: list[str]` (what a user should know at the end, a line each).
    """

    model: Any  # a tf.Module, as of svgp.models
    name: str
    step: int  # steps taken
    steps_per_epoch: int

    @property
    def converged(self) -> bool:
        """Whether further steps cannot help; a stochastic method says False."""
        ...

    def advance(self) -> StepRecord: ...

    def state(self) -> dict[str, np.ndarray]: ...

    def load_state(self, state: dict[str, np.ndarray]) -> None: ...
